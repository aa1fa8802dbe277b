//! `/api/v1/adjustments`, `/api/v1/exchange-rates` and `/api/v1/exchanges`: what finance does by hand.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use crate::app::App;
use crate::clock::Timestamp;
use crate::domain::earning::EarningKind;
use crate::domain::exchange::{ExchangeRate, Rate};
use crate::domain::offer::HOLD_DAYS_MAX;
use crate::ids::{AffiliateId, ExchangeRateId};
use crate::money::{Currency, Money, SignedAmount};
use crate::services::adjustments::{self, Exchanged, NewAdjustment};
use crate::services::earnings;
use crate::storage;
use crate::web::auth::Caller;
use crate::web::errors::{ApiResult, Problem};
use crate::web::extract::{ApiJson, ApiQuery, PageIn, PageOut};

use super::earnings::EarningOut;
use super::{AmountIn, Issues};

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct AdjustmentIn {
    affiliate_id: AffiliateId,
    /// Below zero takes away, down to a debt that later earnings settle first.
    #[schema(example = "25.00")]
    amount: String,
    currency: Currency,
    /// The affiliate reads it.
    #[schema(example = "Bonus for March", max_length = 500)]
    reason: String,
    /// Days that what is given stays pending; 0 when absent.
    #[serde(default)]
    #[schema(maximum = 730)]
    hold_days: u16,
}

/// Give or take by hand, with a reason. Send an Idempotency-Key, so that asking twice gives once.
#[utoipa::path(post, path = "/api/v1/adjustments", tag = "money", request_body = AdjustmentIn,
    security(("api_key" = ["manage_money"])),
    responses((status = 201, body = EarningOut), (status = "default", body = Problem)))]
pub async fn create_adjustment(
    State(app): State<App>,
    Caller(actor): Caller,
    ApiJson(body): ApiJson<AdjustmentIn>,
) -> ApiResult<(StatusCode, Json<EarningOut>)> {
    let mut issues = Issues::default();
    let amount = body.amount.parse::<SignedAmount>();
    let amount = amount.map_err(|error| issues.add("/amount", "invalid_amount", error.to_string())).unwrap_or_default();
    if amount.0 == 0 {
        issues.add("/amount", "invalid_amount", "zero moves nothing; give an amount, below zero to take away");
    }
    let reason = issues.text("/reason", &body.reason, 500);
    if body.hold_days > HOLD_DAYS_MAX {
        issues.add("/hold_days", "invalid_field", format!("choose 0 to {HOLD_DAYS_MAX} days"));
    }
    issues.result()?;
    let money = Money { micros: amount.0, currency: body.currency };
    let new = NewAdjustment { affiliate_id: body.affiliate_id, money, reason, hold_days: body.hold_days };
    Ok((StatusCode::CREATED, Json(adjustments::create(&app, actor, new).await?.into())))
}

#[derive(Default, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct AdjustmentFilter {
    limit: Option<u64>,
    cursor: Option<String>,
    affiliate_id: Option<AffiliateId>,
}

/// List adjustments, newest first.
#[utoipa::path(get, path = "/api/v1/adjustments", tag = "money", params(AdjustmentFilter),
    security(("api_key" = ["read_money"])),
    responses((status = 200, body = PageOut<EarningOut>), (status = "default", body = Problem)))]
pub async fn list_adjustments(
    State(app): State<App>,
    Caller(actor): Caller,
    ApiQuery(it): ApiQuery<AdjustmentFilter>,
) -> ApiResult<Json<PageOut<EarningOut>>> {
    let page = PageIn { limit: it.limit, cursor: it.cursor }.request()?;
    let kind = Some(EarningKind::Adjustment);
    let filter = storage::earnings::Filter { affiliate_id: it.affiliate_id, kind, ..Default::default() };
    Ok(Json(PageOut::of(earnings::list(&app, actor, filter, page).await?, EarningOut::from)))
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ExchangeRateIn {
    from: Currency,
    to: Currency,
    /// How many of `to` one of `from` is worth, as text with at most twelve decimals.
    #[schema(example = "1.0842")]
    rate: String,
    /// Now when absent. It holds until a later one does.
    valid_from: Option<Timestamp>,
}

#[derive(Serialize, ToSchema)]
pub struct ExchangeRateOut {
    id: ExchangeRateId,
    from: Currency,
    to: Currency,
    #[schema(example = "1.0842")]
    rate: String,
    valid_from: Timestamp,
    created_at: Timestamp,
}

impl From<ExchangeRate> for ExchangeRateOut {
    fn from(it: ExchangeRate) -> Self {
        Self {
            id: it.id,
            from: it.from,
            to: it.to,
            rate: it.rate.to_string(),
            valid_from: it.valid_from,
            created_at: it.created_at,
        }
    }
}

/// Add an exchange rate with its date. Nothing is ever converted without one.
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
        issues.add("/to", "invalid_field", "a rate is between two currencies; name another one");
    }
    issues.result()?;
    let rate = rate.expect("what is missing was an issue");
    let now = app.clock.now();
    let valid_from = body.valid_from.unwrap_or(now);
    let rate =
        ExchangeRate { id: ExchangeRateId::new(now), from: body.from, to: body.to, rate, valid_from, created_at: now };
    Ok((StatusCode::CREATED, Json(adjustments::add_rate(&app, rate).await?.into())))
}

/// List exchange rates, the one that was entered last first.
#[utoipa::path(get, path = "/api/v1/exchange-rates", tag = "money", params(PageIn),
    security(("api_key" = ["read_money"])),
    responses((status = 200, body = PageOut<ExchangeRateOut>), (status = "default", body = Problem)))]
pub async fn list_exchange_rates(
    State(app): State<App>,
    _: Caller,
    ApiQuery(page): ApiQuery<PageIn>,
) -> ApiResult<Json<PageOut<ExchangeRateOut>>> {
    Ok(Json(PageOut::of(adjustments::list_rates(&app, page.request()?).await?, ExchangeRateOut::from)))
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ExchangeIn {
    affiliate_id: AffiliateId,
    amount: AmountIn,
    from: Currency,
    to: Currency,
}

#[derive(Serialize, ToSchema)]
pub struct ExchangeOut {
    affiliate_id: AffiliateId,
    taken: Money,
    given: Money,
    rate: ExchangeRateOut,
    at: Timestamp,
}

impl From<Exchanged> for ExchangeOut {
    fn from(it: Exchanged) -> Self {
        let Exchanged { affiliate_id, taken, given, rate, at } = it;
        Self { affiliate_id, taken, given, rate: rate.into(), at }
    }
}

/// Turn what is available in one currency into another, at the rate of this moment.
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
        issues.add("/amount", "invalid_amount", "zero moves nothing; give an amount");
    }
    if body.from == body.to {
        issues.add("/to", "invalid_field", "that is the currency it is in; name another one");
    }
    issues.result()?;
    let taken = amount.of(body.from);
    let exchanged = adjustments::exchange(&app, actor, body.affiliate_id, taken, body.to).await?;
    Ok((StatusCode::CREATED, Json(exchanged.into())))
}
