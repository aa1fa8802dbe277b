//! `/api/v1/exchange-rates` and `/api/v1/exchanges`: exchange of money between currencies.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use crate::api::{AmountIn, Issues};
use crate::auth::Caller;
use crate::errors::{ApiResult, Problem};
use crate::extract::{ApiJson, ApiQuery, PageIn, PageOut, PathId};
use crate::filters::{Period, PeriodIn};
use domain::amounts::{Currency, Money};
use domain::ids::{AffiliateId, ExchangeId, ExchangeRateId};
use domain::money::exchange::{Exchange, ExchangeRate, Rate};
use domain::timestamp::Timestamp;
use engine::app::App;
use engine::money::exchanges;
use storage::money::exchanges::Filter;

/// An exchange rate.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ExchangeRateIn {
    from: Currency,
    to: Currency,
    /// The price of one unit of `from` in `to`, as text with at most twelve decimals.
    #[schema(example = "1.0842", pattern = r"^[0-9]{1,6}(\.[0-9]{1,12})?$")]
    rate: String,
    /// Now if absent. A rate is valid until a later one begins.
    valid_from: Option<Timestamp>,
}

/// A stored exchange rate.
#[derive(Serialize, ToSchema)]
pub struct ExchangeRateOut {
    id: ExchangeRateId,
    from: Currency,
    to: Currency,
    /// The price of one unit of `from` in `to`.
    #[schema(example = "1.0842")]
    rate: String,
    /// A rate is valid until a later one begins.
    valid_from: Timestamp,
    created_at: Timestamp,
}

impl From<ExchangeRate> for ExchangeRateOut {
    fn from(rate: ExchangeRate) -> Self {
        Self {
            id: rate.id,
            from: rate.from,
            to: rate.to,
            rate: rate.rate.to_string(),
            valid_from: rate.valid_from,
            created_at: rate.created_at,
        }
    }
}

/// Add an exchange rate with the time from which it is valid. Money is converted only at stored rates.
#[utoipa::path(post, path = "/api/v1/exchange-rates", tag = "money", request_body = ExchangeRateIn,
    security(("api_key" = ["manage_money"])),
    responses((status = 201, body = ExchangeRateOut), (status = "default", body = Problem)))]
pub async fn create_exchange_rate(
    State(app): State<App>,
    _: Caller,
    ApiJson(body): ApiJson<ExchangeRateIn>,
) -> ApiResult<(StatusCode, Json<ExchangeRateOut>)> {
    let mut issues = Issues::default();
    let rate = body.rate.parse::<Rate>().map_err(|error| issues.add("/rate", "invalid_rate", error.to_string())).ok();
    if body.from == body.to {
        issues.add("/to", "invalid_field", "from and to are the same currency; use two currencies");
    }
    issues.result()?;
    let rate = rate.expect("a missing field is an issue");
    let now = app.clock.now();
    let valid_from = body.valid_from.unwrap_or(now);
    let rate =
        ExchangeRate { id: ExchangeRateId::new(now), from: body.from, to: body.to, rate, valid_from, created_at: now };
    Ok((StatusCode::CREATED, Json(exchanges::add_rate(&app, rate).await?.into())))
}

/// List exchange rates, last added first.
#[utoipa::path(get, path = "/api/v1/exchange-rates", tag = "money", params(PageIn, PeriodIn),
    security(("api_key" = ["read_money"])),
    responses((status = 200, body = PageOut<ExchangeRateOut>), (status = "default", body = Problem)))]
pub async fn list_exchange_rates(
    State(app): State<App>,
    _: Caller,
    period: Period,
    ApiQuery(page): ApiQuery<PageIn>,
) -> ApiResult<Json<PageOut<ExchangeRateOut>>> {
    Ok(Json(PageOut::of(exchanges::list_rates(&app, period.of(&page)?).await?, ExchangeRateOut::from)))
}

/// An exchange of money between two currencies.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ExchangeIn {
    affiliate_id: AffiliateId,
    /// The amount in the currency `from`.
    amount: AmountIn,
    from: Currency,
    to: Currency,
}

/// An exchange of money between two currencies.
#[derive(Serialize, ToSchema)]
pub struct ExchangeOut {
    id: ExchangeId,
    affiliate_id: AffiliateId,
    /// The amount that left the balance.
    taken: Money,
    /// The amount that was added to the balance.
    given: Money,
    /// The rate of the exchange.
    rate: ExchangeRateOut,
    at: Timestamp,
}

impl From<Exchange> for ExchangeOut {
    fn from(exchange: Exchange) -> Self {
        let Exchange { id, affiliate_id, taken, given, rate, at } = exchange;
        Self { id, affiliate_id, taken, given, rate: rate.into(), at }
    }
}

/// Exchange available money for another currency at the current rate.
#[utoipa::path(post, path = "/api/v1/exchanges", tag = "money", request_body = ExchangeIn,
    security(("api_key" = ["manage_money"])),
    responses((status = 201, body = ExchangeOut), (status = "default", body = Problem)))]
pub async fn create_exchange(
    State(app): State<App>,
    Caller(actor): Caller,
    ApiJson(body): ApiJson<ExchangeIn>,
) -> ApiResult<(StatusCode, Json<ExchangeOut>)> {
    let mut issues = Issues::default();
    let amount = AmountIn::read(Some(body.amount), "/amount", &mut issues).unwrap_or_default();
    if amount.micros() == 0 {
        issues.add("/amount", "invalid_amount", "the amount is zero; send a positive amount");
    }
    if body.from == body.to {
        issues.add("/to", "invalid_field", "from and to are the same currency; use two currencies");
    }
    issues.result()?;
    let taken = amount.of(body.from);
    let exchanged = exchanges::exchange(&app, actor, body.affiliate_id, taken, body.to).await?;
    Ok((StatusCode::CREATED, Json(exchanged.into())))
}

#[derive(Default, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct ExchangeFilter {
    /// The maximum number of items on the page, 1 to 200; 50 if absent.
    limit: Option<u64>,
    /// `next` of the previous page; absent for the first page.
    cursor: Option<String>,
    affiliate_id: Option<AffiliateId>,
    /// Exchanges from or to this currency.
    #[param(value_type = Option<String>)]
    currency: Option<Currency>,
}

/// List exchanges, newest first.
#[utoipa::path(get, path = "/api/v1/exchanges", tag = "money", params(ExchangeFilter, PeriodIn),
    security(("api_key" = ["read_money"])),
    responses((status = 200, body = PageOut<ExchangeOut>), (status = "default", body = Problem)))]
pub async fn list_exchanges(
    State(app): State<App>,
    Caller(actor): Caller,
    period: Period,
    ApiQuery(params): ApiQuery<ExchangeFilter>,
) -> ApiResult<Json<PageOut<ExchangeOut>>> {
    let page = period.of(&PageIn { limit: params.limit, cursor: params.cursor })?;
    let filter = Filter { affiliate_id: params.affiliate_id, currency: params.currency };
    Ok(Json(PageOut::of(exchanges::list(&app, actor, filter, page).await?, ExchangeOut::from)))
}

/// Read an exchange.
#[utoipa::path(get, path = "/api/v1/exchanges/{id}", tag = "money", params(("id" = ExchangeId, Path)),
    security(("api_key" = ["read_money"])),
    responses((status = 200, body = ExchangeOut), (status = "default", body = Problem)))]
pub async fn get_exchange(
    State(app): State<App>,
    Caller(actor): Caller,
    PathId(id): PathId<ExchangeId>,
) -> ApiResult<Json<ExchangeOut>> {
    Ok(Json(exchanges::get(&app, actor, id).await?.into()))
}
