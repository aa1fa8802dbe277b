//! `/api/v1/earnings`

use axum::Json;
use axum::extract::State;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use crate::auth::Caller;
use crate::errors::{ApiResult, Problem};
use crate::extract::{ApiQuery, PageIn, PageOut, PathId};
use crate::filters::{Period, PeriodIn};
use domain::amounts::{Currency, Percent, SignedAmount};
use domain::ids::{AffiliateId, ConversionId, EarningId};
use domain::money::earning::{Earning, EarningKind, EarningState};
use domain::timestamp::Timestamp;
use engine::app::App;
use engine::money::earnings;

/// An amount owed to an affiliate for one reason.
#[derive(Serialize, ToSchema)]
pub struct EarningOut {
    id: EarningId,
    affiliate_id: AffiliateId,
    kind: EarningKind,
    /// The conversion that earned it. A parent affiliate does not see the conversions of its commissions; staff do.
    conversion_id: Option<ConversionId>,
    currency: Currency,
    /// The earned amount; negative for a debit by an adjustment.
    amount: SignedAmount,
    /// The amount that is left after corrections and reversals.
    left: SignedAmount,
    status: EarningState,
    /// The end of its hold.
    release_at: Timestamp,
    /// When it became available; null if it did not.
    released_at: Option<Timestamp>,
    /// For a commission, its percentage of the payout; null otherwise.
    percent: Option<Percent>,
    /// For a commission, 1 if a sub-affiliate earned the payout, 2 if a sub-affiliate of a sub-affiliate did; null
    /// otherwise.
    level: Option<i32>,
    /// The reason of an adjustment; null otherwise.
    reason: Option<String>,
    created_at: Timestamp,
    updated_at: Timestamp,
}

impl From<Earning> for EarningOut {
    fn from(earning: Earning) -> Self {
        Self {
            id: earning.id,
            affiliate_id: earning.affiliate_id,
            kind: earning.kind,
            conversion_id: earning.conversion_id,
            currency: earning.earned.currency,
            amount: earning.earned.micros.into(),
            left: earning.left.into(),
            status: earning.state,
            release_at: earning.release_at,
            released_at: earning.released_at,
            percent: earning.commission.map(|it| it.percent),
            level: earning.commission.map(|it| it.level),
            reason: earning.reason,
            created_at: earning.created_at,
            updated_at: earning.updated_at,
        }
    }
}

#[derive(Default, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct EarningFilter {
    /// The maximum number of items on the page, 1 to 200; 50 if absent.
    limit: Option<u64>,
    /// `next` of the previous page; absent for the first page.
    cursor: Option<String>,
    affiliate_id: Option<AffiliateId>,
    conversion_id: Option<ConversionId>,
    kind: Option<EarningKind>,
    status: Option<EarningState>,
    currency: Option<Currency>,
}

/// List earnings, newest first.
#[utoipa::path(get, path = "/api/v1/earnings", tag = "money", params(EarningFilter, PeriodIn),
    security(("api_key" = ["read_money"])),
    responses((status = 200, body = PageOut<EarningOut>), (status = "default", body = Problem)))]
pub async fn list_earnings(
    State(app): State<App>,
    Caller(actor): Caller,
    period: Period,
    ApiQuery(params): ApiQuery<EarningFilter>,
) -> ApiResult<Json<PageOut<EarningOut>>> {
    let page = period.of(&PageIn { limit: params.limit, cursor: params.cursor })?;
    let filter = storage::money::earnings::Filter {
        affiliate_id: params.affiliate_id,
        conversion_id: params.conversion_id,
        kind: params.kind,
        state: params.status,
        currency: params.currency,
    };
    Ok(Json(PageOut::of(earnings::list(&app, actor, filter, page).await?, EarningOut::from)))
}

/// Read an earning.
#[utoipa::path(get, path = "/api/v1/earnings/{id}", tag = "money", params(("id" = EarningId, Path)),
    security(("api_key" = ["read_money"])),
    responses((status = 200, body = EarningOut), (status = "default", body = Problem)))]
pub async fn get_earning(
    State(app): State<App>,
    Caller(actor): Caller,
    PathId(id): PathId<EarningId>,
) -> ApiResult<Json<EarningOut>> {
    Ok(Json(earnings::get(&app, actor, id).await?.into()))
}
