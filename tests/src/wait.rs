//! Waits for a condition, with a deadline. Tests sleep only here.

use std::time::{Duration, Instant};

/// The deadline, long enough for a debug build on a busy machine with two cores. A passing test never waits this long.
pub const DEADLINE: Duration = Duration::from_secs(300);

/// Calls `question` until it returns a value. Panics with `what` after [`DEADLINE`].
pub async fn eventually<T>(what: &str, question: impl AsyncFnMut() -> Option<T>) -> T {
    within(DEADLINE, what, question).await
}

/// Like [`eventually`], with another deadline.
pub async fn within<T>(deadline: Duration, what: &str, mut question: impl AsyncFnMut() -> Option<T>) -> T {
    let started = Instant::now();
    loop {
        if let Some(answer) = question().await {
            return answer;
        }
        assert!(started.elapsed() < deadline, "waited {deadline:?} without success for {what}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}
