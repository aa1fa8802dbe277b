//! `/api/v1/earnings`

use axum::Json;
use axum::extract::State;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use crate::auth::Caller;
use crate::errors::{ApiResult, Problem};
use crate::extract::{ApiQuery, PageIn, PageOut, PathId};
use domain::amounts::{Currency, Percent, SignedAmount};
use domain::ids::{AffiliateId, ConversionId, EarningId};
use domain::money::earning::{Earning, EarningKind, EarningState};
use domain::timestamp::Timestamp;
use engine::app::App;
use engine::money::earnings;

#[derive(Serialize, ToSchema)]
pub struct EarningOut {
    id: EarningId,
    affiliate_id: AffiliateId,
    kind: EarningKind,
    /// The conversion that earned it. A parent affiliate does not see the conversions of its commissions; staff do.
    conversion_id: Option<ConversionId>,
    currency: Currency,
    /// The earned amount; negative for a debit by finance.
    amount: SignedAmount,
    /// The amount that is left after corrections and reversals.
    left: SignedAmount,
    state: EarningState,
    /// The end of its hold.
    release_at: Timestamp,
    /// When it became available.
    released_at: Option<Timestamp>,
    /// Of a commission: its percentage of the payout.
    percent: Option<Percent>,
    /// Of a commission: 1 for a conversion of a sub-affiliate, 2 for one of a sub-affiliate's sub-affiliate.
    level: Option<i32>,
    /// The reason of an adjustment.
    reason: Option<String>,
    created_at: Timestamp,
    updated_at: Timestamp,
}

impl From<Earning> for EarningOut {
    fn from(it: Earning) -> Self {
        Self {
            id: it.id,
            affiliate_id: it.affiliate_id,
            kind: it.kind,
            conversion_id: it.conversion_id,
            currency: it.earned.currency,
            amount: it.earned.micros.into(),
            left: it.left.into(),
            state: it.state,
            release_at: it.release_at,
            released_at: it.released_at,
            percent: it.commission.map(|it| it.percent),
            level: it.commission.map(|it| it.level),
            reason: it.reason,
            created_at: it.created_at,
            updated_at: it.updated_at,
        }
    }
}

#[derive(Default, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct EarningFilter {
    limit: Option<u64>,
    cursor: Option<String>,
    affiliate_id: Option<AffiliateId>,
    conversion_id: Option<ConversionId>,
    kind: Option<EarningKind>,
    state: Option<EarningState>,
    currency: Option<Currency>,
}

/// List earnings, newest first.
#[utoipa::path(get, path = "/api/v1/earnings", tag = "money", params(EarningFilter),
    security(("api_key" = ["read_money"])),
    responses((status = 200, body = PageOut<EarningOut>), (status = "default", body = Problem)))]
pub async fn list_earnings(
    State(app): State<App>,
    Caller(actor): Caller,
    ApiQuery(it): ApiQuery<EarningFilter>,
) -> ApiResult<Json<PageOut<EarningOut>>> {
    let page = PageIn { limit: it.limit, cursor: it.cursor }.request()?;
    let filter = storage::money::earnings::Filter {
        affiliate_id: it.affiliate_id,
        conversion_id: it.conversion_id,
        kind: it.kind,
        state: it.state,
        currency: it.currency,
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
