//! Queries of postbacks, adapters, deliveries, their attempts, breakers and sealed secrets.

pub mod adapters;
pub mod attempts;
pub mod breakers;
pub mod deliveries;
pub mod postbacks;
pub mod sealed_columns;
pub mod secret_keys;
pub mod waiting_deliveries;
