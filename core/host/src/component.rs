//! Compilation of a component into the cache.

use wasmtime::Engine;
use wasmtime::component::Component;

use super::cache::Cache;
use super::error::AdapterError;
use super::{limits, output};

/// Compiles a component into the cache. The loader checks its imports.
pub(super) fn compile(engine: &Engine, cache: &Cache, wasm: &[u8]) -> Result<Component, AdapterError> {
    let component = Component::from_binary(engine, wasm).map_err(|error| mismatch(&error))?;
    cache.save(engine, wasm, &component);
    Ok(component)
}

/// The error for bytes that are not a component, or that have another contract.
pub(super) fn mismatch(error: &wasmtime::Error) -> AdapterError {
    AdapterError::ContractMismatch { reason: output::clean(&format!("{error:#}"), limits::SENTENCE_CHARS) }
}
