//! The state of all lanes, behind one lock.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use domain::delivery::lane::places::Tally;
use domain::delivery::lane::{LaneId, Owner};
use domain::ids::{DeliveryId, PostbackId};
use domain::timestamp::Timestamp;

use super::breakers::BreakerChange;
use super::lane::Lane;
use super::postback_lane::PostbackLane;

/// The number of lanes, and of postbacks, from which idle ones are removed from memory.
const REMOVE_FROM: usize = 10_000;
/// Minimum time between two searches for idle lanes.
const REMOVE_EVERY: Duration = Duration::from_secs(1);

/// The lanes, and what they share.
#[derive(Default)]
pub(super) struct State {
    pub lanes: HashMap<LaneId, Lane>,
    /// What the lanes of each destination use together.
    pub destinations: HashMap<Arc<str>, DestinationUse>,
    /// When idle lanes were removed last.
    removed_at: Option<Timestamp>,
    /// Lanes with queued deliveries, in the order of their turns.
    pub turns: VecDeque<LaneId>,
    /// Queued deliveries of all lanes.
    pub queued: usize,
    /// Requests in flight by owner.
    pub owners: HashMap<Owner, Tally>,
    /// Requests in flight of all lanes.
    pub in_flight: Tally,
    /// Deliveries that were claimed as probes and are neither sent nor returned.
    pub probes: HashMap<DeliveryId, LaneId>,
    /// The lane of each postback, as far as it is known.
    pub postback_lanes: HashMap<PostbackId, PostbackLane>,
    /// Changes of breakers to be stored, the oldest first.
    pub changes: VecDeque<BreakerChange>,
    /// Destinations of postbacks to be stored.
    pub new_destinations: Vec<(PostbackId, Arc<str>)>,
    /// When the stored breakers are loaded next. `None`: as soon as possible.
    pub refresh_at: Option<Timestamp>,
    /// Whether the stored breakers are being loaded.
    pub refreshing: bool,
    /// Where the next round over waiting deliveries begins.
    pub round: usize,
}

/// What the lanes of a destination use together.
#[derive(Default)]
pub(super) struct DestinationUse {
    pub lanes: usize,
    /// Requests in flight.
    pub in_flight: usize,
}

impl State {
    /// A lane, which is created if it does not exist. `max_in_flight`: the maximum number of requests in flight.
    pub fn lane(&mut self, id: &LaneId, max_in_flight: usize, now: Timestamp) -> &mut Lane {
        if self.lanes.len() >= REMOVE_FROM && !self.lanes.contains_key(id) {
            self.remove_idle(now);
        }
        let destinations = &mut self.destinations;
        self.lanes.entry(id.clone()).or_insert_with(|| {
            destinations.entry(id.destination.clone()).or_default().lanes += 1;
            Lane::new(max_in_flight, now)
        })
    }

    fn remove_idle(&mut self, now: Timestamp) {
        if self.removed_at.is_some_and(|at| now.since(at) < REMOVE_EVERY && at <= now) {
            return;
        }
        self.removed_at = Some(now);
        let destinations = &mut self.destinations;
        self.lanes.retain(|id, lane| {
            let is_needed = !lane.is_idle() || lane.waiting_in_table || lane.breaker.is_some();
            if !is_needed && let Some(destination) = destinations.get_mut(&id.destination) {
                destination.lanes -= 1;
            }
            is_needed
        });
        destinations.retain(|_, destination| destination.lanes > 0);
    }

    /// Records that a request of a postback was rendered for a lane.
    pub(crate) fn record_lane(&mut self, postback: PostbackId, lane: &LaneId, now: Timestamp) {
        if self.postback_lanes.len() >= REMOVE_FROM && !self.postback_lanes.contains_key(&postback) {
            self.postback_lanes.clear();
        }
        let known = self.postback_lanes.entry(postback).or_insert_with(|| PostbackLane::new(lane, now));
        if let Some(destination) = known.record(lane, now) {
            self.new_destinations.push((postback, destination));
        }
    }

    /// Whether a change of this lane's breaker is not stored yet.
    pub(crate) fn has_change_of(&self, lane: &LaneId) -> bool {
        self.changes.iter().any(|change| change.breaker().lane == *lane)
    }

    /// A claimed delivery was not sent. If it was claimed as a probe, the lane can claim another one.
    pub(crate) fn probe_unsent(&mut self, delivery: DeliveryId, waits_again: bool) {
        let lane = self.probes.remove(&delivery).and_then(|id| self.lanes.get_mut(&id));
        if let Some(probe) = lane.and_then(|lane| lane.probe.as_mut()) {
            probe.unsent(delivery, waits_again);
        }
    }
}
