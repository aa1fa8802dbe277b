//! What the host keeps beside one instance: its memory limit and the lines it logged.

use wasmtime::ResourceLimiter;

use super::limits::{self, Limits};
use super::output::clean;
use super::v0_1::log;

pub use log::Level as LogLevel;

/// A line that an adapter logged, one printable line and never longer than the limit.
///
/// Lines may quote an event, so they are shown to whoever tests an adapter, and never
/// reach the server's own log.
#[derive(Debug, Clone, PartialEq)]
pub struct LogLine {
    pub level: LogLevel,
    pub message: String,
}

pub(super) struct Guest {
    memory_bytes: usize,
    pub(super) log: Vec<LogLine>,
}

impl Guest {
    pub(super) fn new(limits: &Limits) -> Self {
        Self { memory_bytes: limits.memory_bytes, log: Vec::new() }
    }
}

impl log::Host for Guest {
    /// Lines beyond the limit are dropped without a trap; logging must not change an outcome.
    fn emit(&mut self, level: log::Level, message: String) {
        if self.log.len() < limits::LOG_LINES {
            self.log.push(LogLine { level, message: clean(&message, limits::LOG_LINE_CHARS) });
        }
    }
}

/// The interface has types only, nothing to call.
impl super::v0_1::types::Host for Guest {}

/// Marks the error with which growth ends, so that it is told from other traps.
#[derive(Debug, thiserror::Error)]
#[error("out of memory")]
pub(super) struct OutOfMemory;

/// Growing beyond the limit stops the adapter at once. Most programs would crash a little later
/// anyway, and less clearly.
impl ResourceLimiter for Guest {
    fn memory_growing(&mut self, _: usize, desired: usize, _: Option<usize>) -> wasmtime::Result<bool> {
        if desired > self.memory_bytes { Err(OutOfMemory.into()) } else { Ok(true) }
    }

    fn table_growing(&mut self, _: usize, desired: usize, _: Option<usize>) -> wasmtime::Result<bool> {
        if desired > limits::TABLE_ELEMENTS { Err(OutOfMemory.into()) } else { Ok(true) }
    }
}
