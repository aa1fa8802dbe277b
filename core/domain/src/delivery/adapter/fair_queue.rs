//! A fair queue: work waits in lines, which are served by the time that each line has used. Pure: the caller measures
//! the time and runs the work.
//!
//! This is start-time fair queueing (Goyal, Vin and Cheng, 1996) with costs that are known afterwards: the line that
//! has used the least time is served next. A line that returns after a rest starts at the level of the others, so that
//! it can't save up time. A line with slow work gets one worker at a time, and some workers take no slow work.

use std::collections::{BTreeSet, HashMap, VecDeque};
use std::hash::Hash;
use std::time::Duration;

/// The order of work within a line.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Urgency {
    /// The last step of work in progress, such as a response that waits to be interpreted.
    Finishing,
    /// A caller waits for the result; the number of such callers is bounded.
    Asked,
    /// Everything else.
    Queued,
}

const URGENCIES: usize = 3;

/// A kind of worker, by the work that it takes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum WorkerKind {
    /// All work.
    Any,
    /// Only quick work.
    QuickOnly,
}

/// Lines by key, each with its waiting work.
#[derive(Debug)]
pub struct FairQueue<K, T> {
    lines: HashMap<K, Line<T>>,
    /// The lines that can be served, least used time first.
    quick: BTreeSet<(Duration, K)>,
    slow: BTreeSet<(Duration, K)>,
    /// The virtual time: the most used time of a line at the moment that it was served.
    served_at: Duration,
    waiting: usize,
}

#[derive(Debug)]
struct Line<T> {
    waiting: [VecDeque<T>; URGENCIES],
    running: usize,
    used: Duration,
    slow: bool,
}

impl<T> Line<T> {
    fn is_empty(&self) -> bool {
        self.waiting.iter().all(VecDeque::is_empty)
    }

    fn may_be_served(&self) -> bool {
        !self.is_empty() && (!self.slow || self.running == 0)
    }
}

impl<K, T> Default for FairQueue<K, T> {
    fn default() -> Self {
        Self {
            lines: HashMap::new(),
            quick: BTreeSet::new(),
            slow: BTreeSet::new(),
            served_at: Duration::ZERO,
            waiting: 0,
        }
    }
}

/// Above this number of lines, idle lines are removed. The used time of an idle line is lost, which matters only for a
/// short time.
const LINES_AT_REST: usize = 4_096;

impl<K: Clone + Eq + Hash + Ord, T> FairQueue<K, T> {
    /// Adds work to the end of its line. `slow`: whether the line's work currently counts as slow.
    pub fn push(&mut self, key: &K, urgency: Urgency, work: T, slow: bool) {
        if self.lines.len() > LINES_AT_REST {
            self.lines.retain(|_, line| line.running > 0 || !line.is_empty());
        }
        let served_at = self.served_at;
        let line = self.lines.entry(key.clone()).or_insert_with(|| Line {
            waiting: Default::default(),
            running: 0,
            used: served_at,
            slow,
        });
        if line.is_empty() && line.running == 0 {
            self.quick.remove(&(line.used, key.clone()));
            self.slow.remove(&(line.used, key.clone()));
            line.used = line.used.max(served_at);
        }
        line.waiting[urgency as usize].push_back(work);
        self.waiting += 1;
        self.refile(key, None, slow);
    }

    /// The next work for a worker, and its line. The caller must call [`FairQueue::finish`] afterwards.
    pub fn take(&mut self, worker: WorkerKind) -> Option<(K, T)> {
        let quick = self.quick.first();
        let slow = self.slow.first().filter(|_| worker == WorkerKind::Any);
        let key = match (quick, slow) {
            (Some(quick), Some(slow)) => quick.min(slow).1.clone(),
            (one, other) => one.or(other)?.1.clone(),
        };
        let line = self.lines.get_mut(&key)?;
        let work = line.waiting.iter_mut().find_map(VecDeque::pop_front)?;
        line.running += 1;
        self.waiting -= 1;
        let (used, slow) = (line.used, line.slow);
        self.served_at = self.served_at.max(used);
        self.refile(&key, None, slow);
        Some((key, work))
    }

    /// Ends a turn of the line that took `took`, and frees its worker.
    pub fn finish(&mut self, key: &K, took: Duration, slow: bool) {
        if let Some(line) = self.lines.get_mut(key) {
            line.running = line.running.saturating_sub(1);
            let used = line.used + took;
            self.refile(key, Some(used), slow);
        }
    }

    /// The number of waiting items in a line.
    pub fn waiting(&self, key: &K, urgency: Urgency) -> usize {
        self.lines.get(key).map_or(0, |line| line.waiting[urgency as usize].len())
    }

    /// The number of waiting items in all lines.
    pub fn len(&self) -> usize {
        self.waiting
    }

    /// Whether no work waits.
    pub fn is_empty(&self) -> bool {
        self.waiting == 0
    }

    /// Removes all waiting work.
    pub fn clear(&mut self) {
        self.lines.clear();
        self.quick.clear();
        self.slow.clear();
        self.waiting = 0;
    }

    /// Moves a line to the set in which `take` finds it, or removes it from there.
    fn refile(&mut self, key: &K, used: Option<Duration>, slow: bool) {
        let Some(line) = self.lines.get_mut(key) else { return };
        let at = (line.used, key.clone());
        self.quick.remove(&at);
        self.slow.remove(&at);
        line.used = used.unwrap_or(line.used);
        line.slow = slow;
        if line.may_be_served() {
            let set = if slow { &mut self.slow } else { &mut self.quick };
            set.insert((line.used, key.clone()));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: Duration = Duration::from_millis(1);

    /// Runs `turns` turns of one worker. Each line's work has the given cost in milliseconds and is queued again.
    fn shares(turns: usize, lines: &[(&'static str, u32)]) -> HashMap<&'static str, usize> {
        let mut queue = FairQueue::default();
        for (line, _) in lines {
            queue.push(line, Urgency::Queued, (), false);
        }
        let mut served = HashMap::new();
        for _ in 0..turns {
            let (line, ()) = queue.take(WorkerKind::Any).expect("there is always work");
            *served.entry(line).or_default() += 1;
            queue.push(&line, Urgency::Queued, (), false);
            let cost = lines.iter().find(|(it, _)| *it == line).expect("it is one of them").1;
            queue.finish(&line, MS * cost, false);
        }
        served
    }

    #[test]
    fn each_line_gets_the_same_time_whatever_its_work_costs() {
        let served = shares(1_010, &[("cheap", 1), ("dear", 100)]);
        assert!((990..=1_005).contains(&served["cheap"]), "{served:?}");
        let served = shares(300, &[("a", 5), ("b", 5), ("c", 5)]);
        assert!(served.values().all(|it| *it == 100), "{served:?}");
    }

    #[test]
    fn an_idle_line_saves_up_no_time() {
        let mut queue = FairQueue::default();
        for _ in 0..10 {
            queue.push(&"busy", Urgency::Queued, (), false);
            queue.take(WorkerKind::Any);
            queue.finish(&"busy", MS * 100, false);
        }
        for _ in 0..4 {
            queue.push(&"busy", Urgency::Queued, (), false);
            queue.push(&"late", Urgency::Queued, (), false);
        }
        let mut order = Vec::new();
        while let Some((line, ())) = queue.take(WorkerKind::Any) {
            order.push(line);
            queue.finish(&line, MS * 100, false);
        }
        // Only the last work of the busy line counts; after it the lines take turns.
        assert_eq!(order, ["late", "busy", "late", "busy", "late", "busy", "late", "busy"]);
    }

    #[test]
    fn slow_work_has_one_worker_at_a_time_and_never_the_quick_one() {
        let mut queue = FairQueue::default();
        for number in 0..2 {
            queue.push(&"slow", Urgency::Queued, number, true);
            queue.push(&"slower", Urgency::Queued, number, true);
        }
        assert_eq!(queue.take(WorkerKind::QuickOnly), None);
        assert_eq!(queue.take(WorkerKind::Any), Some(("slow", 0)));
        assert_eq!(queue.take(WorkerKind::Any), Some(("slower", 0)));
        assert_eq!(queue.take(WorkerKind::Any), None, "both lines hold their worker");
        queue.push(&"quick", Urgency::Queued, 9, false);
        assert_eq!(queue.take(WorkerKind::QuickOnly), Some(("quick", 9)));
        queue.finish(&"slow", MS, true);
        assert_eq!(queue.take(WorkerKind::QuickOnly), None);
        assert_eq!(queue.take(WorkerKind::Any), Some(("slow", 1)));
        // The work proved to be quick: the rest of its line may use any worker.
        queue.finish(&"slower", MS, false);
        assert_eq!(queue.take(WorkerKind::QuickOnly), Some(("slower", 1)));
        assert!(queue.is_empty());
        assert_eq!(queue.len(), 0);
    }

    #[test]
    fn work_in_progress_goes_before_new_work() {
        let mut queue = FairQueue::default();
        queue.push(&"line", Urgency::Asked, "asked", false);
        queue.push(&"line", Urgency::Queued, "queued", false);
        queue.push(&"line", Urgency::Finishing, "finishing", false);
        assert_eq!(queue.waiting(&"line", Urgency::Asked), 1);
        let order = [(); 3].map(|()| queue.take(WorkerKind::Any).expect("there are three").1);
        assert_eq!(order, ["finishing", "asked", "queued"]);
    }
}
