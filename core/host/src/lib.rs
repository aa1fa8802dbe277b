//! The adapter host: runs network adapters, which are WebAssembly components by third parties.
//!
//! An adapter gets plain data and returns plain data. It can't reach the network, the disk, a clock or another adapter,
//! and it can't use more time, memory or output than [`limits`] allows. This crate alone uses the WebAssembly engine;
//! it decides nothing about deliveries and speaks no HTTP.
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

/// The types that adapters get and return, from `sdk/wit/adapter.wit`.
pub mod wire {
    pub use super::v0_1::types::*;
}

/// The digest that identifies a component: SHA-256 of its bytes in hexadecimal.
pub fn digest(wasm: &[u8]) -> String {
    use sha2::Digest;
    format!("{:x}", sha2::Sha256::digest(wasm))
}
