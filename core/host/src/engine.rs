//! The engine that all adapters share, and the thread that lets its deadlines pass.

use wasmtime::{Config, Engine, PoolingAllocationConfig};

use super::error::AdapterError;
use super::limits;

/// How the engine gets memory for instances. Compiled code fits only the one that it was compiled for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Allocation {
    Pooled,
    OnDemand,
}

impl Allocation {
    pub fn word(self) -> &'static str {
        match self {
            Self::Pooled => "pooled",
            Self::OnDemand => "on-demand",
        }
    }

    pub fn from_word(word: &str) -> Option<Self> {
        [Self::Pooled, Self::OnDemand].into_iter().find(|it| it.word() == word)
    }
}

/// Starts an engine with a pool of preallocated instances, which makes a fresh one cheap. The pool
/// reserves address space, never memory; where even that is limited (`ulimit -v`, some containers),
/// instances are allocated one by one instead.
pub(super) fn start() -> Result<(Engine, Allocation), AdapterError> {
    let pooled = Engine::new(&pooled()).map(|engine| (engine, Allocation::Pooled));
    let engine = pooled.or_else(|error| {
        tracing::warn!(%error, "No address space for a pool of adapter instances; each will be allocated alone");
        Engine::new(&on_demand()).map(|engine| (engine, Allocation::OnDemand))
    });
    let (engine, allocation) = engine.map_err(|error| AdapterError::Engine { reason: format!("{error:#}") })?;
    start_ticker(&engine)?;
    Ok((engine, allocation))
}

/// One that runs nothing and needs no room for instances; its code fits an engine of this allocation.
pub(super) fn for_compiling(allocation: Allocation) -> Result<Engine, AdapterError> {
    let config = match allocation {
        // The pool itself has no part in the code.
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
        // What an adapter touches is mostly below this; clearing it is cheaper than giving it back.
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
    // The default of 4 GiB for each instance is what there was no room for.
    config.memory_reservation(64 << 20);
    config
}

/// Only what adapters need of WebAssembly is on. Every proposal that is off is code which
/// a hostile component cannot reach.
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

/// Holds the engine weakly: the thread ends soon after the last adapter and host are gone.
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
        .map_err(|error| AdapterError::Engine { reason: format!("its deadline thread does not start: {error}") })
}
