//! Keeps all processes at one time: the database's. Warns if this machine's clock differs from it.

use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use storage::Database;
use storage::clock::{Clock, ClockReading};

/// How often the database's clock is read.
pub const EVERY: Duration = Duration::from_secs(5);
/// The maximum difference without a warning, in milliseconds. Clocks that NTP keeps differ by less.
const TOLERATED_MS: i64 = 1_000;
/// The number of readings at the start. The quickest one is used.
const FIRST_READINGS: usize = 3;

/// The difference between this machine's clock and the database's.
#[derive(Debug, Default)]
pub struct Timekeeping {
    /// Positive if this machine's clock is ahead.
    ahead_ms: AtomicI64,
}

impl Timekeeping {
    /// The time by which this machine's clock is ahead of the database's, in milliseconds. `None` if the difference is
    /// tolerated.
    pub fn skew_ms(&self) -> Option<i64> {
        let ahead = self.ahead_ms.load(Ordering::Relaxed);
        (ahead.abs() > TOLERATED_MS).then_some(ahead)
    }

    /// Sets the clock at the start, before the process leases rows.
    pub async fn start(&self, db: &Database, clock: &Clock) -> Result<(), sqlx::Error> {
        let mut best: Option<ClockReading> = None;
        for _ in 0..FIRST_READINGS {
            let Some(reading) = storage::base::time::read(db).await? else { return Ok(()) };
            best = Some(best.map_or(reading, |best| best.better_of(reading)));
        }
        if let Some(reading) = best {
            self.follow(clock, &reading);
        }
        Ok(())
    }

    /// Reads the database's clock again and sets this process's clock.
    pub async fn keep(&self, db: &Database, clock: &Clock) -> Result<(), sqlx::Error> {
        if let Some(reading) = storage::base::time::read(db).await? {
            self.follow(clock, &reading);
        }
        Ok(())
    }

    fn follow(&self, clock: &Clock, reading: &ClockReading) {
        let Some(machine) = clock.machine_time() else { return };
        // The time of this machine's clock when the database's clock was read: halfway between request and response.
        let machine_then = machine.minus(reading.sent_at.elapsed().saturating_sub(reading.round_trip / 2));
        let ahead_ms = machine_then.millis() - reading.time.millis();
        clock.follow(reading);
        let was_wrong = self.skew_ms().is_some();
        self.ahead_ms.store(ahead_ms, Ordering::Relaxed);
        metrics::gauge!("postrider_clock_skew_seconds").set(ahead_ms as f64 / 1_000.0);
        match (was_wrong, self.skew_ms()) {
            (false, Some(ahead_ms)) => tracing::warn!(
                ahead_ms,
                "This machine's clock differs from the database's. Leases and all times follow the database's; set both \
                 clocks by NTP"
            ),
            (true, None) => tracing::info!(ahead_ms, "This machine's clock agrees with the database's again"),
            _ => {}
        }
    }
}
