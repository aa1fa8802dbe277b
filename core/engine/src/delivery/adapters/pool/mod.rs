//! The threads that adapters compute on, shared fairly.
//!
//! Calls are queued by owner and adapter version, and each such [`Line`] gets the same share of the time (`domain/delivery/fair_queue`). Work
//! goes on for a turn of about two milliseconds and then stands in line again, so that a batch of thousands of calls holds up nobody.
//! A call itself is never interrupted before its limits: lines that have made slow calls (`domain/delivery/pace`) get one thread at a time, and
//! one thread takes none of their work. A line whose waiting calls would take long in all keeps no batch waiting, however quick
//! each of them is, and takes no more of them.
//!
//! An instance lives no longer than a turn. There are never more of them than threads.

mod batch;
mod cpu_timer;
#[cfg(test)]
mod tests;
mod worker;

use std::collections::HashMap;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::oneshot;

use domain::delivery::fair_queue::{FairQueue, Place, Urgency};
use domain::delivery::pace::{self, Pace};
use domain::ids::AffiliateId;
use host::{Adapter, AdapterError};

use super::Faults;
use super::faults::Subject;

pub use batch::{Batch, Group};
pub use cpu_timer::CpuTimer;

/// Calls that wait in a line that is slow, or of which nothing is known yet. What is beyond waits in the table.
const SLOW_CALLS: usize = 32;
/// A line with more work than this in all keeps no batch waiting.
const LONG_BACKLOG: Duration = Duration::from_millis(250);
/// And takes no more calls than what fits into this.
const LONGEST_BACKLOG: Duration = Duration::from_secs(1);
/// Callers that wait for one call each in a line: quick ones are through in a moment.
const CALLERS: usize = 1_024;
const CALLERS_OF_UNKNOWN: usize = 64;
const CALLERS_OF_SLOW: usize = 8;

/// Whose work it is, and for which adapter version.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub struct Line {
    pub owner: Option<AffiliateId>,
    pub adapter: String,
    pub version: String,
    /// It comes with the program, whose authors vouch that it is quick.
    ours: bool,
}

impl Line {
    pub fn of(owner: Option<AffiliateId>, adapter: &Adapter) -> Self {
        let descriptor = adapter.descriptor();
        Self { owner, adapter: descriptor.id.clone(), version: descriptor.version.clone(), ours: adapter.is_trusted() }
    }
}

/// What is known of the speed of a line.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Speed {
    Quick,
    /// Nothing was called yet: treated like a slow one where that matters to others.
    Unknown,
    Slow,
}

/// Cheap to clone; all clones share the threads, which end with the last clone.
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
    /// There is work, or the pool is closed.
    work: Condvar,
    started: Instant,
    faults: Faults,
}

#[derive(Default)]
struct State {
    queue: FairQueue<Line, Job>,
    known: HashMap<Line, Known>,
    /// Threads that wait for work.
    idle: usize,
    closed: bool,
}

#[derive(Clone, Copy, Default)]
struct Known {
    pace: Pace,
    /// Calls that wait.
    waiting: usize,
}

/// Lines without waiting calls are forgotten when there are more than this.
const LINES: usize = 10_000;

/// A piece of work that goes on turn by turn.
struct Job {
    urgency: Urgency,
    /// Calls that are not made yet.
    left: usize,
    /// Who is to blame when its calls are slow.
    subject: Option<Subject>,
    run: Box<dyn FnMut(&mut Turn) -> Progress + Send>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Progress {
    Done,
    /// The turn is over and there is more to do.
    More,
}

/// One turn of a thread with one piece of work.
struct Turn {
    begun: CpuTimer,
    calls: u32,
}

impl Turn {
    fn begin() -> Self {
        Self { begun: CpuTimer::start(), calls: 0 }
    }

    /// Whether another call fits in; counts it.
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
            let place = if number == 0 { Place::QuickOnly } else { Place::Any };
            let shared = pool.0.0.clone();
            let thread = std::thread::Builder::new().name(format!("adapter-{number}"));
            thread.spawn(move || worker::run(&shared, place))?;
        }
        Ok(pool)
    }

    /// Makes one call, or whatever belongs together, when its turn has come. A caller who hangs up costs nothing any more.
    pub async fn ask<T: Send + 'static>(
        &self,
        line: Line,
        call: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, AdapterError> {
        self.ask_as(line, Urgency::Asked, None, call).await
    }

    /// The same for a call whose slowness is somebody's fault.
    pub async fn ask_for<T: Send + 'static>(
        &self,
        line: Line,
        subject: Subject,
        call: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, AdapterError> {
        self.ask_as(line, Urgency::Asked, Some(subject), call).await
    }

    /// Goes before all that waits in the line: the host itself wants to know.
    pub(crate) async fn probe<T: Send + 'static>(
        &self,
        line: Line,
        call: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, AdapterError> {
        self.ask_as(line, Urgency::Finishing, None, call).await
    }

    async fn ask_as<T: Send + 'static>(
        &self,
        line: Line,
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
        // Lost only with a call that panicked, which was logged.
        waiting.await.map_err(|_| AdapterError::Busy)
    }

    pub fn speed(&self, line: &Line) -> Speed {
        self.0.0.speed(&self.0.0.state(), line)
    }

    /// How many more calls may wait in a line.
    pub fn room(&self, line: &Line) -> usize {
        let state = self.0.0.state();
        let known = state.known.get(line).copied().unwrap_or_default();
        let most = match self.0.0.speed(&state, line) {
            Speed::Quick => known.pace.calls_within(LONGEST_BACKLOG).max(SLOW_CALLS),
            Speed::Unknown | Speed::Slow => SLOW_CALLS,
        };
        most.saturating_sub(known.waiting)
    }

    /// Whether the waiting calls of a line take long in all.
    fn has_backlog(&self, line: &Line) -> bool {
        let known = self.0.0.state().known.get(line).copied().unwrap_or_default();
        known.waiting > known.pace.calls_within(LONG_BACKLOG)
    }

    /// What a call of a line takes on average.
    pub fn average(&self, line: &Line) -> Duration {
        self.0.0.state().known.get(line).map_or(Duration::ZERO, |known| known.pace.average())
    }
}

impl Shared {
    /// Nothing here is ever half-done, so a lock that was held during a panic is as good as any.
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn speed(&self, state: &State, line: &Line) -> Speed {
        match state.known.get(line).map(|known| known.pace) {
            _ if line.ours => Speed::Quick,
            Some(pace) if pace.is_slow(self.started.elapsed()) => Speed::Slow,
            Some(pace) if pace.is_known() => Speed::Quick,
            _ => Speed::Unknown,
        }
    }

    fn push(&self, state: &mut State, line: &Line, job: Job) {
        if state.closed {
            return;
        }
        if state.known.len() > LINES {
            let now = self.started.elapsed();
            state.known.retain(|_, known| known.waiting > 0 || known.pace.is_slow(now));
        }
        state.known.entry(line.clone()).or_default().waiting += job.left;
        let slow = self.speed(state, line) != Speed::Quick;
        state.queue.push(line, job.urgency, job, slow);
        metrics::gauge!("postrider_adapter_waiting").set(state.queue.len() as f64);
    }

    /// Wakes the threads that wait for work; any of them may be the one that cannot take it.
    fn wake(&self) {
        if self.state().idle > 0 {
            self.work.notify_all();
        }
    }
}
