//! How long the calls of an adapter compute, and what follows: slow work is kept away from quick work, and slowness that lasts is a
//! fault. Pure: moments are durations since the start of the process.

use std::time::Duration;

/// Work goes on in one turn for this long before others have theirs. One call is never broken off for it.
pub const TURN: Duration = Duration::from_millis(2);

/// A turn that is this much longer than [`TURN`] had a slow call in it. A good call takes less than a thousandth.
const SLOW_CALL: Duration = Duration::from_millis(25);
/// After a slow call the work counts as slow for this many times its length: it can hold a place for quick work for less than a
/// three-hundredth of the time, whatever it does in between.
const SLOW_FOR_TIMES: u32 = 300;
const SLOW_FOR_AT_LEAST: Duration = Duration::from_secs(60);
/// A call that takes longer than this on average is the adapter's fault, like a crash. It is thousands of times what a good one
/// takes, so that a busy machine alone makes nobody guilty.
pub const FAULTY_AVERAGE: Duration = Duration::from_millis(50);
/// How much one turn weighs in the average.
const WEIGHT: u32 = 4;

/// The calls of one adapter version on behalf of one owner.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Pace {
    average: Option<Duration>,
    slow_until: Duration,
}

/// What one turn says about the adapter.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Judgement {
    Fine,
    /// Its calls take this long on average, the last ones included.
    TooSlow(Duration),
}

impl Pace {
    /// Counts a turn of `calls` calls that ended at `now` after `took`.
    pub fn count(&mut self, calls: u32, took: Duration, now: Duration) -> Judgement {
        let Some(each) = took.checked_div(calls) else { return Judgement::Fine };
        let average = self.average.map_or(each, |average| (average * (WEIGHT - 1) + each) / WEIGHT);
        self.average = Some(average);
        let overrun = took.saturating_sub(TURN);
        if overrun >= SLOW_CALL {
            self.slow_until = self.slow_until.max(now + (overrun * SLOW_FOR_TIMES).max(SLOW_FOR_AT_LEAST));
        }
        if average > FAULTY_AVERAGE && each > FAULTY_AVERAGE { Judgement::TooSlow(average) } else { Judgement::Fine }
    }

    /// Whether it had a slow call not long ago.
    pub fn is_slow(&self, now: Duration) -> bool {
        now < self.slow_until
    }

    /// Whether any call has been measured.
    pub fn is_known(&self) -> bool {
        self.average.is_some()
    }

    pub fn average(&self) -> Duration {
        self.average.unwrap_or_default()
    }

    /// How many calls fit into a span, as far as is known.
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
    fn a_slow_call_is_remembered_in_proportion() {
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
    fn the_average_says_how_many_calls_fit_into_a_span() {
        for (each, span, expected) in [(ms(7), ms(100), 14), (ms(200), ms(100), 0), (ms(0), ms(100), usize::MAX)] {
            let mut pace = Pace::default();
            pace.count(1, each, ms(0));
            assert_eq!(pace.calls_within(span), expected, "{each:?} in {span:?}");
        }
        assert_eq!(Pace::default().calls_within(ms(100)), usize::MAX, "nothing is known yet");
    }

    #[test]
    fn quick_calls_in_between_do_not_make_it_quick() {
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
        assert_eq!(pace.count(1, ms(40), ms(0)), Judgement::Fine);
        assert_eq!(pace.count(1, ms(60), ms(0)), Judgement::Fine, "one that is longer than usual");
        assert_eq!(pace.count(1, ms(145), ms(0)), Judgement::TooSlow(ms(70)));
        assert_eq!(pace.count(100, ms(300), ms(0)), Judgement::Fine, "these were quick");
        assert_eq!(pace.count(0, ms(300), ms(0)), Judgement::Fine, "nothing was called");
    }
}
