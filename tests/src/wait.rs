//! Waiting for a condition, with a deadline. The only place in the tests that sleeps.

use std::time::{Duration, Instant};

/// Generous: a debug build on a busy machine with two cores. A passing test never waits this long.
pub const DEADLINE: Duration = Duration::from_secs(300);

/// Repeats the question until there is an answer; panics with `what` after the deadline.
pub async fn eventually<T>(what: &str, question: impl AsyncFnMut() -> Option<T>) -> T {
    within(DEADLINE, what, question).await
}

/// `eventually` with another deadline.
pub async fn within<T>(deadline: Duration, what: &str, mut question: impl AsyncFnMut() -> Option<T>) -> T {
    let started = Instant::now();
    loop {
        if let Some(answer) = question().await {
            return answer;
        }
        assert!(started.elapsed() < deadline, "waited {deadline:?} in vain for {what}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}
