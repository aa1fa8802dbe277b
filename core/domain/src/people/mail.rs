//! Messages: when one that could not be sent is tried again and when it is given up; and which ones a person wants besides
//! those about its account.

use std::time::Duration;

use chrono::{Datelike, TimeDelta};

use crate::reports::calendar::start_of_day;
use crate::reports::zone::Zone;
use crate::timestamp::Timestamp;

/// The waits between attempts; the last one is repeated.
const SCHEDULE: [Duration; 5] = [
    Duration::from_secs(10),
    Duration::from_secs(60),
    Duration::from_secs(5 * 60),
    Duration::from_secs(15 * 60),
    Duration::from_secs(3_600),
];

/// After this time a message is no longer useful: the person has requested it again, or no longer needs it.
pub const GIVEN_UP_AFTER: Duration = Duration::from_secs(24 * 3_600);

/// The time of the next attempt after the `made`-th (1 for the first); `None` if it would be at `give_up_at` or later.
pub fn next_attempt(made: u32, now: Timestamp, give_up_at: Timestamp) -> Option<Timestamp> {
    let last = SCHEDULE.len() - 1;
    let next = now.plus(SCHEDULE[(made.saturating_sub(1) as usize).min(last)]);
    (next < give_up_at).then_some(next)
}

/// At most one message about failures of one postback is sent in this time.
pub const FAILURES_NOTIFIED_EVERY: Duration = Duration::from_secs(24 * 3_600);
/// A postback fails if this many deliveries failed for good within [`FAILURES_NOTIFIED_EVERY`].
pub const FAILURES_NOTIFIED_AT: u32 = 3;

/// The local time on Mondays at which weekly summaries are due.
const SUMMARY_AT: Duration = Duration::from_secs(8 * 3_600);

/// The messages that a person wants.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct MailChoices {
    /// When a postback starts to fail.
    pub failing_postbacks: bool,
    /// When a withdrawal is approved, paid, refused, failed or returned.
    pub withdrawals: bool,
    /// The clicks, conversions and earnings of each week, on Mondays.
    pub weekly_summary: bool,
}

impl Default for MailChoices {
    fn default() -> Self {
        Self { failing_postbacks: true, withdrawals: true, weekly_summary: false }
    }
}

/// The first time after `now` at which a weekly summary is due.
pub fn next_summary(now: Timestamp, zone: Zone) -> Timestamp {
    let this_week = monday(now, zone, 0).plus(SUMMARY_AT);
    if now < this_week { this_week } else { monday(now, zone, 1).plus(SUMMARY_AT) }
}

/// The beginning of the Monday of the local week of `now`, or of the one this many weeks later.
fn monday(now: Timestamp, zone: Zone, weeks: i64) -> Timestamp {
    let today = zone.from_utc(now).date();
    let days = 7 * weeks - i64::from(today.weekday().num_days_from_monday());
    start_of_day(today.checked_add_signed(TimeDelta::days(days)).unwrap_or(today), zone)
}

/// The week that ended before the local day of `now`: its Monday, its end (exclusive), and the Monday before.
pub fn last_week(now: Timestamp, zone: Zone) -> (Timestamp, Timestamp, Timestamp) {
    (monday(now, zone, -1), monday(now, zone, 0), monday(now, zone, -2))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn weekly_summaries_are_due_on_mondays_at_eight_in_the_zone_of_the_person() {
        let at = |text: &str| Timestamp::parse(text).unwrap();
        let berlin: Zone = "Europe/Berlin".parse().unwrap();
        // 9 March 2026 is a Monday; clocks are put forward on 29 March.
        for (now, zone, wanted) in [
            ("2026-03-09T07:59:59Z", Zone::default(), "2026-03-09T08:00:00Z"),
            ("2026-03-09T08:00:00Z", Zone::default(), "2026-03-16T08:00:00Z"),
            ("2026-03-15T23:30:00Z", berlin, "2026-03-16T07:00:00Z"),
            ("2026-03-24T12:00:00Z", berlin, "2026-03-30T06:00:00Z"),
        ] {
            assert_eq!(next_summary(at(now), zone), at(wanted), "{now}");
        }
        let (from, until, before) = last_week(at("2026-03-30T06:00:00Z"), berlin);
        assert_eq!(from, at("2026-03-22T23:00:00Z"));
        assert_eq!(until, at("2026-03-29T22:00:00Z"), "the week has an hour less");
        assert_eq!(before, at("2026-03-15T23:00:00Z"));
    }

    #[test]
    fn a_message_is_tried_for_a_day() {
        let start = Timestamp::from_millis(1_773_144_000_000);
        let end = start.plus(GIVEN_UP_AFTER);
        let (mut now, mut made) = (start, 1);
        while let Some(next) = next_attempt(made, now, end) {
            assert!(next > now && next < end);
            (now, made) = (next, made + 1);
        }
        assert_eq!(made, 28);
        assert!(end.since(now) <= Duration::from_secs(3_600));
    }
}
