//! The rules of affiliate tracking. Pure: no async, no I/O, no clock. Callers pass in the time and random values.

#![deny(missing_docs)]

#[macro_use]
mod text_enum;

pub mod amounts;
pub mod archive;
mod copied_url;
pub mod delivery;
pub mod ids;
pub mod inbound;
pub mod money;
pub mod nearest;
pub mod people;
pub mod program;
pub mod reports;
pub mod search;
pub mod timestamp;
pub mod tracking;
