//! `/statement`: the postings of a month in one currency, each with the balance after it. It prints on paper, and the same
//! statement is there as CSV.

use std::pin::pin;

use axum::extract::State;
use axum::http::Uri;
use chrono::{Datelike, Months, NaiveDate};
use domain::amounts::Currency;
use domain::ids::{AffiliateId, PostingId, WithdrawalId};
use domain::money::ledger::PostingKind;
use domain::money::statement::{AccountSums, StatementLine};
use domain::people::actor::Actor;
use domain::reports::calendar::start_of_day;
use domain::timestamp::Timestamp;
use engine::Error;
use engine::app::App;
use engine::money::balances::{self, StatementRequest};
use futures::StreamExt;
use serde::Serialize;
use storage::base::page::PageRequest;
use web::auth::Caller;
use web::errors::Problem;

use crate::parts::list::{Choice, ListUrl};
use crate::shell::format::Formats;
use crate::shell::nav;
use crate::shell::page::{Page, Reply};
use crate::shell::templates::Sum;
use crate::shell::texts::{Text, plain, text};
use crate::shell::viewer::Viewer;

/// Lines of one page.
const LINES: usize = 100;

#[derive(Debug, Serialize)]
pub struct StatementPage {
    currencies: Vec<Choice>,
    currency: String,
    /// The month before and the month after; no later one than the present.
    earlier: Choice,
    month: Timestamp,
    later: Option<Choice>,
    /// The statement of the month as CSV.
    csv: String,
    /// The balance at the beginning of the lines.
    opening: Sum,
    lines: Vec<Line>,
    closing: Sum,
    /// The lines that follow in this month.
    more: Option<String>,
}

#[derive(Debug, Serialize)]
struct Line {
    at: Timestamp,
    what: Text,
    url: Option<String>,
    detail: Option<String>,
    pending: Option<Moved>,
    available: Option<Moved>,
    /// What is available after it.
    balance: Sum,
}

/// What a line changed in an account.
#[derive(Debug, Serialize)]
struct Moved {
    sum: Sum,
    is_gain: bool,
}

impl Moved {
    fn of(micros: i128, currency: Currency) -> Option<Self> {
        (micros != 0).then(|| Self { sum: Sum::new(micros, currency), is_gain: micros > 0 })
    }
}

impl Line {
    fn new(line: &StatementLine, after: AccountSums, currency: Currency, reader: Option<AffiliateId>) -> Self {
        let conversion = line.conversion_for(reader);
        let of_withdrawal = matches!(
            line.kind,
            PostingKind::WithdrawalRequested
                | PostingKind::WithdrawalPaid
                | PostingKind::WithdrawalReturned
                | PostingKind::WithdrawalFee
                | PostingKind::PaymentReturned
        );
        let what = match (line.kind, line.note.as_deref().and_then(|note| note.parse().ok())) {
            (PostingKind::Released, Some(count)) => text("statement.released").count("count", count),
            (kind, _) => text(&format!("posting.{}", kind.as_str())),
        };
        let withdrawal = line.cause_id.filter(|_| of_withdrawal && nav::has_page("/withdrawals/{id}"));
        let url = match (conversion, withdrawal) {
            _ if line.kind == PostingKind::Released => None,
            (Some(it), _) if nav::has_page("/conversions/{id}") => Some(format!("/conversions/{}", it.id)),
            (_, Some(id)) => Some(format!("/withdrawals/{}", WithdrawalId(id))),
            _ => None,
        };
        let note = line.note.clone().filter(|_| line.kind != PostingKind::Released);
        let sale = conversion.filter(|_| line.kind != PostingKind::Released);
        let reason = sale.and_then(|it| it.rejection_reason.clone()).filter(|_| line.kind == PostingKind::Reversed);
        let sale = sale.map(|it| format!("{}, {}", it.transaction_id, it.offer));
        let details: Vec<_> = [sale, reason, note].into_iter().flatten().filter(|it| !it.is_empty()).collect();
        Self {
            at: line.at,
            what,
            url,
            detail: (!details.is_empty()).then(|| details.join(" · ")),
            pending: Moved::of(line.change.pending, currency),
            available: Moved::of(line.change.available, currency),
            balance: Sum::new(after.available, currency),
        }
    }
}

/// The month of the URL, such as `2026-11`, or the present one.
fn month_of(url: &ListUrl, formats: &Formats) -> NaiveDate {
    let asked = url.get("month").and_then(|month| NaiveDate::parse_from_str(&format!("{month}-01"), "%Y-%m-%d").ok());
    let asked = asked.filter(|month| (1990..2200).contains(&month.year()));
    asked.unwrap_or_else(|| present_month(formats))
}

fn present_month(formats: &Formats) -> NaiveDate {
    formats.zone.from_utc(formats.now).date().with_day(1).expect("every month has a first day")
}

fn after(month: NaiveDate) -> NaiveDate {
    month.checked_add_months(Months::new(1)).expect("the years are bounded")
}

fn before(month: NaiveDate) -> NaiveDate {
    month.checked_sub_months(Months::new(1)).expect("the years are bounded")
}

impl StatementPage {
    fn new(url: &ListUrl, formats: &Formats, currency: Currency, affiliate: Option<AffiliateId>) -> Self {
        let month = month_of(url, formats);
        let choice = |month: NaiveDate| Choice {
            url: url.without(&["after"]).with("month", Some(&month.format("%Y-%m").to_string())),
            name: Text::of_day(start_of_day(month, formats.zone)),
            current: false,
        };
        let csv = [
            ("currency", currency.to_string()),
            ("from", month.to_string()),
            ("until", after(month).to_string()),
            ("time_zone", formats.zone.to_string()),
            ("format", "csv".to_owned()),
        ];
        let csv = csv.into_iter().chain(affiliate.map(|id| ("affiliate_id", id.to_string())));
        let csv = url::form_urlencoded::Serializer::new(String::new()).extend_pairs(csv).finish();
        Self {
            currencies: Vec::new(),
            currency: currency.to_string(),
            earlier: choice(before(month)),
            month: start_of_day(month, formats.zone),
            later: (month < present_month(formats)).then(|| choice(after(month))),
            csv: format!("/api/v1/statement?{csv}"),
            opening: Sum::new(0, currency),
            lines: Vec::new(),
            closing: Sum::new(0, currency),
            more: None,
        }
    }

    /// Reads the lines of the month, from where the page before ended.
    async fn read(
        mut self,
        app: &App,
        actor: Actor,
        url: &ListUrl,
        formats: &Formats,
        request: (AffiliateId, Currency),
    ) -> Result<Self, Error> {
        let (affiliate_id, currency) = request;
        let month = month_of(url, formats);
        let (from, until) = (start_of_day(month, formats.zone), start_of_day(after(month), formats.zone));
        let after = url.get("after").and_then(|after| after.parse().ok());
        let request = StatementRequest { affiliate_id, currency, from, until, after };
        let statement = balances::statement(app, actor, request).await?;
        let (mut last, mut last_id) = (statement.opening, None);
        let mut stream = pin!(statement.lines(app, actor));
        while let Some(line) = stream.next().await {
            let (line, sums) = line?;
            if self.lines.len() == LINES {
                self.more = last_id.map(|id: PostingId| url.with("after", Some(&id.to_string())));
                break;
            }
            self.lines.push(Line::new(&line, sums, currency, actor.confined_to()));
            (last, last_id) = (sums, Some(line.posting_id));
        }
        self.opening = Sum::new(statement.opening.available, currency);
        self.closing = Sum::new(last.available, currency);
        Ok(self)
    }
}

impl Page for StatementPage {
    const TEMPLATE: &'static str = "money/statement";

    #[cfg(test)]
    fn samples() -> Vec<Self> {
        let currency: Currency = "USD".parse().expect("a currency");
        let formats = Formats {
            language: domain::people::preferences::Language::En,
            zone: domain::reports::zone::Zone::default(),
            now: Timestamp::parse("2026-11-26T13:20:00Z").expect("a time"),
        };
        let new = |path: &str| Self::new(&ListUrl::of(&path.parse().expect("a path")), &formats, currency, None);
        let line = |detail: Option<&str>| Line {
            at: formats.now,
            what: text("posting.earned"),
            url: detail.map(|_| "/conversions/cnv_1".into()),
            detail: detail.map(str::to_owned),
            pending: detail.and_then(|_| Moved::of(14_700_000, currency)),
            available: detail.map_or_else(|| Moved::of(-14_700_000, currency), |_| None),
            balance: Sum::new(0, currency),
        };
        let choice = |current| Choice { url: "/statement?currency=EUR".into(), name: plain("EUR"), current };
        let kinds = [
            PostingKind::Earned,
            PostingKind::Commission,
            PostingKind::Corrected,
            PostingKind::Reversed,
            PostingKind::Released,
            PostingKind::Adjusted,
            PostingKind::WithdrawalRequested,
            PostingKind::WithdrawalPaid,
            PostingKind::WithdrawalReturned,
            PostingKind::WithdrawalFee,
            PostingKind::PaymentReturned,
            PostingKind::Exchanged,
        ];
        let of_kind = |kind: PostingKind| Line { what: text(&format!("posting.{}", kind.as_str())), ..line(None) };
        let full = Self {
            currencies: vec![choice(true), choice(false)],
            lines: [line(Some("HM-<b>"))].into_iter().chain(kinds.into_iter().map(of_kind)).collect(),
            more: Some("/statement?after=1".into()),
            ..new("/statement?month=2026-10")
        };
        vec![full, new("/statement")]
    }
}

/// `GET /statement`: of the affiliate itself; staff name the affiliate in the URL.
pub async fn show(
    State(app): State<App>,
    viewer: Viewer,
    Caller(actor): Caller,
    uri: Uri,
) -> Result<Reply<StatementPage>, Problem> {
    let url = ListUrl::of(&uri);
    let named = url.get("affiliate_id").and_then(|id| id.parse().ok());
    let affiliate_id = actor.confined_to().or(named).ok_or_else(|| {
        Problem::bad_request("invalid_parameter", "name the affiliate of the statement, as affiliate_id=aff_…")
    })?;
    let known = balances::list(&app, actor, Some(affiliate_id), None, PageRequest::first(1)).await?.items;
    let known: Vec<_> = known.iter().map(|it| it.currency).collect();
    let asked = url.get("currency").and_then(|code| code.parse::<Currency>().ok());
    let default = match app.catalog.default_offer().await.map_err(Error::from)? {
        Some(offer) => Some(offer.currency),
        None => "USD".parse().ok(),
    };
    let currency = asked.or(known.first().copied()).or(default).expect("USD is a currency");
    let formats = viewer.formats;
    let page = StatementPage::new(&url, &formats, currency, Some(affiliate_id).filter(|_| actor.is_staff()));
    let choice = |it: &Currency| Choice {
        url: url.without(&["after"]).with("currency", Some(it.code())),
        name: plain(it.code()),
        current: *it == currency,
    };
    let page = StatementPage { currencies: known.iter().map(choice).collect(), ..page };
    let page = page.read(&app, actor, &url, &formats, (affiliate_id, currency)).await?;
    let title = text("statement.title");
    let above = text("nav.earnings");
    Ok(viewer.page(title, page).lead(text("statement.lead")).below("/earnings", above).wide())
}
