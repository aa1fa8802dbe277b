//! `/earnings`: what an affiliate earned, each with its state in a sentence; for staff the earnings of all.

use std::collections::HashMap;

use axum::extract::State;
use axum::http::Uri;
use domain::money::earning::{Earning, EarningKind, EarningState};
use domain::people::actor::Actor;
use domain::timestamp::Timestamp;
use engine::Error;
use engine::app::App;
use engine::money::earnings;
use engine::tracking::conversions;
use serde::Serialize;
use storage::base::page::PageRequest;
use storage::money::earnings::Filter;
use web::auth::Caller;
use web::errors::Problem;

use super::balance::BalanceCard;
use super::earning_sentence::{EarningView, shown};
use crate::parts::list::{Filters, LastDays, ListUrl, Pager, choice_filter, cursor};
use crate::shell::nav;
use crate::shell::page::{Page, Reply};
use crate::shell::texts::{Text, plain, text};
use crate::shell::viewer::Viewer;

const ROWS: u64 = 50;

#[derive(Debug, Serialize)]
pub struct Earnings {
    filters: Filters,
    is_filtered: bool,
    is_staff: bool,
    balance: BalanceCard,
    rows: Vec<Row>,
    pager: Pager,
}

#[derive(Debug, Serialize)]
struct Row {
    at: Timestamp,
    what: Text,
    /// The transaction, and the path of its conversion.
    transaction: Option<String>,
    url: Option<String>,
    /// The reason of an adjustment.
    reason: Option<String>,
    affiliate: Option<String>,
    earning: EarningView,
}

impl Row {
    fn new(earning: Earning, transaction: Option<String>, affiliate: Option<String>) -> Self {
        let what = match &earning.commission {
            Some(commission) => text("earnings.commission_of").with("percent", commission.percent.to_string()),
            None => kind_name(earning.kind),
        };
        let leads = earning.conversion_id.filter(|_| nav::has_page("/conversions/{id}"));
        Self {
            at: earning.created_at,
            what,
            url: leads.map(|id| format!("/conversions/{id}")),
            transaction,
            earning: shown(&earning),
            reason: earning.reason,
            affiliate,
        }
    }
}

fn kind_name(kind: EarningKind) -> Text {
    text(&format!("earning_kind.{}", kind.as_str()))
}

const STATES: [EarningState; 3] = [EarningState::Pending, EarningState::Available, EarningState::Reversed];
const KINDS: [EarningKind; 3] = [EarningKind::Payout, EarningKind::Commission, EarningKind::Adjustment];

fn state_of(url: &ListUrl) -> Option<EarningState> {
    STATES.into_iter().find(|it| url.get("status") == Some(it.as_str()))
}

fn kind_of(url: &ListUrl) -> Option<EarningKind> {
    KINDS.into_iter().find(|it| url.get("kind") == Some(it.as_str()))
}

impl Earnings {
    /// `balance` is that of an affiliate.
    fn new(url: &ListUrl, balance: BalanceCard, rows: Vec<Row>, pager: Pager) -> Self {
        let filters = LastDays::of(url).add_to(Filters::new(url), url);
        let states = STATES.map(|it| (it.as_str().to_owned(), text(&format!("earning.{}", it.as_str()))));
        let filters = choice_filter(filters, url, "status", "earnings.status", states);
        let kinds = KINDS.map(|it| (it.as_str().to_owned(), kind_name(it)));
        let filters = choice_filter(filters, url, "kind", "earnings.kind", kinds);
        let filters = match balance.codes() {
            [] | [_] => filters,
            many => {
                let many = many.iter().map(|it| (it.to_string(), plain(it.code())));
                choice_filter(filters, url, "currency", "home.currency", many)
            }
        };
        Self { is_filtered: filters.any_set(), filters, is_staff: false, balance, rows, pager }
    }
}

impl Page for Earnings {
    const TEMPLATE: &'static str = "money/earnings";

    #[cfg(test)]
    fn samples() -> Vec<Self> {
        use domain::amounts::Currency;
        use domain::ids::{AffiliateId, ConversionId};

        let url = |text: &str| ListUrl::of(&text.parse().expect("a path"));
        let (all, filtered) = (url("/earnings"), url("/earnings?status=pending&kind=payout&currency=USD&cursor=x"));
        let at = Timestamp::from_millis(1_763_647_000_000);
        let currency = |code: &str| code.parse::<Currency>().expect("a currency");
        let money = domain::amounts::Money { micros: 14_700_000, currency: currency("USD") };
        let earning = |kind| Earning::new(AffiliateId::new(at), kind, money, at, at);
        let mut released = earning(EarningKind::Payout);
        released.conversion_id = Some(ConversionId::new(at));
        released.release(at);
        let partly = Earning { left: 1_000_000, ..released.clone() };
        let adjusted = Earning { reason: Some("Bonus <b>".into()), ..earning(EarningKind::Adjustment) };
        let lost = Earning { state: EarningState::Reversed, left: 0, ..earning(EarningKind::Commission) };
        let rows = [released, partly, adjusted, lost].into_iter().enumerate();
        let rows =
            rows.map(|(at, it)| Row::new(it, (at == 0).then(|| "HM-<b>".into()), (at > 0).then(|| "Ada <b>".into())));
        let next = Some(uuid::Uuid::nil());
        let none = BalanceCard::default;
        vec![
            Self::new(&all, BalanceCard::sample(), rows.collect(), Pager::new(&all, next)),
            Self { is_staff: true, ..Self::new(&all, none(), Vec::new(), Pager::new(&all, None)) },
            Self::new(&all, none(), Vec::new(), Pager::new(&all, None)),
            Self::new(&filtered, BalanceCard::sample(), Vec::new(), Pager::new(&filtered, next)),
        ]
    }
}

/// `GET /earnings`
pub async fn show(
    State(app): State<App>,
    viewer: Viewer,
    Caller(actor): Caller,
    uri: Uri,
) -> Result<Reply<Earnings>, Problem> {
    let url = ListUrl::of(&uri);
    let filter = Filter {
        state: state_of(&url),
        kind: kind_of(&url),
        currency: url.get("currency").and_then(|code| code.parse().ok()),
        ..Filter::default()
    };
    let page = PageRequest::first(ROWS).after(cursor(&url)).within(LastDays::of(&url).begin(&viewer.formats), None);
    let found = earnings::list(&app, actor, filter, page).await?;
    let rows = rows(&app, actor, found.items).await?;
    let balance = match viewer.affiliate() {
        Some(affiliate) => BalanceCard::load(&app, actor, affiliate, &url).await?,
        None => BalanceCard::default(),
    };
    let page = Earnings::new(&url, balance, rows, Pager::new(&url, found.next));
    let page = Earnings { is_staff: actor.is_staff(), ..page };
    Ok(viewer.page(text("nav.earnings"), page).lead(text("earnings.lead")).wide())
}

async fn rows(app: &App, actor: Actor, found: Vec<Earning>) -> Result<Vec<Row>, Error> {
    let ids = found.iter().filter_map(|it| it.conversion_id).collect();
    let conversions = conversions::get_many(app, actor, &ids).await?.into_iter();
    let transactions: HashMap<_, _> = conversions.map(|it| (it.id, it.transaction_id)).collect();
    let mut rows = Vec::with_capacity(found.len());
    for earning in found {
        let transaction = earning.conversion_id.and_then(|id| transactions.get(&id).cloned());
        let affiliate = match actor.is_staff() {
            true => app.catalog.affiliate(earning.affiliate_id).await?.map(|it| it.name.clone()),
            false => None,
        };
        rows.push(Row::new(earning, transaction, affiliate));
    }
    Ok(rows)
}
