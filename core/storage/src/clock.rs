//! Time, passed in and never asked for: the one file that reads the system's clock.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use rustix::time::{ClockId, clock_gettime};
use tokio::sync::Notify;

pub use domain::timestamp::Timestamp;

/// A moment of this machine, to measure spans by: no step of its clock changes them, and a span in which the machine was
/// suspended counts, unlike with [`std::time::Instant`].
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Moment(Duration);

/// macOS counts suspension in its monotonic clock.
#[cfg(target_os = "linux")]
const SINCE_BOOT: ClockId = ClockId::Boottime;
#[cfg(not(target_os = "linux"))]
const SINCE_BOOT: ClockId = ClockId::Monotonic;

impl Moment {
    pub fn now() -> Self {
        let time = clock_gettime(SINCE_BOOT);
        Self(Duration::new(time.tv_sec.unsigned_abs(), u32::try_from(time.tv_nsec).unwrap_or(0)))
    }

    /// From then to now.
    pub fn elapsed(self) -> Duration {
        Self::now().since(self)
    }

    /// Zero when `earlier` is later.
    pub fn since(self, earlier: Self) -> Duration {
        self.0.saturating_sub(earlier.0)
    }
}

/// Where everybody gets the time from. Cheap to clone; clones are one clock.
///
/// The system's clock follows the database's once it knows it ([`Clock::follow`]): several nodes share the leases, due times
/// and sessions of one database, so they must share one time, whatever their own clocks show.
#[derive(Clone, Debug)]
pub struct Clock(Kind);

#[derive(Clone, Debug)]
enum Kind {
    System(Arc<System>),
    Manual(Arc<Manual>),
}

#[derive(Debug)]
struct System {
    /// How far this machine's clock is set wrong on purpose.
    ahead_ms: i64,
    /// From here on it counts the time that passed; no step of this machine's clock changes that.
    started: Moment,
    /// The reference's time at `started`; [`NO_REFERENCE`] before it is known.
    reference_at_start: AtomicI64,
    /// The latest time that was told: small corrections never turn it back.
    told: AtomicI64,
}

const NO_REFERENCE: i64 = i64::MIN;

/// A correction up to this is waited for; a larger one turns the clock back.
const WAITED_FOR_MS: i64 = 1_000;

#[derive(Debug)]
struct Manual {
    millis: AtomicI64,
    moved: Notify,
}

impl Clock {
    pub fn system() -> Self {
        Self::system_ahead_by(0)
    }

    /// The clock of a machine that is set wrong: for tests.
    pub fn system_ahead_by(ahead_ms: i64) -> Self {
        Self(Kind::System(Arc::new(System {
            ahead_ms,
            started: Moment::now(),
            reference_at_start: AtomicI64::new(NO_REFERENCE),
            told: AtomicI64::new(i64::MIN),
        })))
    }

    /// Stands still until [`Clock::advance`] is called: for tests.
    pub fn manual(start_millis: i64) -> Self {
        Self(Kind::Manual(Arc::new(Manual { millis: AtomicI64::new(start_millis), moved: Notify::new() })))
    }

    pub fn now(&self) -> Timestamp {
        match &self.0 {
            Kind::System(system) => system.now(),
            Kind::Manual(manual) => Timestamp::from_millis(manual.millis.load(Ordering::SeqCst)),
        }
    }

    /// What this machine's own clock shows. A manual clock is the database's as well: `None`.
    pub fn of_machine(&self) -> Option<Timestamp> {
        match &self.0 {
            Kind::System(system) => Some(system.of_machine()),
            Kind::Manual(_) => None,
        }
    }

    /// Follows the clock of which `sample` is a reading.
    pub fn follow(&self, sample: &Sample) {
        if let Kind::System(system) = &self.0 {
            system.follow(sample);
        }
    }

    /// Moves a manual clock and wakes whoever sleeps on it. The system's clock can't be moved.
    pub fn advance(&self, span: Duration) {
        if let Kind::Manual(manual) = &self.0 {
            manual.millis.fetch_add(span.as_millis() as i64, Ordering::SeqCst);
            manual.moved.notify_waiters();
        }
    }

    /// Sleeps for at most `span` of real time; returns early when a manual clock is moved.
    pub async fn sleep(&self, span: Duration) {
        match &self.0 {
            Kind::System(_) => tokio::time::sleep(span).await,
            Kind::Manual(manual) => {
                let _ = tokio::time::timeout(span, manual.moved.notified()).await;
            }
        }
    }
}

impl System {
    fn now(&self) -> Timestamp {
        let now = match self.reference_at_start.load(Ordering::SeqCst) {
            NO_REFERENCE => return self.of_machine(),
            reference => reference + millis(self.started.elapsed()),
        };
        let told = self.told.fetch_max(now, Ordering::SeqCst);
        if now >= told {
            return Timestamp::from_millis(now);
        }
        if told - now <= WAITED_FOR_MS {
            return Timestamp::from_millis(told);
        }
        self.told.store(now, Ordering::SeqCst);
        Timestamp::from_millis(now)
    }

    #[expect(clippy::disallowed_methods, reason = "the one place that reads the system's clock")]
    fn of_machine(&self) -> Timestamp {
        let since_epoch = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
        Timestamp::from_millis(since_epoch.map_or(0, millis) + self.ahead_ms)
    }

    fn follow(&self, sample: &Sample) {
        let read = sample.asked.since(self.started) + sample.took / 2;
        let measured = sample.shown.millis() - millis(read);
        let known = self.reference_at_start.load(Ordering::SeqCst);
        if known == NO_REFERENCE || sample.contradicts(measured - known) {
            self.reference_at_start.store(measured, Ordering::SeqCst);
        }
    }
}

fn millis(span: Duration) -> i64 {
    i64::try_from(span.as_millis()).unwrap_or(i64::MAX)
}

/// Another clock, read over a network: it showed this at some moment between the question and the answer.
#[derive(Clone, Copy, Debug)]
pub struct Sample {
    pub shown: Timestamp,
    pub asked: Moment,
    pub took: Duration,
}

/// Clocks that are kept by NTP differ by less.
const CLOSE_MS: i64 = 50;

impl Sample {
    /// Whether a difference that it shows is more than the way to that clock can explain.
    fn contradicts(&self, difference_ms: i64) -> bool {
        difference_ms.abs() > CLOSE_MS.max(millis(self.took / 2))
    }

    /// The better of two: what took less time says more exactly when it was.
    pub fn or(self, other: Self) -> Self {
        if other.took < self.took { other } else { self }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample(clock: &Clock, shown: i64, took_ms: u64) -> Sample {
        let Kind::System(system) = &clock.0 else { panic!("a clock of a system") };
        // As if it had been asked when the clock was made, so that no time has passed.
        Sample { shown: Timestamp::from_millis(shown), asked: system.started, took: Duration::from_millis(took_ms) }
    }

    /// The reference's time when the clock was made, as it is understood.
    fn reference(clock: &Clock) -> i64 {
        let Kind::System(system) = &clock.0 else { panic!("a clock of a system") };
        system.reference_at_start.load(Ordering::SeqCst)
    }

    #[test]
    fn a_clock_follows_the_reference_when_it_differs_more_than_the_way_there_explains() {
        for (second, took_ms, wanted) in [
            (10_000, 0, 10_000),
            (10_050, 0, 10_000),
            (10_051, 0, 10_051),
            (9_949, 0, 9_949),
            // Between question and answer were two seconds, so it may have been any of these.
            (11_500, 2_000, 10_000),
            (12_001, 2_000, 11_001),
            (50_000, 0, 50_000),
        ] {
            let clock = Clock::system_ahead_by(0);
            clock.follow(&sample(&clock, 10_000, 0));
            clock.follow(&sample(&clock, second, took_ms));
            assert_eq!(reference(&clock), wanted, "{second} within {took_ms} ms");
        }
    }

    #[test]
    fn a_clock_that_is_wrong_shows_the_time_of_the_reference() {
        let clock = Clock::system_ahead_by(-40_000);
        let right = Clock::system().now().millis();
        clock.follow(&sample(&clock, right, 0));
        assert!(clock.now().millis() >= right, "it is not behind any more");
        assert!(clock.of_machine().unwrap().millis() < clock.now().millis(), "and knows that its machine is");
    }

    #[test]
    fn a_small_correction_never_turns_the_clock_back_and_a_large_one_does() {
        let clock = Clock::system();
        clock.follow(&sample(&clock, 1_000_000, 0));
        let before = clock.now();
        clock.follow(&sample(&clock, 999_900, 0));
        assert!(clock.now() >= before);
        clock.follow(&sample(&clock, 900_000, 0));
        assert!(clock.now() < before, "{} {before}", clock.now());
    }

    #[test]
    fn a_manual_clock_follows_nobody() {
        let clock = Clock::manual(5);
        clock.follow(&Sample { shown: Timestamp::from_millis(9), asked: Moment::now(), took: Duration::ZERO });
        assert_eq!((clock.now(), clock.of_machine()), (Timestamp::from_millis(5), None));
    }
}
