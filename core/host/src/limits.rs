//! Every bound on an adapter, in one place, with its reason.

use std::time::Duration;

/// What one call may cost. The defaults are two or three orders of magnitude above what a
/// good adapter needs: rendering a postback takes less than 10 µs and 30,000 units of fuel.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// Roughly one unit per WebAssembly instruction and per byte copied. This is the real budget:
    /// it does not depend on the load of the machine, so the same call always ends the same way.
    pub fuel: u64,
    /// Time on the wall, in ticks of [`TICK`]. Only a backstop for what fuel cannot see, and therefore
    /// generous: a busy machine may suspend a thread for long without any fault of the adapter.
    pub deadline_ticks: u64,
    pub memory_bytes: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self { fuel: 50_000_000, deadline_ticks: 200, memory_bytes: MEMORY_BYTES }
    }
}

/// How often the deadline is looked at.
pub const TICK: Duration = Duration::from_millis(10);

pub const MEMORY_BYTES: usize = 32 << 20;
pub const TABLE_ELEMENTS: usize = 20_000;

/// Adapters that may live at the same time. A session holds one instance.
pub const INSTANCES: u32 = 512;
/// A component of this kind consists of its module and two small shims for the log import.
pub const CORE_INSTANCES_PER_ADAPTER: u32 = 6;
pub const TABLES_PER_ADAPTER: u32 = 4;

/// Compiling takes time and memory in proportion.
pub const COMPONENT_BYTES: usize = 4 << 20;

/// What compiling a stranger's component may cost the child process that does it. A good adapter takes
/// a second, and four of the largest allowed size less than a quarter of this.
#[derive(Debug, Clone, Copy)]
pub struct CompileLimits {
    /// Address space, in which the program itself needs some room.
    pub memory_bytes: u64,
    /// Seconds of computing.
    pub cpu_secs: u64,
    /// Of any file that it writes: the compiled code, in the end.
    pub file_bytes: u64,
    /// On the wall: a backstop for a machine that gives the child nothing to compute with.
    pub time: Duration,
}

impl Default for CompileLimits {
    fn default() -> Self {
        Self { memory_bytes: 2 << 30, cpu_secs: 30, file_bytes: 256 << 20, time: Duration::from_secs(90) }
    }
}

/// Everything that one call may hand over, counted while it is copied out of the adapter.
pub const OUTPUT_BYTES: usize = 1 << 20;

pub const CONFIG_BYTES: usize = 64 << 10;
pub const CONFIG_ISSUES: usize = 100;

pub const URL_BYTES: usize = 8 << 10;
pub const HEADERS: usize = 32;
/// One to sign with, one that it replaces, and some to spare.
pub const SIGNING_SECRETS: usize = 4;
pub const HEADER_BYTES: usize = 8 << 10;
pub const BODY_BYTES: usize = 256 << 10;

/// Parameters that an adapter adds to the landing URL of a click: a URL has to stay one that browsers take.
pub const DECORATIONS: usize = 10;
pub const DECORATION_BYTES: usize = 2 << 10;
/// Conversions in one request of a network.
pub const REPORTED: usize = 100;
pub const REPLY_BYTES: usize = 4 << 10;

pub const CHECKS: usize = 32;
/// Longer sentences are cut, not refused: the outcome matters more than its wording.
pub const SENTENCE_CHARS: usize = 500;
pub const CODE_CHARS: usize = 64;

pub const LOG_LINES: usize = 20;
pub const LOG_LINE_CHARS: usize = 500;
/// Taking a line costs the host time that no fuel pays for, so beyond these the adapter is stopped.
pub const LOG_CALLS: usize = 1_000;
pub const LOG_BYTES: usize = 256 << 10;

pub const MACROS: usize = 500;
pub const HOSTS: usize = 100;
