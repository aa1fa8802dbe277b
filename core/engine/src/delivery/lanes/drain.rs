//! Deliveries that wait in the table: how many of them may be claimed for each lane now.

use domain::delivery::lane::LaneId;
use domain::ids::DeliveryId;
use domain::timestamp::Timestamp;

use super::Lanes;
use super::breakers::BreakerChange;

/// Maximum number of lanes in one round. Each lane needs one statement.
const LANES_PER_ROUND: usize = 16;

/// A lane whose waiting deliveries may be claimed.
#[derive(Debug)]
pub struct Drainable {
    pub lane: LaneId,
    /// Maximum number of deliveries to claim.
    pub limit: usize,
    /// A delivery that must not be claimed: the last try of the probe.
    pub except: Option<DeliveryId>,
}

impl Lanes {
    /// Records that deliveries wait in the table for these lanes.
    pub(crate) fn set_waiting_in_table<'a>(&self, lanes: impl IntoIterator<Item = &'a LaneId>, now: Timestamp) {
        let mut state = self.state();
        for id in lanes {
            state.lane(id, self.0.places.per_destination, now).waiting_in_table = true;
        }
    }

    /// The lanes of one round whose waiting deliveries may be claimed, and whether there are more lanes. Rounds take
    /// the lanes in turn.
    pub(crate) fn drainable(&self, now: Timestamp) -> (Vec<Drainable>, bool) {
        let mut guard = self.state();
        let state = &mut *guard;
        let (max_rate, queued) = (self.0.drain_rate, state.queued);
        let lanes = state.lanes.iter_mut().filter_map(|(id, lane)| {
            let limit = lane.drainable(max_rate, queued, now);
            let except = lane.probe.as_ref().and_then(|it| it.waits_again);
            (limit > 0).then(|| Drainable { lane: id.clone(), limit, except })
        });
        let mut found: Vec<_> = lanes.collect();
        let are_more = found.len() > LANES_PER_ROUND;
        if !found.is_empty() {
            let first = state.round % found.len();
            found.rotate_left(first);
        }
        state.round = state.round.wrapping_add(LANES_PER_ROUND);
        found.truncate(LANES_PER_ROUND);
        (found, are_more)
    }

    /// Records the deliveries that were claimed for a lane.
    pub(crate) fn record_drained(&self, asked: &Drainable, found: &[DeliveryId], now: Timestamp) {
        let mut guard = self.state();
        let state = &mut *guard;
        let Some(lane) = state.lanes.get_mut(&asked.lane) else { return };
        lane.drain.spend(found.len());
        // The excepted delivery still waits.
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
            state.changes.push_back(BreakerChange::Probed(breaker.clone(), until));
        }
    }
}
