//! Inboxes: work that this process stored and will do itself, handed on in memory.
//!
//! A row is stored with its lease (`domain/delivery/lease.rs`), so nobody else takes it up, and once it is durable the
//! thing itself goes to the worker: what was just written need not be claimed and read again. The database stays the
//! record of what is owed. What an inbox has no room for, what another process stored and what a crash left is
//! found by looking in the table.

use std::collections::VecDeque;
use std::hash::Hash;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;

use domain::delivery::delivery::Owed;
use domain::delivery::lease::{Lease, Leased};
use domain::ids::PostbackId;
use domain::timestamp::Timestamp;
use domain::tracking::event::Event;

use super::round_robin::RoundRobin;

/// Things that wait in memory at most, give or take a group.
const CAPACITY: usize = 8_192;
/// Those of one key: a quarter, so that one can't fill it, nor two or three.
const CAPACITY_OF_ONE: usize = 2_048;
/// How long a worker trusts that whatever is new in its table is announced.
const TRUST: Duration = Duration::from_millis(500);

/// What came to this process by its leases, one new token after another. All that begins within a part of a lease's
/// length shares one, so that there are few to remember.
#[derive(Clone, Debug)]
pub struct Leases {
    length: Duration,
    granted: Arc<Mutex<VecDeque<(Timestamp, Lease)>>>,
}

impl Leases {
    pub fn new(length: Duration) -> Self {
        Self { length, granted: Arc::default() }
    }

    pub fn grant(&self, now: Timestamp) -> Lease {
        let mut granted = held(&self.granted);
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

    /// The tokens that may still hold rows.
    pub fn claims(&self) -> Vec<i64> {
        held(&self.granted).iter().map(|(_, lease)| lease.claim).collect()
    }
}

/// What waits in an inbox; those of one key take turns with those of others.
pub trait Item {
    type Key: Clone + Eq + Hash + std::fmt::Debug + Send;

    fn key(&self) -> Self::Key;
}

impl Item for Event {
    type Key = ();

    fn key(&self) {}
}

impl Item for Owed {
    type Key = PostbackId;

    fn key(&self) -> PostbackId {
        self.delivery.postback_id
    }
}

/// Where one worker of this process gets what it is to do. Clones are one inbox.
#[derive(Debug)]
pub struct Inbox<T: Item> {
    leases: Leases,
    wake: Arc<Notify>,
    state: Arc<Mutex<State<T>>>,
}

#[derive(Debug)]
struct State<T: Item> {
    /// A worker of this process empties it.
    open: bool,
    waiting: RoundRobin<T::Key, Leased<T>>,
    /// When the table is to be looked into next.
    look_at: Timestamp,
}

/// What a worker finds.
#[derive(Debug)]
pub struct Taken<T> {
    pub items: Vec<Leased<T>>,
    /// Whether the table is to be looked into as well.
    pub look: bool,
}

impl<T: Item> Clone for Inbox<T> {
    fn clone(&self) -> Self {
        Self { leases: self.leases.clone(), wake: self.wake.clone(), state: self.state.clone() }
    }
}

impl<T: Item> Inbox<T> {
    pub fn new(leases: Leases) -> Self {
        let state = State { open: false, waiting: RoundRobin::default(), look_at: LONG_AGO };
        Self { leases, wake: Arc::default(), state: Arc::new(Mutex::new(state)) }
    }

    /// A worker begins or ceases to empty it.
    pub fn set_open(&self, open: bool) {
        held(&self.state).open = open;
    }

    /// The lease to store new rows with, if this process may take them up right away.
    pub fn lease(&self, now: Timestamp) -> Option<Lease> {
        let state = held(&self.state);
        (state.open && state.waiting.len() < CAPACITY).then(|| self.leases.grant(now))
    }

    /// Whether one more of this key may be stored with a lease.
    pub fn has_room(&self, key: &T::Key) -> bool {
        held(&self.state).waiting.count(key) < CAPACITY_OF_ONE
    }

    /// Hands on what is durable now. Without a lease the table has it for whoever looks first.
    pub fn put(&self, lease: Option<Lease>, items: impl IntoIterator<Item = T>) {
        match lease {
            Some(lease) => {
                let mut state = held(&self.state);
                items.into_iter().for_each(|it| state.waiting.push(it.key(), Leased { it, lease }));
            }
            None => held(&self.state).look_at = LONG_AGO,
        }
        self.wake.notify_one();
    }

    /// Takes back what was taken and could not be done now.
    pub fn give_back(&self, items: Vec<Leased<T>>) {
        let mut state = held(&self.state);
        items.into_iter().rev().for_each(|it| state.waiting.push_front(it.it.key(), it));
    }

    /// Something in the table is new, from here or from another process.
    pub fn announce(&self) {
        self.put(None, []);
    }

    /// Each key in turn, the oldest of a key first, and whether it is time to look in the table. What waited longer than its
    /// lease is left to whoever claims it.
    pub fn take(&self, limit: usize, now: Timestamp) -> Taken<T> {
        self.take_admitted(limit, now, |_| true)
    }

    /// The same, leaving for later what is not admitted.
    pub fn take_admitted(&self, limit: usize, now: Timestamp, mut admit: impl FnMut(&T) -> bool) -> Taken<T> {
        let mut state = held(&self.state);
        let look = state.look_at <= now;
        if look {
            // What is announced from here on asks for another look.
            state.look_at = now.plus(TRUST);
        }
        let mut items = Vec::new();
        while items.len() < limit {
            let admitted = |_: &T::Key, item: &Leased<T>| item.lease.until <= now || admit(&item.it);
            let Some(item) = state.waiting.pop_admitted(admitted) else { break };
            if item.lease.until > now {
                items.push(item);
            }
        }
        Taken { items, look }
    }

    /// Something in the table is due at `at`.
    pub fn look_by(&self, at: Timestamp) {
        let mut state = held(&self.state);
        state.look_at = state.look_at.min(at);
    }

    /// How long a worker that found nothing may sleep, unless it is woken.
    pub fn rest(&self, now: Timestamp) -> Duration {
        let state = held(&self.state);
        if state.waiting.is_empty() { state.look_at.since(now) } else { Duration::ZERO }
    }

    /// The same for a worker that left what is there for later.
    pub fn rest_until_look(&self, now: Timestamp) -> Duration {
        held(&self.state).look_at.since(now)
    }

    /// Woken for every [`Inbox::put`].
    pub fn wake(&self) -> &Arc<Notify> {
        &self.wake
    }

    pub fn leases(&self) -> &Leases {
        &self.leases
    }
}

const LONG_AGO: Timestamp = Timestamp::from_millis(i64::MIN);

/// Whatever panicked while it held the lock: a worker that is started again must be able to go on, and nothing here is
/// ever half-done.
fn held<S>(lock: &Mutex<S>) -> MutexGuard<'_, S> {
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

    fn inbox() -> Inbox<u32> {
        Inbox::new(Leases::new(Duration::from_secs(32)))
    }

    #[test]
    fn nothing_is_leased_before_a_worker_is_there_or_when_too_much_waits() {
        let inbox = inbox();
        assert_eq!(inbox.lease(at(0)), None);
        inbox.set_open(true);
        let lease = inbox.lease(at(0));
        assert!(lease.is_some());
        inbox.put(lease, (0..CAPACITY_OF_ONE as u32).map(|number| number * 10));
        assert!(!inbox.has_room(&0) && inbox.has_room(&1), "one key does not fill it");
        inbox.put(lease, (0..(CAPACITY - CAPACITY_OF_ONE) as u32).map(|number| number * 10 + 1));
        assert_eq!(inbox.lease(at(0)), None);
        inbox.take(1, at(0));
        assert!(inbox.lease(at(0)).is_some());
    }

    #[test]
    fn what_is_given_back_comes_first() {
        let inbox = inbox();
        inbox.set_open(true);
        inbox.put(inbox.lease(at(0)), [10, 20, 30, 11]);
        let taken = inbox.take(3, at(0)).items;
        inbox.give_back(taken);
        let taken: Vec<_> = inbox.take(9, at(0)).items.into_iter().map(|item| item.it).collect();
        assert_eq!(taken.iter().filter(|it| *it % 10 == 0).collect::<Vec<_>>(), [&10, &20, &30]);
        assert_eq!(taken.len(), 4);
    }

    #[test]
    fn what_waited_longer_than_its_lease_is_left_to_others() {
        let inbox = inbox();
        inbox.set_open(true);
        inbox.put(inbox.lease(at(0)), [1]);
        inbox.put(inbox.lease(at(2_000)), [2]);
        let taken: Vec<_> = inbox.take(9, at(32_000)).items.into_iter().map(|item| item.it).collect();
        assert_eq!(taken, [2]);
    }

    #[test]
    fn keys_take_turns_and_what_is_not_admitted_stays() {
        let inbox = inbox();
        inbox.set_open(true);
        inbox.put(inbox.lease(at(0)), [10, 20, 30, 11, 12]);
        let numbers = |taken: Taken<u32>| taken.items.into_iter().map(|item| item.it).collect::<Vec<_>>();
        assert_eq!(numbers(inbox.take_admitted(9, at(0), |number| number % 10 != 0)), [11, 12]);
        inbox.put(inbox.lease(at(0)), [21]);
        assert_eq!(numbers(inbox.take(3, at(0))), [10, 21, 20]);
    }

    #[test]
    fn the_table_is_looked_into_when_something_is_announced_or_the_time_has_come() {
        let inbox = inbox();
        assert!(inbox.take(1, at(0)).look, "a worker that starts looks first");
        assert!(!inbox.take(1, at(499)).look);
        assert!(inbox.take(1, at(500)).look);
        inbox.look_by(at(600));
        assert_eq!(inbox.rest(at(550)), Duration::from_millis(50));
        inbox.announce();
        assert_eq!(inbox.rest(at(551)), Duration::ZERO, "announced while it looked: no rest");
        inbox.look_by(at(600));
        assert!(inbox.take(1, at(551)).look, "announced while it looked");
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
