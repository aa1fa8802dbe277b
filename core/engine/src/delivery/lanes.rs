//! Destinations as this node knows them, a lane for each owner that sends there: what is in flight, what waits in memory, and
//! how its breaker stands (`lane.rs`).
//!
//! Prepared deliveries queue by lane and leave when there is a place in their lane, for their destination, for their owner and in
//! all (`domain/delivery/places.rs`). What finds no room here waits in the table (`storage/delivery/waiting_deliveries.rs`), so memory is
//! bounded and nobody stands in front of another. Nothing here speaks to the database: `breakers.rs` stores what changes.

pub(crate) mod lane;

use std::collections::{HashMap, HashSet, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;

use domain::delivery::breaker::{Breaker, BreakerState, Drain, Health, Outcome};
use domain::delivery::lane::{LaneId, Owner};
use domain::delivery::places::{InFlight, Liveness, Places, Tally, Window};
use domain::ids::{DeliveryId, PostbackId};
use domain::timestamp::Timestamp;
use storage::delivery::waiting_deliveries::Waiting;

use self::lane::{Lane, Probe};
use super::prepared::Prepared;

/// Deliveries of a postback whose destination is not known yet that are prepared together.
const UNKNOWN_AT_ONCE: usize = 16;
/// Renders that must lead to the same destination before it is taken for granted again, once a postback had two.
const STEADY: u32 = 32;
/// Destinations of one postback that are noted.
const NOTED_OF_ONE: usize = 8;
/// How long it is taken for granted that a postback leads to a paused destination: another node may know of a change.
const LOOK_AGAIN: Duration = Duration::from_secs(60);
/// After so long without requests a lane begins again with few places.
const REST: Duration = Duration::from_secs(10);
/// Lanes and postbacks that are remembered; beyond these the idle ones are forgotten, from time to time.
const REMEMBERED: usize = 10_000;
const FORGET_EVERY: Duration = Duration::from_secs(1);
/// Lanes whose waiting deliveries are looked for in one round, a statement each.
const DRAINED_AT_ONCE: usize = 16;

/// Cheap to clone; all clones are one.
#[derive(Clone)]
pub struct Destinations(Arc<Shared>);

struct Shared {
    places: Places,
    /// Waiting deliveries per second that leave in one lane at most, once its breaker closed.
    drain_rate: u32,
    /// Wakes the worker.
    wake: Arc<Notify>,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    lanes: HashMap<LaneId, Lane>,
    /// What the lanes of each destination have together.
    origins: HashMap<Arc<str>, Origin>,
    forgotten_at: Option<Timestamp>,
    /// Lanes with something in their queue, the next first.
    turns: VecDeque<LaneId>,
    queued: usize,
    owners: HashMap<Owner, Tally>,
    in_flight: Tally,
    /// Deliveries that were claimed to be sent as probes, until they are or can't be.
    probes: HashMap<DeliveryId, LaneId>,
    known: HashMap<PostbackId, Known>,
    /// To be stored.
    changes: VecDeque<Change>,
    seen: Vec<(PostbackId, Arc<str>)>,
    refresh_at: Option<Timestamp>,
    /// What is stored is being read.
    refreshing: bool,
    /// Where the next round over waiting deliveries begins.
    round: usize,
}

#[derive(Default)]
struct Origin {
    lanes: usize,
    in_flight: usize,
}

/// Where a postback was seen to go.
struct Known {
    lane: LaneId,
    steady: bool,
    run: u32,
    noted: Vec<Arc<str>>,
    seen_at: Timestamp,
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
    lane: LaneId,
    delivery: DeliveryId,
    /// As what it was granted, and when.
    liveness: Liveness,
    since: Timestamp,
}

impl Drop for Place {
    fn drop(&mut self) {
        self.destinations.leave(self);
    }
}

impl Place {
    pub fn lane(&self) -> &LaneId {
        &self.lane
    }
}

impl State {
    fn lane(&mut self, id: &LaneId, most: usize, now: Timestamp) -> &mut Lane {
        if self.lanes.len() >= REMEMBERED && !self.lanes.contains_key(id) {
            self.forget_idle(now);
        }
        let origins = &mut self.origins;
        self.lanes.entry(id.clone()).or_insert_with(|| {
            origins.entry(id.destination.clone()).or_default().lanes += 1;
            Lane::new(most, now)
        })
    }

    fn forget_idle(&mut self, now: Timestamp) {
        if self.forgotten_at.is_some_and(|at| now.since(at) < FORGET_EVERY && at <= now) {
            return;
        }
        self.forgotten_at = Some(now);
        let origins = &mut self.origins;
        self.lanes.retain(|id, lane| {
            let is_needed = !lane.is_quiet() || lane.waiting_in_table || lane.breaker.is_some();
            if !is_needed && let Some(origin) = origins.get_mut(&id.destination) {
                origin.lanes -= 1;
            }
            is_needed
        });
        origins.retain(|_, origin| origin.lanes > 0);
    }

    /// Notes where a postback goes.
    fn learn(&mut self, postback: PostbackId, lane: &LaneId, now: Timestamp) {
        if self.known.len() >= REMEMBERED && !self.known.contains_key(&postback) {
            self.known.clear();
        }
        let first = || Known { lane: lane.clone(), steady: true, run: 0, noted: Vec::new(), seen_at: now };
        let known = self.known.entry(postback).or_insert_with(first);
        known.seen_at = now;
        if known.lane == *lane {
            known.run = known.run.saturating_add(1);
            known.steady |= known.run >= STEADY;
        } else {
            (known.lane, known.steady, known.run) = (lane.clone(), false, 1);
        }
        if known.noted.len() < NOTED_OF_ONE && !known.noted.contains(&lane.destination) {
            known.noted.push(lane.destination.clone());
            self.seen.push((postback, lane.destination.clone()));
        }
    }

    fn has_change_of(&self, lane: &LaneId) -> bool {
        self.changes.iter().any(|change| change.breaker().lane == *lane)
    }

    /// A delivery that was claimed for a probe was not sent.
    fn probe_unsent(&mut self, delivery: DeliveryId, waits_again: bool) {
        let lane = self.probes.remove(&delivery).and_then(|id| self.lanes.get_mut(&id));
        if let Some(probe) = lane.and_then(|lane| lane.probe.as_mut()) {
            probe.unsent(delivery, waits_again);
        }
    }
}

/// Judges deliveries that are about to be prepared together.
pub struct Admissions<'a> {
    destinations: &'a Destinations,
    now: Timestamp,
    by_lane: HashMap<LaneId, usize>,
    unknown: HashMap<PostbackId, usize>,
}

impl Admissions<'_> {
    /// Of a delivery that waits in memory: `None` leaves it there.
    pub fn admit(&mut self, postback: PostbackId) -> Option<Admission> {
        let taken = self.unknown.entry(postback).or_default();
        match self.destinations.admission(postback, &mut self.by_lane, self.now) {
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
        let admission = self.destinations.admission(postback, &mut self.by_lane, self.now);
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
        Admissions { destinations: self, now, by_lane: HashMap::new(), unknown: HashMap::new() }
    }

    /// `None`: nobody knows where it goes.
    fn admission(&self, postback: PostbackId, taken: &mut HashMap<LaneId, usize>, now: Timestamp) -> Option<Admission> {
        let mut state = self.state();
        let known = state.known.get(&postback).filter(|known| known.steady)?;
        let (id, seen_at) = (known.lane.clone(), known.seen_at);
        let queued = state.queued;
        let lane = state.lane(&id, self.0.places.per_destination, now);
        if lane.state() != BreakerState::Closed {
            let is_sure = now.since(seen_at) < LOOK_AGAIN;
            return is_sure.then(|| Admission::Paused(lane.waiting(&id)));
        }
        let taken = taken.entry(id.clone()).or_default();
        let room = lane.room(now).min(lane.share_of_queue(now).saturating_sub(queued));
        if *taken < room {
            *taken += 1;
            return Some(Admission::Take);
        }
        lane.waiting_in_work_queue = true;
        Some(Admission::Busy(lane.waiting(&id)))
    }

    /// Queues what is ready, by lane. What finds no room comes back.
    pub fn enqueue(&self, ready: Vec<Prepared>, now: Timestamp) -> Vec<(Prepared, Waiting)> {
        let mut state = self.state();
        let mut refused = Vec::new();
        for prepared in ready {
            let (id, delivery, postback) = (prepared.lane(), prepared.delivery.id, prepared.delivery.postback_id);
            state.learn(postback, &id, now);
            // A delivery that leads to another lane is no probe of this one.
            if state.probes.get(&delivery).is_some_and(|of| *of != id) {
                state.probe_unsent(delivery, false);
            }
            let queued = state.queued;
            let lane = state.lane(&id, self.0.places.per_destination, now);
            if !lane.takes(delivery, queued, now) {
                refused.push((prepared, lane.waiting(&id)));
                continue;
            }
            let is_first = lane.queue.is_empty();
            lane.queue.push(postback, prepared);
            state.queued += 1;
            if is_first {
                state.turns.push_back(id);
            }
        }
        refused
    }

    /// These were claimed and not sent; whether they wait again.
    pub fn unsent(&self, deliveries: impl IntoIterator<Item = (DeliveryId, bool)>) {
        let mut state = self.state();
        for (delivery, waits_again) in deliveries {
            state.probe_unsent(delivery, waits_again);
        }
    }

    /// Takes what is queued in lanes that were paused meanwhile.
    pub fn take_paused(&self) -> Vec<(Prepared, Waiting)> {
        let mut state = self.state();
        let mut paused = Vec::new();
        for (id, lane) in &mut state.lanes {
            if lane.state() != BreakerState::Closed && lane.probe.is_none() && !lane.queue.is_empty() {
                let waiting = lane.waiting(id);
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

    /// The next that has a place: each lane in turn.
    pub fn start_one(&self, now: Timestamp) -> Option<Placed> {
        let mut guard = self.state();
        let state = &mut *guard;
        for _ in 0..state.turns.len() {
            let id = state.turns.pop_front()?;
            let Some(lane) = state.lanes.get_mut(&id).filter(|lane| !lane.queue.is_empty()) else { continue };
            if lane.in_flight == 0 && now.since(lane.used_at) > REST {
                lane.window.rested();
            }
            let (origin, liveness) =
                (state.origins.entry(id.destination.clone()).or_default(), lane.answers.liveness(now));
            let used = InFlight {
                in_all: state.in_flight,
                of_owner: state.owners.get(&id.owner).copied().unwrap_or_default(),
                of_destination: origin.in_flight,
                is_shared: origin.lanes > 1,
                of_lane: lane.in_flight,
            };
            let next = if self.0.places.admit(liveness, lane.limit(), used) { lane.queue.pop() } else { None };
            if !lane.queue.is_empty() {
                state.turns.push_back(id.clone());
            }
            let Some(prepared) = next else { continue };
            (lane.in_flight, lane.used_at) = (lane.in_flight + 1, now);
            origin.in_flight += 1;
            state.queued -= 1;
            state.in_flight.add(liveness);
            state.owners.entry(id.owner).or_default().add(liveness);
            let place =
                Place { destinations: self.clone(), lane: id, delivery: prepared.delivery.id, liveness, since: now };
            return Some(Placed { prepared, place });
        }
        None
    }

    fn leave(&self, place: &Place) {
        let mut guard = self.state();
        let state = &mut *guard;
        state.in_flight.remove(place.liveness);
        if let Some(of_owner) = state.owners.get_mut(&place.lane.owner) {
            of_owner.remove(place.liveness);
            if of_owner.all == 0 {
                state.owners.remove(&place.lane.owner);
            }
        }
        if let Some(origin) = state.origins.get_mut(&place.lane.destination) {
            origin.in_flight -= 1;
        }
        let Some(lane) = state.lanes.get_mut(&place.lane) else { return };
        lane.in_flight -= 1;
        let wants_more = (lane.waiting_in_table || lane.waiting_in_work_queue) && lane.room(place.since) > 0;
        if wants_more || lane.probe.is_some() {
            lane.waiting_in_work_queue = false;
            self.0.wake.notify_one();
        }
        // If it was a probe, the probe has ended.
        state.probe_unsent(place.delivery, true);
    }

    /// What a request told about its destination.
    pub fn record(&self, id: &LaneId, outcome: Outcome, took: Duration, now: Timestamp) {
        let mut guard = self.state();
        let state = &mut *guard;
        let Some(lane) = state.lanes.get_mut(id) else { return };
        let before = (lane.limit(), lane.answers.liveness(now));
        match outcome {
            Outcome::Alive => lane.window.answered(),
            Outcome::Failed(_) => lane.window.failed(),
            Outcome::Unrelated => return,
        }
        lane.answers.record(outcome == Outcome::Alive, took, now);
        if before != (lane.limit(), lane.answers.liveness(now)) && !lane.queue.is_empty() {
            self.0.wake.notify_one();
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
                if lane.probe.is_none() {
                    return;
                }
                let until = breaker.probe_until;
                breaker.probe_failed(failure, now, rand::random());
                Change::Probed(breaker.clone(), until)
            }
            (before, outcome) => {
                let Some(trip) = lane.health.record(&outcome, now) else { return };
                let breaker = Breaker::opened(id, before.as_ref(), trip, now, rand::random());
                lane.health = Health::default();
                *before = Some(breaker.clone());
                Change::Opened(breaker)
            }
        };
        lane.probe = None;
        state.changes.push_back(change);
        self.0.wake.notify_one();
    }

    // Waiting deliveries.

    /// Deliveries wait in the table for these lanes.
    pub fn waits_in_table<'a>(&self, lanes: impl IntoIterator<Item = &'a LaneId>, now: Timestamp) {
        let mut state = self.state();
        for id in lanes {
            state.lane(id, self.0.places.per_destination, now).waiting_in_table = true;
        }
    }

    /// In which lanes how many waiting deliveries may be taken: as many lanes as one round looks at, and whether there are more.
    pub fn drainable(&self, now: Timestamp) -> (Vec<Drainable>, bool) {
        let mut guard = self.state();
        let state = &mut *guard;
        let (most, queued) = (self.0.drain_rate, state.queued);
        let lanes = state.lanes.iter_mut().filter_map(|(id, lane)| {
            let limit = lane.drainable(most, queued, now);
            let except = lane.probe.as_ref().and_then(|it| it.waits_again);
            (limit > 0).then(|| Drainable { lane: id.clone(), limit, except })
        });
        let mut found: Vec<_> = lanes.collect();
        let are_more = found.len() > DRAINED_AT_ONCE;
        if !found.is_empty() {
            let first = state.round % found.len();
            found.rotate_left(first);
        }
        state.round = state.round.wrapping_add(DRAINED_AT_ONCE);
        found.truncate(DRAINED_AT_ONCE);
        (found, are_more)
    }

    /// These were found.
    pub fn drained(&self, asked: &Drainable, found: &[DeliveryId], now: Timestamp) {
        let mut guard = self.state();
        let state = &mut *guard;
        let Some(lane) = state.lanes.get_mut(&asked.lane) else { return };
        lane.drain.spend(found.len());
        // What was left out still waits.
        lane.waiting_in_table &= found.len() == asked.limit || asked.except.is_some();
        let (Some(probe), Some(breaker)) = (&mut lane.probe, &mut lane.breaker) else { return };
        if let [first, ..] = found {
            probe.claimed = Some(*first);
            state.probes.insert(*first, asked.lane.clone());
        } else {
            let until = breaker.probe_until;
            match asked.except {
                Some(_) => breaker.probe_given_up(now, rand::random()),
                None => breaker.probe_left_out(now),
            }
            lane.probe = None;
            state.changes.push_back(Change::Probed(breaker.clone(), until));
        }
    }

    /// Up to `limit` lanes that may be probed now, and in which something waits. Ends the probes of this node that come to
    /// nothing.
    pub fn to_be_probed(&self, limit: usize, now: Timestamp) -> Vec<LaneId> {
        let mut guard = self.state();
        let state = &mut *guard;
        let mut due = Vec::new();
        for (id, lane) in &mut state.lanes {
            let Some(breaker) = &mut lane.breaker else { continue };
            if let Some(useless) = lane.probe.take_if(|it| it.is_useless(now) && lane.in_flight == 0) {
                useless.claimed.map(|delivery| state.probes.remove(&delivery));
                let until = breaker.probe_until;
                breaker.probe_given_up(now, rand::random());
                state.changes.push_back(Change::Probed(breaker.clone(), until));
            }
            if breaker.may_be_probed(now) && lane.waiting_in_table && lane.probe.is_none() && due.len() < limit {
                due.push(id.clone());
            }
        }
        due
    }

    /// This node makes the probes.
    pub fn probe(&self, lanes: &[LaneId], now: Timestamp, until: Timestamp) {
        let mut state = self.state();
        for id in lanes {
            if let Some(lane) = state.lanes.get_mut(id)
                && let Some(breaker) = &mut lane.breaker
            {
                breaker.half_opened(now, until);
                lane.probe = Some(Probe::new(until));
            }
        }
    }

    /// A postback was changed: it may lead elsewhere.
    pub fn forget(&self, postback: PostbackId) {
        self.state().known.remove(&postback);
        self.0.wake.notify_one();
    }

    /// How long until something here is to be done without being woken. Never no time at all: a probe that is due belongs
    /// to this node, which is woken when it ends, or to another.
    pub fn idle_for(&self, now: Timestamp) -> Duration {
        const LEAST: Duration = Duration::from_millis(50);
        let mut state = self.state();
        if !state.changes.is_empty() {
            return LEAST;
        }
        let most = self.0.drain_rate;
        let waits = state.lanes.values_mut().filter(|lane| lane.waiting_in_table && lane.probe.is_none()).map(|lane| {
            let Some(breaker) = &lane.breaker else { return Duration::MAX };
            match breaker.next_probe() {
                Some(at) => at.since(now),
                None if lane.room(now) > 0 && lane.drain.available(breaker.since, most, now) == 0 => LEAST,
                None => Duration::MAX,
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
        let id = &change.breaker().lane;
        if let Some(breaker) = instead
            && !state.has_change_of(id)
            && let Some(lane) = state.lanes.get_mut(id).filter(|lane| lane.probe.is_none())
        {
            lane.breaker = Some(breaker);
        }
    }

    /// Where postbacks were seen to go for the first time.
    pub fn take_seen(&self) -> Vec<(PostbackId, Arc<str>)> {
        std::mem::take(&mut self.state().seen)
    }

    pub fn put_back_seen(&self, seen: Vec<(PostbackId, Arc<str>)>) {
        self.state().seen.extend(seen);
    }

    /// Whether it is time to see what other nodes stored; asks once in `every`.
    pub fn should_refresh(&self, now: Timestamp, every: Duration) -> bool {
        let mut state = self.state();
        let due = state.refresh_at.is_none_or(|at| at <= now);
        if due {
            state.refresh_at = Some(now.plus(every));
            state.refreshing = true;
        }
        due
    }

    /// Something was stored that this node should know.
    pub fn refresh_soon(&self) {
        self.state().refresh_at = None;
        self.0.wake.notify_one();
    }

    /// Takes over what is stored: the breakers, and in which lanes deliveries wait.
    pub fn take_over(&self, breakers: Vec<Breaker>, waiting: &[LaneId], now: Timestamp) {
        let most = self.0.places.per_destination;
        {
            let mut guard = self.state();
            let state = &mut *guard;
            let mut stored: HashMap<_, _> = breakers.into_iter().map(|it| (it.lane.clone(), it)).collect();
            for id in stored.keys() {
                state.lane(id, most, now);
            }
            let unsaved: HashSet<_> = state.changes.iter().map(|it| &it.breaker().lane).collect();
            for (id, lane) in &mut state.lanes {
                // What is not stored yet, or under way here, is newer than what is stored.
                if lane.probe.is_some() || unsaved.contains(id) {
                    continue;
                }
                let before = lane.state();
                lane.breaker = stored.remove(id);
                if before != BreakerState::Closed && lane.state() == BreakerState::Closed {
                    lane.drain = Drain::new(now);
                    lane.window = Window::new(most);
                    lane.health = Health::default();
                }
            }
        }
        self.waits_in_table(waiting, now);
        self.state().refreshing = false;
    }

    /// Whether nothing can be done before time passes, given the lanes in which deliveries wait in the table.
    pub fn is_idle(&self, waiting: &[LaneId], now: Timestamp) -> bool {
        let mut guard = self.state();
        let state = &mut *guard;
        let is_read = !state.refreshing && state.refresh_at.is_some_and(|at| at > now);
        let stored = is_read && state.changes.is_empty() && state.seen.is_empty();
        let most = self.0.drain_rate;
        let mut can_leave = |id: &LaneId| {
            let Some(lane) = state.lanes.get_mut(id) else { return true };
            match &lane.breaker {
                None => true,
                Some(_) if lane.probe.is_some() => true,
                Some(breaker) if breaker.is_closed() => lane.drain.available(breaker.since, most, now) > 0,
                Some(breaker) => breaker.may_be_probed(now),
            }
        };
        stored && state.in_flight.all == 0 && state.queued == 0 && !waiting.iter().any(&mut can_leave)
    }
}

/// A lane whose waiting deliveries are to be taken: up to `limit` of them, and not `but`.
#[derive(Debug)]
pub struct Drainable {
    pub lane: LaneId,
    pub limit: usize,
    pub except: Option<DeliveryId>,
}
