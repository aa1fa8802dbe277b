//! `/api/v1/adjustments`: manual credits and debits.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use serde::Deserialize;
use utoipa::{IntoParams, ToSchema};

use crate::api::Issues;
use crate::auth::Caller;
use crate::errors::{ApiResult, Problem};
use crate::extract::{ApiJson, ApiQuery, PageIn, PageOut};
use crate::filters::{Period, PeriodIn};
use domain::amounts::{Currency, Money, SignedAmount};
use domain::ids::AffiliateId;
use domain::money::earning::EarningKind;
use domain::program::offer::HOLD_DAYS_MAX;
use engine::app::App;
use engine::money::adjustments::{self, NewAdjustment};
use engine::money::earnings;

use super::earnings::EarningOut;

/// An adjustment: a manual credit or debit.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct AdjustmentIn {
    affiliate_id: AffiliateId,
    /// A positive amount is a credit, a negative one a debit. A debit beyond the available balance becomes a debt,
    /// which later earnings settle first.
    #[schema(example = "25.00", pattern = r"^-?[0-9]{1,20}(\.[0-9]{1,6})?$")]
    amount: String,
    currency: Currency,
    /// Shown to the affiliate.
    #[schema(example = "Bonus for March", min_length = 1, max_length = 500)]
    reason: String,
    /// Days for which a credit stays pending; 0 if absent.
    #[serde(default)]
    #[schema(maximum = 730)]
    hold_days: u16,
}

/// Credit or debit an amount manually, with a reason. Send an Idempotency-Key, so that a repeated request counts once.
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
        issues.add(
            "/amount",
            "invalid_amount",
            "the amount is zero; send a positive amount for a credit or a negative one for a debit",
        );
    }
    let reason = issues.text("/reason", &body.reason, 500);
    if body.hold_days > HOLD_DAYS_MAX {
        issues.add("/hold_days", "invalid_field", format!("use 0 to {HOLD_DAYS_MAX} days"));
    }
    issues.result()?;
    let micros = i64::try_from(amount.0).expect("amounts fit in an i64");
    let money = Money { micros, currency: body.currency };
    let new = NewAdjustment { affiliate_id: body.affiliate_id, money, reason, hold_days: body.hold_days };
    Ok((StatusCode::CREATED, Json(adjustments::create(&app, actor, new).await?.into())))
}

#[derive(Default, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct AdjustmentFilter {
    /// The maximum number of items on the page, 1 to 200; 50 if absent.
    limit: Option<u64>,
    /// `next` of the previous page; absent for the first page.
    cursor: Option<String>,
    affiliate_id: Option<AffiliateId>,
}

/// List adjustments, newest first.
#[utoipa::path(get, path = "/api/v1/adjustments", tag = "money", params(AdjustmentFilter, PeriodIn),
    security(("api_key" = ["read_money"])),
    responses((status = 200, body = PageOut<EarningOut>), (status = "default", body = Problem)))]
pub async fn list_adjustments(
    State(app): State<App>,
    Caller(actor): Caller,
    period: Period,
    ApiQuery(params): ApiQuery<AdjustmentFilter>,
) -> ApiResult<Json<PageOut<EarningOut>>> {
    let page = period.of(&PageIn { limit: params.limit, cursor: params.cursor })?;
    let kind = Some(EarningKind::Adjustment);
    let filter = storage::money::earnings::Filter { affiliate_id: params.affiliate_id, kind, ..Default::default() };
    Ok(Json(PageOut::of(earnings::list(&app, actor, filter, page).await?, EarningOut::from)))
}
