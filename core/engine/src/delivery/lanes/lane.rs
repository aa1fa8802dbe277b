//! One lane as this node knows it: what is in flight and queued, how requests ended, and how its breaker and its probe
//! stand.

use crate::delivery::prepared::Prepared;
use crate::round_robin::RoundRobin;
use domain::delivery::breaker::{self, Breaker, BreakerState, Drain, Health};
use domain::delivery::lane::LaneId;
use domain::delivery::places::{Answers, Liveness, Window};
use domain::ids::{DeliveryId, PostbackId};
use domain::timestamp::Timestamp;
use storage::delivery::waiting_deliveries::Waiting;

/// Prepared deliveries that wait in memory for one lane.
const QUEUE_OF_ONE: usize = 128;
/// Those of one that is silent: each would wait a whole deadline for its turn.
const QUEUE_OF_SILENT: usize = 2;
/// Prepared deliveries that wait in memory for all lanes together, but for the lanes with nothing to do.
pub(crate) const QUEUE_OF_ALL: usize = 1_024;
/// Deliveries that are claimed for one probe and can't be sent now, before it is given up.
const PROBE_TRIES: u32 = 3;

pub(crate) struct Lane {
    pub in_flight: usize,
    pub window: Window,
    pub answers: Answers,
    pub health: Health,
    pub queue: RoundRobin<PostbackId, Prepared>,
    pub breaker: Option<Breaker>,
    /// This node makes the probe.
    pub probe: Option<Probe>,
    /// Deliveries may wait for it in the table, or in the inbox.
    pub waiting_in_table: bool,
    pub waiting_in_work_queue: bool,
    pub drain: Drain,
    pub used_at: Timestamp,
}

/// The right to a probe, and what is to be sent as one.
pub(crate) struct Probe {
    pub until: Timestamp,
    /// Claimed for it, and neither sent nor given back yet: it may still be with its adapter.
    pub claimed: Option<DeliveryId>,
    /// Was claimed for it last and waits again. Another one is to be tried.
    pub waits_again: Option<DeliveryId>,
    tries: u32,
}

impl Probe {
    pub fn new(until: Timestamp) -> Self {
        Self { until, claimed: None, waits_again: None, tries: 0 }
    }

    /// What was claimed was not sent. If it waits again, it counts as a try.
    pub fn unsent(&mut self, delivery: DeliveryId, waits_again: bool) {
        if self.claimed == Some(delivery) {
            self.claimed = None;
            if waits_again {
                (self.waits_again, self.tries) = (Some(delivery), self.tries + 1);
            }
        }
    }

    /// Nothing could be sent in several tries, or until the right to it ended.
    pub fn is_useless(&self, now: Timestamp) -> bool {
        self.tries >= PROBE_TRIES || self.until <= now
    }
}

impl Lane {
    pub fn new(most: usize, now: Timestamp) -> Self {
        Self {
            in_flight: 0,
            window: Window::new(most),
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

    pub fn state(&self) -> BreakerState {
        self.breaker.as_ref().map_or(BreakerState::Closed, |it| it.state)
    }

    /// How many may be in flight.
    pub fn limit(&self) -> usize {
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

    /// How many more may be prepared. None until half of the queue has left, so that they are prepared together.
    pub fn room(&self, now: Timestamp) -> usize {
        let (size, queued) = (self.queue_size(now), self.queue.len());
        if queued > size / 2 { 0 } else { size - queued }
    }

    /// Up to where it may fill the common queue. The part beyond that of all is for lanes with nothing to do, at its end for
    /// those that answer: memory is bounded, and nobody waits because others are many.
    pub fn share_of_queue(&self, now: Timestamp) -> usize {
        match (self.answers.liveness(now), self.is_quiet()) {
            (Liveness::Quick | Liveness::Slow, false) => QUEUE_OF_ALL,
            (Liveness::New | Liveness::Silent, false) => QUEUE_OF_ALL / 2,
            (Liveness::Silent, true) => QUEUE_OF_ALL + QUEUE_OF_ALL / 2,
            (Liveness::New, true) => QUEUE_OF_ALL + QUEUE_OF_ALL / 4 * 3,
            (Liveness::Quick | Liveness::Slow, true) => 2 * QUEUE_OF_ALL,
        }
    }

    /// Whether one more that is ready may be queued, with so many in the common queue.
    pub fn takes(&self, delivery: DeliveryId, queued: usize, now: Timestamp) -> bool {
        match self.state() {
            BreakerState::Closed => self.queue.len() < QUEUE_OF_ONE && queued < self.share_of_queue(now),
            BreakerState::HalfOpen => self.probe.as_ref().is_some_and(|it| it.claimed == Some(delivery)),
            BreakerState::Open => false,
        }
    }

    pub fn is_quiet(&self) -> bool {
        self.in_flight == 0 && self.queue.is_empty()
    }

    /// Whether this node has the right to a probe and nothing to send as one.
    pub fn wants_probe(&self) -> bool {
        self.is_quiet() && self.probe.as_ref().is_some_and(|it| it.claimed.is_none() && it.tries < PROBE_TRIES)
    }

    /// How many of those that wait in the table may leave it now, with so many in the common queue.
    pub fn drainable(&mut self, most: u32, queued: usize, now: Timestamp) -> usize {
        let room = self.room(now).min(self.share_of_queue(now).saturating_sub(queued));
        match (&self.breaker, self.state()) {
            (_, BreakerState::HalfOpen) => usize::from(self.wants_probe()),
            (_, BreakerState::Open) => 0,
            _ if !self.waiting_in_table => 0,
            (Some(breaker), BreakerState::Closed) => room.min(self.drain.available(breaker.since, most, now)),
            (None, BreakerState::Closed) => room,
        }
    }

    pub fn waiting(&self, id: &LaneId) -> Waiting {
        let reason = match &self.breaker {
            Some(breaker) if !breaker.is_closed() => breaker.waiting_reason(),
            _ => breaker::busy_reason(&id.destination),
        };
        Waiting { lane: id.clone(), reason }
    }
}
