//! Circuit breakers of lanes: when deliveries to a destination are paused for an owner, when it is probed, and how fast
//! the backlog drains afterwards.
//!
//! `closed → open` after failures in a row or a failure rate; `open → half_open` for one probe; then back to `open`
//! with a longer wait, or on to `closed`. While the breaker is not closed, deliveries wait and use up no attempts.

use std::collections::VecDeque;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::timestamp::Timestamp;

use super::LaneId;
use crate::delivery::delivery::Reason;

/// The weight of failures in a row that opens a breaker; a quick failure weighs 1.
pub(crate) const FAILURES_IN_A_ROW: u32 = 20;
/// The weight of a timeout: it held a place for the whole deadline.
pub(crate) const TIMEOUT_WEIGHT: u32 = 5;

/// The failure rate is calculated over the outcomes of this span …
pub(crate) const RATE_WINDOW: Duration = Duration::from_secs(60);
/// … if there are at least this many …
pub(crate) const RATE_LEAST: usize = 40;
/// … and opens the breaker if at least this percentage of them failed.
pub(crate) const RATE_PERCENT: usize = 75;
/// The most recent outcomes that are considered.
const RATE_MOST: usize = 200;

/// The wait for the first probe; each failed probe doubles it.
pub(crate) const FIRST_PROBE: Duration = Duration::from_secs(5);
/// The longest wait for a probe, before jitter.
pub(crate) const LONGEST_PROBE_WAIT: Duration = Duration::from_secs(5 * 60);
/// A destination can request a longer wait by `Retry-After`, up to this.
pub(crate) const LONGEST_PAUSE: Duration = Duration::from_secs(3_600);
/// Jitter only lengthens a wait, by up to this share.
const JITTER: f64 = 0.1;
/// A breaker that opens again within this time continues with the waits that it had reached.
pub(crate) const RELAPSE: Duration = Duration::from_secs(10 * 60);
/// A breaker that opens again within this time sends no second notification.
pub const NOTIFIED_FOR: Duration = Duration::from_secs(3_600);
/// After this time the owner is notified once more that the breaker is open.
pub const DAY: Duration = Duration::from_secs(24 * 3_600);

/// The deliveries per second that are sent at first when a destination is available again …
pub(crate) const FIRST_DRAIN_RATE: u32 = 20;
/// … and the time in which that rate doubles, up to the configured rate.
pub(crate) const DRAIN_DOUBLES: Duration = Duration::from_secs(5);

/// The state of a circuit breaker. `closed`: deliveries are sent. `open`: they wait for the next probe. `half_open`:
/// one delivery is being sent as a probe, and the others wait.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum BreakerState {
    /// Deliveries are sent.
    Closed,
    /// Deliveries wait for the next probe.
    Open,
    /// One delivery is being sent as a probe; the others wait.
    HalfOpen,
}

text_enum!(BreakerState { Closed => "closed", Open => "open", HalfOpen => "half_open" });

/// What a request says about its destination, regardless of the result of the delivery.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Outcome {
    /// The destination responded, even if it refused this request.
    Alive,
    /// The destination failed.
    Failed(Failure),
    /// Nothing was sent, or the error is on our side.
    Unrelated,
}

/// A failure of a destination.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Failure {
    /// Code and sentence of the failure.
    pub reason: Reason,
    /// Whether the request ended by its deadline.
    pub timed_out: bool,
    /// The wait that the destination requested by `Retry-After`.
    pub retry_after: Option<Duration>,
}

/// Whether an HTTP status means that the destination fails, and not only this request.
pub fn is_failure(status: u16) -> bool {
    matches!(status, 408 | 429 | 500..)
}

/// The recent outcomes of a destination whose breaker is closed, as one node saw them.
#[derive(Clone, Debug, Default)]
pub struct Health {
    in_a_row: u32,
    weight: u32,
    /// The longest `Retry-After` of the failures in a row.
    retry_after: Option<Duration>,
    recent: VecDeque<(Timestamp, bool)>,
}

/// A reason to open a breaker.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Trip {
    /// Failures in a row, or within [`RATE_WINDOW`].
    pub failures: u32,
    /// The last failure.
    pub reason: Reason,
    /// The longest `Retry-After` of the failures in a row.
    pub retry_after: Option<Duration>,
}

impl Health {
    /// Records an outcome; returns a trip if the breaker is to be opened.
    pub fn record(&mut self, outcome: &Outcome, now: Timestamp) -> Option<Trip> {
        let failure = match outcome {
            Outcome::Unrelated => return None,
            Outcome::Alive => {
                (self.in_a_row, self.weight, self.retry_after) = (0, 0, None);
                None
            }
            Outcome::Failed(failure) => Some(failure),
        };
        self.remember(failure.is_some(), now);
        let failure = failure?;
        self.in_a_row += 1;
        self.weight += if failure.timed_out { TIMEOUT_WEIGHT } else { 1 };
        self.retry_after = self.retry_after.max(failure.retry_after);
        let failed = self.recent.iter().filter(|(_, failed)| *failed).count();
        let by_rate = self.recent.len() >= RATE_LEAST && failed * 100 >= self.recent.len() * RATE_PERCENT;
        let failures = if self.weight >= FAILURES_IN_A_ROW {
            self.in_a_row
        } else if by_rate {
            u32::try_from(failed).unwrap_or(u32::MAX)
        } else {
            return None;
        };
        Some(Trip { failures, reason: failure.reason.clone(), retry_after: self.retry_after })
    }

    fn remember(&mut self, failed: bool, now: Timestamp) {
        self.recent.push_back((now, failed));
        while self.recent.len() > RATE_MOST || self.recent.front().is_some_and(|(at, _)| now.since(*at) > RATE_WINDOW) {
            self.recent.pop_front();
        }
    }
}

/// The breaker of a lane, shared by all nodes.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Breaker {
    /// The lane.
    pub lane: LaneId,
    /// The current state.
    pub state: BreakerState,
    /// When it entered that state.
    pub since: Timestamp,
    /// When it last changed from closed to open.
    pub opened_at: Timestamp,
    /// The failures that opened it, plus its failed probes.
    pub failures: u32,
    /// Failed probes in a row.
    pub failed_probes: u32,
    /// When the next probe may be made.
    pub probe_at: Timestamp,
    /// The end of the lease of the node that makes the probe.
    pub probe_until: Option<Timestamp>,
    /// The last failure.
    pub reason: Reason,
    /// When the owner was notified that it opened.
    pub open_notified_at: Option<Timestamp>,
    /// Whether the owner was notified that it has been open for a day.
    pub day_notified: bool,
}

impl Breaker {
    /// A breaker that opens at `now`. `before` is the previous breaker of the lane; `chance` is a random number from 0
    /// to 1 for the jitter.
    pub fn opened(lane: &LaneId, before: Option<&Self>, trip: Trip, now: Timestamp, chance: f64) -> Self {
        let relapse = before.filter(|it| now.since(it.since) < RELAPSE);
        let failed_probes = relapse.map_or(0, |it| it.failed_probes);
        Self {
            lane: lane.clone(),
            state: BreakerState::Open,
            since: now,
            opened_at: now,
            failures: trip.failures,
            failed_probes,
            probe_at: now.plus(wait_for_probe(failed_probes, trip.retry_after, chance)),
            probe_until: None,
            reason: trip.reason,
            open_notified_at: before.and_then(|it| it.open_notified_at).filter(|at| now.since(*at) < NOTIFIED_FOR),
            day_notified: false,
        }
    }

    /// The probe failed: the breaker is open again, and the next wait is longer.
    pub fn probe_failed(&mut self, failure: Failure, now: Timestamp, chance: f64) {
        self.failed_probes = self.failed_probes.saturating_add(1);
        self.failures = self.failures.saturating_add(1);
        self.probe_at = now.plus(wait_for_probe(self.failed_probes, failure.retry_after, chance));
        self.reason = failure.reason;
        (self.state, self.since, self.probe_until) = (BreakerState::Open, now, None);
    }

    /// There was no delivery to send as a probe. The next delivery becomes the probe.
    pub fn probe_left_out(&mut self, now: Timestamp) {
        (self.state, self.since, self.probe_until) = (BreakerState::Open, now, None);
    }

    /// There were deliveries, but none could be sent. That says nothing about the destination, so the next probe
    /// follows after the usual wait.
    pub fn probe_given_up(&mut self, now: Timestamp, chance: f64) {
        self.probe_left_out(now);
        self.probe_at = now.plus(wait_for_probe(self.failed_probes, None, chance));
    }

    /// A node begins a probe and holds the lease for it until `until`.
    pub fn half_opened(&mut self, now: Timestamp, until: Timestamp) {
        (self.state, self.since, self.probe_until) = (BreakerState::HalfOpen, now, Some(until));
    }

    /// A probe succeeded: deliveries are sent again.
    pub fn closed(&mut self, now: Timestamp) {
        (self.state, self.since, self.probe_until) = (BreakerState::Closed, now, None);
    }

    /// Whether deliveries are sent.
    pub fn is_closed(&self) -> bool {
        self.state == BreakerState::Closed
    }

    /// Whether a probe may be made at `now`: it is due, or the lease of the last probe has ended.
    pub fn may_be_probed(&self, now: Timestamp) -> bool {
        self.next_probe().is_some_and(|at| at <= now)
    }

    /// When the next probe may be made; `None` if the breaker is closed.
    pub fn next_probe(&self) -> Option<Timestamp> {
        match self.state {
            BreakerState::Closed => None,
            BreakerState::Open => Some(self.probe_at),
            BreakerState::HalfOpen => Some(self.probe_until.unwrap_or(self.since)),
        }
    }

    /// Why deliveries of the lane wait.
    pub fn waiting_reason(&self) -> Reason {
        let Self { lane: LaneId { destination, .. }, reason, probe_at, .. } = self;
        let sentence = format!(
            "{destination} is paused after {} failures ({}); the next probe is at {probe_at}; waiting uses up no attempts",
            self.failures, reason.sentence
        );
        Reason::new(PAUSED, sentence)
    }
}

/// The code of a delivery that waits because the breaker of its lane is not closed.
pub const PAUSED: &str = "destination_paused";
/// The code of a delivery that waits for a place.
pub const BUSY: &str = "destination_busy";

/// Why a delivery waits although its destination works: all places are taken.
pub fn busy_reason(destination: &str) -> Reason {
    let sentence = format!(
        "{destination} has reached its limit of requests in flight; this delivery is sent when one of them ends"
    );
    Reason::new(BUSY, sentence)
}

/// The wait for the next probe, after opening or after the `failed`-th failed probe. `chance` is from 0 to 1.
pub(crate) fn wait_for_probe(failed: u32, retry_after: Option<Duration>, chance: f64) -> Duration {
    let wait = FIRST_PROBE.saturating_mul(1 << failed.min(10)).min(LONGEST_PROBE_WAIT);
    let wait = wait.mul_f64(1.0 + JITTER * chance.clamp(0.0, 1.0));
    wait.max(retry_after.unwrap_or_default().min(LONGEST_PAUSE))
}

/// The deliveries per second that may be sent `since_closed` after the breaker closed: at most `most`, at least 1.
pub fn drain_rate(since_closed: Duration, most: u32) -> u32 {
    let doublings = since_closed.as_secs() / DRAIN_DOUBLES.as_secs();
    let rate = u64::from(FIRST_DRAIN_RATE) << doublings.min(20);
    u32::try_from(rate).unwrap_or(u32::MAX).min(most).max(1)
}

/// Limits the deliveries after a breaker closed: a token bucket that holds one second's worth.
#[derive(Clone, Copy, Debug)]
pub struct Drain {
    tokens: f64,
    at: Timestamp,
}

impl Drain {
    /// A full bucket of the first rate.
    pub fn new(closed_at: Timestamp) -> Self {
        Self { tokens: f64::from(FIRST_DRAIN_RATE), at: closed_at }
    }

    /// How many deliveries may be sent at `now`; `most` is the configured rate per second.
    pub fn available(&mut self, closed_at: Timestamp, most: u32, now: Timestamp) -> usize {
        let rate = f64::from(drain_rate(now.since(closed_at), most));
        self.tokens = (self.tokens + rate * now.since(self.at).as_secs_f64()).min(rate);
        self.at = self.at.max(now);
        self.tokens as usize
    }

    /// Takes `count` tokens.
    pub fn spend(&mut self, count: usize) {
        self.tokens -= count as f64;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(secs: i64) -> Timestamp {
        Timestamp::from_millis(secs * 1_000)
    }

    fn failure(timed_out: bool) -> Outcome {
        Outcome::Failed(Failure { reason: Reason::new("http_503", "it answered 503"), timed_out, retry_after: None })
    }

    fn after_retry(secs: u64) -> Outcome {
        let retry_after = Some(Duration::from_secs(secs));
        Outcome::Failed(Failure { reason: Reason::new("http_429", "it answered 429"), timed_out: false, retry_after })
    }

    /// The number of outcomes, repeated in this order, after which a breaker opens; `None` if 500 don't open it.
    fn opens_after(outcomes: &[Outcome], millis_apart: i64) -> Option<usize> {
        let mut health = Health::default();
        let opens = |(index, outcome): (usize, &Outcome)| {
            health.record(outcome, Timestamp::from_millis(index as i64 * millis_apart)).map(|_| index + 1)
        };
        outcomes.iter().cycle().take(500).enumerate().find_map(opens)
    }

    #[test]
    fn a_breaker_opens_by_failures_in_a_row_or_by_rate() {
        use Outcome::{Alive, Unrelated};
        let (quick, slow) = (failure(false), failure(true));
        let table: [(&str, Vec<Outcome>, i64, Option<usize>); 8] = [
            ("quick failures in a row", vec![quick.clone()], 0, Some(20)),
            ("timeouts in a row", vec![slow.clone()], 0, Some(4)),
            ("unrelated errors don't count", vec![quick.clone(), Unrelated], 0, Some(39)),
            ("answers", vec![Alive], 0, None),
            ("half of all", vec![quick.clone(), Alive], 0, None),
            ("four of five, often", [vec![quick.clone(); 4], vec![Alive]].concat(), 0, Some(41)),
            ("four of five, rarely", [vec![quick.clone(); 4], vec![Alive]].concat(), 10_000, None),
            ("a timeout among answers", vec![slow, Alive, Alive, Alive], 0, None),
        ];
        for (what, outcomes, apart, expected) in table {
            assert_eq!(opens_after(&outcomes, apart), expected, "{what}");
        }
    }

    #[test]
    fn the_longest_retry_after_of_a_row_is_honoured() {
        let mut health = Health::default();
        health.record(&after_retry(900), at(0));
        health.record(&Outcome::Alive, at(0));
        health.record(&after_retry(60), at(0));
        let trip = (1..20).find_map(|_| health.record(&after_retry(7), at(0))).expect("it opens");
        assert_eq!(trip.retry_after, Some(Duration::from_secs(60)));
    }

    #[test]
    fn waits_for_probes_double_up_to_a_bound() {
        let waits: Vec<_> = (0..9).map(|failed| wait_for_probe(failed, None, 0.0).as_secs()).collect();
        assert_eq!(waits, [5, 10, 20, 40, 80, 160, 300, 300, 300]);
        assert_eq!(wait_for_probe(u32::MAX, None, 0.0), LONGEST_PROBE_WAIT);
        assert_eq!(wait_for_probe(0, None, 1.0), Duration::from_millis(5_500));
        for (asked, granted) in [(1, 5), (120, 120), (999_999, 3_600)] {
            assert_eq!(wait_for_probe(0, Some(Duration::from_secs(asked)), 0.0).as_secs(), granted, "{asked}");
        }
    }

    fn opened(before: Option<&Breaker>, now: Timestamp) -> Breaker {
        let trip =
            Trip { failures: 20, reason: Reason::new("connect_failed", "nothing listens there"), retry_after: None };
        Breaker::opened(&LaneId::new("https://example.com", None), before, trip, now, 0.0)
    }

    #[test]
    fn a_breaker_goes_from_open_through_half_open_to_closed() {
        let mut breaker = opened(None, at(0));
        assert!(!breaker.may_be_probed(at(4)));
        assert!(breaker.may_be_probed(at(5)));
        breaker.half_opened(at(5), at(25));
        assert!(!breaker.may_be_probed(at(24)), "one probe at a time");
        assert!(breaker.may_be_probed(at(25)), "the lease of its node has ended");
        let Outcome::Failed(failure) = failure(false) else { unreachable!() };
        breaker.probe_failed(failure, at(6), 0.0);
        assert_eq!((breaker.state, breaker.probe_at, breaker.failures), (BreakerState::Open, at(16), 21));
        breaker.half_opened(at(16), at(36));
        breaker.probe_given_up(at(17), 0.0);
        assert_eq!((breaker.state, breaker.probe_at, breaker.failures), (BreakerState::Open, at(27), 21), "no failure");
        breaker.half_opened(at(27), at(47));
        breaker.closed(at(28));
        assert!(breaker.is_closed() && !breaker.may_be_probed(at(100)));
        assert_eq!(breaker.opened_at, at(0));
    }

    #[test]
    fn a_relapse_continues_the_waits_and_sends_no_second_notification() {
        let mut before = opened(None, at(0));
        before.open_notified_at = Some(at(0));
        before.failed_probes = 4;
        before.closed(at(300));
        let soon = opened(Some(&before), at(400));
        assert_eq!((soon.failed_probes, soon.open_notified_at), (4, Some(at(0))));
        assert_eq!(soon.probe_at, at(480));
        let later = opened(Some(&before), at(3_700));
        assert_eq!((later.failed_probes, later.open_notified_at), (0, None));
    }

    #[test]
    fn some_statuses_count_as_failures_of_the_destination() {
        for status in [408, 429, 500, 502, 503, 504, 520, 599] {
            assert!(is_failure(status), "{status}");
        }
        for status in [200, 204, 301, 400, 401, 403, 404, 409, 410, 422, 451] {
            assert!(!is_failure(status), "{status}");
        }
    }

    #[test]
    fn the_drain_rate_doubles_up_to_a_bound() {
        for (secs, most, expected) in
            [(0, 500, 20), (4, 500, 20), (5, 500, 40), (20, 500, 320), (25, 500, 500), (9_999, 500, 500), (60, 7, 7)]
        {
            assert_eq!(drain_rate(Duration::from_secs(secs), most), expected, "{secs} s");
        }
        let mut drain = Drain::new(at(0));
        assert_eq!(drain.available(at(0), 500, at(0)), 20);
        drain.spend(20);
        assert_eq!(drain.available(at(0), 500, at(0)), 0);
        assert_eq!(drain.available(at(0), 500, at(1)), 20);
        assert_eq!(drain.available(at(0), 500, at(100)), 500, "unused tokens beyond one second are lost");
    }
}
