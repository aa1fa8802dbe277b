//! The adapter host: runs network adapters, which are WebAssembly components by other people.
//!
//! An adapter gets plain data and returns plain data. It can't reach the network, the disk, a clock
//! or another adapter, and it can't take more time, memory or output than [`limits`] grants. This module
//! alone knows the WebAssembly engine; it decides nothing about deliveries and speaks no HTTP.
//!
//! Everything here is synchronous and may compute for a while: call it on a blocking thread.

mod adapter;
mod cache;
mod engine;
mod error;
mod guest;
pub mod limits;
mod load;
mod output;
mod registry;
mod session;
mod v0_1;

#[cfg(test)]
mod tests;

pub use adapter::Adapter;
pub use error::{AdapterError, RefusedKind};
pub use guest::{LogLevel, LogLine};
pub use registry::Host;
pub use session::{Cost, Session};

/// What goes in and out of an adapter, as `sdk/wit/adapter.wit` says it.
pub mod wire {
    pub use super::v0_1::types::*;
}
