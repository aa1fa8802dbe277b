//! The clock of the program. Only this file reads the system's clock; all other code gets the time as an argument.

use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use rustix::time::{ClockId, clock_gettime};
use tokio::sync::Notify;

pub use domain::timestamp::Timestamp;

/// A point in time of this machine, to measure durations. Steps of the machine's clock do not change durations. Unlike
/// with [`std::time::Instant`], the time in which the machine is suspended counts.
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

    /// The duration since this moment.
    pub fn elapsed(self) -> Duration {
        Self::now().since(self)
    }

    /// The duration since `earlier`; zero if `earlier` is later than this moment.
    pub fn since(self, earlier: Self) -> Duration {
        self.0.saturating_sub(earlier.0)
    }
}

/// The clock of the process. Clones are cheap and share one clock.
///
/// The system's clock follows the database's after the first reading ([`Clock::follow`]). Several nodes share the
/// leases, due times and sessions of one database, so they must use the same time even if their machines' clocks
/// differ.
#[derive(Clone, Debug)]
pub struct Clock(Kind);

#[derive(Clone, Debug)]
enum Kind {
    System(Arc<System>),
    Manual(Arc<Manual>),
}

#[derive(Debug)]
struct System {
    /// The time by which tests set this machine's clock ahead.
    ahead_ms: i64,
    /// The moment at which the clock was created. The time is computed from the duration since then, so steps of the
    /// machine's clock do not change it.
    started: Moment,
    /// The database's time at `started`, in Unix milliseconds; [`NO_REFERENCE`] before the first reading.
    reference_at_start: AtomicI64,
    /// The latest time that was returned, in Unix milliseconds. Small corrections do not go back behind it.
    latest: AtomicI64,
}

const NO_REFERENCE: i64 = i64::MIN;

/// Up to this correction, the clock stands still until the corrected time is reached. A larger correction turns it
/// back.
const STANDSTILL_MAX_MS: i64 = 1_000;

#[derive(Debug)]
struct Manual {
    millis: AtomicI64,
    moved: Notify,
    /// Since when it runs by itself; unset while it stands still.
    runs_since: OnceLock<Moment>,
}

impl Clock {
    pub fn system() -> Self {
        Self::system_ahead_by(0)
    }

    /// The clock of a machine with a wrong time: for tests.
    pub fn system_ahead_by(ahead_ms: i64) -> Self {
        Self(Kind::System(Arc::new(System {
            ahead_ms,
            started: Moment::now(),
            reference_at_start: AtomicI64::new(NO_REFERENCE),
            latest: AtomicI64::new(i64::MIN),
        })))
    }

    /// Stands still until [`Clock::advance`] is called: for tests, and for the past of the demo.
    pub fn manual(start_millis: i64) -> Self {
        let millis = AtomicI64::new(start_millis);
        Self(Kind::Manual(Arc::new(Manual { millis, moved: Notify::new(), runs_since: OnceLock::new() })))
    }

    pub fn now(&self) -> Timestamp {
        match &self.0 {
            Kind::System(system) => system.now(),
            Kind::Manual(manual) => {
                let since_then = manual.runs_since.get().map_or(0, |since| millis(since.elapsed()));
                Timestamp::from_millis(manual.millis.load(Ordering::SeqCst) + since_then)
            }
        }
    }

    /// The time of this machine's clock. `None` for a manual clock, which has no other reference.
    pub fn machine_time(&self) -> Option<Timestamp> {
        match &self.0 {
            Kind::System(system) => Some(system.machine_time()),
            Kind::Manual(_) => None,
        }
    }

    /// Sets the clock to the reference clock of which this is a reading. Ignored by a manual clock.
    pub fn follow(&self, reading: &ClockReading) {
        if let Kind::System(system) = &self.0 {
            system.follow(reading);
        }
    }

    /// Advances a manual clock and wakes the tasks that sleep on it. Ignored by the system's clock.
    pub fn advance(&self, span: Duration) {
        if let Kind::Manual(manual) = &self.0 {
            manual.millis.fetch_add(span.as_millis() as i64, Ordering::SeqCst);
            manual.moved.notify_waiters();
        }
    }

    /// Advances a manual clock to `now`; from then on it runs by itself. Ignored by the system's clock.
    pub fn run_from(&self, now: Timestamp) {
        self.advance(now.since(self.now()));
        if let Kind::Manual(manual) = &self.0 {
            manual.runs_since.get_or_init(Moment::now);
        }
    }

    /// Sleeps for at most `span` of real time. Returns early when a manual clock is advanced.
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
            NO_REFERENCE => return self.machine_time(),
            reference => reference + millis(self.started.elapsed()),
        };
        let latest = self.latest.fetch_max(now, Ordering::SeqCst);
        if now >= latest {
            return Timestamp::from_millis(now);
        }
        if latest - now <= STANDSTILL_MAX_MS {
            return Timestamp::from_millis(latest);
        }
        self.latest.store(now, Ordering::SeqCst);
        Timestamp::from_millis(now)
    }

    #[expect(clippy::disallowed_methods, reason = "the only place that reads the system's clock")]
    fn machine_time(&self) -> Timestamp {
        let since_epoch = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
        Timestamp::from_millis(since_epoch.map_or(0, millis) + self.ahead_ms)
    }

    fn follow(&self, reading: &ClockReading) {
        let read_after = reading.sent_at.since(self.started) + reading.round_trip / 2;
        let measured = reading.time.millis() - millis(read_after);
        let known = self.reference_at_start.load(Ordering::SeqCst);
        if known == NO_REFERENCE || reading.contradicts(measured - known) {
            self.reference_at_start.store(measured, Ordering::SeqCst);
        }
    }
}

fn millis(span: Duration) -> i64 {
    i64::try_from(span.as_millis()).unwrap_or(i64::MAX)
}

/// A reading of another clock over a network.
#[derive(Clone, Copy, Debug)]
pub struct ClockReading {
    /// The time of the other clock at some moment between the request and the response.
    pub time: Timestamp,
    pub sent_at: Moment,
    pub round_trip: Duration,
}

/// Differences up to this are ignored. Clocks that NTP keeps differ by less.
const IGNORED_DIFFERENCE_MS: i64 = 50;

impl ClockReading {
    /// Whether the difference is larger than the round trip can explain.
    fn contradicts(&self, difference_ms: i64) -> bool {
        difference_ms.abs() > IGNORED_DIFFERENCE_MS.max(millis(self.round_trip / 2))
    }

    /// The reading with the shorter round trip, which is the more exact one.
    pub fn better_of(self, other: Self) -> Self {
        if other.round_trip < self.round_trip { other } else { self }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reading(clock: &Clock, millis: i64, round_trip_ms: u64) -> ClockReading {
        let Kind::System(system) = &clock.0 else { panic!("it is not a system's clock") };
        // As if it was read when the clock was created, so that no time has passed.
        ClockReading {
            time: Timestamp::from_millis(millis),
            sent_at: system.started,
            round_trip: Duration::from_millis(round_trip_ms),
        }
    }

    /// The reference's time when the clock was created, as the clock has it.
    fn reference(clock: &Clock) -> i64 {
        let Kind::System(system) = &clock.0 else { panic!("it is not a system's clock") };
        system.reference_at_start.load(Ordering::SeqCst)
    }

    #[test]
    fn a_clock_follows_the_reference_if_the_round_trip_does_not_explain_the_difference() {
        for (second, round_trip_ms, expected) in [
            (10_000, 0, 10_000),
            (10_050, 0, 10_000),
            (10_051, 0, 10_051),
            (9_949, 0, 9_949),
            // The round trip of two seconds allows a difference of one second.
            (11_500, 2_000, 10_000),
            (12_001, 2_000, 11_001),
            (50_000, 0, 50_000),
        ] {
            let clock = Clock::system_ahead_by(0);
            clock.follow(&reading(&clock, 10_000, 0));
            clock.follow(&reading(&clock, second, round_trip_ms));
            assert_eq!(reference(&clock), expected, "{second} within {round_trip_ms} ms");
        }
    }

    #[test]
    fn a_clock_that_is_wrong_shows_the_time_of_the_reference() {
        let clock = Clock::system_ahead_by(-40_000);
        let right = Clock::system().now().millis();
        clock.follow(&reading(&clock, right, 0));
        assert!(clock.now().millis() >= right, "it is no longer behind");
        assert!(clock.machine_time().unwrap().millis() < clock.now().millis(), "and the machine's clock is");
    }

    #[test]
    fn a_small_correction_never_turns_the_clock_back_and_a_large_one_does() {
        let clock = Clock::system();
        clock.follow(&reading(&clock, 1_000_000, 0));
        let before = clock.now();
        clock.follow(&reading(&clock, 999_900, 0));
        assert!(clock.now() >= before);
        clock.follow(&reading(&clock, 900_000, 0));
        assert!(clock.now() < before, "{} {before}", clock.now());
    }

    #[test]
    fn a_manual_clock_runs_when_it_is_told_to() {
        let clock = Clock::manual(5);
        clock.run_from(Timestamp::from_millis(1_000));
        assert!(clock.now() >= Timestamp::from_millis(1_000));
        let before = clock.now();
        while clock.now() == before {
            std::thread::yield_now();
        }
        assert!(clock.now() > before);
    }

    #[test]
    fn a_manual_clock_ignores_readings() {
        let clock = Clock::manual(5);
        clock.follow(&ClockReading {
            time: Timestamp::from_millis(9),
            sent_at: Moment::now(),
            round_trip: Duration::ZERO,
        });
        assert_eq!((clock.now(), clock.machine_time()), (Timestamp::from_millis(5), None));
    }
}
