//! How long the calls of an adapter compute, and the consequences: slow work is separated from quick work, and lasting
//! slowness is a fault. Pure: points in time are durations since the start of the process.

use std::time::Duration;

/// How long the work of one line runs before other lines get their turn. A call in progress is not interrupted.
pub const TURN: Duration = Duration::from_millis(2);

/// A turn that exceeds [`TURN`] by this much contained a slow call. A normal call takes less than a thousandth of it.
const SLOW_CALL: Duration = Duration::from_millis(25);
/// After a slow call the work counts as slow for this many times the length of the call. So it can hold a place for
/// quick work for less than a three-hundredth of the time.
const SLOW_FOR_TIMES: u32 = 300;
/// The shortest time for which work counts as slow.
const SLOW_FOR_AT_LEAST: Duration = Duration::from_secs(60);
/// If calls take longer than this on average, it is a fault of the adapter, like a crash. It is thousands of times as
/// long as a normal call, so a busy machine alone does not cause a fault.
pub const FAULTY_AVERAGE: Duration = Duration::from_millis(50);
/// The moving average takes one WEIGHT-th of the latest turn.
const WEIGHT: u32 = 4;

/// Measurements of one adapter version's calls for one owner.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Pace {
    average: Option<Duration>,
    slow_until: Duration,
}

/// The result of one turn.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum PaceVerdict {
    /// No fault.
    Fine,
    /// The calls take this long on average, and the last turn was too slow as well.
    TooSlow(Duration),
}

impl Pace {
    /// Records a turn with `calls` calls that took `took` and ended at `now`.
    pub fn count(&mut self, calls: u32, took: Duration, now: Duration) -> PaceVerdict {
        let Some(each) = took.checked_div(calls) else { return PaceVerdict::Fine };
        let average = self.average.map_or(each, |average| (average * (WEIGHT - 1) + each) / WEIGHT);
        self.average = Some(average);
        let overrun = took.saturating_sub(TURN);
        if overrun >= SLOW_CALL {
            self.slow_until = self.slow_until.max(now + (overrun * SLOW_FOR_TIMES).max(SLOW_FOR_AT_LEAST));
        }
        if average > FAULTY_AVERAGE && each > FAULTY_AVERAGE {
            PaceVerdict::TooSlow(average)
        } else {
            PaceVerdict::Fine
        }
    }

    /// Whether a recent call was slow.
    pub fn is_slow(&self, now: Duration) -> bool {
        now < self.slow_until
    }

    /// Whether any call was measured.
    pub fn is_known(&self) -> bool {
        self.average.is_some()
    }

    /// The moving average of a call's duration; zero if none was measured.
    pub fn average(&self) -> Duration {
        self.average.unwrap_or_default()
    }

    /// How many calls fit into `span` by the average; `usize::MAX` if none was measured.
    pub fn calls_within(&self, span: Duration) -> usize {
        let calls = span.as_nanos().checked_div(self.average().as_nanos()).unwrap_or(u128::MAX);
        usize::try_from(calls).unwrap_or(usize::MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ms(millis: u64) -> Duration {
        Duration::from_millis(millis)
    }

    #[test]
    fn work_counts_as_slow_in_proportion_to_its_slow_call() {
        // Calls, how long the turn took, and for how long the work counts as slow.
        for (calls, took, slow_for) in [
            (1, ms(1), 0),
            (200, ms(2), 0),
            (1, ms(26), 0),
            (1, ms(27), 60_000),
            (90, ms(202), 60_000),
            (1, ms(302), 90_000),
            (1, ms(2_002), 600_000),
        ] {
            let mut pace = Pace::default();
            assert!(!pace.is_known());
            pace.count(calls, took, ms(0));
            assert!(pace.is_known());
            assert_eq!(pace.is_slow(ms(slow_for).saturating_sub(ms(1))), slow_for > 0, "{calls} in {took:?}");
            assert!(!pace.is_slow(ms(slow_for)), "{calls} in {took:?}");
        }
    }

    #[test]
    fn calls_within_a_span_follow_from_the_average() {
        for (each, span, expected) in [(ms(7), ms(100), 14), (ms(200), ms(100), 0), (ms(0), ms(100), usize::MAX)] {
            let mut pace = Pace::default();
            pace.count(1, each, ms(0));
            assert_eq!(pace.calls_within(span), expected, "{each:?} in {span:?}");
        }
        assert_eq!(Pace::default().calls_within(ms(100)), usize::MAX, "nothing was measured yet");
    }

    #[test]
    fn quick_calls_in_between_change_nothing() {
        let mut pace = Pace::default();
        pace.count(1, ms(302), ms(0));
        for _ in 0..1_000 {
            pace.count(1, ms(0), ms(80_000));
        }
        assert!(pace.is_slow(ms(80_000)));
    }

    #[test]
    fn only_calls_that_are_slow_on_average_are_a_fault() {
        let mut pace = Pace::default();
        assert_eq!(pace.count(1, ms(40), ms(0)), PaceVerdict::Fine);
        assert_eq!(pace.count(1, ms(60), ms(0)), PaceVerdict::Fine, "only one slow call");
        assert_eq!(pace.count(1, ms(145), ms(0)), PaceVerdict::TooSlow(ms(70)));
        assert_eq!(pace.count(100, ms(300), ms(0)), PaceVerdict::Fine, "these were quick");
        assert_eq!(pace.count(0, ms(300), ms(0)), PaceVerdict::Fine, "nothing was called");
    }
}
