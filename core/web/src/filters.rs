//! Filters with one meaning in all operations: the period (`from`, `until` and `time_zone`), sub ids, `search` and `test`.

use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use chrono::NaiveDate;
use serde::Deserialize;
use utoipa::{IntoParams, ToSchema};

use domain::reports::Dimension;
use domain::reports::calendar::start_of_day;
use domain::reports::zone::{InvalidZone, Zone};
use domain::search::Search;
use domain::timestamp::Timestamp;
use engine::app::App;
use storage::base::page::PageRequest;

use super::errors::Problem;
use super::extract::{ApiQuery, PageIn};

/// Whether a list has real conversions (`false`), test conversions (`true`), or both (`any`).
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum TestFilter {
    #[default]
    False,
    True,
    Any,
}

impl TestFilter {
    /// The condition for queries: only tests, or only others; `None` for both.
    pub fn condition(self) -> Option<bool> {
        match self {
            Self::False => Some(false),
            Self::True => Some(true),
            Self::Any => None,
        }
    }
}

/// The parameters of a period.
#[derive(Default, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct PeriodIn {
    /// The start of the period, inclusive: a time (RFC 3339), or a date, which means its first moment.
    #[param(example = "2026-11-01")]
    from: Option<String>,
    /// The end of the period, exclusive: a time (RFC 3339), or a date, which means its first moment. November is
    /// `from=2026-11-01&until=2026-12-01`.
    #[param(example = "2026-12-01")]
    until: Option<String>,
    /// The time zone of dates, and of times without one: a name of the IANA time zone database, or an offset such as
    /// "+02:00"; UTC if absent.
    #[param(example = "Europe/Berlin")]
    time_zone: Option<String>,
}

/// The period of a request.
#[derive(Clone, Copy, Debug)]
pub struct Period {
    /// Inclusive.
    pub from: Option<Timestamp>,
    /// Exclusive.
    pub until: Option<Timestamp>,
    pub zone: Zone,
}

impl FromRequestParts<App> for Period {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, Problem> {
        let ApiQuery(params) = ApiQuery::<PeriodIn>::from_request_parts(parts, app).await?;
        Self::read(&params)
    }
}

impl Period {
    fn read(params: &PeriodIn) -> Result<Self, Problem> {
        let zone = non_empty(&params.time_zone).map(str::parse).transpose();
        let zone: Zone = zone.map_err(|error: InvalidZone| invalid(format!("time_zone: {error}")))?.unwrap_or_default();
        let from = non_empty(&params.from).map(|text| moment("from", text, zone)).transpose()?;
        let until = non_empty(&params.until).map(|text| moment("until", text, zone)).transpose()?;
        if let (Some(from), Some(until)) = (from, until) {
            check(from, until)?;
        }
        Ok(Self { from, until, zone })
    }

    /// A page of the objects of the period.
    pub fn of(&self, page: &PageIn) -> Result<PageRequest, Problem> {
        Ok(page.request()?.within(self.from, self.until))
    }
}

/// The parameters of sub ids.
#[derive(Default, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct SubIdsIn {
    /// Only this value of the sub id. The same applies to the other sub ids.
    #[param(example = "newsletter")]
    sub1: Option<String>,
    sub2: Option<String>,
    sub3: Option<String>,
    sub4: Option<String>,
    sub5: Option<String>,
    sub6: Option<String>,
    sub7: Option<String>,
    sub8: Option<String>,
    sub9: Option<String>,
    sub10: Option<String>,
}

/// The sub ids of a request and the values that they must have, which are not empty.
pub struct SubIds(pub Vec<(Dimension, String)>);

impl FromRequestParts<App> for SubIds {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, Problem> {
        use Dimension::*;
        let ApiQuery(params) = ApiQuery::<SubIdsIn>::from_request_parts(parts, app).await?;
        let values = [
            (Sub1, params.sub1),
            (Sub2, params.sub2),
            (Sub3, params.sub3),
            (Sub4, params.sub4),
            (Sub5, params.sub5),
            (Sub6, params.sub6),
            (Sub7, params.sub7),
            (Sub8, params.sub8),
            (Sub9, params.sub9),
            (Sub10, params.sub10),
        ];
        let given = values.into_iter().filter_map(|(sub_id, value)| Some((sub_id, value?)));
        Ok(Self(given.filter(|(_, value)| !value.is_empty()).collect()))
    }
}

/// Checks that the end of a period is after its start.
pub fn check(from: Timestamp, until: Timestamp) -> Result<(), Problem> {
    if from < until {
        Ok(())
    } else {
        Err(invalid(format!("until ({until}) is not after from ({from}); use a later time for until")))
    }
}

fn non_empty(text: &Option<String>) -> Option<&str> {
    text.as_deref().filter(|text| !text.is_empty())
}

fn moment(name: &str, text: &str, zone: Zone) -> Result<Timestamp, Problem> {
    if let Some(date) = date(text) {
        return Ok(start_of_day(date, zone));
    }
    // A plus sign in a query is decoded as a space unless it is written as %2B.
    let time = zone.read(&text.replace(' ', "+")).or_else(|| zone.read(text));
    time.ok_or_else(|| {
        let shown: String = text.chars().take(40).collect();
        invalid(format!(
            "{name}: \"{shown}\" is not valid; use a date such as 2026-11-20, or a time such as 2026-11-20T14:15:00Z"
        ))
    })
}

fn date(text: &str) -> Option<NaiveDate> {
    let date = NaiveDate::parse_from_str(text, "%Y-%m-%d").ok()?;
    (NaiveDate::from_ymd_opt(1990, 1, 1)? <= date && date < NaiveDate::from_ymd_opt(2200, 1, 1)?).then_some(date)
}

/// Parses the parameter `search`.
pub fn search(text: Option<&str>) -> Result<Option<Search>, Problem> {
    text.map_or(Ok(None), Search::new).map_err(|error| invalid(error.to_string()))
}

fn invalid(detail: String) -> Problem {
    Problem::bad_request("invalid_parameter", detail)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(from: &str, until: &str, zone: &str) -> Result<(Option<String>, Option<String>), Problem> {
        let given = |text: &str| Some(text.to_owned());
        let params = PeriodIn { from: given(from), until: given(until), time_zone: given(zone) };
        let shown = |time: Option<Timestamp>| time.map(|it| it.to_string());
        Period::read(&params).map(|it| (shown(it.from), shown(it.until)))
    }

    #[test]
    fn a_date_is_its_first_moment_in_the_time_zone() {
        let some = |text: &str| Some(text.to_owned());
        for (from, until, zone, expected) in [
            ("", "", "", (None, None)),
            ("2026-11-01", "", "", (some("2026-11-01T00:00:00.000Z"), None)),
            (
                "2026-11-01",
                "2026-11-02",
                "Europe/Berlin",
                (some("2026-10-31T23:00:00.000Z"), some("2026-11-01T23:00:00.000Z")),
            ),
            ("", "2026-11-01T12:00:00 02:00", "", (None, some("2026-11-01T10:00:00.000Z"))),
        ] {
            assert_eq!(read(from, until, zone).ok(), Some(expected), "{from} {until} {zone}");
        }
        for (from, until, zone) in
            [("soon", "", ""), ("2026-11-02", "2026-11-02", ""), ("", "2026-13-01", ""), ("", "", "Mars/Base")]
        {
            assert!(read(from, until, zone).is_err(), "{from} {until} {zone}");
        }
    }
}
