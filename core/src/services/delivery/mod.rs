//! Postbacks: setting them up, routing events to them, and sending what is due.

pub mod adapters;
pub mod cases;
pub mod deliveries;
pub mod destinations;
pub mod plan;
pub mod postbacks;
pub mod rotation;
pub mod routing;
pub mod samples;
pub mod sealing;
pub mod secret_keys;
pub mod secrets;
pub mod sending;
pub mod templates;
pub mod wire;
