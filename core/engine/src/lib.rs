//! The functions of the program: [`app::App`] with its parts, use cases in folders by area, and the workers of
//! [`pipeline`].
//!
//! A use case is one function and one transaction: load, decide, save, post, record the event, commit.

pub mod app;
pub mod catalog;
pub(crate) mod concurrent_change;
pub mod config;
pub mod delivery;
pub mod error;
pub mod geoip;
pub mod heavy;
pub mod inbound;
pub mod money;
pub mod partitions;
pub mod people;
pub mod pipeline;
pub mod program;
pub mod rates;
pub mod readiness;
pub mod reports;
pub(crate) mod round_robin;
pub mod timekeeping;
pub mod tracking;
pub mod warnings;
pub(crate) mod work_queue;

pub use error::{Error, FieldIssue};
