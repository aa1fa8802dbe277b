//! Outbound postbacks: rules, adapters, templates, lanes, breakers and retries.

pub mod adapter;
pub mod adapter_faults;
pub mod breaker;
#[expect(clippy::module_inception, reason = "the noun of the area")]
pub mod delivery;
pub mod fair_queue;
pub mod lane;
pub mod lease;
pub mod pace;
pub mod pasted;
pub mod places;
pub mod postback;
pub mod retry;
pub mod return_line;
pub mod rules;
pub mod schema_budget;
pub mod secret_key;
pub mod sending;
pub mod template;
pub mod verification;
