//! Work queues: rows that this process stored, handed to its own workers in memory.
//!
//! A row is inserted already leased (`domain/delivery/lease.rs`), so no other process claims it. After the commit the
//! item goes to the worker, which need not claim and read the row again. The table stays the record of all pending
//! work: the worker polls it for rows that found no room in the queue, that another process stored or that a crash
//! left behind.

use std::collections::VecDeque;
use std::hash::Hash;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;

use domain::delivery::delivery::EventDelivery;
use domain::delivery::lease::{Lease, Leased};
use domain::ids::PostbackId;
use domain::timestamp::Timestamp;
use domain::tracking::event::Event;

use super::round_robin::RoundRobin;

/// Maximum number of items of a queue, give or take one group.
const CAPACITY: usize = 8_192;
/// Maximum number of items of one key. A quarter of the capacity, so that one key can't fill the queue.
const CAPACITY_PER_KEY: usize = 2_048;
/// Maximum time between two polls of the table; rows of other processes may arrive unannounced.
const POLL_INTERVAL: Duration = Duration::from_millis(500);

/// The leases of this process. Leases that begin within 1/32 of the lease's length share one token, so that the process
/// remembers few of them.
#[derive(Clone, Debug)]
pub struct Leases {
    length: Duration,
    granted: Arc<Mutex<VecDeque<(Timestamp, Lease)>>>,
}

impl Leases {
    /// Leases of this length.
    pub fn new(length: Duration) -> Self {
        Self { length, granted: Arc::default() }
    }

    /// A lease that begins now, shared with leases that began shortly before.
    pub fn grant(&self, now: Timestamp) -> Lease {
        let mut granted = lock(&self.granted);
        if let Some((since, lease)) = granted.back()
            && (*since..since.plus(self.length / 32)).contains(&now)
        {
            return *lease;
        }
        while granted.front().is_some_and(|(_, lease)| lease.until < now) {
            granted.pop_front();
        }
        let lease = Lease { claim: rand::random(), until: now.plus(self.length) };
        granted.push_back((now, lease));
        lease
    }

    /// The tokens of leases that may still hold rows.
    pub fn claims(&self) -> Vec<i64> {
        lock(&self.granted).iter().map(|(_, lease)| lease.claim).collect()
    }
}

/// An item of a work queue. Items are taken from one key after another, in turn.
pub trait Item {
    type Key: Clone + Eq + Hash + std::fmt::Debug + Send;

    fn key(&self) -> Self::Key;
}

impl Item for Event {
    type Key = ();

    fn key(&self) {}
}

impl Item for EventDelivery {
    type Key = PostbackId;

    fn key(&self) -> PostbackId {
        self.delivery.postback_id
    }
}

/// The queue of one worker of this process. All clones are the same queue.
#[derive(Debug)]
pub struct WorkQueue<T: Item> {
    leases: Leases,
    wake: Arc<Notify>,
    state: Arc<Mutex<State<T>>>,
}

#[derive(Debug)]
struct State<T: Item> {
    /// Whether a worker of this process takes items from it.
    open: bool,
    waiting: RoundRobin<T::Key, Leased<T>>,
    /// When the table is polled next.
    next_poll: Timestamp,
}

/// The answer to a worker that takes items.
#[derive(Debug)]
pub struct Taken<T> {
    pub items: Vec<Leased<T>>,
    /// Whether the worker must poll the table, too.
    pub poll: bool,
}

impl<T: Item> Clone for WorkQueue<T> {
    fn clone(&self) -> Self {
        Self { leases: self.leases.clone(), wake: self.wake.clone(), state: self.state.clone() }
    }
}

impl<T: Item> WorkQueue<T> {
    /// An empty queue, which is closed.
    pub fn new(leases: Leases) -> Self {
        let state = State { open: false, waiting: RoundRobin::default(), next_poll: LONG_AGO };
        Self { leases, wake: Arc::default(), state: Arc::new(Mutex::new(state)) }
    }

    /// Opens the queue when its worker starts, and closes it when the worker stops.
    pub(crate) fn set_open(&self, open: bool) {
        lock(&self.state).open = open;
    }

    /// The lease with which new rows are stored. `None` if the queue is closed or full.
    pub fn lease(&self, now: Timestamp) -> Option<Lease> {
        let state = lock(&self.state);
        (state.open && state.waiting.len() < CAPACITY).then(|| self.leases.grant(now))
    }

    /// Whether one more row of this key may be stored with a lease.
    pub fn has_room(&self, key: &T::Key) -> bool {
        lock(&self.state).waiting.count(key) < CAPACITY_PER_KEY
    }

    /// Queues items whose rows are committed. Without a lease the rows are left to the next poll of the table.
    pub fn put(&self, lease: Option<Lease>, items: impl IntoIterator<Item = T>) {
        match lease {
            Some(lease) => {
                let mut state = lock(&self.state);
                items.into_iter().for_each(|it| state.waiting.push(it.key(), Leased { it, lease }));
            }
            None => lock(&self.state).next_poll = LONG_AGO,
        }
        self.wake.notify_one();
    }

    /// Takes back items that were taken and not processed. They come first in the next [`Self::take`].
    pub(crate) fn give_back(&self, items: Vec<Leased<T>>) {
        let mut state = lock(&self.state);
        items.into_iter().rev().for_each(|it| state.waiting.push_front(it.it.key(), it));
    }

    /// Says that the table has new rows, from this process or another one. The worker is woken and polls.
    pub fn announce(&self) {
        self.put(None, []);
    }

    /// Takes up to `limit` items: one key after another, the oldest item of a key first. Items whose leases have ended
    /// are dropped; their rows are claimed again.
    pub fn take(&self, limit: usize, now: Timestamp) -> Taken<T> {
        self.take_admitted(limit, now, |_| true)
    }

    /// Like [`Self::take`]; items that are not admitted stay in the queue.
    pub(crate) fn take_admitted(&self, limit: usize, now: Timestamp, mut admit: impl FnMut(&T) -> bool) -> Taken<T> {
        let mut state = lock(&self.state);
        let poll = state.next_poll <= now;
        if poll {
            // Rows that are announced after this point need another poll.
            state.next_poll = now.plus(POLL_INTERVAL);
        }
        let mut items = Vec::new();
        while items.len() < limit {
            let admitted = |_: &T::Key, item: &Leased<T>| item.lease.until <= now || admit(&item.it);
            let Some(item) = state.waiting.pop_admitted(admitted) else { break };
            if item.lease.until > now {
                items.push(item);
            }
        }
        Taken { items, poll }
    }

    /// Polls the table no later than `at`, because a row is due then.
    pub(crate) fn poll_at(&self, at: Timestamp) {
        let mut state = lock(&self.state);
        state.next_poll = state.next_poll.min(at);
    }

    /// How long a worker that found nothing may sleep if nothing wakes it.
    pub(crate) fn idle_for(&self, now: Timestamp) -> Duration {
        let state = lock(&self.state);
        if state.waiting.is_empty() { state.next_poll.since(now) } else { Duration::ZERO }
    }

    /// Like [`Self::idle_for`], for a worker that left items in the queue on purpose.
    pub(crate) fn idle_until_poll(&self, now: Timestamp) -> Duration {
        lock(&self.state).next_poll.since(now)
    }

    /// Notified by every [`WorkQueue::put`].
    pub(crate) fn wake(&self) -> &Arc<Notify> {
        &self.wake
    }

    /// The leases with which rows are claimed.
    pub fn leases(&self) -> &Leases {
        &self.leases
    }
}

const LONG_AGO: Timestamp = Timestamp::from_millis(i64::MIN);

/// A panic of another holder is ignored: no change leaves the state half-done, and a restarted worker must go on.
fn lock<S>(lock: &Mutex<S>) -> MutexGuard<'_, S> {
    lock.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(millis: i64) -> Timestamp {
        Timestamp::from_millis(millis)
    }

    impl Item for u32 {
        type Key = u32;

        fn key(&self) -> u32 {
            self % 10
        }
    }

    fn queue() -> WorkQueue<u32> {
        WorkQueue::new(Leases::new(Duration::from_secs(32)))
    }

    #[test]
    fn nothing_is_leased_while_the_queue_is_closed_or_full() {
        let queue = queue();
        assert_eq!(queue.lease(at(0)), None);
        queue.set_open(true);
        let lease = queue.lease(at(0));
        assert!(lease.is_some());
        queue.put(lease, (0..CAPACITY_PER_KEY as u32).map(|number| number * 10));
        assert!(!queue.has_room(&0) && queue.has_room(&1), "one key does not fill the queue");
        queue.put(lease, (0..(CAPACITY - CAPACITY_PER_KEY) as u32).map(|number| number * 10 + 1));
        assert_eq!(queue.lease(at(0)), None);
        queue.take(1, at(0));
        assert!(queue.lease(at(0)).is_some());
    }

    #[test]
    fn items_that_are_given_back_come_first() {
        let queue = queue();
        queue.set_open(true);
        queue.put(queue.lease(at(0)), [10, 20, 30, 11]);
        let taken = queue.take(3, at(0)).items;
        queue.give_back(taken);
        let taken: Vec<_> = queue.take(9, at(0)).items.into_iter().map(|item| item.it).collect();
        assert_eq!(taken.iter().filter(|it| *it % 10 == 0).collect::<Vec<_>>(), [&10, &20, &30]);
        assert_eq!(taken.len(), 4);
    }

    #[test]
    fn items_whose_leases_ended_are_dropped() {
        let queue = queue();
        queue.set_open(true);
        queue.put(queue.lease(at(0)), [1]);
        queue.put(queue.lease(at(2_000)), [2]);
        let taken: Vec<_> = queue.take(9, at(32_000)).items.into_iter().map(|item| item.it).collect();
        assert_eq!(taken, [2]);
    }

    #[test]
    fn keys_take_turns_and_items_that_are_not_admitted_stay() {
        let queue = queue();
        queue.set_open(true);
        queue.put(queue.lease(at(0)), [10, 20, 30, 11, 12]);
        let numbers = |taken: Taken<u32>| taken.items.into_iter().map(|item| item.it).collect::<Vec<_>>();
        assert_eq!(numbers(queue.take_admitted(9, at(0), |number| number % 10 != 0)), [11, 12]);
        queue.put(queue.lease(at(0)), [21]);
        assert_eq!(numbers(queue.take(3, at(0))), [10, 21, 20]);
    }

    #[test]
    fn the_table_is_polled_when_rows_are_announced_or_the_interval_ended() {
        let queue = queue();
        assert!(queue.take(1, at(0)).poll, "a worker that starts polls first");
        assert!(!queue.take(1, at(499)).poll);
        assert!(queue.take(1, at(500)).poll);
        queue.poll_at(at(600));
        assert_eq!(queue.idle_for(at(550)), Duration::from_millis(50));
        queue.announce();
        assert_eq!(queue.idle_for(at(551)), Duration::ZERO, "announced during the poll: no sleep");
        queue.poll_at(at(600));
        assert!(queue.take(1, at(551)).poll, "announced during the poll");
    }

    #[test]
    fn a_lease_is_shared_for_a_while_and_remembered_until_it_ends() {
        let leases = Leases::new(Duration::from_secs(32));
        let first = leases.grant(at(0));
        assert_eq!(leases.grant(at(999)), first);
        let second = leases.grant(at(1_000));
        assert_ne!(second.claim, first.claim);
        assert_eq!(leases.claims(), [first.claim, second.claim]);
        leases.grant(at(32_001));
        assert!(!leases.claims().contains(&first.claim));
    }
}
