//! The period of a query: `from`, `to` and `time_zone`.

use chrono::NaiveDate;

use crate::errors::Problem;
use domain::reports::calendar::{end_of_day, start_of_day};
use domain::reports::zone::{InvalidZone, Zone};
use domain::timestamp::Timestamp;

fn invalid(detail: String) -> Problem {
    Problem::bad_request("invalid_parameter", detail)
}

/// Parses a time zone; UTC if absent.
pub fn zone(text: Option<&str>) -> Result<Zone, Problem> {
    let zone = text.filter(|text| !text.is_empty()).map(str::parse).transpose();
    zone.map(Option::unwrap_or_default).map_err(|error: InvalidZone| invalid(format!("time_zone: {error}")))
}

/// Parses the start of a period: the start of a date in `zone`, or a time.
pub fn from(text: &str, zone: Zone) -> Result<Timestamp, Problem> {
    match date(text) {
        Some(date) => Ok(start_of_day(date, zone)),
        None => time("from", text, zone),
    }
}

/// Parses the exclusive end of a period: the end of a date in `zone`, or a time.
pub fn to(text: &str, zone: Zone) -> Result<Timestamp, Problem> {
    match date(text) {
        Some(date) => Ok(end_of_day(date, zone)),
        None => time("to", text, zone),
    }
}

fn date(text: &str) -> Option<NaiveDate> {
    let date = NaiveDate::parse_from_str(text, "%Y-%m-%d").ok()?;
    (NaiveDate::from_ymd_opt(1990, 1, 1)? <= date && date < NaiveDate::from_ymd_opt(2200, 1, 1)?).then_some(date)
}

fn time(name: &str, text: &str, zone: Zone) -> Result<Timestamp, Problem> {
    // A plus sign in a query is decoded as a space unless it is written as %2B.
    let time = zone.read(&text.replace(' ', "+")).or_else(|| zone.read(text));
    time.ok_or_else(|| {
        let shown: String = text.chars().take(40).collect();
        invalid(format!(
            "{name}: \"{shown}\" is not valid; use a date such as 2026-11-20, or a time such as 2026-11-20T14:15:00Z"
        ))
    })
}

/// Checks that the end of a period is after its start.
pub fn check(from: Timestamp, to: Timestamp) -> Result<(), Problem> {
    if from < to {
        Ok(())
    } else {
        Err(invalid(format!("to ({to}) is not after from ({from}); use a later time for to")))
    }
}
