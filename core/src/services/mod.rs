//! Use cases: one function, one transaction. Load, decide, save, post, record the event, commit.

pub mod catalog;
pub mod delivery;
pub mod error;
pub mod geoip;
pub mod heavy;
pub mod inbound;
pub mod inbox;
pub mod money;
pub mod partitions;
pub mod people;
pub mod program;
pub mod rates;
pub mod readiness;
pub mod reports;
pub mod round_robin;
pub mod timekeeping;
pub mod tracking;
pub mod warnings;

pub use error::{Error, FieldIssue};
