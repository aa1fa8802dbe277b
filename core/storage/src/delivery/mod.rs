//! Queries of postbacks, their former versions and activity, adapters, deliveries, their attempts, breakers and sealed secrets.

pub mod adapters;
pub mod attempts;
pub mod breakers;
pub mod deliveries;
pub mod postback_activity;
pub mod postback_failures;
pub mod postback_versions;
pub mod postbacks;
pub mod retry_jobs;
pub mod sealed_columns;
pub mod secret_keys;
pub mod waiting_deliveries;
