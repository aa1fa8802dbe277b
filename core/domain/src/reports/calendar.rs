//! Quarters of an hour, and the local hours, days, weeks and months that they add up to. The offset of every time zone
//! in use is a whole number of quarters, so no quarter belongs to two local days.

use chrono::{Datelike, NaiveDate, TimeDelta};

use crate::reports::zone::Zone;
use crate::timestamp::Timestamp;

/// A quarter of an hour in milliseconds.
pub const QUARTER_MS: i64 = 15 * 60 * 1_000;
const DAY_MS: i64 = 24 * 60 * 60 * 1_000;

/// A unit of time in reports.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Unit {
    /// A local hour.
    Hour,
    /// A local day.
    Day,
    /// A local week, from Monday.
    Week,
    /// A local month.
    Month,
}

text_enum!(Unit { Hour => "hour", Day => "day", Week => "week", Month => "month" });

/// The beginning of the quarter of an hour that contains `at`.
pub fn quarter(at: Timestamp) -> Timestamp {
    Timestamp::from_millis(at.millis().div_euclid(QUARTER_MS) * QUARTER_MS)
}

/// `at` if it is the beginning of a quarter, otherwise the beginning of the next quarter.
pub fn next_quarter(at: Timestamp) -> Timestamp {
    quarter(Timestamp::from_millis(at.millis() + QUARTER_MS - 1))
}

impl Unit {
    /// The label of the unit that contains a quarter: `2026-11-20` for a day or for the Monday of a week, `2026-11`, or
    /// `2026-11-20T14:00+01:00` with the offset, because a local hour can occur twice.
    pub fn label(self, quarter: Timestamp, zone: Zone) -> String {
        let local = zone.from_utc(quarter);
        match self {
            Self::Hour => format!("{}{}", local.format("%Y-%m-%dT%H:00"), zone.offset_at(quarter)),
            Self::Day => local.date().to_string(),
            Self::Week => {
                let into = TimeDelta::days(i64::from(local.weekday().num_days_from_monday()));
                local.date().checked_sub_signed(into).unwrap_or(local.date()).to_string()
            }
            Self::Month => local.format("%Y-%m").to_string(),
        }
    }
}

/// The beginning of the hour with this label. Hours are sorted by it, because labels don't show which of the two equal
/// hours in autumn comes first.
pub fn start_of_hour(label: &str) -> Option<Timestamp> {
    let start = chrono::DateTime::parse_from_str(label, "%Y-%m-%dT%H:%M%:z").ok()?;
    Some(Timestamp::from_millis(start.timestamp_millis()))
}

/// The beginning of a local day: its first quarter, even if clocks skip midnight.
pub fn start_of_day(date: NaiveDate, zone: Zone) -> Timestamp {
    let midnight = date.and_hms_opt(0, 0, 0).expect("midnight exists").and_utc().timestamp_millis();
    let mut at = quarter(Timestamp::from_millis(midnight - 15 * 3_600_000));
    while zone.from_utc(at).date() < date {
        at = Timestamp::from_millis(at.millis() + QUARTER_MS);
    }
    at
}

/// The labels of all units from `from` until before `to`, in order.
pub fn labels(unit: Unit, from: Timestamp, to: Timestamp, zone: Zone) -> Vec<String> {
    let mut labels: Vec<String> = Vec::new();
    let mut at = quarter(from);
    while at < to {
        let label = unit.label(at, zone);
        if labels.last() != Some(&label) {
            labels.push(label);
        }
        at = Timestamp::from_millis(at.millis() + QUARTER_MS);
    }
    labels
}

/// The range of the last `days` local days, including today: beginning and (exclusive) end.
pub fn last_days(days: u32, now: Timestamp, zone: Zone) -> (Timestamp, Timestamp) {
    let today = zone.from_utc(now).date();
    let first = today.checked_sub_signed(TimeDelta::days(i64::from(days.max(1)) - 1)).unwrap_or(today);
    (start_of_day(first, zone), end_of_day(today, zone))
}

/// The end of a local day: the beginning of the next.
pub fn end_of_day(date: NaiveDate, zone: Zone) -> Timestamp {
    match date.succ_opt() {
        Some(next) => start_of_day(next, zone),
        None => Timestamp::from_millis(start_of_day(date, zone).millis() + DAY_MS),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> Timestamp {
        Timestamp::parse(text).unwrap()
    }

    fn zone(name: &str) -> Zone {
        name.parse().unwrap()
    }

    #[test]
    fn local_days_begin_where_their_zone_says() {
        let date = NaiveDate::from_ymd_opt(2026, 11, 20).unwrap();
        for (name, wanted) in [
            ("UTC", "2026-11-20T00:00:00Z"),
            ("Europe/Berlin", "2026-11-19T23:00:00Z"),
            ("Asia/Kolkata", "2026-11-19T18:30:00Z"),
            ("Asia/Kathmandu", "2026-11-19T18:15:00Z"),
            ("Pacific/Kiritimati", "2026-11-19T10:00:00Z"),
            ("Pacific/Pago_Pago", "2026-11-20T11:00:00Z"),
        ] {
            assert_eq!(start_of_day(date, zone(name)), at(wanted), "{name}");
        }
        // Where clocks skip midnight the day begins at one.
        let skipped = NaiveDate::from_ymd_opt(2026, 4, 24).unwrap();
        assert_eq!(start_of_day(skipped, zone("Africa/Cairo")), at("2026-04-23T22:00:00Z"));
    }

    #[test]
    fn a_day_of_25_hours_has_25_labels() {
        let date = NaiveDate::from_ymd_opt(2026, 10, 25).unwrap();
        let berlin = zone("Europe/Berlin");
        let (from, to) = (start_of_day(date, berlin), end_of_day(date, berlin));
        let hours = labels(Unit::Hour, from, to, berlin);
        assert_eq!(hours.len(), 25);
        assert_eq!((&*hours[2], &*hours[3]), ("2026-10-25T02:00+02:00", "2026-10-25T02:00+01:00"));
        assert!(
            hours.is_sorted_by_key(|hour| start_of_hour(hour)) && !hours.is_sorted(),
            "the order of labels is different"
        );
        assert_eq!(labels(Unit::Day, from, to, berlin), ["2026-10-25"]);
        assert_eq!(Unit::Week.label(from, berlin), "2026-10-19");
        assert_eq!(Unit::Month.label(from, berlin), "2026-10");
    }

    #[test]
    fn no_quarter_belongs_to_two_local_days() {
        for tz in ["Asia/Kathmandu", "Australia/Eucla", "Pacific/Chatham", "America/St_Johns", "Asia/Tehran"] {
            let zone = zone(tz);
            let mut quarter = at("2026-01-01");
            while quarter < at("2027-01-01") {
                let last = Timestamp::from_millis(quarter.millis() + QUARTER_MS - 1);
                assert_eq!(zone.from_utc(quarter).date(), zone.from_utc(last).date(), "{tz} {quarter}");
                quarter = Timestamp::from_millis(quarter.millis() + QUARTER_MS);
            }
        }
    }
}
