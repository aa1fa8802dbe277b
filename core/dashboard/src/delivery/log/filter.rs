//! The filters of the postback log, as they stand in its URL. The names are those of the API.

use domain::delivery::answer::AnswerFilter;
use domain::delivery::delivery::DeliveryState;
use domain::delivery::retry_job::{RetryFilter, RetryableStatus};
use domain::ids::{AffiliateId, ClickId, ConversionId, EventId, OfferId, PostbackId};
use domain::reports::zone::Zone;
use domain::timestamp::Timestamp;
use storage::base::page::PageRequest;
use storage::delivery::deliveries::Filter;
use web::errors::Problem;

use crate::parts::field::Field;
use crate::parts::list::{Filters, ListUrl, choice_filter};
use crate::parts::period::{Period, invalid};
use crate::shell::texts::{Text, plain, text};
use crate::tracking::filter_of;

/// The words of the states.
const STATES: [DeliveryState; 5] = [
    DeliveryState::Pending,
    DeliveryState::Success,
    DeliveryState::Failed,
    DeliveryState::Cancelled,
    DeliveryState::Superseded,
];

/// Answers that the field suggests.
const ANSWERS: [&str; 6] = ["2xx", "4xx", "5xx", "404", "503", "none"];

/// The parameters of the filters.
const NAMES: [&str; 14] = [
    "from",
    "until",
    "status",
    "postback_id",
    "offer_id",
    "http_status",
    "transaction_id",
    "click_id",
    "reason",
    "reason_code",
    "not_sent",
    "affiliate_id",
    "conversion_id",
    "event_id",
];

/// Filters that pages link to; they have no field, and are shown while they are set.
const LINKED: [(&str, &str); 5] = [
    ("reason_code", "log.reason_code"),
    ("not_sent", "log.view.not_sent"),
    ("affiliate_id", "log.affiliate"),
    ("conversion_id", "log.conversion"),
    ("event_id", "log.event"),
];

/// What the URL asks for.
#[derive(Clone, Debug)]
pub struct LogFilter {
    pub filter: Filter,
    pub period: Period,
}

impl LogFilter {
    /// Reads the filters; days are days in `zone`.
    ///
    /// # Errors
    /// A value cannot be read. Ignoring it would show everything.
    pub fn of(url: &ListUrl, zone: Zone) -> Result<Self, Problem> {
        let given = |name: &str| url.get(name).map(|text| text.trim().to_owned()).filter(|text| !text.is_empty());
        Ok(Self {
            filter: Filter {
                owner: None,
                postback_id: filter_of::<PostbackId>(url, "postback_id")?,
                conversion_id: filter_of::<ConversionId>(url, "conversion_id")?,
                event_id: filter_of::<EventId>(url, "event_id")?,
                state: state(url)?,
                affiliate_id: filter_of::<AffiliateId>(url, "affiliate_id")?,
                offer_id: filter_of::<OfferId>(url, "offer_id")?,
                transaction_id: given("transaction_id"),
                click_id: filter_of::<ClickId>(url, "click_id")?,
                http_status: filter_of::<AnswerFilter>(url, "http_status")?,
                not_sent: not_sent(url)?,
                reason_code: given("reason_code"),
                reason: given("reason"),
                test: None,
            },
            period: Period::of(url, zone)?,
        })
    }

    /// A page of the deliveries.
    pub fn page(&self, limit: u64) -> PageRequest {
        PageRequest::first(limit).within(self.period.from, self.period.until)
    }

    /// The status of those of the deliveries that a job can retry; `None` if it can retry none of them.
    pub fn retryable(&self) -> Option<RetryableStatus> {
        match self.filter.state {
            None if self.filter.not_sent => Some(RetryableStatus::Cancelled),
            None | Some(DeliveryState::Failed) => Some(RetryableStatus::Failed),
            Some(DeliveryState::Cancelled) => Some(RetryableStatus::Cancelled),
            Some(_) => None,
        }
    }

    /// The filter of a job that retries those deliveries that existed at `counted_at`.
    pub fn of_job(&self, status: RetryableStatus, counted_at: Timestamp) -> RetryFilter {
        let Filter {
            owner: _,
            postback_id,
            conversion_id,
            event_id,
            state: _,
            affiliate_id,
            offer_id,
            transaction_id,
            click_id,
            http_status,
            not_sent,
            reason_code,
            reason,
            test: _,
        } = self.filter.clone();
        RetryFilter {
            status,
            postback_id,
            conversion_id,
            event_id,
            affiliate_id,
            offer_id,
            transaction_id,
            click_id,
            http_status,
            not_sent,
            reason_code,
            reason,
            from: self.period.from,
            until: self.period.until.map_or(counted_at, |until| until.min(counted_at)),
        }
    }
}

fn state(url: &ListUrl) -> Result<Option<DeliveryState>, Problem> {
    let Some(word) = url.get("status") else { return Ok(None) };
    let known = STATES.map(|it| it.as_str()).join(", ");
    DeliveryState::from_word(word).map(Some).ok_or_else(|| invalid("status", format!("is none of {known}")))
}

fn not_sent(url: &ListUrl) -> Result<bool, Problem> {
    match url.get("not_sent") {
        None => Ok(false),
        Some("yes") => Ok(true),
        Some(_) => Err(invalid("not_sent", "must be yes; leave it out for all")),
    }
}

/// The fields and chips of the filters.
pub fn fields(url: &ListUrl, postbacks: Vec<(String, Text)>, offers: Vec<(String, Text)>) -> Filters {
    let filters = Period::add_to(Filters::new(url).with_views(), url);
    let states = STATES.map(|state| (state.to_string(), text(&format!("status.{state}"))));
    let filters = choice_filter(filters, url, "status", "log.status", states);
    let filters =
        choice_filter(filters, url, "postback_id", "log.postback", with_chosen(url, "postback_id", postbacks));
    let filters = choice_filter(filters, url, "offer_id", "log.offer", with_chosen(url, "offer_id", offers));
    let typed = |name: &'static str, label| Field::text(name, label).value(url.get(name).unwrap_or_default());
    let answer = typed("http_status", "log.answer").suggestions(ANSWERS.map(str::to_owned));
    let mut filters = filters.add(url, answer, "http_status", "log.answer", url.get("http_status").map(plain));
    for (name, label) in [("transaction_id", "log.transaction"), ("click_id", "log.click"), ("reason", "log.reason")] {
        filters = filters.add(url, typed(name, label), name, label, url.get(name).map(plain));
    }
    for (name, label) in LINKED {
        if let Some(value) = url.get(name) {
            let shown = if name == "not_sent" { text("log.yes") } else { plain(value) };
            filters = filters.add(url, Field::hidden(name, value), name, label, Some(shown));
        }
    }
    filters
}

/// The choices with that of the URL, which can be older than those that are loaded.
fn with_chosen(url: &ListUrl, name: &str, mut choices: Vec<(String, Text)>) -> Vec<(String, Text)> {
    if let Some(chosen) = url.get(name)
        && !choices.iter().any(|(id, _)| id == chosen)
    {
        choices.push((chosen.to_owned(), plain(chosen)));
    }
    choices
}

/// The parameters that are filters, with their values.
pub fn parameters(url: &ListUrl) -> Vec<(String, String)> {
    NAMES.into_iter().filter_map(|name| Some((name.to_owned(), url.get(name)?.to_owned()))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(query: &str) -> Result<LogFilter, Problem> {
        let zone = Zone::parse("Europe/Berlin").unwrap();
        LogFilter::of(&ListUrl::of(&format!("/deliveries?{query}").parse().unwrap()), zone)
    }

    #[test]
    fn a_filter_that_cannot_be_read_is_refused() {
        for query in ["status=sent", "http_status=6xx", "postback_id=1", "click_id=x", "not_sent=maybe", "from=soon"] {
            assert!(read(query).is_err(), "{query}");
        }
        let filter = read("status=failed&http_status=5xx&reason=%20&not_sent=yes").ok().unwrap().filter;
        assert_eq!((filter.http_status, filter.not_sent), (Some(AnswerFilter::Class(5)), true));
        assert_eq!((filter.state, filter.reason), (Some(DeliveryState::Failed), None));
    }

    #[test]
    fn a_job_retries_what_the_log_shows_and_can_be_retried() {
        for (query, wanted) in [
            ("", Some(RetryableStatus::Failed)),
            ("status=failed", Some(RetryableStatus::Failed)),
            ("status=cancelled", Some(RetryableStatus::Cancelled)),
            ("not_sent=yes", Some(RetryableStatus::Cancelled)),
            ("status=success", None),
            ("status=pending", None),
            ("status=superseded", None),
        ] {
            assert_eq!(read(query).ok().unwrap().retryable(), wanted, "{query}");
        }
        let now = Timestamp::parse("2026-11-26T13:00:00Z").unwrap();
        let job = |query: &str| read(query).ok().unwrap().of_job(RetryableStatus::Failed, now);
        assert_eq!(job("transaction_id=T-1").until, now);
        assert_eq!(job("until=2026-11-20").until.to_string(), "2026-11-20T23:00:00.000Z");
        assert_eq!(job("transaction_id=T-1").transaction_id.as_deref(), Some("T-1"));
    }
}
