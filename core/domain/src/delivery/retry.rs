//! When a delivery is retried, and when it fails for good. Adapters report facts; only this file decides.

use std::time::Duration;

use crate::timestamp::Timestamp;

/// The waits between attempts: nine attempts within a day and a half.
pub const SCHEDULE: [Duration; 8] = [
    Duration::from_secs(5),
    Duration::from_secs(30),
    Duration::from_secs(2 * 60),
    Duration::from_secs(10 * 60),
    Duration::from_secs(30 * 60),
    Duration::from_secs(2 * 3_600),
    Duration::from_secs(6 * 3_600),
    Duration::from_secs(24 * 3_600),
];

/// A destination can request a longer wait than the schedule's by `Retry-After`, up to this.
pub(crate) const LONGEST_RETRY_AFTER: Duration = Duration::from_secs(24 * 3_600);

/// Jitter only lengthens a wait, by up to this share, so that many retries don't coincide.
pub(crate) const JITTER: f64 = 0.1;

/// The step after a failed attempt.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Next {
    /// Try again after this time.
    After(Duration),
    /// The delivery has failed.
    GiveUp,
}

/// Reads a `Retry-After` header: seconds or a date (RFC 9110, section 10.2.3).
pub fn parse_retry_after(value: &str, now: Timestamp) -> Option<Duration> {
    if let Ok(seconds) = value.trim().parse::<u64>() {
        return Some(Duration::from_secs(seconds));
    }
    let date = chrono::DateTime::parse_from_rfc2822(value.trim()).ok()?;
    Some(Timestamp::from_millis(date.timestamp_millis()).since(now))
}

/// The step after the `made`-th attempt (1 for the first) of the current schedule.
///
/// `retry_after` is the wait that the destination requested; it can lengthen the wait, but not shorten it. `chance` is
/// a random number from 0 to 1 for the jitter.
pub(crate) fn after_attempt(made: u32, retry_after: Option<Duration>, chance: f64) -> Next {
    let Some(wait) = made.checked_sub(1).and_then(|index| SCHEDULE.get(index as usize)) else {
        return Next::GiveUp;
    };
    let wait = wait.mul_f64(1.0 + JITTER * chance.clamp(0.0, 1.0));
    Next::After(wait.max(retry_after.unwrap_or_default().min(LONGEST_RETRY_AFTER)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_delivery_fails_after_nine_attempts() {
        let made: Vec<_> = (1..=9).map(|made| after_attempt(made, None, 0.0)).collect();
        assert_eq!(made[..8], SCHEDULE.map(Next::After));
        assert_eq!(made[8], Next::GiveUp);
    }

    #[test]
    fn retry_after_is_seconds_or_a_date() {
        let now = Timestamp::from_millis(1_000_000_000_000);
        for (value, expected) in [
            ("120", Some(120)),
            (" 0 ", Some(0)),
            ("Sun, 09 Sep 2001 01:47:40 GMT", Some(60)),
            ("Sun, 09 Sep 2001 01:46:39 GMT", Some(0)),
            ("-5", None),
            ("soon", None),
            ("", None),
        ] {
            assert_eq!(parse_retry_after(value, now), expected.map(Duration::from_secs), "{value}");
        }
    }

    proptest! {
        #[test]
        fn a_wait_is_within_its_bounds(
            made in 1_u32..=8, hint in proptest::option::of(0_u64..10_000_000), chance in -1.0..2.0_f64,
        ) {
            let scheduled = SCHEDULE[made as usize - 1];
            let hint = hint.map(Duration::from_secs);
            let Next::After(wait) = after_attempt(made, hint, chance) else { panic!("gave up early") };
            prop_assert!(wait >= scheduled);
            prop_assert!(wait <= scheduled.mul_f64(1.0 + JITTER).max(LONGEST_RETRY_AFTER));
            if let Some(hint) = hint {
                prop_assert!(wait >= hint.min(LONGEST_RETRY_AFTER), "Retry-After is honoured within bounds");
            }
        }

        #[test]
        fn every_schedule_ends(made in 9_u32.., hint in 0_u64..1_000, chance in 0.0..1.0_f64) {
            prop_assert_eq!(after_attempt(made, Some(Duration::from_secs(hint)), chance), Next::GiveUp);
        }

        #[test]
        fn waits_never_get_shorter(made in 1_u32..8, chance in 0.0..1.0_f64) {
            let (Next::After(first), Next::After(second)) =
                (after_attempt(made, None, chance), after_attempt(made + 1, None, 0.0)) else { panic!("gave up") };
            prop_assert!(second >= first);
        }
    }
}
