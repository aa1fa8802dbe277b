//! Spans of time in a query: `from`, `to` and `time_zone`.

use chrono::NaiveDate;

use crate::errors::Problem;
use domain::reports::calendar::{end_of_day, start_of_day};
use domain::reports::zone::InvalidZone;
use domain::reports::zone::Zone;
use domain::timestamp::Timestamp;

fn invalid(detail: String) -> Problem {
    Problem::bad_request("invalid_parameter", detail)
}

pub fn zone(text: Option<&str>) -> Result<Zone, Problem> {
    let zone = text.filter(|text| !text.is_empty()).map(str::parse).transpose();
    zone.map(Option::unwrap_or_default).map_err(|error: InvalidZone| invalid(format!("time_zone: {error}")))
}

/// A date is its first moment in `zone`; a time is itself.
pub fn from(text: &str, zone: Zone) -> Result<Timestamp, Problem> {
    match date(text) {
        Some(date) => Ok(start_of_day(date, zone)),
        None => moment("from", text, zone),
    }
}

/// A date is included; a time is not.
pub fn to(text: &str, zone: Zone) -> Result<Timestamp, Problem> {
    match date(text) {
        Some(date) => Ok(end_of_day(date, zone)),
        None => moment("to", text, zone),
    }
}

fn date(text: &str) -> Option<NaiveDate> {
    let date = NaiveDate::parse_from_str(text, "%Y-%m-%d").ok()?;
    (NaiveDate::from_ymd_opt(1990, 1, 1)? <= date && date < NaiveDate::from_ymd_opt(2200, 1, 1)?).then_some(date)
}

fn moment(name: &str, text: &str, zone: Zone) -> Result<Timestamp, Problem> {
    // A plus in a query is a blank unless it is written as %2B.
    let read = zone.read(&text.replace(' ', "+")).or_else(|| zone.read(text));
    read.ok_or_else(|| {
        let shown: String = text.chars().take(40).collect();
        invalid(format!(
            "{name} is \"{shown}\"; write a date such as 2026-11-20, or a time such as 2026-11-20T14:15:00Z"
        ))
    })
}

/// That a span has an end after its beginning.
pub fn check(from: Timestamp, to: Timestamp) -> Result<(), Problem> {
    if from < to { Ok(()) } else { Err(invalid(format!("to ({to}) is not after from ({from}); exchange them"))) }
}
