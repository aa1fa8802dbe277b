//! The engine that all adapters share, and the thread that advances its deadlines.

use wasmtime::{Config, Engine, PoolingAllocationConfig};

use super::error::AdapterError;
use super::limits;

/// How the engine allocates instances. Compiled code only runs with the allocation that it was compiled for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Allocation {
    /// From a preallocated pool.
    Pooled,
    /// One by one.
    OnDemand,
}

impl Allocation {
    /// The word on the command line of the child process.
    pub fn word(self) -> &'static str {
        match self {
            Self::Pooled => "pooled",
            Self::OnDemand => "on-demand",
        }
    }

    /// Parses [`Self::word`].
    pub fn from_word(word: &str) -> Option<Self> {
        [Self::Pooled, Self::OnDemand].into_iter().find(|it| it.word() == word)
    }
}

/// Starts an engine with a pool of preallocated instances, which makes new instances cheap. The pool reserves address
/// space, not memory. If address space is limited (`ulimit -v`, some containers), instances are allocated one by one
/// instead.
pub(super) fn start() -> Result<(Engine, Allocation), AdapterError> {
    let pooled = Engine::new(&pooled()).map(|engine| (engine, Allocation::Pooled));
    let engine = pooled.or_else(|error| {
        tracing::warn!(%error, "No address space for a pool of adapter instances; each is allocated separately");
        Engine::new(&on_demand()).map(|engine| (engine, Allocation::OnDemand))
    });
    let (engine, allocation) = engine.map_err(|error| AdapterError::Engine { reason: format!("{error:#}") })?;
    start_ticker(&engine)?;
    Ok((engine, allocation))
}

/// An engine that only compiles and needs no room for instances; its code runs in an engine with this allocation.
pub(super) fn for_compiling(allocation: Allocation) -> Result<Engine, AdapterError> {
    let config = match allocation {
        // The pool does not affect the code.
        Allocation::Pooled => common(),
        Allocation::OnDemand => on_demand(),
    };
    Engine::new(&config).map_err(|error| AdapterError::Engine { reason: format!("{error:#}") })
}

pub(super) fn pooled() -> Config {
    let mut pool = PoolingAllocationConfig::new();
    pool.total_component_instances(limits::INSTANCES)
        .total_core_instances(limits::INSTANCES * limits::CORE_INSTANCES_PER_ADAPTER)
        .total_memories(limits::INSTANCES)
        .total_tables(limits::INSTANCES * limits::TABLES_PER_ADAPTER)
        .max_core_instances_per_component(limits::CORE_INSTANCES_PER_ADAPTER)
        .max_memories_per_component(1)
        .max_tables_per_component(limits::TABLES_PER_ADAPTER)
        .max_memory_size(limits::MEMORY_BYTES)
        .table_elements(limits::TABLE_ELEMENTS)
        // Most adapters touch less memory than this; clearing it is cheaper than unmapping it.
        .linear_memory_keep_resident(KEEP_RESIDENT_BYTES)
        .table_keep_resident(16 << 10)
        .max_unused_warm_slots(64);
    let mut config = common();
    config.allocation_strategy(pool);
    config
}

const KEEP_RESIDENT_BYTES: usize = 256 << 10;

pub(super) fn on_demand() -> Config {
    let mut config = common();
    // The default reservation of 4 GiB per instance is too large where the pool did not fit.
    config.memory_reservation(64 << 20);
    config
}

/// Enables only the WebAssembly proposals that adapters need. A hostile component can't reach the code of the others.
fn common() -> Config {
    let mut config = Config::new();
    config
        .wasm_component_model(true)
        .epoch_interruption(true)
        .consume_fuel(true)
        .memory_init_cow(true)
        .cranelift_nan_canonicalization(true)
        .concurrency_support(false)
        .wasm_memory64(false)
        .wasm_multi_memory(false)
        .wasm_relaxed_simd(false)
        .wasm_custom_page_sizes(false)
        .wasm_wide_arithmetic(false)
        .wasm_tail_call(false)
        .wasm_backtrace_max_frames(None);
    config
}

/// The thread holds only a weak reference to the engine, so it ends soon after the last adapter and host are dropped.
fn start_ticker(engine: &Engine) -> Result<(), AdapterError> {
    let weak = engine.weak();
    let tick = move || {
        while let Some(engine) = weak.upgrade() {
            engine.increment_epoch();
            drop(engine);
            std::thread::sleep(limits::TICK);
        }
    };
    std::thread::Builder::new()
        .name("adapter-deadline".into())
        .spawn(tick)
        .map(drop)
        .map_err(|error| AdapterError::Engine { reason: format!("its deadline thread can't be started: {error}") })
}
