//! The queues of prepared deliveries.

use domain::delivery::lane::breaker::BreakerState;
use domain::ids::DeliveryId;
use domain::timestamp::Timestamp;
use storage::delivery::waiting_deliveries::Waiting;

use crate::delivery::prepared::Prepared;

use super::Lanes;

impl Lanes {
    /// Queues prepared deliveries by lane. Returns those without room.
    pub(crate) fn enqueue(&self, ready: Vec<Prepared>, now: Timestamp) -> Vec<(Prepared, Waiting)> {
        let mut state = self.state();
        let mut refused = Vec::new();
        for prepared in ready {
            let (id, delivery, postback) = (prepared.lane(), prepared.delivery.id, prepared.delivery.postback_id);
            state.record_lane(postback, &id, now);
            // A delivery that turns out to lead to another lane is not a probe of the lane it was claimed for.
            if state.probes.get(&delivery).is_some_and(|of| *of != id) {
                state.probe_unsent(delivery, false);
            }
            let queued = state.queued;
            let lane = state.lane(&id, self.0.places.per_destination, now);
            if !lane.has_room_for(delivery, queued, now) {
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

    /// Removes the queued deliveries of lanes that were paused meanwhile, and returns them.
    pub(crate) fn take_paused(&self) -> Vec<(Prepared, Waiting)> {
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

    /// Records claimed deliveries that were not sent, each with whether it waits again.
    pub(crate) fn record_unsent(&self, deliveries: impl IntoIterator<Item = (DeliveryId, bool)>) {
        let mut state = self.state();
        for (delivery, waits_again) in deliveries {
            state.probe_unsent(delivery, waits_again);
        }
    }
}
