//! Outbound postbacks: rules, adapters, templates, lanes, breakers and retries.

pub mod adapter;
pub mod answer;
pub mod approval;
#[expect(clippy::module_inception, reason = "the noun of the area")]
pub mod delivery;
pub mod lane;
pub mod lease;
pub mod pasted;
pub mod postback;
pub mod retry;
pub mod retry_job;
pub mod rules;
pub mod secret_key;
pub mod sending;
pub mod template;
pub mod verification;
pub mod version;
