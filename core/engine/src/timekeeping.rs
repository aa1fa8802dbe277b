//! One time for all nodes: the database's. Says so when this machine's clock differs from it.

use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use storage::Database;
use storage::clock::Clock;
use storage::clock::Sample;

/// How often the database's clock is read.
pub const EVERY: Duration = Duration::from_secs(5);
/// Clocks that differ by more are not kept by NTP.
const TOLERATED_MS: i64 = 1_000;
/// So many readings at the start, of which the quickest counts.
const FIRST_READINGS: usize = 3;

/// How far this machine's clock is ahead of the database's.
#[derive(Debug, Default)]
pub struct Timekeeping {
    ahead_ms: AtomicI64,
}

impl Timekeeping {
    /// How far this machine's clock is ahead of the database's, in milliseconds, if that is more than is tolerated.
    pub fn skew_ms(&self) -> Option<i64> {
        let ahead = self.ahead_ms.load(Ordering::Relaxed);
        (ahead.abs() > TOLERATED_MS).then_some(ahead)
    }

    /// Before anything is leased: a node that starts knows the time from its first moment.
    pub async fn start(&self, db: &Database, clock: &Clock) -> Result<(), sqlx::Error> {
        let mut best: Option<Sample> = None;
        for _ in 0..FIRST_READINGS {
            let Some(sample) = storage::base::time::read(db).await? else { return Ok(()) };
            best = Some(best.map_or(sample, |best| best.or(sample)));
        }
        if let Some(sample) = best {
            self.follow(clock, &sample);
        }
        Ok(())
    }

    /// Reads the database's clock once more.
    pub async fn keep(&self, db: &Database, clock: &Clock) -> Result<(), sqlx::Error> {
        if let Some(sample) = storage::base::time::read(db).await? {
            self.follow(clock, &sample);
        }
        Ok(())
    }

    fn follow(&self, clock: &Clock, sample: &Sample) {
        let Some(machine) = clock.of_machine() else { return };
        // What this machine's clock showed when the database's was read, in the middle of question and answer.
        let shown_then = machine.minus(sample.asked.elapsed().saturating_sub(sample.took / 2));
        let ahead_ms = shown_then.millis() - sample.shown.millis();
        clock.follow(sample);
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
