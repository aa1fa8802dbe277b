//! `/withdrawals`: what an affiliate can withdraw, the request of a withdrawal, and its withdrawals; for staff the
//! withdrawals of all.

mod request;

use axum::extract::State;
use axum::http::Uri;
use axum::response::{IntoResponse, Redirect, Response};
use domain::money::withdrawal::{Status, Withdrawal};
use domain::people::actor::Actor;
use domain::program::affiliate::Affiliate;
use domain::timestamp::Timestamp;
use engine::Error;
use engine::app::App;
use engine::money::payout_methods;
use engine::money::withdrawals::{self, RequestOutcome};
use serde::Serialize;
use storage::base::page::PageRequest;
use storage::money::withdrawals::Filter;
use web::auth::Caller;
use web::errors::Problem;

use super::balance::BalanceCard;
use super::withdrawal::{Progress, method_name};
use super::{joined, may_request};
use crate::form::Fields;
use crate::parts::field::Field;
use crate::parts::list::{Filters, LastDays, ListUrl, Pager, choice_filter, cursor};
use crate::parts::status::ShownStatus;
use crate::shell::page::{Page, Reply};
use crate::shell::templates::Sum;
use crate::shell::texts::text;
use crate::shell::viewer::Viewer;
use request::{Asked, RequestForm};

const ROWS: u64 = 50;

#[derive(Debug, Serialize)]
pub struct Withdrawals {
    balance: BalanceCard,
    /// `None` for staff and for callers who can only read.
    request: Option<RequestForm>,
    /// The newest withdrawal that is neither paid nor given back.
    on_its_way: Option<Progress>,
    filters: Filters,
    is_filtered: bool,
    is_staff: bool,
    rows: Vec<Row>,
    pager: Pager,
}

#[derive(Debug, Serialize)]
struct Row {
    id: String,
    at: Timestamp,
    amount: Sum,
    net: Sum,
    method: String,
    details: String,
    affiliate: Option<String>,
    status: ShownStatus,
    /// The reference of the payment, or why the money came back.
    note: Option<String>,
}

impl Row {
    fn new(withdrawal: &Withdrawal, method: String, affiliate: Option<String>) -> Self {
        let sum = |money: domain::amounts::Money| Sum::new(money.micros.into(), money.currency);
        Self {
            id: withdrawal.id.to_string(),
            at: withdrawal.created_at,
            amount: sum(withdrawal.amount),
            net: sum(withdrawal.net()),
            method,
            details: joined(&withdrawal.masked_details),
            affiliate,
            status: ShownStatus::from(&withdrawal.status),
            note: withdrawal.status.note().map(str::to_owned),
        }
    }
}

impl Withdrawals {
    fn new(url: &ListUrl, rows: Vec<Row>, pager: Pager) -> Self {
        let filters = LastDays::of(url).add_to(Filters::new(url), url);
        let statuses = Status::WORDS.map(|word| (word.to_owned(), text(&format!("withdrawal.{word}"))));
        let filters = choice_filter(filters, url, "status", "withdrawals.status", statuses);
        // The currency is chosen above the list, and stays when a filter changes.
        let filters = match url.get("currency") {
            Some(code) => filters.add(url, Field::hidden("currency", code), "currency", "home.currency", None),
            None => filters,
        };
        Self {
            balance: BalanceCard::default(),
            request: None,
            on_its_way: None,
            is_filtered: filters.any_set(),
            filters,
            is_staff: false,
            rows,
            pager,
        }
    }

    async fn load(app: &App, viewer: &Viewer, actor: Actor, url: &ListUrl) -> Result<Self, Error> {
        let filter = Filter {
            status: url.get("status").filter(|word| Status::WORDS.contains(word)).map(str::to_owned),
            ..Filter::default()
        };
        let page = PageRequest::first(ROWS).after(cursor(url)).within(LastDays::of(url).begin(&viewer.formats), None);
        let found = withdrawals::list(app, actor, filter, page).await?;
        let methods = payout_methods::list(app, actor).await?;
        let mut rows = Vec::with_capacity(found.items.len());
        for it in &found.items {
            let affiliate = match actor.is_staff() {
                true => app.catalog.affiliate(it.withdrawal.affiliate_id).await?.map(|it| it.name.clone()),
                false => None,
            };
            rows.push(Row::new(&it.withdrawal, method_name(&methods, &it.withdrawal.method), affiliate));
        }
        let page = Self::new(url, rows, Pager::new(url, found.next));
        Ok(Self { is_staff: actor.is_staff(), ..page })
    }

    /// Adds the balance, the form, and the withdrawal that is on its way.
    async fn of_affiliate(
        self,
        app: &App,
        actor: Actor,
        affiliate: &Affiliate,
        url: &ListUrl,
        asked: &Asked,
    ) -> Result<Self, Error> {
        let balance = BalanceCard::load(app, actor, affiliate, url).await?;
        let request = match balance.available_and_debt().filter(|_| may_request(actor)) {
            Some(balance) => Some(RequestForm::load(app, actor, affiliate.id, url, asked, balance).await?),
            None => None,
        };
        let newest = withdrawals::list(app, actor, Filter::default(), PageRequest::first(ROWS)).await?.items;
        let on_its_way = newest.iter().find(|it| !it.withdrawal.status.settles());
        Ok(Self { balance, request, on_its_way: on_its_way.map(|it| Progress::of(&it.withdrawal)), ..self })
    }
}

impl Page for Withdrawals {
    const TEMPLATE: &'static str = "money/withdrawals";

    #[cfg(test)]
    fn samples() -> Vec<Self> {
        let url = |text: &str| ListUrl::of(&text.parse().expect("a path"));
        let (all, filtered) = (url("/withdrawals"), url("/withdrawals?status=paid&days=7&cursor=x"));
        let rows = || {
            super::withdrawal::samples::all()
                .iter()
                .enumerate()
                .map(|(at, it)| Row::new(it, "SEPA <b>".into(), (at > 0).then(|| "Ada <b>".into())))
                .collect()
        };
        let next = Some(uuid::Uuid::nil());
        let empty = || Self::new(&all, Vec::new(), Pager::new(&all, None));
        let with = |request| Self { balance: BalanceCard::sample(), request: Some(request), ..empty() };
        let mut samples: Vec<_> = RequestForm::samples().into_iter().map(with).collect();
        samples.push(Self {
            balance: BalanceCard::sample(),
            on_its_way: Some(Progress::of(&super::withdrawal::samples::all()[1])),
            ..Self::new(&all, rows(), Pager::new(&all, next))
        });
        samples.push(Self { is_staff: true, ..empty() });
        samples.push(empty());
        samples.push(Self::new(&filtered, Vec::new(), Pager::new(&filtered, next)));
        samples
    }
}

/// `GET /withdrawals`: with an amount and a method in the URL, the form shows what they would cost.
pub async fn show(
    State(app): State<App>,
    viewer: Viewer,
    Caller(actor): Caller,
    uri: Uri,
) -> Result<Reply<Withdrawals>, Problem> {
    let url = ListUrl::of(&uri);
    let page = Withdrawals::load(&app, &viewer, actor, &url).await?;
    let page = match viewer.affiliate() {
        Some(affiliate) => page.of_affiliate(&app, actor, affiliate, &url, &Asked::of(&url)).await?,
        None => page,
    };
    Ok(reply(&viewer, page))
}

fn reply(viewer: &Viewer, page: Withdrawals) -> Reply<Withdrawals> {
    let lead = text(if page.is_staff { "withdrawals.lead_staff" } else { "withdrawals.lead" });
    viewer.page(text("nav.withdrawals"), page).lead(lead)
}

/// `POST /withdrawals`: requests a withdrawal, and leads to it.
pub async fn request(
    State(app): State<App>,
    viewer: Viewer,
    Caller(actor): Caller,
    Fields(asked): Fields<Asked>,
) -> Result<Response, Problem> {
    let affiliate = viewer.affiliate().ok_or_else(|| {
        Problem::bad_request("invalid_parameter", "request the withdrawal of an affiliate by the API")
    })?;
    let outcome = match asked.read(affiliate.id) {
        Ok(request) => withdrawals::request(&app, actor, request).await.map_err(request::Refusal::from),
        Err(refusal) => Err(refusal),
    };
    let refusal = match outcome {
        Ok(RequestOutcome::Created(it) | RequestOutcome::Duplicate(it)) => {
            return Ok(Redirect::to(&format!("/withdrawals/{}?done=requested", it.withdrawal.id)).into_response());
        }
        Err(refusal) => refusal,
    };
    let uri = Uri::builder().path_and_query(format!("/withdrawals?currency={}", asked.currency_code()));
    let url = ListUrl::of(&uri.build().expect("a currency is three letters"));
    let page = Withdrawals::load(&app, &viewer, actor, &url).await?;
    let mut page = page.of_affiliate(&app, actor, affiliate, &url, &asked).await?;
    let is_shown = page.request.as_mut().is_some_and(|form| form.refuse(&refusal));
    Ok(reply(&viewer, page).refused(refusal.problem(), is_shown).into_response())
}
