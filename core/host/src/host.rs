//! The host: one engine, and the built-in adapters.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError, Weak};

use wasmtime::Engine;

use super::adapter::Adapter;
use super::cache::Cache;
use super::compile::Compiler;
use super::engine::Allocation;
use super::error::AdapterError;
use super::limits::{CompileLimits, Limits};
use super::load::Origin;
use super::{engine, load};

/// The built-in adapters, built from `plugins/`.
const BUILT_IN: [&[u8]; 5] = [
    include_bytes!("../../../plugins/dist/affrank.wasm"),
    include_bytes!("../../../plugins/dist/crm-json.wasm"),
    include_bytes!("../../../plugins/dist/integr8.wasm"),
    include_bytes!("../../../plugins/dist/macro-url.wasm"),
    include_bytes!("../../../plugins/dist/mylead.wasm"),
];

/// The adapter host. Cheap to clone; all clones share the engine, its pool and the loaded adapters.
#[derive(Clone)]
pub struct Host {
    inner: Arc<Inner>,
}

struct Inner {
    engine: Engine,
    allocation: Allocation,
    cache: Cache,
    compiler: Compiler,
    built_in: Vec<BuiltIn>,
}

/// The cache of a host, and the program that compiles.
type HostKey = (PathBuf, Option<PathBuf>);

/// A built-in adapter and its component.
pub struct BuiltIn {
    /// The loaded adapter.
    pub adapter: Arc<Adapter>,
    /// The bytes of its component.
    pub wasm: &'static [u8],
}

impl Host {
    /// Starts the engine and loads the built-in adapters. `cache_dir` is created if necessary, for this user only; it
    /// contains compiled code and may be deleted at any time.
    pub fn start(cache_dir: &Path) -> Result<Self, AdapterError> {
        Self::start_with(cache_dir, Compiler::new(None, CompileLimits::default()))
    }

    /// The host of this process with this cache and this program (a Postrider) that compiles components of third parties. While one
    /// exists, it is shared: a test process starts many servers, and each host would load the same adapters.
    pub fn shared(cache_dir: &Path, program: Option<PathBuf>) -> Result<Self, AdapterError> {
        static RUNNING: Mutex<Vec<(HostKey, Weak<Inner>)>> = Mutex::new(Vec::new());
        let key = (cache_dir.to_owned(), program.clone());
        // Another caller with the same key waits for this one's host.
        let mut running = RUNNING.lock().unwrap_or_else(PoisonError::into_inner);
        running.retain(|(_, host)| host.strong_count() > 0);
        let known = running.iter().filter(|(known, _)| *known == key).find_map(|(_, host)| host.upgrade());
        if let Some(inner) = known {
            return Ok(Self { inner });
        }
        let host = Self::start_with_compiler(cache_dir, program, CompileLimits::default())?;
        running.push((key, Arc::downgrade(&host.inner)));
        Ok(host)
    }

    /// Like [`Self::start`], with another program (a Postrider) that compiles components of third parties, and with other
    /// limits for it.
    pub fn start_with_compiler(
        cache_dir: &Path,
        program: Option<PathBuf>,
        limits: CompileLimits,
    ) -> Result<Self, AdapterError> {
        Self::start_with(cache_dir, Compiler::new(program, limits))
    }

    pub(super) fn start_with(cache_dir: &Path, compiler: Compiler) -> Result<Self, AdapterError> {
        let (engine, allocation) = engine::start()?;
        let mut inner = Inner { engine, allocation, cache: Cache::open(cache_dir), compiler, built_in: Vec::new() };
        // In parallel, because at the first start each component must be compiled.
        let loaded: Vec<_> = std::thread::scope(|scope| {
            let load = |wasm| inner.load(wasm, Origin::Trusted, Limits::default());
            let loading = BUILT_IN.map(|wasm| (wasm, scope.spawn(move || load(wasm))));
            loading.into_iter().map(|(wasm, thread)| (wasm, thread.join().expect("loading does not panic"))).collect()
        });
        for (wasm, adapter) in loaded {
            inner.built_in.push(BuiltIn { adapter: Arc::new(adapter?), wasm });
        }
        Ok(Self { inner: Arc::new(inner) })
    }

    /// The built-in adapter with this id.
    pub fn adapter(&self, id: &str) -> Option<Arc<Adapter>> {
        self.built_in().iter().find(|it| it.adapter.descriptor().id == id).map(|it| it.adapter.clone())
    }

    /// All built-in adapters.
    pub fn built_in(&self) -> &[BuiltIn] {
        &self.inner.built_in
    }

    /// Compiles a component in this process and calls its `describe`: only for components that are built in or the caller's
    /// own.
    pub fn load(&self, wasm: &[u8]) -> Result<Arc<Adapter>, AdapterError> {
        self.load_with(wasm, Limits::default())
    }

    /// Like [`Self::load`], with other limits for each call.
    pub(crate) fn load_with(&self, wasm: &[u8], limits: Limits) -> Result<Arc<Adapter>, AdapterError> {
        self.inner.load(wasm, Origin::Trusted, limits).map(Arc::new)
    }

    /// Compiles a component of a third party in a child process with limits, and calls its `describe`.
    pub fn load_untrusted(&self, wasm: &[u8]) -> Result<Arc<Adapter>, AdapterError> {
        let origin = Origin::Untrusted(&self.inner.compiler, self.inner.allocation);
        self.inner.load(wasm, origin, Limits::default()).map(Arc::new)
    }
}

impl Inner {
    fn load(&self, wasm: &[u8], origin: Origin<'_>, limits: Limits) -> Result<Adapter, AdapterError> {
        let trusted = matches!(origin, Origin::Trusted);
        let component = load::load(&self.engine, &self.cache, origin, wasm)?;
        Adapter::new(component, super::digest(wasm), limits, trusted)
    }
}
