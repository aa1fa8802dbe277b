//! Breakers and probes: the results of requests open and close breakers, and the changes are exchanged with other
//! processes through the database.

use std::collections::{HashMap, HashSet};
use std::time::Duration;

use domain::delivery::lane::LaneId;
use domain::delivery::lane::breaker::{Breaker, BreakerState, Drain, Health, Outcome};
use domain::delivery::lane::places::Window;
use domain::timestamp::Timestamp;

use super::Lanes;
use super::lane::Probe;

/// A change of a breaker in this process, to be stored for all processes.
#[derive(Clone, Debug)]
pub enum BreakerChange {
    Opened(Breaker),
    /// A probe of this process failed or was not sent. The time is the end of the process's right to the probe.
    Probed(Breaker, Option<Timestamp>),
    Closed(Breaker),
}

impl BreakerChange {
    /// The breaker after the change.
    pub fn breaker(&self) -> &Breaker {
        let (Self::Opened(it) | Self::Probed(it, _) | Self::Closed(it)) = self;
        it
    }
}

impl Lanes {
    /// Records the result of a request: adjusts the lane's places, and opens or closes its breaker.
    pub fn record_outcome(&self, id: &LaneId, outcome: Outcome, took: Duration, now: Timestamp) {
        let mut guard = self.state();
        let state = &mut *guard;
        let Some(lane) = state.lanes.get_mut(id) else { return };
        let before = (lane.max_in_flight(), lane.answers.liveness(now));
        match outcome {
            Outcome::Alive => lane.window.answered(),
            Outcome::Failed(_) => lane.window.failed(),
            Outcome::Unrelated => return,
        }
        lane.answers.record(outcome == Outcome::Alive, took, now);
        if before != (lane.max_in_flight(), lane.answers.liveness(now)) && !lane.queue.is_empty() {
            self.0.wake.notify_one();
        }
        let change = match (&mut lane.breaker, outcome) {
            (Some(breaker), Outcome::Alive) if !breaker.is_closed() => {
                breaker.closed(now);
                lane.drain = Drain::new(now);
                lane.waiting_in_table = true;
                lane.window = Window::new(self.0.places.per_destination);
                BreakerChange::Closed(breaker.clone())
            }
            (Some(breaker), Outcome::Failed(failure)) if !breaker.is_closed() => {
                // Without a probe, the request was sent before the breaker opened.
                if lane.probe.is_none() {
                    return;
                }
                let until = breaker.probe_until;
                breaker.probe_failed(failure, now, rand::random());
                BreakerChange::Probed(breaker.clone(), until)
            }
            (before, outcome) => {
                let Some(trip) = lane.health.record(&outcome, now) else { return };
                let breaker = Breaker::opened(id, before.as_ref(), trip, now, rand::random());
                lane.health = Health::default();
                *before = Some(breaker.clone());
                BreakerChange::Opened(breaker)
            }
        };
        lane.probe = None;
        state.changes.push_back(change);
        self.0.wake.notify_one();
    }

    /// Lists up to `limit` lanes with waiting deliveries that may be probed now. Ends the probes of this process that
    /// can no longer succeed.
    pub(crate) fn due_probes(&self, limit: usize, now: Timestamp) -> Vec<LaneId> {
        let mut guard = self.state();
        let state = &mut *guard;
        let mut due = Vec::new();
        for (id, lane) in &mut state.lanes {
            let Some(breaker) = &mut lane.breaker else { continue };
            if let Some(failed) = lane.probe.take_if(|it| it.has_failed(now) && lane.in_flight == 0) {
                failed.claimed.map(|delivery| state.probes.remove(&delivery));
                let until = breaker.probe_until;
                breaker.probe_given_up(now, rand::random());
                state.changes.push_back(BreakerChange::Probed(breaker.clone(), until));
            }
            if breaker.may_be_probed(now) && lane.waiting_in_table && lane.probe.is_none() && due.len() < limit {
                due.push(id.clone());
            }
        }
        due
    }

    /// Half opens the breakers of lanes for which this process got the right to a probe, until `until`.
    pub(crate) fn start_probes(&self, lanes: &[LaneId], now: Timestamp, until: Timestamp) {
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

    /// The oldest change that is not stored yet.
    pub fn next_change(&self) -> Option<BreakerChange> {
        self.state().changes.front().cloned()
    }

    /// Removes the oldest change, because it is stored. `stored` is the breaker in the table now, which may be the
    /// work of another process.
    pub(crate) fn change_stored(&self, stored: Option<Breaker>) {
        let mut state = self.state();
        let Some(change) = state.changes.pop_front() else { return };
        let id = &change.breaker().lane;
        if let Some(breaker) = stored
            && !state.has_change_of(id)
            && let Some(lane) = state.lanes.get_mut(id).filter(|lane| lane.probe.is_none())
        {
            lane.breaker = Some(breaker);
        }
    }

    /// Whether the stored breakers must be loaded now: once per `every`, and after [`Self::refresh_soon`]. If so,
    /// [`Self::load`] must follow.
    pub(crate) fn should_refresh(&self, now: Timestamp, every: Duration) -> bool {
        let mut state = self.state();
        let due = state.refresh_at.is_none_or(|at| at <= now);
        if due {
            state.refresh_at = Some(now.plus(every));
            state.refreshing = true;
        }
        due
    }

    /// Wakes the worker to load the stored breakers, because they changed.
    pub(crate) fn refresh_soon(&self) {
        self.state().refresh_at = None;
        self.0.wake.notify_one();
    }

    /// Loads the stored breakers, and the lanes with waiting deliveries in the table.
    pub fn load(&self, breakers: Vec<Breaker>, waiting: &[LaneId], now: Timestamp) {
        let max_in_flight = self.0.places.per_destination;
        {
            let mut guard = self.state();
            let state = &mut *guard;
            let mut stored: HashMap<_, _> = breakers.into_iter().map(|it| (it.lane.clone(), it)).collect();
            for id in stored.keys() {
                state.lane(id, max_in_flight, now);
            }
            let unsaved: HashSet<_> = state.changes.iter().map(|it| &it.breaker().lane).collect();
            for (id, lane) in &mut state.lanes {
                // Changes that are not stored yet, and probes of this process, are newer than the stored breaker.
                if lane.probe.is_some() || unsaved.contains(id) {
                    continue;
                }
                let before = lane.state();
                lane.breaker = stored.remove(id);
                if before != BreakerState::Closed && lane.state() == BreakerState::Closed {
                    lane.drain = Drain::new(now);
                    lane.window = Window::new(max_in_flight);
                    lane.health = Health::default();
                }
            }
        }
        self.set_waiting_in_table(waiting, now);
        self.state().refreshing = false;
    }
}
