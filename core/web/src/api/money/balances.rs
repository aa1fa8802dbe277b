//! `/api/v1/balances` and `/api/v1/statement`

use axum::Json;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, header};
use axum::response::{IntoResponse, Response};
use futures::stream::{self, StreamExt, TryStreamExt};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use crate::auth::Caller;
use crate::errors::{ApiResult, Problem};
use crate::extract::{ApiQuery, PageIn, PageOut};
use crate::filters::{Period, PeriodIn};
use crate::streaming;
use domain::amounts::{Currency, SignedAmount};
use domain::ids::{AffiliateId, ConversionId, PostingId};
use domain::money::csv::{self, Cell};
use domain::money::ledger::PostingKind;
use domain::money::statement::{AccountSums, StatementLine};
use domain::people::actor::Actor;
use domain::timestamp::Timestamp;
use engine::Error;
use engine::app::App;
use engine::heavy::Place;
use engine::money::balances::{self, AffiliateBalance, Statement, StatementRequest};

/// The sums of the accounts in one currency.
#[derive(Clone, Copy, Serialize, ToSchema)]
pub struct AccountSumsOut {
    /// Earnings within their hold.
    pending: SignedAmount,
    /// The amount that can be withdrawn.
    available: SignedAmount,
    /// Reserved for withdrawals that are not paid yet.
    withdrawing: SignedAmount,
    /// Paid by withdrawals.
    paid: SignedAmount,
    /// The debt to the program. Released earnings settle it first.
    debt: SignedAmount,
    /// All earnings so far, less reversals and the fees of withdrawals.
    lifetime: SignedAmount,
}

impl From<AccountSums> for AccountSumsOut {
    fn from(sums: AccountSums) -> Self {
        Self {
            pending: SignedAmount(sums.pending),
            available: SignedAmount(sums.available),
            withdrawing: SignedAmount(sums.withdrawing),
            paid: SignedAmount(sums.paid),
            debt: SignedAmount(sums.debt),
            lifetime: SignedAmount(sums.lifetime()),
        }
    }
}

/// The balance of an affiliate in one currency.
#[derive(Serialize, ToSchema)]
pub struct BalanceOut {
    affiliate_id: AffiliateId,
    currency: Currency,
    #[serde(flatten)]
    sums: AccountSumsOut,
    /// The part of `available` that can be withdrawn: whole minor units of the currency, such as cents. A smaller rest,
    /// such as 0.004999 of 10.004999 USD, stays in the balance until later earnings complete a unit.
    withdrawable: SignedAmount,
    /// The same sums in the currency of the parameter `in`, each rounded down; absent if no rate is stored.
    #[serde(skip_serializing_if = "Option::is_none")]
    converted: Option<ConvertedBalanceOut>,
}

/// A balance in another currency. No money is exchanged.
#[derive(Serialize, ToSchema)]
pub struct ConvertedBalanceOut {
    currency: Currency,
    /// The price of one unit of the balance's currency in this currency.
    #[schema(example = "1.0842")]
    rate: String,
    /// The start of the rate's validity.
    rate_valid_from: Timestamp,
    #[serde(flatten)]
    sums: AccountSumsOut,
}

impl From<AffiliateBalance> for BalanceOut {
    fn from(balance: AffiliateBalance) -> Self {
        let converted = balance.rate.map(|rate| {
            let convert = |micros| rate.rate.convert(micros);
            let sums = AccountSums {
                pending: convert(balance.sums.pending),
                available: convert(balance.sums.available),
                withdrawing: convert(balance.sums.withdrawing),
                paid: convert(balance.sums.paid),
                debt: convert(balance.sums.debt),
            };
            ConvertedBalanceOut {
                currency: rate.to,
                rate: rate.rate.to_string(),
                rate_valid_from: rate.valid_from,
                sums: sums.into(),
            }
        });
        Self {
            affiliate_id: balance.affiliate_id,
            currency: balance.currency,
            sums: balance.sums.into(),
            withdrawable: SignedAmount(balance.withdrawable().micros.into()),
            converted,
        }
    }
}

#[derive(Default, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct BalanceFilter {
    /// The maximum number of affiliates, 1 to 200; 50 if absent. An affiliate has one item per currency.
    limit: Option<u64>,
    /// `next` of the previous page; absent for the first page.
    cursor: Option<String>,
    affiliate_id: Option<AffiliateId>,
    /// Adds each balance in this currency, at the current stored rate.
    #[serde(rename = "in")]
    #[param(rename = "in", value_type = Option<Currency>)]
    shown_in: Option<Currency>,
}

/// List balances, one for each affiliate and currency. Amounts of different currencies are not added.
#[utoipa::path(get, path = "/api/v1/balances", tag = "money", params(BalanceFilter),
    security(("api_key" = ["read_money"])),
    responses((status = 200, body = PageOut<BalanceOut>), (status = "default", body = Problem)))]
pub async fn list_balances(
    State(app): State<App>,
    Caller(actor): Caller,
    ApiQuery(params): ApiQuery<BalanceFilter>,
) -> ApiResult<Json<PageOut<BalanceOut>>> {
    let page = PageIn { limit: params.limit, cursor: params.cursor }.request()?;
    let page = balances::list(&app, actor, params.affiliate_id, params.shown_in, page).await?;
    Ok(Json(PageOut::of(page, BalanceOut::from)))
}

#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct StatementFilter {
    /// Required for staff; an affiliate reads its own statement without it.
    affiliate_id: Option<AffiliateId>,
    currency: Currency,
    /// `csv` or `json`; if absent, the header Accept decides.
    #[param(inline)]
    format: Option<Format>,
}

#[derive(Clone, Copy, PartialEq, Eq, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
enum Format {
    Json,
    Csv,
}

// Only the schema of the struct is used, because the lines are sent while they are read.
/// The postings of an affiliate in one currency and period, oldest first.
#[derive(Serialize, ToSchema)]
pub struct StatementOut {
    affiliate_id: AffiliateId,
    currency: Currency,
    /// Inclusive.
    from: Timestamp,
    /// Exclusive.
    until: Timestamp,
    /// The sums at the start.
    opening: AccountSumsOut,
    lines: Vec<StatementLineOut>,
    /// The sums at the end.
    closing: AccountSumsOut,
}

/// A posting in a statement.
#[derive(Serialize, ToSchema)]
pub struct StatementLineOut {
    id: PostingId,
    at: Timestamp,
    kind: PostingKind,
    /// A description of the posting for people.
    text: String,
    /// The conversion; null if there is none, and for affiliates also if it is one of a sub-affiliate. For the kind
    /// `released`: the conversion of the first earning.
    conversion_id: Option<ConversionId>,
    /// The advertiser's id of this conversion.
    transaction_id: Option<String>,
    /// The change by this line.
    change: BalanceChangeOut,
    /// The sums after this line.
    balance: AccountSumsOut,
}

/// The changes of the accounts by a posting.
#[derive(Serialize, ToSchema)]
pub struct BalanceChangeOut {
    pending: SignedAmount,
    available: SignedAmount,
    withdrawing: SignedAmount,
    paid: SignedAmount,
    debt: SignedAmount,
}

impl StatementLineOut {
    fn of(line: &StatementLine, balance: AccountSums, reader: Option<AffiliateId>) -> Self {
        let conversion = line.conversion_for(reader);
        Self {
            id: line.posting_id,
            at: line.at,
            kind: line.kind,
            text: line.sentence(reader),
            conversion_id: conversion.map(|it| it.id),
            transaction_id: conversion.map(|it| it.transaction_id.clone()),
            change: BalanceChangeOut {
                pending: SignedAmount(line.change.pending),
                available: SignedAmount(line.change.available),
                withdrawing: SignedAmount(line.change.withdrawing),
                paid: SignedAmount(line.change.paid),
                debt: SignedAmount(line.change.debt),
            },
            balance: balance.into(),
        }
    }
}

/// Read a statement: opening balance, each line with the balance after it, closing balance. As JSON or CSV, of any
/// length. Without `from` it begins with the first posting, and without `until` it ends now.
#[utoipa::path(get, path = "/api/v1/statement", tag = "money", params(StatementFilter, PeriodIn),
    security(("api_key" = ["read_money"])),
    responses((status = 200, content((StatementOut = "application/json"), (String = "text/csv"))),
        (status = "default", body = Problem)))]
pub async fn get_statement(
    State(app): State<App>,
    Caller(actor): Caller,
    headers: HeaderMap,
    period: Period,
    ApiQuery(params): ApiQuery<StatementFilter>,
) -> ApiResult<Response> {
    let affiliate_id = params
        .affiliate_id
        .or(actor.confined_to())
        .ok_or_else(|| Problem::bad_request("invalid_parameter", "affiliate_id is missing"))?;
    let from = period.from.unwrap_or(Timestamp::from_millis(0));
    let request = StatementRequest {
        affiliate_id,
        currency: params.currency,
        from,
        // A statement that begins in the future is empty.
        until: period.until.unwrap_or(from.max(Timestamp::from_millis(app.clock.now().millis() + 1))),
        after: None,
    };
    let place = app.heavy.stream(actor).await?;
    let statement = balances::statement(&app, actor, request).await?;
    let accepts = headers.get(header::ACCEPT).and_then(|it| it.to_str().ok()).unwrap_or_default();
    let csv = params.format == Some(Format::Csv) || (params.format.is_none() && accepts.contains("text/csv"));
    Ok(if csv { as_csv(&app, actor, place, statement) } else { as_json(&app, actor, place, statement) })
}

fn as_json(app: &App, actor: Actor, place: Place, statement: Statement) -> Response {
    let StatementRequest { affiliate_id, currency, from, until, .. } = statement.request;
    let opening = json(&AccountSumsOut::from(statement.opening));
    let head = format!(
        r#"{{"affiliate_id":"{affiliate_id}","currency":"{currency}","from":"{from}","until":"{until}","opening":{opening},"lines":["#
    );
    let reader = actor.confined_to();
    let mut first = true;
    let mut last = statement.opening;
    let lines = statement.lines(app, actor).map(Some).chain(stream::iter([None])).map(move |line| {
        Ok::<_, Error>(match line {
            Some(line) => {
                let (line, balance) = line?;
                last = balance;
                let separator = if std::mem::take(&mut first) { "" } else { "," };
                format!("{separator}{}", json(&StatementLineOut::of(&line, balance, reader)))
            }
            None => format!("],\"closing\":{}}}", json(&AccountSumsOut::from(last))),
        })
    });
    let body = stream::iter([Ok(head)]).chain(lines).map_ok(Bytes::from);
    ([(header::CONTENT_TYPE, "application/json")], streaming::body(app, place, body)).into_response()
}

fn json(value: &impl Serialize) -> String {
    serde_json::to_string(value).expect("amounts and texts always serialise")
}

const COLUMNS: &str = "at,kind,text,conversion_id,posting_id,pending,available,withdrawing,paid,debt,balance_pending,\
    balance_available,balance_withdrawing,balance_paid,balance_debt,transaction_id\r\n";

fn as_csv(app: &App, actor: Actor, place: Place, statement: Statement) -> Response {
    let StatementRequest { currency, from, until, .. } = statement.request;
    let reader = actor.confined_to();
    let none = AccountSums::default();
    let mut last = statement.opening;
    let opening = csv_row([from.to_string(), "opening".into(), "Opening balance".into()], ["", "", ""], none, last);
    let lines = statement.lines(app, actor).map(Some).chain(stream::iter([None])).map(move |line| {
        Ok::<_, Error>(match line {
            Some(line) => {
                let (line, balance) = line?;
                last = balance;
                let conversion = line.conversion_for(reader);
                let id = conversion.map(|it| it.id.to_string()).unwrap_or_default();
                let transaction = conversion.map_or("", |it| &it.transaction_id);
                let head = [line.at.to_string(), line.kind.to_string(), line.sentence(reader)];
                csv_row(head, [&id, &line.posting_id.to_string(), transaction], line.change, balance)
            }
            None => csv_row([until.to_string(), "closing".into(), "Closing balance".into()], ["", "", ""], none, last),
        })
    });
    let body = stream::iter([Ok(COLUMNS.to_owned()), Ok(opening)]).chain(lines).map_ok(Bytes::from);
    let name = format!("attachment; filename=\"statement-{currency}.csv\"");
    let headers = [(header::CONTENT_TYPE, "text/csv; charset=utf-8".to_owned()), (header::CONTENT_DISPOSITION, name)];
    (headers, streaming::body(app, place, body)).into_response()
}

fn csv_row(
    head: [String; 3],
    [conversion, posting, transaction]: [&str; 3],
    change: AccountSums,
    balance: AccountSums,
) -> String {
    let amounts = |sums: AccountSums| [sums.pending, sums.available, sums.withdrawing, sums.paid, sums.debt];
    let amounts = amounts(change).into_iter().chain(amounts(balance)).map(|it| SignedAmount(it).to_string());
    let amounts: Vec<_> = amounts.collect();
    let texts = head.iter().map(String::as_str).chain([conversion, posting]).map(Cell::Text);
    let mut row = String::new();
    let amounts = amounts.iter().map(|it| Cell::Number(it));
    csv::push_cells(&mut row, texts.chain(amounts).chain([Cell::Text(transaction)]));
    row
}
