//! The host's data for one instance: its memory limit and the lines it logged.

use wasmtime::ResourceLimiter;

use super::limits::{self, Limits};
use super::output::clean;
use super::v0_1::log;

pub use log::Level as LogLevel;

/// A line that an adapter logged: one printable line, cut to the limit.
///
/// A line may quote an event, so it is shown to the person who tests the adapter and never goes to the server's log.
#[derive(Debug, Clone, PartialEq)]
pub struct LogLine {
    /// The log level.
    pub level: LogLevel,
    /// The line.
    pub message: String,
}

impl LogLevel {
    /// The level as a word.
    pub fn word(self) -> &'static str {
        match self {
            Self::Debug => "debug",
            Self::Info => "info",
            Self::Warn => "warn",
            Self::Error => "error",
        }
    }
}

pub(super) struct Guest {
    memory_bytes: usize,
    pub(super) memory_peak_bytes: usize,
    pub(super) log: Vec<LogLine>,
    log_calls: usize,
    log_bytes: usize,
}

impl Guest {
    pub(super) fn new(limits: &Limits) -> Self {
        Self { memory_bytes: limits.memory_bytes, memory_peak_bytes: 0, log: Vec::new(), log_calls: 0, log_bytes: 0 }
    }
}

impl Guest {
    /// Each call has its own limit of log lines.
    pub(super) fn begin_call(&mut self) {
        self.log.clear();
        (self.log_calls, self.log_bytes) = (0, 0);
    }
}

impl log::Host for Guest {
    /// Stores a line. Lines beyond the limit are dropped, because logging should not change the outcome of a call; only a
    /// much larger number of lines stops the adapter.
    fn emit(&mut self, level: log::Level, message: String) -> wasmtime::Result<()> {
        self.log_calls += 1;
        self.log_bytes += message.len();
        if self.log_calls > limits::LOG_CALLS || self.log_bytes > limits::LOG_BYTES {
            return Err(LogFlood.into());
        }
        if self.log.len() < limits::LOG_LINES {
            self.log.push(LogLine { level, message: clean(&message, limits::LOG_LINE_CHARS) });
        }
        Ok(())
    }
}

/// The interface has only types, no functions.
impl super::v0_1::types::Host for Guest {}

/// Marks the error of a flood of log lines.
#[derive(Debug, thiserror::Error)]
#[error("too much logged")]
pub(super) struct LogFlood;

/// Marks the error of excessive memory growth, to distinguish it from other traps.
#[derive(Debug, thiserror::Error)]
#[error("out of memory")]
pub(super) struct OutOfMemory;

/// Growth beyond the limit stops the adapter at once. Without this, most programs would crash a little later, with a less
/// clear error.
impl ResourceLimiter for Guest {
    fn memory_growing(&mut self, _: usize, desired: usize, _: Option<usize>) -> wasmtime::Result<bool> {
        if desired > self.memory_bytes {
            return Err(OutOfMemory.into());
        }
        self.memory_peak_bytes = self.memory_peak_bytes.max(desired);
        Ok(true)
    }

    fn table_growing(&mut self, _: usize, desired: usize, _: Option<usize>) -> wasmtime::Result<bool> {
        if desired > limits::TABLE_ELEMENTS { Err(OutOfMemory.into()) } else { Ok(true) }
    }
}
