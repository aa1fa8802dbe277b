//! The rules of affiliate tracking. PURE: no async, no I/O, no clock; time and chance are passed in.

pub mod delivery;
pub mod inbound;
pub mod money;
pub mod people;
pub mod program;
pub mod reports;
pub mod tracking;
