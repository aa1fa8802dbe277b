//! Use cases: one function, one transaction. Load, decide, save, post, record the event, commit.

pub mod adapters;
pub mod affiliates;
pub mod api_keys;
pub mod audit;
pub mod auth;
pub mod cases;
pub mod catalog;
pub mod clicks;
pub mod conversions;
pub mod customers;
pub mod deliveries;
pub mod error;
pub mod events;
pub mod inbound;
pub mod inbox;
pub mod links;
pub mod mail;
pub mod offers;
pub mod passwords;
pub mod plan;
pub mod postbacks;
pub mod routing;
pub mod samples;
pub mod secrets;
pub mod sending;
pub mod sources;
pub mod templates;
pub mod users;
pub mod wire;

pub use error::{Error, FieldIssue};
