//! The threads on which adapters run, shared fairly.
//!
//! Calls queue by owner and adapter version, and each such [`CallLine`] gets the same share of the time
//! (`domain/delivery/adapter/fair_queue`). A thread works for a turn of about two milliseconds on one line and then queues the
//! rest again, so that a group of thousands of calls delays no other line. A call is not interrupted before its
//! limits: lines that have made slow calls (`domain/delivery/adapter/pace`) get one thread at a time, and one thread never
//! takes their work. Callers of many calls ([`Calls`]) do not wait for a line whose queued calls would take long in total, and such a line takes
//! no more calls, even if each call is quick.
//!
//! An instance exists no longer than a turn, so there are never more instances than threads.

mod calls;
mod cpu_timer;
#[cfg(test)]
mod tests;
mod worker;

use std::collections::HashMap;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::oneshot;

use domain::delivery::adapter::fair_queue::{FairQueue, Urgency, WorkerKind};
use domain::delivery::adapter::pace::{self, Pace};
use domain::ids::AffiliateId;
use host::{Adapter, AdapterError};

use super::Faults;
use super::faults::Subject;

pub use calls::{Calls, Group};
pub use cpu_timer::CpuTimer;

/// Maximum number of queued calls of a line that is slow or of unknown speed. Further deliveries wait in the table.
const SLOW_CALLS: usize = 32;
/// [`Calls`] do not wait for a line with more queued work than this.
const LONG_BACKLOG: Duration = Duration::from_millis(250);
/// A line takes no more calls than this time is enough for.
const LONGEST_BACKLOG: Duration = Duration::from_secs(1);
/// Maximum number of callers that wait for a single call in a quick line.
const CALLERS: usize = 1_024;
/// Maximum number of callers in a line of unknown speed.
const CALLERS_OF_UNKNOWN: usize = 64;
/// Maximum number of callers in a slow line.
const CALLERS_OF_SLOW: usize = 8;

/// A line of queued calls: all calls of an adapter version for an owner.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub struct CallLine {
    pub owner: Option<AffiliateId>,
    pub adapter: String,
    pub version: String,
    /// Built-in adapters are part of the program and count as quick.
    is_built_in: bool,
}

impl CallLine {
    /// The line of an adapter for an owner.
    pub fn of(owner: Option<AffiliateId>, adapter: &Adapter) -> Self {
        let descriptor = adapter.descriptor();
        Self {
            owner,
            adapter: descriptor.id.clone(),
            version: descriptor.version.clone(),
            is_built_in: adapter.is_trusted(),
        }
    }
}

/// The speed of a line.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Speed {
    Quick,
    /// No call was made yet. Treated as slow where a slow call would affect other lines.
    Unknown,
    Slow,
}

/// The pool of threads. All clones share the threads, which end with the last clone.
#[derive(Clone)]
pub struct Pool(Arc<Handle>);

struct Handle(Arc<Shared>);

impl Drop for Handle {
    fn drop(&mut self) {
        let mut state = self.0.state();
        state.closed = true;
        state.queue.clear();
        self.0.work.notify_all();
    }
}

struct Shared {
    state: Mutex<State>,
    /// Notified when there is work or the pool is closed.
    work: Condvar,
    started: Instant,
    faults: Faults,
}

#[derive(Default)]
struct State {
    queue: FairQueue<CallLine, Job>,
    lines: HashMap<CallLine, LineState>,
    /// Threads that wait for work.
    idle: usize,
    closed: bool,
}

/// The measured pace and the queue of a line.
#[derive(Clone, Copy, Default)]
struct LineState {
    pace: Pace,
    /// Number of queued calls.
    waiting: usize,
}

/// If there are more lines than this, lines without queued calls are removed from memory.
const LINES: usize = 10_000;

/// A piece of work that is done in turns.
struct Job {
    urgency: Urgency,
    /// Number of calls that are not made yet.
    left: usize,
    /// The postback or source for which slow calls count as faults.
    subject: Option<Subject>,
    run: Box<dyn FnMut(&mut Turn) -> Progress + Send>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Progress {
    Done,
    /// The turn is over and there is more to do.
    More,
}

/// One turn of a thread with a job.
struct Turn {
    begun: CpuTimer,
    calls: u32,
}

impl Turn {
    fn begin() -> Self {
        Self { begun: CpuTimer::start(), calls: 0 }
    }

    /// Whether the turn has time for another call. If so, counts the call.
    fn has_time(&mut self) -> bool {
        let fits = self.calls == 0 || self.begun.elapsed() < pace::TURN;
        self.calls += u32::from(fits);
        fits
    }
}

impl Pool {
    /// Starts `threads` threads, at least two: one of them takes no slow work.
    pub fn start(threads: usize, faults: Faults) -> std::io::Result<Self> {
        let shared = Shared { state: Mutex::default(), work: Condvar::new(), started: Instant::now(), faults };
        let pool = Self(Arc::new(Handle(Arc::new(shared))));
        for number in 0..threads.max(2) {
            let kind = if number == 0 { WorkerKind::QuickOnly } else { WorkerKind::Any };
            let shared = pool.0.0.clone();
            let thread = std::thread::Builder::new().name(format!("adapter-{number}"));
            thread.spawn(move || worker::run(&shared, kind))?;
        }
        Ok(pool)
    }

    /// Runs `call` when its turn comes. If the caller stops waiting before that, `call` does not run.
    ///
    /// # Errors
    ///
    /// `Busy` if too many callers wait in the line, or if `call` panicked.
    pub async fn ask<T: Send + 'static>(
        &self,
        line: CallLine,
        call: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, AdapterError> {
        self.ask_as(line, Urgency::Asked, None, call).await
    }

    /// Like [`Self::ask`], for a call that counts as a fault of `subject` if it is slow.
    pub(crate) async fn ask_for<T: Send + 'static>(
        &self,
        line: CallLine,
        subject: Subject,
        call: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, AdapterError> {
        self.ask_as(line, Urgency::Asked, Some(subject), call).await
    }

    /// Like [`Self::ask`], before all other calls of the line: for checks by the host itself.
    pub(crate) async fn probe<T: Send + 'static>(
        &self,
        line: CallLine,
        call: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, AdapterError> {
        self.ask_as(line, Urgency::Finishing, None, call).await
    }

    async fn ask_as<T: Send + 'static>(
        &self,
        line: CallLine,
        urgency: Urgency,
        subject: Option<Subject>,
        call: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, AdapterError> {
        let (answer, waiting) = oneshot::channel();
        let mut call = Some((call, answer));
        let run = move |turn: &mut Turn| {
            if let Some((call, answer)) = call.take().filter(|(_, answer)| !answer.is_closed()) {
                turn.has_time();
                let _ = answer.send(call());
            }
            Progress::Done
        };
        let job = Job { urgency, left: 1, subject, run: Box::new(run) };
        {
            let mut state = self.0.0.state();
            let most = match self.0.0.speed(&state, &line) {
                Speed::Quick => CALLERS,
                Speed::Unknown => CALLERS_OF_UNKNOWN,
                Speed::Slow => CALLERS_OF_SLOW,
            };
            if state.queue.waiting(&line, urgency) >= most {
                return Err(AdapterError::Busy);
            }
            self.0.0.push(&mut state, &line, job);
        }
        self.0.0.wake();
        // The sender is dropped without an answer only if the call panicked, which was logged.
        waiting.await.map_err(|_| AdapterError::Busy)
    }

    /// The speed of a line.
    pub(crate) fn speed(&self, line: &CallLine) -> Speed {
        self.0.0.speed(&self.0.0.state(), line)
    }

    /// How many more calls a line may queue.
    pub fn room(&self, line: &CallLine) -> usize {
        let state = self.0.0.state();
        let line_state = state.lines.get(line).copied().unwrap_or_default();
        let most = match self.0.0.speed(&state, line) {
            Speed::Quick => line_state.pace.calls_within(LONGEST_BACKLOG).max(SLOW_CALLS),
            Speed::Unknown | Speed::Slow => SLOW_CALLS,
        };
        most.saturating_sub(line_state.waiting)
    }

    /// Whether the queued calls of a line take long in total.
    fn has_backlog(&self, line: &CallLine) -> bool {
        let line_state = self.0.0.state().lines.get(line).copied().unwrap_or_default();
        line_state.waiting > line_state.pace.calls_within(LONG_BACKLOG)
    }

    /// The average time of a line's calls.
    pub fn average(&self, line: &CallLine) -> Duration {
        self.0.0.state().lines.get(line).map_or(Duration::ZERO, |line_state| line_state.pace.average())
    }
}

impl Shared {
    /// A panic of another holder is ignored: no change leaves the state half-done.
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn speed(&self, state: &State, line: &CallLine) -> Speed {
        match state.lines.get(line).map(|line_state| line_state.pace) {
            _ if line.is_built_in => Speed::Quick,
            Some(pace) if pace.is_slow(self.started.elapsed()) => Speed::Slow,
            Some(pace) if pace.is_known() => Speed::Quick,
            _ => Speed::Unknown,
        }
    }

    fn push(&self, state: &mut State, line: &CallLine, job: Job) {
        if state.closed {
            return;
        }
        if state.lines.len() > LINES {
            let now = self.started.elapsed();
            state.lines.retain(|_, line_state| line_state.waiting > 0 || line_state.pace.is_slow(now));
        }
        state.lines.entry(line.clone()).or_default().waiting += job.left;
        let slow = self.speed(state, line) != Speed::Quick;
        state.queue.push(line, job.urgency, job, slow);
        metrics::gauge!("postrider_adapter_waiting").set(state.queue.len() as f64);
    }

    /// Wakes all threads that wait for work, because a single one might be the thread that takes no slow work.
    fn wake(&self) {
        if self.state().idle > 0 {
            self.work.notify_all();
        }
    }
}
