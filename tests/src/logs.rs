//! The log lines of the servers in this process, by test. A failed test prints its own.

use std::collections::{HashMap, VecDeque};
use std::io::{Result, Write};
use std::sync::{LazyLock, Mutex, Once, PoisonError};

use tokio::runtime::{Handle, Id};

/// Each test has its own runtime. Threads without a runtime (adapters, writers of SQLite) are not recorded.
static LINES: LazyLock<Mutex<HashMap<Id, VecDeque<String>>>> = LazyLock::new(Mutex::default);

/// The last lines are enough to explain a failure.
const KEPT: usize = 300;

/// From now on the log lines of servers in this process are recorded.
pub(crate) fn watch() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let subscriber = tracing_subscriber::fmt().with_max_level(tracing::Level::INFO).with_ansi(false);
        subscriber.with_writer(Line::default).init();
    });
}

/// Prints the lines of the caller's test if it has failed, and forgets them.
pub(crate) fn print_if_failed() {
    let Ok(here) = Handle::try_current() else { return };
    let lines = LINES.lock().unwrap_or_else(PoisonError::into_inner).remove(&here.id());
    if let Some(lines) = lines.filter(|_| std::thread::panicking()) {
        eprintln!("The server's last {} log lines:\n{}", lines.len(), lines.into_iter().collect::<String>());
    }
}

/// The lines of the caller's test since the last call.
pub fn take() -> Vec<String> {
    let here = Handle::current();
    let lines = LINES.lock().unwrap_or_else(PoisonError::into_inner).remove(&here.id());
    lines.unwrap_or_default().into()
}

/// One event as it is written.
#[derive(Default)]
struct Line(Vec<u8>);

impl Write for Line {
    fn write(&mut self, bytes: &[u8]) -> Result<usize> {
        self.0.write(bytes)
    }

    fn flush(&mut self) -> Result<()> {
        Ok(())
    }
}

impl Drop for Line {
    fn drop(&mut self) {
        let Ok(here) = Handle::try_current() else { return };
        let mut all = LINES.lock().unwrap_or_else(PoisonError::into_inner);
        let lines = all.entry(here.id()).or_default();
        if lines.len() == KEPT {
            lines.pop_front();
        }
        lines.push_back(String::from_utf8_lossy(&self.0).into_owned());
    }
}
