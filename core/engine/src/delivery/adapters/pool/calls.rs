//! Many calls at once: [`Calls`] queues groups of calls together and collects their results.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc;

use domain::delivery::adapter::fair_queue::Urgency;
use host::{Adapter, Session};

use super::super::faults::Subject;
use super::{CallLine, Job, Pool, Progress, Speed, Turn};

/// Maximum wait for a line with a long backlog.
const WAIT_FOR_BACKLOG: Duration = Duration::from_millis(20);
/// Maximum wait for a line of unknown speed.
const WAIT_FOR_UNKNOWN: Duration = Duration::from_millis(50);
/// Maximum wait for a quick line, which a busy machine may delay.
const WAIT_FOR_QUICK: Duration = Duration::from_secs(2);
/// Time between two checks whether a line has turned out to be slow.
const RECHECK_INTERVAL: Duration = Duration::from_millis(5);
/// Maximum number of results that are taken at a time.
const RESULTS: usize = 256;

/// Calls of one adapter for one postback or source, in order. The calls of a turn share an instance.
pub struct Group<I> {
    pub adapter: Arc<Adapter>,
    pub subject: Subject,
    pub urgency: Urgency,
    pub items: Vec<I>,
}

/// Groups of calls that are queued together. Each result has the number of its group. When this is dropped, calls that
/// have not started are not made.
pub struct Calls<R> {
    groups: Vec<Open>,
    /// Number of calls of all groups without a result.
    open: usize,
    sender: Option<mpsc::UnboundedSender<(usize, R)>>,
    results: mpsc::UnboundedReceiver<(usize, R)>,
}

/// A group of [`Calls`].
struct Open {
    line: CallLine,
    /// Number of calls without a result.
    left: usize,
}

impl<R> Default for Calls<R> {
    fn default() -> Self {
        let (sender, results) = mpsc::unbounded_channel();
        Self { groups: Vec::new(), open: 0, sender: Some(sender), results }
    }
}

impl<R: Send + 'static> Calls<R> {
    /// No calls.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a group. Returns its number, which its results have, too. `call` must not block on anything except the
    /// adapter.
    pub fn add<I: Send + 'static>(
        &mut self,
        pool: &Pool,
        group: Group<I>,
        mut call: impl FnMut(&mut Session, I) -> R + Send + 'static,
    ) -> usize {
        let Group { adapter, subject, urgency, items } = group;
        let number = self.groups.len();
        let line = CallLine::of(subject.owner(), &adapter);
        self.groups.push(Open { line: line.clone(), left: items.len() });
        self.open += items.len();
        let Some(results) = self.sender.clone() else { return number };
        let (left, mut items) = (items.len(), VecDeque::from(items));
        let run = move |turn: &mut Turn| {
            let mut session = adapter.session();
            while !items.is_empty() && !results.is_closed() {
                if !turn.has_time() {
                    return Progress::More;
                }
                if let Some(item) = items.pop_front() {
                    let _ = results.send((number, call(&mut session, item)));
                }
            }
            Progress::Done
        };
        let job = Job { urgency, left, subject: Some(subject), run: Box::new(run) };
        pool.0.0.push(&mut pool.0.0.state(), &line, job);
        number
    }

    /// Starts the calls. No group can be added after this.
    pub fn begin(&mut self, pool: &Pool) {
        self.sender = None;
        pool.0.0.wake();
    }

    /// Starts the calls and returns the results of quick groups, and those of others that are ready soon. The rest is
    /// slow and can be taken with [`next`](Self::next).
    pub(crate) async fn gather(&mut self, pool: &Pool) -> Vec<(usize, R)> {
        self.begin(pool);
        let begun = tokio::time::Instant::now();
        let (mut gathered, mut max_wait) = (Vec::new(), self.max_wait(pool));
        while !self.is_complete()
            && let Some(rest) = max_wait.checked_sub(begun.elapsed()).filter(|rest| !rest.is_zero())
        {
            let before = gathered.len();
            let taking = self.results.recv_many(&mut gathered, RESULTS);
            match tokio::time::timeout(rest.min(RECHECK_INTERVAL), taking).await {
                Ok(0) => break,
                Ok(_) => gathered[before..].iter().for_each(|(group, _)| self.count(*group)),
                Err(_) => max_wait = self.max_wait(pool),
            }
        }
        while let Ok(result) = self.results.try_recv() {
            self.count(result.0);
            gathered.push(result);
        }
        gathered
    }

    /// The next result. Waits without a limit; `None` after the last result.
    pub async fn next(&mut self) -> Option<(usize, R)> {
        let result = self.results.recv().await?;
        self.count(result.0);
        Some(result)
    }

    /// Whether all results were taken.
    pub(crate) fn is_complete(&self) -> bool {
        self.open == 0
    }

    fn count(&mut self, group: usize) {
        self.groups[group].left -= 1;
        self.open -= 1;
    }

    /// Ends the calls: those that have not started are not made. Returns the remaining results.
    pub fn close(mut self) -> Vec<(usize, R)> {
        self.results.close();
        std::iter::from_fn(|| self.results.try_recv().ok()).collect()
    }

    /// The maximum wait for the groups without all results.
    fn max_wait(&self, pool: &Pool) -> Duration {
        let open = self.groups.iter().filter(|group| group.left > 0);
        let max_wait = |group: &Open| match pool.speed(&group.line) {
            Speed::Quick if pool.has_backlog(&group.line) => WAIT_FOR_BACKLOG,
            Speed::Quick => WAIT_FOR_QUICK,
            Speed::Unknown => WAIT_FOR_UNKNOWN,
            Speed::Slow => Duration::ZERO,
        };
        open.map(max_wait).max().unwrap_or_default()
    }
}
