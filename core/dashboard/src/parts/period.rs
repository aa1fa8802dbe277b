//! The period of a list: the parameters `from` and `until`, which are days in the zone of the reader.

use std::fmt::Display;

use chrono::{Datelike, Days, NaiveDate};
use domain::reports::calendar::start_of_day;
use domain::reports::zone::Zone;
use domain::timestamp::Timestamp;
use web::errors::Problem;
use web::filters;

use super::field::Field;
use super::list::{Filters, ListUrl};
use crate::shell::texts::plain;

/// The period that a URL asks for.
#[derive(Clone, Copy, Debug)]
pub struct Period {
    /// Inclusive.
    pub from: Option<Timestamp>,
    /// Exclusive: the last day is included.
    pub until: Option<Timestamp>,
}

impl Period {
    /// Reads the period.
    ///
    /// # Errors
    /// A day is not valid, or the last is before the first.
    pub fn of(url: &ListUrl, zone: Zone) -> Result<Self, Problem> {
        let from = day(url, "from")?.map(|date| start_of_day(date, zone));
        let until = day(url, "until")?.and_then(|date| date.checked_add_days(Days::new(1)));
        let until = until.map(|date| start_of_day(date, zone));
        if let (Some(from), Some(until)) = (from, until) {
            filters::check(from, until)?;
        }
        Ok(Self { from, until })
    }

    /// Adds the fields and their chips.
    pub fn add_to(mut filters: Filters, url: &ListUrl) -> Filters {
        for (name, label) in [("from", "parts.from"), ("until", "parts.until")] {
            let field = Field::date(name, label).value(url.get(name).unwrap_or_default());
            filters = filters.add(url, field, name, label, url.get(name).map(plain));
        }
        filters
    }
}

/// The error of a parameter.
pub fn invalid(name: &str, problem: impl Display) -> Problem {
    Problem::bad_request("invalid_parameter", format!("{name}: {problem}"))
}

/// A day of the URL.
///
/// # Errors
/// It is not a date.
pub fn day(url: &ListUrl, name: &str) -> Result<Option<NaiveDate>, Problem> {
    let read = |text: &str| NaiveDate::parse_from_str(text, "%Y-%m-%d").ok().filter(is_usual);
    let Some(text) = url.get(name) else { return Ok(None) };
    let date = read(text).ok_or_else(|| invalid(name, "is not a date; write it as 2026-11-20"))?;
    Ok(Some(date))
}

/// Times of other dates may not be representable.
fn is_usual(date: &NaiveDate) -> bool {
    (1990..2200).contains(&date.year())
}
