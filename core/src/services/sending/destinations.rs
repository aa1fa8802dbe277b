//! Destinations as this node knows them: what is in flight to each, what waits in memory, and how its breaker stands.
//!
//! Prepared deliveries queue by destination and leave when there is a place for their destination, for their owner and in
//! all (`domain/places.rs`). What finds no room here waits in the table (`storage/waiting_deliveries.rs`), so memory is
//! bounded and nobody stands in front of another. Nothing here speaks to the database: `breakers.rs` stores what changes.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;

use crate::clock::Timestamp;
use crate::domain::breaker::{self, Breaker, BreakerState, Drain, Health, Outcome};
use crate::domain::places::{InFlight, Places, Window};
use crate::ids::{AffiliateId, PostbackId};
use crate::storage::waiting_deliveries::Waiting;

use super::Prepared;
use crate::services::round_robin::RoundRobin;

/// Prepared deliveries that wait in memory for one destination, and for all of them together.
const QUEUE_OF_ONE: usize = 128;
const QUEUE_OF_ALL: usize = 1_024;
/// Deliveries of a postback whose destination is not known yet that are prepared together.
const UNKNOWN_AT_ONCE: usize = 16;
/// Renders that must lead to the same destination before it is taken for granted again, once a postback had two.
const STEADY: u32 = 32;
/// Destinations of one postback that are noted.
const NOTED_OF_ONE: usize = 8;
/// A destination without requests for this long is started anew with few places.
const REST: Duration = Duration::from_secs(10);
/// Destinations and postbacks that are remembered; beyond these the idle ones are forgotten.
const REMEMBERED: usize = 10_000;

type Name = Arc<str>;
type Owner = Option<AffiliateId>;

/// Cheap to clone; all clones are one.
#[derive(Clone)]
pub struct Destinations(Arc<Shared>);

struct Shared {
    places: Places,
    /// Waiting deliveries per second that leave for one destination at most, once its breaker closed.
    drain_rate: u32,
    /// Wakes the worker.
    wake: Arc<Notify>,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    lanes: HashMap<Name, Lane>,
    /// Destinations with something in their queue, the next first.
    turns: VecDeque<Name>,
    queued: usize,
    owners: HashMap<Owner, usize>,
    in_flight: usize,
    known: HashMap<PostbackId, Known>,
    /// To be stored.
    changes: VecDeque<Change>,
    seen: Vec<(PostbackId, Name)>,
    refresh_at: Option<Timestamp>,
    /// Where the next round over waiting deliveries begins.
    round: usize,
}

/// One destination.
struct Lane {
    in_flight: usize,
    window: Window,
    health: Health,
    queue: RoundRobin<PostbackId, Prepared>,
    breaker: Option<Breaker>,
    /// This node makes the probe.
    probing: bool,
    /// Deliveries may wait for it in the table, or in the inbox.
    waiting_in_table: bool,
    waiting_in_inbox: bool,
    drain: Drain,
    used_at: Timestamp,
}

/// Where a postback was seen to go.
struct Known {
    destination: Name,
    steady: bool,
    run: u32,
    noted: Vec<Name>,
}

/// What became of a breaker here, to be stored for all nodes.
#[derive(Clone, Debug)]
pub enum Change {
    Opened(Breaker),
    /// A probe of this node failed or was left out; until when it had the right to it.
    Probed(Breaker, Option<Timestamp>),
    Closed(Breaker),
}

impl Change {
    pub fn breaker(&self) -> &Breaker {
        let (Self::Opened(it) | Self::Probed(it, _) | Self::Closed(it)) = self;
        it
    }
}

/// What is to become of a delivery that is due.
#[derive(Debug)]
pub enum Admission {
    Take,
    /// Its destination works and has enough to do.
    Busy(Waiting),
    Paused(Waiting),
}

/// A delivery that has a place, and the place.
pub struct Placed {
    pub prepared: Prepared,
    pub place: Place,
}

/// Held until what came of the request is stored: how many a crash can repeat is how many there are.
pub struct Place {
    destinations: Destinations,
    destination: Name,
    owner: Owner,
}

impl Drop for Place {
    fn drop(&mut self) {
        self.destinations.leave(&self.destination, self.owner);
    }
}

impl Place {
    pub fn destination(&self) -> &str {
        &self.destination
    }
}

impl Lane {
    fn new(most: usize, now: Timestamp) -> Self {
        Self {
            in_flight: 0,
            window: Window::new(most),
            health: Health::default(),
            queue: RoundRobin::default(),
            breaker: None,
            probing: false,
            waiting_in_table: false,
            waiting_in_inbox: false,
            drain: Drain::new(now),
            used_at: now,
        }
    }

    fn state(&self) -> BreakerState {
        self.breaker.as_ref().map_or(BreakerState::Closed, |it| it.state)
    }

    /// How many may be in flight.
    fn limit(&self) -> usize {
        match self.state() {
            BreakerState::Closed => self.window.size(),
            BreakerState::HalfOpen if self.probing => 1,
            BreakerState::HalfOpen | BreakerState::Open => 0,
        }
    }

    fn queue_size(&self) -> usize {
        (4 * self.window.size()).clamp(8, QUEUE_OF_ONE)
    }

    /// How many more may be prepared. None until half of the queue has left, so that they are prepared together.
    fn room(&self) -> usize {
        let (size, queued) = (self.queue_size(), self.queue.len());
        if queued > size / 2 { 0 } else { size - queued }
    }

    fn is_quiet(&self) -> bool {
        self.in_flight == 0 && self.queue.is_empty()
    }

    /// How many of those that wait in the table may leave it now.
    fn drainable(&mut self, most: u32, now: Timestamp) -> usize {
        let room = self.room();
        match (&self.breaker, self.state()) {
            (_, BreakerState::HalfOpen) => usize::from(self.probing && self.is_quiet()),
            (_, BreakerState::Open) => 0,
            _ if !self.waiting_in_table => 0,
            (Some(breaker), BreakerState::Closed) => room.min(self.drain.available(breaker.since, most, now)),
            (None, BreakerState::Closed) => room,
        }
    }

    fn waiting(&self, destination: &Name) -> Waiting {
        let reason = match &self.breaker {
            Some(breaker) if !breaker.is_closed() => breaker.waiting_reason(),
            _ => breaker::busy_reason(destination),
        };
        Waiting { destination: destination.to_string(), reason }
    }
}

impl State {
    fn lane(&mut self, name: &Name, most: usize, now: Timestamp) -> &mut Lane {
        if self.lanes.len() >= REMEMBERED && !self.lanes.contains_key(name) {
            let is_needed = |lane: &Lane| !lane.is_quiet() || lane.waiting_in_table || lane.breaker.is_some();
            self.lanes.retain(|_, lane| is_needed(lane));
        }
        self.lanes.entry(name.clone()).or_insert_with(|| Lane::new(most, now))
    }

    /// Notes where a postback goes.
    fn learn(&mut self, postback: PostbackId, name: &Name) {
        if self.known.len() >= REMEMBERED && !self.known.contains_key(&postback) {
            self.known.clear();
        }
        let first = || Known { destination: name.clone(), steady: true, run: 0, noted: Vec::new() };
        let known = self.known.entry(postback).or_insert_with(first);
        if known.destination == *name {
            known.run = known.run.saturating_add(1);
            known.steady |= known.run >= STEADY;
        } else {
            (known.destination, known.steady, known.run) = (name.clone(), false, 1);
        }
        if known.noted.len() < NOTED_OF_ONE && !known.noted.contains(name) {
            known.noted.push(name.clone());
            self.seen.push((postback, name.clone()));
        }
    }

    fn destination_of(&self, postback: PostbackId) -> Option<Name> {
        self.known.get(&postback).filter(|known| known.steady).map(|known| known.destination.clone())
    }

    fn has_change_of(&self, destination: &str) -> bool {
        self.changes.iter().any(|change| change.breaker().destination == destination)
    }
}

/// Judges deliveries that are about to be prepared together.
pub struct Admissions<'a> {
    destinations: &'a Destinations,
    now: Timestamp,
    by_destination: HashMap<Name, usize>,
    unknown: HashMap<PostbackId, usize>,
}

impl Admissions<'_> {
    /// Of a delivery that waits in memory: `None` leaves it there.
    pub fn admit(&mut self, postback: PostbackId) -> Option<Admission> {
        let taken = self.unknown.entry(postback).or_default();
        match self.destinations.admission(postback, &mut self.by_destination, self.now) {
            Some(Admission::Busy(_)) => None,
            Some(admission) => Some(admission),
            None if *taken >= UNKNOWN_AT_ONCE => None,
            None => {
                *taken += 1;
                Some(Admission::Take)
            }
        }
    }

    /// Of one that was claimed.
    pub fn admit_claimed(&mut self, postback: PostbackId) -> Admission {
        let admission = self.destinations.admission(postback, &mut self.by_destination, self.now);
        admission.unwrap_or(Admission::Take)
    }
}

impl Destinations {
    pub fn new(places: Places, drain_rate: u32, wake: Arc<Notify>) -> Self {
        Self(Arc::new(Shared { places, drain_rate, wake, state: Mutex::default() }))
    }

    /// Nothing here is ever half-done, so a panic elsewhere does not spoil it.
    fn state(&self) -> MutexGuard<'_, State> {
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub fn admissions(&self, now: Timestamp) -> Admissions<'_> {
        Admissions { destinations: self, now, by_destination: HashMap::new(), unknown: HashMap::new() }
    }

    /// `None`: nobody knows yet where it goes.
    fn admission(&self, postback: PostbackId, taken: &mut HashMap<Name, usize>, now: Timestamp) -> Option<Admission> {
        let mut state = self.state();
        let name = state.destination_of(postback)?;
        let left = QUEUE_OF_ALL.saturating_sub(state.queued);
        let lane = state.lane(&name, self.0.places.per_destination, now);
        if lane.state() != BreakerState::Closed {
            return Some(Admission::Paused(lane.waiting(&name)));
        }
        let taken = taken.entry(name.clone()).or_default();
        // However many wait for others, a destination with nothing to do gets something.
        let room = lane.room().min(left.max(usize::from(lane.is_quiet())));
        if *taken < room {
            *taken += 1;
            return Some(Admission::Take);
        }
        lane.waiting_in_inbox = true;
        Some(Admission::Busy(lane.waiting(&name)))
    }

    /// Queues what is ready, by destination. What finds no room comes back.
    pub fn enqueue(&self, ready: Vec<Prepared>, now: Timestamp) -> Vec<(Prepared, Waiting)> {
        let mut state = self.state();
        let mut refused = Vec::new();
        for prepared in ready {
            let name: Name = prepared.destination().into();
            let postback = prepared.delivery.postback_id;
            state.learn(postback, &name);
            let full = state.queued >= QUEUE_OF_ALL;
            let lane = state.lane(&name, self.0.places.per_destination, now);
            let has_room = match lane.state() {
                BreakerState::Closed if full => lane.is_quiet(),
                BreakerState::Closed => lane.queue.len() < QUEUE_OF_ONE,
                BreakerState::HalfOpen => lane.probing && lane.is_quiet(),
                BreakerState::Open => false,
            };
            if !has_room {
                refused.push((prepared, lane.waiting(&name)));
                continue;
            }
            let is_first = lane.queue.is_empty();
            lane.queue.push(postback, prepared);
            state.queued += 1;
            if is_first {
                state.turns.push_back(name);
            }
        }
        refused
    }

    /// Takes what is queued for destinations that were paused meanwhile.
    pub fn take_paused(&self) -> Vec<(Prepared, Waiting)> {
        let mut state = self.state();
        let mut paused = Vec::new();
        for (name, lane) in &mut state.lanes {
            if lane.state() == BreakerState::Open && !lane.queue.is_empty() {
                let waiting = lane.waiting(name);
                paused.extend(lane.queue.drain().map(|prepared| (prepared, waiting.clone())));
            }
        }
        state.queued -= paused.len();
        paused
    }

    /// Everything that has a place now.
    pub fn start(&self, now: Timestamp) -> Vec<Placed> {
        std::iter::from_fn(|| self.start_one(now)).collect()
    }

    /// The next that has a place: each destination in turn.
    pub fn start_one(&self, now: Timestamp) -> Option<Placed> {
        let mut guard = self.state();
        let state = &mut *guard;
        for _ in 0..state.turns.len() {
            let name = state.turns.pop_front()?;
            let Some(lane) = state.lanes.get_mut(&name).filter(|lane| !lane.queue.is_empty()) else { continue };
            if lane.in_flight == 0 && now.since(lane.used_at) > REST {
                lane.window.rested();
            }
            let (places, limit, in_all, of_destination) =
                (self.0.places, lane.limit(), state.in_flight, lane.in_flight);
            let owners = &state.owners;
            let admits = |of_owner| places.admit(limit, InFlight { in_all, of_destination, of_owner });
            let of_owner = |prepared: &Prepared| owners.get(&prepared.plan.postback.owner).copied().unwrap_or_default();
            let next = match admits(0) {
                true => lane.queue.pop_admitted(|_, prepared| admits(of_owner(prepared))),
                false => None,
            };
            if !lane.queue.is_empty() {
                state.turns.push_back(name.clone());
            }
            let Some(prepared) = next else { continue };
            let owner = prepared.plan.postback.owner;
            (lane.in_flight, lane.used_at) = (lane.in_flight + 1, now);
            state.queued -= 1;
            state.in_flight += 1;
            *state.owners.entry(owner).or_default() += 1;
            return Some(Placed { prepared, place: Place { destinations: self.clone(), destination: name, owner } });
        }
        None
    }

    fn leave(&self, name: &Name, owner: Owner) {
        let mut guard = self.state();
        let state = &mut *guard;
        state.in_flight -= 1;
        if let Some(of_owner) = state.owners.get_mut(&owner) {
            *of_owner -= 1;
            if *of_owner == 0 {
                state.owners.remove(&owner);
            }
        }
        let Some(lane) = state.lanes.get_mut(name) else { return };
        lane.in_flight -= 1;
        let wants_more = (lane.waiting_in_table || lane.waiting_in_inbox) && lane.room() > 0;
        if wants_more || (lane.probing && lane.is_quiet()) {
            lane.waiting_in_inbox = false;
            self.0.wake.notify_one();
        }
    }

    /// What a request told about its destination.
    pub fn record(&self, destination: &str, outcome: Outcome, now: Timestamp) {
        let mut guard = self.state();
        let state = &mut *guard;
        let Some(lane) = state.lanes.get_mut(destination) else { return };
        match outcome {
            Outcome::Alive => {
                let before = lane.window;
                lane.window.answered();
                if lane.window != before && !lane.queue.is_empty() {
                    self.0.wake.notify_one();
                }
            }
            Outcome::Failed(_) => lane.window.failed(),
            Outcome::Unrelated => return,
        }
        let change = match (&mut lane.breaker, outcome) {
            (Some(breaker), Outcome::Alive) if !breaker.is_closed() => {
                breaker.closed(now);
                lane.drain = Drain::new(now);
                lane.waiting_in_table = true;
                lane.window = Window::new(self.0.places.per_destination);
                Change::Closed(breaker.clone())
            }
            (Some(breaker), Outcome::Failed(failure)) if !breaker.is_closed() => {
                // Requests from before it opened still end in failure.
                if !lane.probing {
                    return;
                }
                let until = breaker.probe_until;
                breaker.probe_failed(failure, now, rand::random());
                Change::Probed(breaker.clone(), until)
            }
            (before, outcome) => {
                let Some(trip) = lane.health.record(&outcome, now) else { return };
                let breaker = Breaker::opened(destination, before.as_ref(), trip, now, rand::random());
                lane.health = Health::default();
                *before = Some(breaker.clone());
                Change::Opened(breaker)
            }
        };
        lane.probing = false;
        state.changes.push_back(change);
        self.0.wake.notify_one();
    }

    // Waiting deliveries.

    /// Deliveries wait in the table for these destinations.
    pub fn waits_in_table<'a>(&self, destinations: impl IntoIterator<Item = &'a str>, now: Timestamp) {
        let mut state = self.state();
        for destination in destinations {
            state.lane(&destination.into(), self.0.places.per_destination, now).waiting_in_table = true;
        }
    }

    /// From which destinations' waiting deliveries how many may be taken, each beginning another round.
    pub fn drainable(&self, now: Timestamp) -> Vec<(String, usize)> {
        let mut guard = self.state();
        let state = &mut *guard;
        if state.queued >= QUEUE_OF_ALL {
            return Vec::new();
        }
        let most = self.0.drain_rate;
        let lanes = state.lanes.iter_mut().filter_map(|(name, lane)| {
            let limit = lane.drainable(most, now);
            (limit > 0).then(|| (name.to_string(), limit))
        });
        let mut found: Vec<_> = lanes.collect();
        state.round = state.round.wrapping_add(1);
        if !found.is_empty() {
            let middle = state.round % found.len();
            found.rotate_left(middle);
        }
        found
    }

    /// So many were found of so many that were asked for.
    pub fn drained(&self, destination: &str, asked: usize, found: usize, now: Timestamp) {
        let mut guard = self.state();
        let state = &mut *guard;
        let Some(lane) = state.lanes.get_mut(destination) else { return };
        lane.drain.spend(found);
        lane.waiting_in_table &= found == asked;
        if found == 0
            && lane.probing
            && let Some(breaker) = &mut lane.breaker
        {
            let until = breaker.probe_until;
            breaker.probe_left_out(now);
            lane.probing = false;
            state.changes.push_back(Change::Probed(breaker.clone(), until));
        }
    }

    /// Destinations that may be probed now, and for which something waits.
    pub fn to_be_probed(&self, now: Timestamp) -> Vec<String> {
        let state = self.state();
        let due = state.lanes.iter().filter(|(_, lane)| {
            lane.waiting_in_table && !lane.probing && lane.breaker.as_ref().is_some_and(|it| it.may_be_probed(now))
        });
        due.map(|(name, _)| name.to_string()).collect()
    }

    /// This node makes the probe.
    pub fn probe(&self, destination: &str, now: Timestamp, until: Timestamp) {
        if let Some(lane) = self.state().lanes.get_mut(destination)
            && let Some(breaker) = &mut lane.breaker
        {
            breaker.half_opened(now, until);
            lane.probing = true;
        }
    }

    /// How long until something here is to be done without being woken. Never no time at all: a probe that is due belongs
    /// to this node, which is woken when it ends, or to another.
    pub fn rest(&self, now: Timestamp) -> Duration {
        const LEAST: Duration = Duration::from_millis(50);
        let mut state = self.state();
        let most = self.0.drain_rate;
        let waits = state.lanes.values_mut().filter(|lane| lane.waiting_in_table && !lane.probing).map(|lane| {
            match &lane.breaker {
                Some(breaker) if !breaker.is_closed() => breaker.probe_at.since(now),
                Some(breaker) if lane.room() > 0 && lane.drain.available(breaker.since, most, now) == 0 => LEAST,
                _ => Duration::MAX,
            }
        });
        waits.min().unwrap_or(Duration::MAX).max(LEAST)
    }

    // What all nodes share.

    pub fn next_change(&self) -> Option<Change> {
        self.state().changes.front().cloned()
    }

    /// The first change is stored; this is the breaker as it is now, whichever node had the last word.
    pub fn change_stored(&self, instead: Option<Breaker>) {
        let mut state = self.state();
        let Some(change) = state.changes.pop_front() else { return };
        let destination = &*change.breaker().destination;
        if let Some(breaker) = instead
            && !state.has_change_of(destination)
            && let Some(lane) = state.lanes.get_mut(destination).filter(|lane| !lane.probing)
        {
            lane.breaker = Some(breaker);
        }
    }

    /// Where postbacks were seen to go for the first time.
    pub fn take_seen(&self) -> Vec<(PostbackId, String)> {
        let seen = std::mem::take(&mut self.state().seen);
        seen.into_iter().map(|(postback, name)| (postback, name.to_string())).collect()
    }

    pub fn put_back_seen(&self, seen: Vec<(PostbackId, String)>) {
        self.state().seen.extend(seen.into_iter().map(|(postback, name)| (postback, name.into())));
    }

    /// Whether it is time to see what other nodes stored; asks once in `every`.
    pub fn should_refresh(&self, now: Timestamp, every: Duration) -> bool {
        let mut state = self.state();
        let due = state.refresh_at.is_none_or(|at| at <= now);
        if due {
            state.refresh_at = Some(now.plus(every));
        }
        due
    }

    /// Something was stored that this node should know.
    pub fn refresh_soon(&self) {
        self.state().refresh_at = None;
        self.0.wake.notify_one();
    }

    /// Takes over what is stored: the breakers, and for which destinations deliveries wait.
    pub fn take_over(&self, breakers: Vec<Breaker>, waiting: &[String], now: Timestamp) {
        let most = self.0.places.per_destination;
        {
            let mut guard = self.state();
            let state = &mut *guard;
            let stored: HashMap<_, _> = breakers.into_iter().map(|it| (it.destination.clone(), it)).collect();
            for name in stored.keys() {
                state.lane(&Name::from(name.as_str()), most, now);
            }
            let unsaved: Vec<_> = state.changes.iter().map(|it| it.breaker().destination.clone()).collect();
            for (name, lane) in &mut state.lanes {
                // What is not stored yet, or under way here, is newer than what is stored.
                if lane.probing || unsaved.iter().any(|it| **it == **name) {
                    continue;
                }
                let before = lane.state();
                lane.breaker = stored.get(&**name).cloned();
                if before != BreakerState::Closed && lane.state() == BreakerState::Closed {
                    lane.drain = Drain::new(now);
                    lane.window = Window::new(most);
                    lane.health = Health::default();
                }
            }
        }
        self.waits_in_table(waiting.iter().map(String::as_str), now);
    }

    /// Whether nothing can be done before time passes, given the destinations for which deliveries wait in the table.
    pub fn is_idle(&self, waiting: &[String], now: Timestamp) -> bool {
        let mut guard = self.state();
        let state = &mut *guard;
        let stored = state.changes.is_empty() && state.seen.is_empty() && state.refresh_at.is_some_and(|at| at > now);
        let most = self.0.drain_rate;
        let mut can_leave = |name: &String| {
            let Some(lane) = state.lanes.get_mut(name.as_str()) else { return true };
            match &lane.breaker {
                None => true,
                Some(_) if lane.probing => true,
                Some(breaker) if breaker.is_closed() => lane.drain.available(breaker.since, most, now) > 0,
                Some(breaker) => breaker.may_be_probed(now),
            }
        };
        stored && state.in_flight == 0 && state.queued == 0 && !waiting.iter().any(&mut can_leave)
    }
}
