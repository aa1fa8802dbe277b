//! Postbacks: setting them up, routing events to them, and sending their deliveries.

pub(crate) mod adapter_faults;
pub mod adapters;
pub mod cases;
pub mod deliveries;
pub mod destinations;
pub(crate) mod lanes;
pub mod plan;
pub mod postbacks;
pub(crate) mod prepared;
pub mod rotation;
pub mod routing;
pub mod samples;
pub(crate) mod sealed;
pub mod sealing;
pub mod secret_keys;
pub mod secrets;
pub mod sending;
pub mod templates;
pub mod wire;
