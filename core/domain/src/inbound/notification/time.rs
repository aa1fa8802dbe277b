//! Parsing of times in the notation of networks.

use chrono::{DateTime, NaiveDate, NaiveTime};

use crate::inbound::source::{DateOrder, SourceSettings};
use crate::timestamp::Timestamp;

/// Dates that have one meaning. Where points separate them, the day comes first.
const DATES: [&str; 5] = ["%d %B %Y", "%B %d, %Y", "%Y%m%d", "%Y/%m/%d", "%d.%m.%Y"];
const DAY_FIRST: [&str; 4] = ["%d/%m/%Y", "%d-%m-%Y", "%d/%m/%y", "%d-%m-%y"];
const MONTH_FIRST: [&str; 4] = ["%m/%d/%Y", "%m-%d-%Y", "%m/%d/%y", "%m-%d-%y"];
/// Times behind a date.
const TIMES: [&str; 5] = ["%H:%M:%S%.f", "%H:%M", "%I:%M:%S %p", "%I:%M %p", "%H%M%S"];

impl SourceSettings {
    /// The time of a notification. Everything that [`crate::reports::zone::Zone::read`] reads, Unix seconds with a
    /// fraction, `20261120140500`, `20 Nov 2026`, the time of an e-mail header and that of JavaScript; and if the settings
    /// say which comes first, days and months as numbers. `None` for other text.
    pub fn read_time(&self, text: &str) -> Option<Timestamp> {
        let text = text.trim();
        // Two digits of a year are not the first century.
        let known = self.time_zone.read(text).filter(|at| at.millis() >= 0);
        let known = known.or_else(|| unix_with_fraction(text)).or_else(|| of_programs(text));
        known.or_else(|| {
            let by_order: &[&str] = match self.date_order {
                Some(DateOrder::DayFirst) => &DAY_FIRST,
                Some(DateOrder::MonthFirst) => &MONTH_FIRST,
                None => &[],
            };
            DATES.iter().chain(by_order).find_map(|format| {
                let (date, rest) =
                    NaiveDate::parse_and_remainder(text, format).ok().filter(|it| is_of_our_time(it.0))?;
                let rest = rest.trim_start_matches([',', 'T', ' ']);
                self.time_zone.read(format!("{date} {}", time_of_day(rest)).trim_end())
            })
        })
    }
}

fn is_of_our_time(date: NaiveDate) -> bool {
    use chrono::Datelike;

    (1970..2200).contains(&date.year())
}

/// `1773144000.25`
fn unix_with_fraction(text: &str) -> Option<Timestamp> {
    let (seconds, fraction) = text.split_once('.')?;
    let is_number = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let millis: String = fraction.chars().chain("000".chars()).take(3).collect();
    (seconds.len() == 10 && is_number(seconds) && is_number(fraction))
        .then(|| Some(Timestamp::from_millis(seconds.parse::<i64>().ok()? * 1_000 + millis.parse::<i64>().ok()?)))?
}

/// `Fri, 20 Nov 2026 14:05:00 +0000` of e-mail and HTTP, and `Fri Nov 20 2026 14:05:00 GMT+0000 (UTC)` of JavaScript.
fn of_programs(text: &str) -> Option<Timestamp> {
    let of = |time: DateTime<chrono::FixedOffset>| Timestamp::from_millis(time.timestamp_millis());
    let script = text.split(" (").next().unwrap_or(text);
    DateTime::parse_from_rfc2822(text)
        .or_else(|_| DateTime::parse_from_str(script, "%a %b %d %Y %H:%M:%S GMT%z"))
        .ok()
        .map(of)
}

/// The time of day as `14:05:00`; other text as it is, because an offset or a zone may follow the time.
fn time_of_day(text: &str) -> String {
    let read = TIMES.iter().find_map(|format| NaiveTime::parse_from_str(text, format).ok());
    read.map_or_else(|| text.to_owned(), |time| time.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_read_in_the_forms_of_networks() {
        let settings = |date_order| SourceSettings {
            date_order,
            time_zone: "Europe/Berlin".parse().unwrap(),
            ..SourceSettings::default()
        };
        for (text, order, wanted) in [
            ("2026-11-20T14:05:00Z", None, "2026-11-20T14:05:00.000Z"),
            ("2026-11-20 14:05:00", None, "2026-11-20T13:05:00.000Z"),
            ("1795183500", None, "2026-11-20T14:05:00.000Z"),
            ("1795183500.25", None, "2026-11-20T14:05:00.250Z"),
            ("20261120140500", None, "2026-11-20T13:05:00.000Z"),
            ("20261120", None, "2026-11-19T23:00:00.000Z"),
            ("2026/11/20 14:05", None, "2026-11-20T13:05:00.000Z"),
            ("20.11.2026 14:05", None, "2026-11-20T13:05:00.000Z"),
            ("20 Nov 2026 14:05:00", None, "2026-11-20T13:05:00.000Z"),
            ("November 20, 2026, 2:05 PM", None, "2026-11-20T13:05:00.000Z"),
            ("Fri, 20 Nov 2026 14:05:00 GMT", None, "2026-11-20T14:05:00.000Z"),
            ("Fri Nov 20 2026 14:05:00 GMT+0000 (Coordinated Universal Time)", None, "2026-11-20T14:05:00.000Z"),
            ("11/20/2026 02:05:00 PM", Some(DateOrder::MonthFirst), "2026-11-20T13:05:00.000Z"),
            ("11/20/26", Some(DateOrder::MonthFirst), "2026-11-19T23:00:00.000Z"),
            ("04/03/2026", Some(DateOrder::MonthFirst), "2026-04-02T22:00:00.000Z"),
            ("04/03/2026", Some(DateOrder::DayFirst), "2026-03-03T23:00:00.000Z"),
            ("20-11-26", Some(DateOrder::DayFirst), "2026-11-19T23:00:00.000Z"),
            ("20-11-2026 14:05", Some(DateOrder::DayFirst), "2026-11-20T13:05:00.000Z"),
            ("20/11/2026 14:05:00 +02:00", Some(DateOrder::DayFirst), "2026-11-20T12:05:00.000Z"),
        ] {
            let read = settings(order).read_time(text).map(|at| at.to_string());
            assert_eq!(read.as_deref(), Some(wanted), "{text} {order:?}");
        }
        for text in [
            "04/03/2026",
            "20/11/2026",
            "yesterday",
            "",
            "12",
            "2026",
            "20 Nov",
            "31.02.2026",
            "20-11-26",
            "99999999999999",
        ] {
            assert_eq!(settings(None).read_time(text), None, "{text}");
        }
        assert_eq!(settings(Some(DateOrder::MonthFirst)).read_time("20/11/2026"), None);
    }
}
