//! Every limit of an adapter, in one place, with its reason.

use std::time::Duration;

/// The budget of one call. The defaults are two or three orders of magnitude above the need of a good adapter:
/// rendering a postback takes less than 10 µs and 30,000 units of fuel.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// About one unit per WebAssembly instruction and per byte copied. This is the actual budget: it does not depend on
    /// the load of the machine, so the same call always ends in the same way.
    pub fuel: u64,
    /// Wall-clock time in ticks of [`TICK`]. It only limits work that uses no fuel, and is generous, because a busy machine
    /// can suspend a thread for a long time without any fault of the adapter.
    pub deadline_ticks: u64,
    /// Linear memory, in bytes.
    pub memory_bytes: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self { fuel: 50_000_000, deadline_ticks: 200, memory_bytes: MEMORY_BYTES }
    }
}

/// The resolution of the deadline.
pub const TICK: Duration = Duration::from_millis(10);

/// The default memory limit: 32 MiB.
pub(crate) const MEMORY_BYTES: usize = 32 << 20;
/// The most elements of a table.
pub(crate) const TABLE_ELEMENTS: usize = 20_000;

/// The most instances at the same time. A session holds one.
pub(crate) const INSTANCES: u32 = 512;
/// A component for this contract consists of its module and two small shims for the log import.
pub(crate) const CORE_INSTANCES_PER_ADAPTER: u32 = 6;
/// The most tables of a component.
pub(crate) const TABLES_PER_ADAPTER: u32 = 4;

/// The largest component. The time and memory of compilation are proportional to it.
pub const COMPONENT_BYTES: usize = 4 << 20;

/// Limits of the child process that compiles a component of a third party. A good adapter takes one second; four of the
/// largest allowed size take less than a quarter of these limits.
#[derive(Debug, Clone, Copy)]
pub struct CompileLimits {
    /// Address space, including that of the program itself.
    pub memory_bytes: u64,
    /// CPU time, in seconds.
    pub cpu_secs: u64,
    /// The size of any file that it writes, including the compiled code.
    pub file_bytes: u64,
    /// Wall-clock time, for a machine on which the child gets no CPU time.
    pub time: Duration,
}

impl Default for CompileLimits {
    fn default() -> Self {
        Self { memory_bytes: 2 << 30, cpu_secs: 30, file_bytes: 256 << 20, time: Duration::from_secs(90) }
    }
}

/// The total output of one call, counted while it is copied out of the adapter.
pub(crate) const OUTPUT_BYTES: usize = 1 << 20;

/// The largest configuration.
pub(crate) const CONFIG_BYTES: usize = 64 << 10;
/// The most issues that are reported for a configuration.
pub const CONFIG_ISSUES: usize = 100;

/// The longest URL of a request.
pub const URL_BYTES: usize = 8 << 10;
/// The most headers of a request, and the most attributes of a notification.
pub const HEADERS: usize = 32;
/// The most secrets to sign with: a new one, the one that it replaces, and a reserve.
pub const SIGNING_SECRETS: usize = 4;
/// The most bytes of all headers of a request.
pub(crate) const HEADER_BYTES: usize = 8 << 10;
/// The largest body of a request.
pub const BODY_BYTES: usize = 256 << 10;

/// The most parameters that an adapter adds to the landing page URL of a click, so that browsers still accept it.
pub const DECORATIONS: usize = 10;
/// The most bytes of these parameters.
pub const DECORATION_BYTES: usize = 2 << 10;
/// The most conversions in one request of a network.
pub const REPORTED: usize = 100;
/// The largest reply to a network.
pub const REPLY_BYTES: usize = 4 << 10;

/// The most checks of a decision.
pub const CHECKS: usize = 32;
/// The most characters of a sentence. Longer ones are cut, not refused: the outcome matters more than its wording.
pub const SENTENCE_CHARS: usize = 500;
/// The most characters of an id or code.
pub const CODE_CHARS: usize = 64;

/// The most log lines that are stored per call.
pub const LOG_LINES: usize = 20;
/// The most characters of a stored log line.
pub const LOG_LINE_CHARS: usize = 500;
/// The most log lines per call. A further line stops the adapter, because the host's work for a line uses no fuel.
pub(crate) const LOG_CALLS: usize = 1_000;
/// The most bytes of log lines per call; more stop the adapter.
pub(crate) const LOG_BYTES: usize = 256 << 10;

/// The most macros of an adapter.
pub const MACROS: usize = 500;
/// The most hosts of an adapter.
pub(crate) const HOSTS: usize = 100;
