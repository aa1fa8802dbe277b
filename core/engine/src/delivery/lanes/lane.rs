//! One lane of this process: its queue, its requests in flight, its breaker and its probe.

use crate::delivery::prepared::Prepared;
use crate::round_robin::RoundRobin;
use domain::delivery::lane::LaneId;
use domain::delivery::lane::breaker::{self, Breaker, BreakerState, Drain, Health};
use domain::delivery::lane::places::{Answers, Liveness, Window};
use domain::ids::{DeliveryId, PostbackId};
use domain::timestamp::Timestamp;
use storage::delivery::waiting_deliveries::Waiting;

/// Maximum number of queued deliveries of one lane.
const QUEUE_OF_ONE: usize = 128;
/// Maximum number of queued deliveries of a silent lane. Each would wait for a whole request timeout.
const QUEUE_OF_SILENT: usize = 2;
/// Maximum number of queued deliveries of all lanes together; idle lanes may exceed it.
const QUEUE_OF_ALL: usize = 1_024;
/// Number of deliveries that are tried for one probe and cannot be sent, before the probe is given up.
const PROBE_TRIES: u32 = 3;

/// A lane.
pub(super) struct Lane {
    /// Requests in flight.
    pub in_flight: usize,
    pub window: Window,
    pub answers: Answers,
    pub health: Health,
    pub queue: RoundRobin<PostbackId, Prepared>,
    pub breaker: Option<Breaker>,
    /// Set while this process has the right to the probe.
    pub probe: Option<Probe>,
    /// Whether deliveries may wait for this lane in the table.
    pub waiting_in_table: bool,
    /// Whether deliveries may wait for this lane in the work queue.
    pub waiting_in_work_queue: bool,
    /// Limits the deliveries that leave the table after the breaker closed.
    pub drain: Drain,
    /// When the last request was started.
    pub used_at: Timestamp,
}

/// The right to a probe, and the delivery that is sent as the probe.
pub(super) struct Probe {
    /// The end of the right.
    until: Timestamp,
    /// The delivery that is claimed for the probe and neither sent nor returned yet. Its adapter may still render it.
    pub claimed: Option<DeliveryId>,
    /// The delivery that was claimed last and waits again. The next try takes another one.
    pub waits_again: Option<DeliveryId>,
    tries: u32,
}

impl Probe {
    /// The right to a probe until `until`.
    pub fn new(until: Timestamp) -> Self {
        Self { until, claimed: None, waits_again: None, tries: 0 }
    }

    /// Records that a claimed delivery was not sent. If it waits again, this counts as a try.
    pub fn unsent(&mut self, delivery: DeliveryId, waits_again: bool) {
        if self.claimed == Some(delivery) {
            self.claimed = None;
            if waits_again {
                (self.waits_again, self.tries) = (Some(delivery), self.tries + 1);
            }
        }
    }

    /// Whether no delivery could be sent in several tries, or before the right ended.
    pub(crate) fn has_failed(&self, now: Timestamp) -> bool {
        self.tries >= PROBE_TRIES || self.until <= now
    }
}

impl Lane {
    /// `max_in_flight`: the maximum number of requests in flight.
    pub fn new(max_in_flight: usize, now: Timestamp) -> Self {
        Self {
            in_flight: 0,
            window: Window::new(max_in_flight),
            answers: Answers::default(),
            health: Health::default(),
            queue: RoundRobin::default(),
            breaker: None,
            probe: None,
            waiting_in_table: false,
            waiting_in_work_queue: false,
            drain: Drain::new(now),
            used_at: now,
        }
    }

    /// The state of the breaker.
    pub fn state(&self) -> BreakerState {
        self.breaker.as_ref().map_or(BreakerState::Closed, |it| it.state)
    }

    /// Maximum number of requests in flight.
    pub fn max_in_flight(&self) -> usize {
        match self.state() {
            BreakerState::Closed => self.window.size(),
            BreakerState::HalfOpen if self.probe.is_some() => 1,
            BreakerState::HalfOpen | BreakerState::Open => 0,
        }
    }

    fn queue_size(&self, now: Timestamp) -> usize {
        match self.answers.liveness(now) {
            Liveness::Silent => QUEUE_OF_SILENT,
            _ => (4 * self.window.size()).clamp(8, QUEUE_OF_ONE),
        }
    }

    /// How many more deliveries may be prepared. 0 while the queue is more than half full, so that deliveries are
    /// prepared in batches.
    pub fn room(&self, now: Timestamp) -> usize {
        let (size, queued) = (self.queue_size(now), self.queue.len());
        if queued > size / 2 { 0 } else { size - queued }
    }

    /// The number of queued deliveries of all lanes up to which this lane may queue more. The part above
    /// [`QUEUE_OF_ALL`] is reserved for idle lanes, and its end for idle lanes that answer. So memory is bounded, and
    /// many busy lanes do not block an idle one.
    pub(crate) fn max_queued_in_all(&self, now: Timestamp) -> usize {
        match (self.answers.liveness(now), self.is_idle()) {
            (Liveness::Quick | Liveness::Slow, false) => QUEUE_OF_ALL,
            (Liveness::New | Liveness::Silent, false) => QUEUE_OF_ALL / 2,
            (Liveness::Silent, true) => QUEUE_OF_ALL + QUEUE_OF_ALL / 2,
            (Liveness::New, true) => QUEUE_OF_ALL + QUEUE_OF_ALL / 4 * 3,
            (Liveness::Quick | Liveness::Slow, true) => 2 * QUEUE_OF_ALL,
        }
    }

    /// Whether a prepared delivery may be queued. `queued`: the queued deliveries of all lanes.
    pub fn has_room_for(&self, delivery: DeliveryId, queued: usize, now: Timestamp) -> bool {
        match self.state() {
            BreakerState::Closed => self.queue.len() < QUEUE_OF_ONE && queued < self.max_queued_in_all(now),
            BreakerState::HalfOpen => self.probe.as_ref().is_some_and(|it| it.claimed == Some(delivery)),
            BreakerState::Open => false,
        }
    }

    /// Whether nothing is queued or in flight.
    pub fn is_idle(&self) -> bool {
        self.in_flight == 0 && self.queue.is_empty()
    }

    /// Whether this process has the right to a probe and needs a delivery to send.
    fn needs_probe_delivery(&self) -> bool {
        self.is_idle() && self.probe.as_ref().is_some_and(|it| it.claimed.is_none() && it.tries < PROBE_TRIES)
    }

    /// How many waiting deliveries may be claimed from the table now. `max_rate`: the configured number per second
    /// after the breaker closed; `queued`: the queued deliveries of all lanes.
    pub(crate) fn drainable(&mut self, max_rate: u32, queued: usize, now: Timestamp) -> usize {
        let room = self.room(now).min(self.max_queued_in_all(now).saturating_sub(queued));
        match (&self.breaker, self.state()) {
            (_, BreakerState::HalfOpen) => usize::from(self.needs_probe_delivery()),
            (_, BreakerState::Open) => 0,
            _ if !self.waiting_in_table => 0,
            (Some(breaker), BreakerState::Closed) => room.min(self.drain.available(breaker.since, max_rate, now)),
            (None, BreakerState::Closed) => room,
        }
    }

    /// What a delivery waits for that gets no room in this lane.
    pub fn waiting(&self, id: &LaneId) -> Waiting {
        let reason = match &self.breaker {
            Some(breaker) if !breaker.is_closed() => breaker.waiting_reason(),
            _ => breaker::busy_reason(&id.destination),
        };
        Waiting { lane: id.clone(), reason }
    }
}
