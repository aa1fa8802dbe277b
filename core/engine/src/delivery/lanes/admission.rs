//! Admission: which due deliveries are prepared now. The lane of a delivery is assumed to be that of its postback's
//! last request.

use std::collections::HashMap;
use std::sync::Arc;

use domain::delivery::lane::LaneId;
use domain::delivery::lane::breaker::BreakerState;
use domain::ids::PostbackId;
use domain::timestamp::Timestamp;
use storage::delivery::waiting_deliveries::Waiting;

use super::Lanes;

/// Maximum number of deliveries of a postback that are prepared together while its lane is unknown.
const UNKNOWN_AT_ONCE: usize = 16;

/// The next step of a due delivery.
#[derive(Debug)]
pub enum Admission {
    /// It is prepared.
    Take,
    /// It waits: its lane works and has no room.
    Busy(Waiting),
    /// It waits: its lane is paused.
    Paused(Waiting),
}

/// Admits deliveries that are prepared together.
pub struct Admissions<'a> {
    lanes: &'a Lanes,
    now: Timestamp,
    /// Deliveries that were admitted, by lane.
    by_lane: HashMap<LaneId, usize>,
    /// Deliveries that were admitted, by postback without a known lane.
    unknown: HashMap<PostbackId, usize>,
}

impl Admissions<'_> {
    /// Admits a delivery of the work queue. `None`: it stays there.
    pub fn admit(&mut self, postback: PostbackId) -> Option<Admission> {
        let taken = self.unknown.entry(postback).or_default();
        match self.lanes.admission(postback, &mut self.by_lane, self.now) {
            Some(Admission::Busy(_)) => None,
            Some(admission) => Some(admission),
            None if *taken >= UNKNOWN_AT_ONCE => None,
            None => {
                *taken += 1;
                Some(Admission::Take)
            }
        }
    }

    /// Admits a delivery that was claimed from the table.
    pub(crate) fn admit_claimed(&mut self, postback: PostbackId) -> Admission {
        let admission = self.lanes.admission(postback, &mut self.by_lane, self.now);
        admission.unwrap_or(Admission::Take)
    }
}

impl Lanes {
    /// Begins the admission of a batch.
    pub(crate) fn admissions(&self, now: Timestamp) -> Admissions<'_> {
        Admissions { lanes: self, now, by_lane: HashMap::new(), unknown: HashMap::new() }
    }

    /// `None`: the postback's lane is unknown.
    fn admission(&self, postback: PostbackId, taken: &mut HashMap<LaneId, usize>, now: Timestamp) -> Option<Admission> {
        let mut state = self.state();
        let known = state.postback_lanes.get(&postback).filter(|known| known.is_steady)?;
        let (id, is_recent) = (known.lane.clone(), known.is_recent(now));
        let queued = state.queued;
        let lane = state.lane(&id, self.0.places.per_destination, now);
        if lane.state() != BreakerState::Closed {
            return is_recent.then(|| Admission::Paused(lane.waiting(&id)));
        }
        let taken = taken.entry(id.clone()).or_default();
        let room = lane.room(now).min(lane.max_queued_in_all(now).saturating_sub(queued));
        if *taken < room {
            *taken += 1;
            return Some(Admission::Take);
        }
        lane.waiting_in_work_queue = true;
        Some(Admission::Busy(lane.waiting(&id)))
    }

    /// Forgets the lane of a postback, because its configuration changed.
    pub(crate) fn forget_postback(&self, postback: PostbackId) {
        self.state().postback_lanes.remove(&postback);
        self.0.wake.notify_one();
    }

    /// Takes the destinations of postbacks that are not stored yet.
    pub(crate) fn take_new_destinations(&self) -> Vec<(PostbackId, Arc<str>)> {
        std::mem::take(&mut self.state().new_destinations)
    }

    /// Returns destinations that could not be stored.
    pub(crate) fn return_new_destinations(&self, destinations: Vec<(PostbackId, Arc<str>)>) {
        self.state().new_destinations.extend(destinations);
    }
}
