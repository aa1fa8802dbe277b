//! The requests in flight: which queued delivery gets the next place. Lanes take turns.

use std::time::Duration;

use domain::delivery::lane::LaneId;
use domain::delivery::lane::places::{InFlight, Liveness};
use domain::ids::DeliveryId;
use domain::timestamp::Timestamp;

use crate::delivery::prepared::Prepared;

use super::Lanes;

/// After this time without requests a lane begins again with few places.
const RESTART_AFTER: Duration = Duration::from_secs(10);

/// A delivery that has a place, and the place.
pub struct Placed {
    pub prepared: Prepared,
    pub place: Place,
}

/// A place. It is held until the result of the request is stored, so a crash repeats at most as many requests as there
/// are places.
pub struct Place {
    lanes: Lanes,
    lane: LaneId,
    delivery: DeliveryId,
    /// The liveness of the lane when the place was granted.
    liveness: Liveness,
    since: Timestamp,
}

impl Drop for Place {
    fn drop(&mut self) {
        self.lanes.free(self);
    }
}

impl Place {
    /// The lane of the request.
    pub fn lane(&self) -> &LaneId {
        &self.lane
    }
}

impl Lanes {
    /// Takes all queued deliveries that get a place now.
    pub fn all_with_places(&self, now: Timestamp) -> Vec<Placed> {
        std::iter::from_fn(|| self.next_with_place(now)).collect()
    }

    /// Takes the next queued delivery that gets a place. Lanes take turns.
    pub(crate) fn next_with_place(&self, now: Timestamp) -> Option<Placed> {
        let mut guard = self.state();
        let state = &mut *guard;
        for _ in 0..state.turns.len() {
            let id = state.turns.pop_front()?;
            let Some(lane) = state.lanes.get_mut(&id).filter(|lane| !lane.queue.is_empty()) else { continue };
            if lane.in_flight == 0 && now.since(lane.used_at) > RESTART_AFTER {
                lane.window.rested();
            }
            let (destination, liveness) =
                (state.destinations.entry(id.destination.clone()).or_default(), lane.answers.liveness(now));
            let used = InFlight {
                in_all: state.in_flight,
                of_owner: state.owners.get(&id.owner).copied().unwrap_or_default(),
                of_destination: destination.in_flight,
                is_shared: destination.lanes > 1,
                of_lane: lane.in_flight,
            };
            let next = if self.0.places.admit(liveness, lane.max_in_flight(), used) { lane.queue.pop() } else { None };
            if !lane.queue.is_empty() {
                state.turns.push_back(id.clone());
            }
            let Some(prepared) = next else { continue };
            (lane.in_flight, lane.used_at) = (lane.in_flight + 1, now);
            destination.in_flight += 1;
            state.queued -= 1;
            state.in_flight.add(liveness);
            state.owners.entry(id.owner).or_default().add(liveness);
            let place = Place { lanes: self.clone(), lane: id, delivery: prepared.delivery.id, liveness, since: now };
            return Some(Placed { prepared, place });
        }
        None
    }

    fn free(&self, place: &Place) {
        let mut guard = self.state();
        let state = &mut *guard;
        state.in_flight.remove(place.liveness);
        if let Some(of_owner) = state.owners.get_mut(&place.lane.owner) {
            of_owner.remove(place.liveness);
            if of_owner.all == 0 {
                state.owners.remove(&place.lane.owner);
            }
        }
        if let Some(destination) = state.destinations.get_mut(&place.lane.destination) {
            destination.in_flight -= 1;
        }
        let Some(lane) = state.lanes.get_mut(&place.lane) else { return };
        lane.in_flight -= 1;
        let needs_more = (lane.waiting_in_table || lane.waiting_in_work_queue) && lane.room(place.since) > 0;
        if needs_more || lane.probe.is_some() {
            lane.waiting_in_work_queue = false;
            self.0.wake.notify_one();
        }
        // Has an effect only if the delivery was a probe and no result was recorded.
        state.probe_unsent(place.delivery, true);
    }
}
