//! Use cases: one function, one transaction. Load, decide, save, post, record the event, commit.

pub mod adapters;
pub mod affiliates;
pub mod api_keys;
pub mod cases;
pub mod catalog;
pub mod clicks;
pub mod conversions;
pub mod deliveries;
pub mod error;
pub mod events;
pub mod exports;
pub mod geoip;
pub mod inbound;
pub mod inbox;
pub mod links;
pub mod offers;
pub mod plan;
pub mod postbacks;
pub mod reports;
pub mod routing;
pub mod samples;
pub mod secrets;
pub mod sending;
pub mod sources;
pub mod templates;
pub mod wire;

pub use error::{Error, FieldIssue};
