//! Postbacks: setting them up, routing events to them, and sending their deliveries.

pub mod adapters;
pub mod cases;
pub mod deliveries;
pub mod delivery_log;
pub mod destinations;
pub mod estimates;
pub mod explanations;
pub(crate) mod lanes;
pub mod plan;
pub mod postbacks;
pub(crate) mod prepared;
pub mod retry_jobs;
pub mod routing;
pub mod samples;
pub mod secrets;
pub mod sending;
pub mod templates;
pub mod wire;
