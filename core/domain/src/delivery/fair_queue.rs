//! A fair queue: work in lines, served by the time that each line has used. Pure: the caller measures the time and runs the work.
//!
//! This is start-time fair queueing (Goyal, Vin and Cheng, 1996) with costs that are known afterwards: the line that has used the
//! least time is served next, and a line that comes back after a rest starts where the others are, so that rest is not saved up.
//! A line whose work is slow gets one place at a time, and some places take no slow work at all.

use std::collections::{BTreeSet, HashMap, VecDeque};
use std::hash::Hash;
use std::time::Duration;

/// What goes first within a line.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Urgency {
    /// Something is held up in the middle, such as an answer that waits to be judged.
    Finishing,
    /// A person or another program waits for one call; such callers are bounded in number.
    Asked,
    Queued,
}

const URGENCIES: usize = 3;

/// Which work a place takes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Place {
    Any,
    /// Slow work never holds it.
    QuickOnly,
}

/// Lines by key, each with its waiting work.
#[derive(Debug)]
pub struct FairQueue<K, T> {
    lines: HashMap<K, Line<T>>,
    /// Lines that could be served, least used first.
    quick: BTreeSet<(Duration, K)>,
    slow: BTreeSet<(Duration, K)>,
    /// The virtual time: how much the line that was served last had used by then.
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

/// Lines at rest are forgotten when there are more than this: they have nothing but a debt that is soon paid.
const LINES_AT_REST: usize = 4_096;

impl<K: Clone + Eq + Hash + Ord, T> FairQueue<K, T> {
    /// Puts work at the end of its line; `slow` is what the caller knows of the line now.
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

    /// The next work for a place, and its line. [`FairQueue::finish`] must follow.
    pub fn take(&mut self, place: Place) -> Option<(K, T)> {
        let quick = self.quick.first();
        let slow = self.slow.first().filter(|_| place == Place::Any);
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

    /// A place is free again after `took`.
    pub fn finish(&mut self, key: &K, took: Duration, slow: bool) {
        if let Some(line) = self.lines.get_mut(key) {
            line.running = line.running.saturating_sub(1);
            let used = line.used + took;
            self.refile(key, Some(used), slow);
        }
    }

    /// Pieces of work that wait in a line.
    pub fn waiting(&self, key: &K, urgency: Urgency) -> usize {
        self.lines.get(key).map_or(0, |line| line.waiting[urgency as usize].len())
    }

    /// Pieces of work that wait in all lines.
    pub fn len(&self) -> usize {
        self.waiting
    }

    pub fn is_empty(&self) -> bool {
        self.waiting == 0
    }

    /// Drops all that waits.
    pub fn clear(&mut self) {
        self.lines.clear();
        self.quick.clear();
        self.slow.clear();
        self.waiting = 0;
    }

    /// Puts a line where `take` finds it, or takes it away from there.
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

    /// Runs `turns` turns of one place, in which each line's work costs what `cost` says and is asked for again.
    fn shares(turns: usize, lines: &[(&'static str, u32)]) -> HashMap<&'static str, usize> {
        let mut queue = FairQueue::default();
        for (line, _) in lines {
            queue.push(line, Urgency::Queued, (), false);
        }
        let mut served = HashMap::new();
        for _ in 0..turns {
            let (line, ()) = queue.take(Place::Any).expect("there is always work");
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
    fn rest_is_not_saved_up() {
        let mut queue = FairQueue::default();
        for _ in 0..10 {
            queue.push(&"busy", Urgency::Queued, (), false);
            queue.take(Place::Any);
            queue.finish(&"busy", MS * 100, false);
        }
        for _ in 0..4 {
            queue.push(&"busy", Urgency::Queued, (), false);
            queue.push(&"late", Urgency::Queued, (), false);
        }
        let mut order = Vec::new();
        while let Some((line, ())) = queue.take(Place::Any) {
            order.push(line);
            queue.finish(&line, MS * 100, false);
        }
        // The last work of the busy line counts, and no more: then they take turns.
        assert_eq!(order, ["late", "busy", "late", "busy", "late", "busy", "late", "busy"]);
    }

    #[test]
    fn slow_work_has_one_place_at_a_time_and_never_the_quick_one() {
        let mut queue = FairQueue::default();
        for number in 0..2 {
            queue.push(&"slow", Urgency::Queued, number, true);
            queue.push(&"slower", Urgency::Queued, number, true);
        }
        assert_eq!(queue.take(Place::QuickOnly), None);
        assert_eq!(queue.take(Place::Any), Some(("slow", 0)));
        assert_eq!(queue.take(Place::Any), Some(("slower", 0)));
        assert_eq!(queue.take(Place::Any), None, "both lines have their place");
        queue.push(&"quick", Urgency::Queued, 9, false);
        assert_eq!(queue.take(Place::QuickOnly), Some(("quick", 9)));
        queue.finish(&"slow", MS, true);
        assert_eq!(queue.take(Place::QuickOnly), None);
        assert_eq!(queue.take(Place::Any), Some(("slow", 1)));
        // It proved to be quick: the last of its line may go anywhere.
        queue.finish(&"slower", MS, false);
        assert_eq!(queue.take(Place::QuickOnly), Some(("slower", 1)));
        assert!(queue.is_empty());
        assert_eq!(queue.len(), 0);
    }

    #[test]
    fn what_is_being_finished_goes_before_what_is_new() {
        let mut queue = FairQueue::default();
        queue.push(&"line", Urgency::Asked, "asked", false);
        queue.push(&"line", Urgency::Queued, "queued", false);
        queue.push(&"line", Urgency::Finishing, "finishing", false);
        assert_eq!(queue.waiting(&"line", Urgency::Asked), 1);
        let order = [(); 3].map(|()| queue.take(Place::Any).expect("there are three").1);
        assert_eq!(order, ["finishing", "asked", "queued"]);
    }
}
