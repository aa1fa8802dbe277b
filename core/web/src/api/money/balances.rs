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
    paid: SignedAmount,
    /// The debt to the program. Released earnings settle it first.
    debt: SignedAmount,
    /// All earnings so far, less reversals and the fees of withdrawals.
    lifetime: SignedAmount,
}

impl From<AccountSums> for AccountSumsOut {
    fn from(it: AccountSums) -> Self {
        Self {
            pending: SignedAmount(it.pending),
            available: SignedAmount(it.available),
            withdrawing: SignedAmount(it.withdrawing),
            paid: SignedAmount(it.paid),
            debt: SignedAmount(it.debt),
            lifetime: SignedAmount(it.lifetime()),
        }
    }
}

#[derive(Serialize, ToSchema)]
pub struct BalanceOut {
    affiliate_id: AffiliateId,
    currency: Currency,
    #[serde(flatten)]
    sums: AccountSumsOut,
    /// The same sums in the currency of the parameter `in`; absent if no rate is stored.
    #[serde(skip_serializing_if = "Option::is_none")]
    converted: Option<ConvertedOut>,
}

#[derive(Serialize, ToSchema)]
pub struct ConvertedOut {
    currency: Currency,
    #[schema(example = "1.0842")]
    rate: String,
    rate_valid_from: Timestamp,
    #[serde(flatten)]
    sums: AccountSumsOut,
}

impl From<AffiliateBalance> for BalanceOut {
    fn from(it: AffiliateBalance) -> Self {
        let converted = it.rate.map(|rate| {
            let convert = |micros| rate.rate.convert(micros);
            let sums = AccountSums {
                pending: convert(it.sums.pending),
                available: convert(it.sums.available),
                withdrawing: convert(it.sums.withdrawing),
                paid: convert(it.sums.paid),
                debt: convert(it.sums.debt),
            };
            ConvertedOut {
                currency: rate.to,
                rate: rate.rate.to_string(),
                rate_valid_from: rate.valid_from,
                sums: sums.into(),
            }
        });
        Self { affiliate_id: it.affiliate_id, currency: it.currency, sums: it.sums.into(), converted }
    }
}

#[derive(Default, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct BalanceFilter {
    /// Affiliates per page; each has one item per currency.
    limit: Option<u64>,
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
    ApiQuery(it): ApiQuery<BalanceFilter>,
) -> ApiResult<Json<PageOut<BalanceOut>>> {
    let page = PageIn { limit: it.limit, cursor: it.cursor }.request()?;
    let page = balances::list(&app, actor, it.affiliate_id, it.shown_in, page).await?;
    Ok(Json(PageOut::of(page, BalanceOut::from)))
}

#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct StatementFilter {
    /// Required for staff; an affiliate reads its own statement without it.
    affiliate_id: Option<AffiliateId>,
    currency: Currency,
    /// Inclusive; the first posting if absent.
    from: Option<Timestamp>,
    /// Exclusive; now if absent.
    to: Option<Timestamp>,
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

/// Only the schema is used. The lines are sent while they are read.
#[derive(Serialize, ToSchema)]
pub struct StatementOut {
    affiliate_id: AffiliateId,
    currency: Currency,
    from: Timestamp,
    to: Timestamp,
    opening: AccountSumsOut,
    lines: Vec<LineOut>,
    closing: AccountSumsOut,
}

#[derive(Serialize, ToSchema)]
pub struct LineOut {
    id: PostingId,
    at: Timestamp,
    kind: PostingKind,
    /// A description.
    text: String,
    conversion_id: Option<ConversionId>,
    /// The change by this line.
    change: ChangeOut,
    /// The sums after this line.
    balance: AccountSumsOut,
}

#[derive(Serialize, ToSchema)]
pub struct ChangeOut {
    pending: SignedAmount,
    available: SignedAmount,
    withdrawing: SignedAmount,
    paid: SignedAmount,
    debt: SignedAmount,
}

impl LineOut {
    fn of(line: &StatementLine, balance: AccountSums, reader: AffiliateId) -> Self {
        let own = line.conversion.as_ref().filter(|it| it.affiliate_id == reader);
        Self {
            id: line.posting_id,
            at: line.at,
            kind: line.kind,
            text: line.sentence(reader),
            conversion_id: own.map(|it| it.id),
            change: ChangeOut {
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
/// length.
#[utoipa::path(get, path = "/api/v1/statement", tag = "money", params(StatementFilter),
    security(("api_key" = ["read_money"])),
    responses((status = 200, content((StatementOut = "application/json"), (String = "text/csv"))),
        (status = "default", body = Problem)))]
pub async fn get_statement(
    State(app): State<App>,
    Caller(actor): Caller,
    headers: HeaderMap,
    ApiQuery(it): ApiQuery<StatementFilter>,
) -> ApiResult<Response> {
    let affiliate_id = it
        .affiliate_id
        .or(actor.confined_to())
        .ok_or_else(|| Problem::bad_request("invalid_parameter", "affiliate_id is missing"))?;
    let request = StatementRequest {
        affiliate_id,
        currency: it.currency,
        from: it.from.unwrap_or(Timestamp::from_millis(0)),
        to: it.to.unwrap_or(Timestamp::from_millis(app.clock.now().millis() + 1)),
    };
    let place = app.heavy.stream(actor).await?;
    let statement = balances::statement(&app, actor, request).await?;
    let accepts = headers.get(header::ACCEPT).and_then(|it| it.to_str().ok()).unwrap_or_default();
    let csv = it.format == Some(Format::Csv) || (it.format.is_none() && accepts.contains("text/csv"));
    Ok(if csv { as_csv(&app, actor, place, statement) } else { as_json(&app, actor, place, statement) })
}

fn as_json(app: &App, actor: Actor, place: Place, statement: Statement) -> Response {
    let StatementRequest { affiliate_id, currency, from, to } = statement.request;
    let opening = text(&AccountSumsOut::from(statement.opening));
    let head = format!(
        r#"{{"affiliate_id":"{affiliate_id}","currency":"{currency}","from":"{from}","to":"{to}","opening":{opening},"lines":["#
    );
    let mut first = true;
    let mut last = statement.opening;
    let lines = statement.lines(app, actor).map(Some).chain(stream::iter([None])).map(move |line| {
        Ok::<_, Error>(match line {
            Some(line) => {
                let (line, balance) = line?;
                last = balance;
                let glue = if std::mem::take(&mut first) { "" } else { "," };
                format!("{glue}{}", text(&LineOut::of(&line, balance, affiliate_id)))
            }
            None => format!("],\"closing\":{}}}", text(&AccountSumsOut::from(last))),
        })
    });
    let body = stream::iter([Ok(head)]).chain(lines).map_ok(Bytes::from);
    ([(header::CONTENT_TYPE, "application/json")], streaming::body(app, place, body)).into_response()
}

fn text(it: &impl Serialize) -> String {
    serde_json::to_string(it).expect("amounts and texts always serialise")
}

const COLUMNS: &str = "at,kind,text,conversion_id,posting_id,pending,available,withdrawing,paid,debt,balance_pending,\
    balance_available,balance_withdrawing,balance_paid,balance_debt\r\n";

fn as_csv(app: &App, actor: Actor, place: Place, statement: Statement) -> Response {
    let StatementRequest { affiliate_id, currency, from, to } = statement.request;
    let none = AccountSums::default();
    let mut last = statement.opening;
    let opening = csv_row([from.to_string(), "opening".into(), "Opening balance".into()], ["", ""], none, last);
    let lines = statement.lines(app, actor).map(Some).chain(stream::iter([None])).map(move |line| {
        Ok::<_, Error>(match line {
            Some(line) => {
                let (line, balance) = line?;
                last = balance;
                let conversion = line.conversion.as_ref().filter(|it| it.affiliate_id == affiliate_id);
                let conversion = conversion.map(|it| it.id.to_string()).unwrap_or_default();
                let head = [line.at.to_string(), line.kind.to_string(), line.sentence(affiliate_id)];
                csv_row(head, [&conversion, &line.posting_id.to_string()], line.change, balance)
            }
            None => csv_row([to.to_string(), "closing".into(), "Closing balance".into()], ["", ""], none, last),
        })
    });
    let body = stream::iter([Ok(COLUMNS.to_owned()), Ok(opening)]).chain(lines).map_ok(Bytes::from);
    let name = format!("attachment; filename=\"statement-{currency}.csv\"");
    let headers = [(header::CONTENT_TYPE, "text/csv; charset=utf-8".to_owned()), (header::CONTENT_DISPOSITION, name)];
    (headers, streaming::body(app, place, body)).into_response()
}

fn csv_row(head: [String; 3], ids: [&str; 2], change: AccountSums, balance: AccountSums) -> String {
    let amounts = |it: AccountSums| [it.pending, it.available, it.withdrawing, it.paid, it.debt];
    let amounts = amounts(change).into_iter().chain(amounts(balance)).map(|it| SignedAmount(it).to_string());
    let amounts: Vec<_> = amounts.collect();
    let texts = head.iter().map(String::as_str).chain(ids).map(Cell::Text);
    let mut row = String::new();
    csv::push_cells(&mut row, texts.chain(amounts.iter().map(|it| Cell::Number(it))));
    row
}
