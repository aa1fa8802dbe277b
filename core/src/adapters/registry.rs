//! The adapters that this server has, by id.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use wasmtime::Engine;

use super::adapter::Adapter;
use super::cache::Cache;
use super::error::AdapterError;
use super::limits::Limits;
use super::{engine, load};

/// Adapters that come with the program, as built from `plugins/`.
const BUILT_IN: [&[u8]; 2] =
    [include_bytes!("../../../plugins/dist/affrank.wasm"), include_bytes!("../../../plugins/dist/macro-url.wasm")];

/// Cheap to clone; all clones share the engine, its pool and the loaded adapters.
#[derive(Clone)]
pub struct Host {
    inner: Arc<Inner>,
}

struct Inner {
    engine: Engine,
    cache: Cache,
    adapters: BTreeMap<String, Arc<Adapter>>,
}

impl Host {
    /// Starts the engine and loads the built-in adapters. `cache_dir` is created if need be, for this
    /// user alone; it holds compiled code and may be deleted at any time.
    pub fn start(cache_dir: &Path) -> Result<Self, AdapterError> {
        let mut inner = Inner { engine: engine::start()?, cache: Cache::open(cache_dir), adapters: BTreeMap::new() };
        for wasm in BUILT_IN {
            let adapter = inner.load(wasm, Limits::default())?;
            inner.adapters.insert(adapter.descriptor().id.clone(), Arc::new(adapter));
        }
        Ok(Self { inner: Arc::new(inner) })
    }

    pub fn adapter(&self, id: &str) -> Option<Arc<Adapter>> {
        self.inner.adapters.get(id).cloned()
    }

    /// All adapters in the order of their ids.
    pub fn adapters(&self) -> Vec<Arc<Adapter>> {
        self.inner.adapters.values().cloned().collect()
    }

    /// Compiles and describes a component without adding it to the adapters of this server.
    pub fn load(&self, wasm: &[u8]) -> Result<Arc<Adapter>, AdapterError> {
        self.load_with(wasm, Limits::default())
    }

    /// The same with other limits for each call.
    pub fn load_with(&self, wasm: &[u8], limits: Limits) -> Result<Arc<Adapter>, AdapterError> {
        self.inner.load(wasm, limits).map(Arc::new)
    }
}

impl Inner {
    fn load(&self, wasm: &[u8], limits: Limits) -> Result<Adapter, AdapterError> {
        Adapter::new(load::load(&self.engine, &self.cache, wasm)?, limits)
    }
}
