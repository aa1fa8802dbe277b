//! A thread of the pool: takes the next job, works on it for a turn and measures the time.

use std::panic::AssertUnwindSafe;
use std::time::Duration;

use domain::delivery::adapter::fair_queue::WorkerKind;
use domain::delivery::adapter::pace::PaceVerdict;

use super::{CallLine, Job, Progress, Shared, Speed, Turn};

/// Works until the pool is closed.
pub(super) fn run(shared: &Shared, kind: WorkerKind) {
    while let Some((line, mut job)) = next(shared, kind) {
        let mut turn = Turn::begin();
        let result = std::panic::catch_unwind(AssertUnwindSafe(|| (job.run)(&mut turn)));
        let progress = result.unwrap_or_else(|_| {
            tracing::error!(adapter = line.adapter, "A call of an adapter panicked because of a bug of the host");
            Progress::Done
        });
        end_turn(shared, &line, job, &turn, progress);
    }
}

fn next(shared: &Shared, kind: WorkerKind) -> Option<(CallLine, Job)> {
    let mut state = shared.state();
    loop {
        if state.closed {
            return None;
        }
        if let Some(next) = state.queue.take(kind) {
            return Some(next);
        }
        state.idle += 1;
        state = shared.work.wait(state).unwrap_or_else(std::sync::PoisonError::into_inner);
        state.idle -= 1;
    }
}

fn end_turn(shared: &Shared, line: &CallLine, mut job: Job, turn: &Turn, progress: Progress) {
    let took = turn.begun.elapsed();
    // A finished job makes no more calls, even if it ended early.
    let made = if progress == Progress::Done { job.left } else { job.left.min(turn.calls as usize) };
    job.left -= made;
    let subject = job.subject.clone();
    let verdict = {
        let mut state = shared.state();
        let now = shared.started.elapsed();
        let line_state = state.lines.entry(line.clone()).or_default();
        line_state.waiting = line_state.waiting.saturating_sub(made);
        let verdict = line_state.pace.count(turn.calls, took, now);
        let slow = shared.speed(&state, line) != Speed::Quick;
        if progress == Progress::More && !state.closed {
            state.queue.push(line, job.urgency, job, slow);
        }
        state.queue.finish(line, took, slow);
        verdict
    };
    if turn.calls > 0 {
        measure(line, took);
        if let Some(subject) = subject {
            let too_slow = match verdict {
                PaceVerdict::TooSlow(average) => Some(average),
                PaceVerdict::Fine => None,
            };
            shared.faults.count_pace(&subject, &line.adapter, &line.version, too_slow);
        }
    }
}

fn measure(line: &CallLine, took: Duration) {
    let (adapter, version) = (line.adapter.clone(), line.version.clone());
    metrics::histogram!("postrider_adapter_turn_seconds", "adapter" => adapter, "version" => version).record(took);
}
