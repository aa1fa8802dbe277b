//! The period of a report: one of a few that follow from today, or own dates. Days are those of the reader's zone.

use chrono::{Datelike, Days, Months, NaiveDate};
use domain::reports::calendar::{Unit, end_of_day, start_of_day};
use domain::reports::zone::Zone;
use engine::reports::comparison::Span;
use web::errors::Problem;

use crate::parts::field::Field;
use crate::parts::list::{Filters, ListUrl};
use crate::parts::period::day;
use crate::shell::format::Formats;
use crate::shell::texts::{Text, text};

/// The periods that a person can choose. The empty word is the default.
const WORDS: [&str; 7] = ["", "today", "yesterday", "7", "90", "month", "last_month"];
/// The word of the form for own dates. A form that is sent says with it what the page showed.
const OWN: &str = "own";
/// The longest period of a report, as in the API.
const DAYS_MAX: u64 = 1_100;
const DEFAULT_DAYS: u64 = 30;

#[derive(Clone, Copy, Debug)]
pub struct Period {
    /// The first and the last day.
    pub days: (NaiveDate, NaiveDate),
    word: &'static str,
    zone: Zone,
}

/// The URL with one statement about the period. A form sends a period and own dates; the one that changed counts.
pub fn settled(url: &ListUrl) -> ListUrl {
    let has_dates = url.get("from").or(url.get("until")).is_some();
    match (url.get("period"), url.get("shown")) {
        (Some(word), Some(OWN)) if has_dates && word != OWN => url.without(&["shown", "from", "until"]),
        (None, Some(OWN)) if has_dates => url.without(&["shown", "from", "until"]),
        (Some(word), _) if has_dates || word == OWN => url.without(&["shown", "period"]),
        _ => url.without(&["shown"]),
    }
}

impl Period {
    /// # Errors
    /// A date is not one, the last day is before the first, or the period is too long.
    pub fn of(url: &ListUrl, formats: &Formats) -> Result<Self, Problem> {
        let today = formats.zone.from_utc(formats.now).date();
        let (from, until) = (day(url, "from")?, day(url, "until")?);
        let zone = formats.zone;
        if from.is_some() || until.is_some() {
            // An early first day alone is the longest period from it.
            let latest = from.and_then(|from| from.checked_add_days(Days::new(DAYS_MAX - 1))).unwrap_or(today);
            let last = until.unwrap_or(today.min(latest));
            let days = (from.unwrap_or(back(last, DEFAULT_DAYS - 1)), last);
            if days.1 < days.0 {
                return Err(invalid("until is before from; choose a later last day"));
            }
            if (days.1 - days.0).num_days().unsigned_abs() >= DAYS_MAX {
                return Err(invalid("a report has at most 1,100 days; choose a shorter period"));
            }
            return Ok(Self { days, word: OWN, zone });
        }
        let word = WORDS.into_iter().find(|word| url.get("period") == Some(*word)).unwrap_or_default();
        Ok(Self { days: days_of(word, today), word, zone })
    }

    /// The beginning and the end.
    pub fn span(&self) -> Span {
        (start_of_day(self.days.0, self.zone), end_of_day(self.days.1, self.zone))
    }

    /// The days with which it is compared: the same days of the month before for a month, otherwise as many days before it.
    pub fn before(&self) -> Self {
        let (first, last) = self.days;
        let month_before = |date: NaiveDate| date.checked_sub_months(Months::new(1)).unwrap_or(date);
        let days = match self.word {
            "month" => (month_before(first), month_before(last)),
            "last_month" => (month_before(first), back(first, 1)),
            _ => {
                let length = (last - first).num_days().unsigned_abs() + 1;
                (back(first, length), back(first, 1))
            }
        };
        Self { days, ..*self }
    }

    /// The unit of its series: at most about a hundred points.
    pub fn unit(&self) -> Unit {
        match (self.days.1 - self.days.0).num_days() {
            0 => Unit::Hour,
            1..100 => Unit::Day,
            100..700 => Unit::Week,
            _ => Unit::Month,
        }
    }

    /// `1 Nov to 30 Nov`.
    pub fn name(&self) -> Text {
        let (from, until) = (start_of_day(self.days.0, self.zone), start_of_day(self.days.1, self.zone));
        if from == until { Text::of_day(from) } else { text("report.span").day("from", from).day("until", until) }
    }

    /// The parameters of lists that have the same period.
    pub fn parameters(&self) -> [(&'static str, String); 2] {
        [("from", self.days.0.to_string()), ("until", self.days.1.to_string())]
    }

    /// Adds the fields, and a chip for another period than the default.
    pub fn add_to(&self, filters: Filters, url: &ListUrl) -> Filters {
        let is_own = self.word == OWN;
        let name = |word: &str| match word {
            "" => text("parts.last_days").count("count", DEFAULT_DAYS),
            "today" => text("parts.today"),
            "7" | "90" => text("parts.last_days").count("count", word.parse().unwrap_or(0)),
            word => text(&format!("report_period.{word}")),
        };
        let choices = WORDS.into_iter().chain([OWN]).map(|word| (word.to_owned(), name(word)));
        let shown = Some(name(self.word)).filter(|_| !is_own && !self.word.is_empty());
        let field = Field::select("period", "parts.period", self.word, choices);
        let mut filters = filters.add(url, field, "period", "parts.period", shown);
        for (name, label, date) in [("from", "parts.from", self.days.0), ("until", "parts.until", self.days.1)] {
            let given = url.get(name).map(|_| Text::of_day(start_of_day(date, self.zone)));
            let field = Field::date(name, label).value(url.get(name).unwrap_or_default());
            filters = filters.add(url, field, name, label, given);
        }
        filters.add(url, Field::hidden("shown", if is_own { OWN } else { "period" }), "shown", "parts.period", None)
    }
}

fn invalid(detail: &str) -> Problem {
    Problem::bad_request("invalid_parameter", detail)
}

fn back(date: NaiveDate, days: u64) -> NaiveDate {
    date.checked_sub_days(Days::new(days)).unwrap_or(date)
}

fn days_of(word: &str, today: NaiveDate) -> (NaiveDate, NaiveDate) {
    let first_of_month = today.with_day(1).unwrap_or(today);
    match word {
        "today" => (today, today),
        "yesterday" => (back(today, 1), back(today, 1)),
        "7" => (back(today, 6), today),
        "90" => (back(today, 89), today),
        "month" => (first_of_month, today),
        "last_month" => {
            let last = back(first_of_month, 1);
            (last.with_day(1).unwrap_or(last), last)
        }
        _ => (back(today, DEFAULT_DAYS - 1), today),
    }
}

#[cfg(test)]
mod tests {
    use domain::people::preferences::Language;
    use domain::timestamp::Timestamp;

    use super::*;

    fn period(query: &str) -> Result<Period, Problem> {
        let now = Timestamp::parse("2026-03-31T22:30:00Z").unwrap();
        let formats = Formats { language: Language::En, zone: Zone::parse("Europe/Berlin").unwrap(), now };
        let url = settled(&ListUrl::of(&format!("/reports?{query}").parse().unwrap()));
        Period::of(&url, &formats)
    }

    fn days(period: Period) -> String {
        format!("{} {}", period.days.0, period.days.1)
    }

    #[test]
    fn each_period_has_one_before_it() {
        for (query, now, before) in [
            ("", "2026-03-03 2026-04-01", "2026-02-01 2026-03-02"),
            ("period=today", "2026-04-01 2026-04-01", "2026-03-31 2026-03-31"),
            ("period=month", "2026-04-01 2026-04-01", "2026-03-01 2026-03-01"),
            ("period=last_month", "2026-03-01 2026-03-31", "2026-02-01 2026-02-28"),
            ("from=2026-01-01&until=2026-01-10", "2026-01-01 2026-01-10", "2025-12-22 2025-12-31"),
            ("until=2026-01-30", "2026-01-01 2026-01-30", "2025-12-02 2025-12-31"),
        ] {
            let period = period(query).ok().unwrap();
            assert_eq!((days(period), days(period.before())), (now.to_owned(), before.to_owned()), "{query}");
        }
        for query in ["from=2026-02-02&until=2026-02-01", "from=2020-01-01&until=2026-01-01", "from=soon"] {
            assert!(period(query).is_err(), "{query}");
        }
    }

    #[test]
    fn what_changed_in_the_form_counts() {
        let both = "period=7&from=2026-01-01&until=2026-01-02";
        let first_day = |query: &str| period(query).ok().unwrap().days.0.to_string();
        let dates = "from=2026-01-01&until=2026-01-02";
        for (query, wanted) in [
            (format!("{both}&shown=own"), "2026-03-26"),
            (format!("{both}&shown=period"), "2026-01-01"),
            (format!("{dates}&shown=own"), "2026-03-03"),
            (format!("{dates}&period=own&shown=own"), "2026-01-01"),
            (format!("{dates}&shown=period"), "2026-01-01"),
            ("period=own&shown=own".to_owned(), "2026-03-03"),
        ] {
            assert_eq!(first_day(&query), wanted, "{query}");
        }
    }
}
