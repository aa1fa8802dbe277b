//! Records panics of the server under test. A worker continues after a panic, so the test would not notice it.

use std::panic::PanicHookInfo;
use std::sync::{Mutex, Once, PoisonError};

use tokio::runtime::{Handle, Id};

static SEEN: Mutex<Vec<(Id, String)>> = Mutex::new(Vec::new());

/// Records every later panic with its runtime. Each test has its own runtime.
pub(crate) fn watch() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let earlier = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |panic| {
            remember(panic);
            earlier(panic);
        }));
    });
}

fn remember(panic: &PanicHookInfo<'_>) {
    if let Ok(runtime) = Handle::try_current() {
        SEEN.lock().unwrap_or_else(PoisonError::into_inner).push((runtime.id(), panic.to_string()));
    }
}

/// The panics in the caller's runtime.
pub(crate) fn seen_here() -> Vec<String> {
    let Ok(here) = Handle::try_current() else { return Vec::new() };
    let seen = SEEN.lock().unwrap_or_else(PoisonError::into_inner);
    seen.iter().filter(|(runtime, _)| *runtime == here.id()).map(|(_, text)| text.clone()).collect()
}

/// Fails the test if there was a panic, unless the test has already failed.
pub(crate) fn assert_none(seen: &[String]) {
    assert!(seen.is_empty() || std::thread::panicking(), "the server panicked:\n{}", seen.join("\n"));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(flavor = "multi_thread", worker_threads = 1)]
    async fn a_panic_in_a_task_is_seen_in_its_own_runtime() {
        watch();
        tokio::spawn(async { panic!("as this test wants it") }).await.expect_err("it panicked");
        tokio::task::spawn_blocking(|| panic!("and this")).await.expect_err("it panicked");
        let seen = seen_here();
        assert_eq!(seen.len(), 2, "{seen:?}");
        assert!(seen[0].contains("as this test wants it"), "{seen:?}");
        std::thread::spawn(|| {
            let other = tokio::runtime::Runtime::new().expect("it starts");
            assert_eq!(other.block_on(async { seen_here() }), [""; 0]);
        })
        .join()
        .expect("the other sees none");
    }
}
