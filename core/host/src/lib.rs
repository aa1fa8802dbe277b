//! The adapter host: runs network adapters, which are WebAssembly components by other people.
//!
//! An adapter gets plain data and returns plain data. It can't reach the network, the disk, a clock
//! or another adapter, and it can't take more time, memory or output than [`limits`] grants. This module
//! alone knows the WebAssembly engine; it decides nothing about deliveries and speaks no HTTP.
//!
//! Everything here is synchronous and may compute for a while: call it on a blocking thread.

mod adapter;
mod cache;
pub mod compile;
mod component;
mod engine;
mod error;
mod guest;
mod host;
mod instance;
pub mod limits;
mod load;
mod output;
mod schema;
mod session;
mod v0_1;

#[cfg(test)]
mod tests;

pub use adapter::Adapter;
pub use engine::Allocation;
pub use error::{AdapterError, RefusedKind};
pub use guest::{LogLevel, LogLine};
pub use host::{BuiltIn, Host};
pub use schema::Schema;
pub use session::{Cost, Session};

/// What goes in and out of an adapter, as `sdk/wit/adapter.wit` says it.
pub mod wire {
    pub use super::v0_1::types::*;
}

/// The name of a component's bytes: SHA-256 in hexadecimal digits.
pub fn digest(wasm: &[u8]) -> String {
    use sha2::Digest;
    format!("{:x}", sha2::Sha256::digest(wasm))
}
