//! Groups of calls that are handed in together, and their results as they come.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc;

use domain::delivery::fair_queue::Urgency;
use host::{Adapter, Session};

use super::super::faults::Subject;
use super::{Job, Line, Pool, Progress, Speed, Turn};

/// How long a batch waits for a line with a long backlog, for one of which nothing is known yet, and for quick ones, which a
/// busy machine may hold up.
const FOR_BACKLOG: Duration = Duration::from_millis(20);
const FOR_UNKNOWN: Duration = Duration::from_millis(50);
const FOR_QUICK: Duration = Duration::from_secs(2);
/// How often it looks whether a line that it waits for has turned out to be slow.
const LOOK_AGAIN: Duration = Duration::from_millis(5);
/// Results that are taken at a time.
const RESULTS: usize = 256;

/// Calls of one adapter on behalf of one postback or source, in order, which share an instance for as long as a turn takes.
pub struct Group<I> {
    pub adapter: Arc<Adapter>,
    pub subject: Subject,
    pub urgency: Urgency,
    pub items: Vec<I>,
}

/// What was handed in together. Dropping it ends the calls that were not begun.
pub struct Batch<R> {
    groups: Vec<Open>,
    /// Calls of all groups whose results have not come yet.
    open: usize,
    sender: Option<mpsc::UnboundedSender<(usize, R)>>,
    results: mpsc::UnboundedReceiver<(usize, R)>,
}

struct Open {
    line: Line,
    left: usize,
}

impl<R> Default for Batch<R> {
    fn default() -> Self {
        let (sender, results) = mpsc::unbounded_channel();
        Self { groups: Vec::new(), open: 0, sender: Some(sender), results }
    }
}

impl<R: Send + 'static> Batch<R> {
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a group; its results come with the number that this returns. `call` must not block on anything but the adapter.
    pub fn add<I: Send + 'static>(
        &mut self,
        pool: &Pool,
        group: Group<I>,
        mut call: impl FnMut(&mut Session, I) -> R + Send + 'static,
    ) -> usize {
        let Group { adapter, subject, urgency, items } = group;
        let number = self.groups.len();
        let line = Line::of(subject.owner(), &adapter);
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

    /// Lets the threads begin. Nothing can be added any more.
    pub fn begin(&mut self, pool: &Pool) {
        self.sender = None;
        pool.0.0.wake();
    }

    /// The results of quick groups, and those of others that come soon. What is missing then is slow, and may be taken
    /// by [`next`](Self::next) as it comes.
    pub async fn gather(&mut self, pool: &Pool) -> Vec<(usize, R)> {
        self.begin(pool);
        let begun = tokio::time::Instant::now();
        let (mut gathered, mut patience) = (Vec::new(), self.patience(pool));
        while !self.is_complete()
            && let Some(rest) = patience.checked_sub(begun.elapsed()).filter(|rest| !rest.is_zero())
        {
            let before = gathered.len();
            let taking = self.results.recv_many(&mut gathered, RESULTS);
            match tokio::time::timeout(rest.min(LOOK_AGAIN), taking).await {
                Ok(0) => break,
                Ok(_) => gathered[before..].iter().for_each(|(group, _)| self.count(*group)),
                Err(_) => patience = self.patience(pool),
            }
        }
        while let Ok(result) = self.results.try_recv() {
            self.count(result.0);
            gathered.push(result);
        }
        gathered
    }

    /// The next result, however long it takes; `None` after the last.
    pub async fn next(&mut self) -> Option<(usize, R)> {
        let result = self.results.recv().await?;
        self.count(result.0);
        Some(result)
    }

    /// Whether every call has been made.
    pub fn is_complete(&self) -> bool {
        self.open == 0
    }

    fn count(&mut self, group: usize) {
        self.groups[group].left -= 1;
        self.open -= 1;
    }

    /// Ends the calls that were not begun; what was made meanwhile comes back.
    pub fn close(mut self) -> Vec<(usize, R)> {
        self.results.close();
        std::iter::from_fn(|| self.results.try_recv().ok()).collect()
    }

    /// How long the groups that have calls left are worth waiting for.
    fn patience(&self, pool: &Pool) -> Duration {
        let open = self.groups.iter().filter(|group| group.left > 0);
        let patience = |group: &Open| match pool.speed(&group.line) {
            Speed::Quick if pool.has_backlog(&group.line) => FOR_BACKLOG,
            Speed::Quick => FOR_QUICK,
            Speed::Unknown => FOR_UNKNOWN,
            Speed::Slow => Duration::ZERO,
        };
        open.map(patience).max().unwrap_or_default()
    }
}
