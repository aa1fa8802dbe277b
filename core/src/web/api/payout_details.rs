//! `/api/v1/payout-details`

use axum::Json;
use axum::extract::State;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use crate::app::App;
use crate::clock::Timestamp;
use crate::domain::changes::Changed;
use crate::domain::payout_details::{Fields, PayoutDetails};
use crate::ids::{AffiliateId, PayoutDetailsId};
use crate::services::{Error, payout_details};
use crate::web::audit::Gone;
use crate::web::auth::Caller;
use crate::web::errors::{ApiResult, Problem};
use crate::web::extract::{ApiJson, ApiQuery, PageIn, PageOut, PathId};

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct PayoutDetailsIn {
    /// An affiliate's key may leave it out.
    affiliate_id: Option<AffiliateId>,
    #[schema(example = "sepa")]
    method: String,
    /// As the method's schema says; all of it is text.
    details: Fields,
}

#[derive(Serialize, ToSchema)]
pub struct PayoutDetailsOut {
    id: PayoutDetailsId,
    affiliate_id: AffiliateId,
    method: String,
    /// Masked: DE89 **** 3000. They are never shown whole.
    details: Fields,
    created_at: Timestamp,
    updated_at: Timestamp,
}

impl From<PayoutDetails> for PayoutDetailsOut {
    fn from(it: PayoutDetails) -> Self {
        Self {
            id: it.id,
            affiliate_id: it.affiliate_id,
            method: it.method,
            details: it.masked,
            created_at: it.created_at,
            updated_at: it.updated_at,
        }
    }
}

#[derive(Default, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct PayoutDetailsFilter {
    limit: Option<u64>,
    cursor: Option<String>,
    affiliate_id: Option<AffiliateId>,
}

/// Save where an affiliate is paid by one method, in place of what was there. Withdrawals that were requested before keep
/// the details that they were requested with.
#[utoipa::path(put, path = "/api/v1/payout-details", tag = "withdrawals", request_body = PayoutDetailsIn,
    security(("api_key" = ["request_withdrawals"])),
    responses((status = 200, body = PayoutDetailsOut), (status = "default", body = Problem)))]
pub async fn set_payout_details(
    State(app): State<App>,
    Caller(actor): Caller,
    ApiJson(body): ApiJson<PayoutDetailsIn>,
) -> ApiResult<Changed<PayoutDetailsOut>> {
    let affiliate_id = body.affiliate_id.or(actor.confined_to());
    let affiliate_id = affiliate_id.ok_or_else(|| Error::invalid("/affiliate_id", "say whose details they are"))?;
    let changed = payout_details::set(&app, actor, affiliate_id, &body.method, &body.details).await?;
    Ok(changed.map(Into::into))
}

/// List payout details, newest first.
#[utoipa::path(get, path = "/api/v1/payout-details", tag = "withdrawals", params(PayoutDetailsFilter),
    security(("api_key" = ["read_money"])),
    responses((status = 200, body = PageOut<PayoutDetailsOut>), (status = "default", body = Problem)))]
pub async fn list_payout_details(
    State(app): State<App>,
    Caller(actor): Caller,
    ApiQuery(filter): ApiQuery<PayoutDetailsFilter>,
) -> ApiResult<Json<PageOut<PayoutDetailsOut>>> {
    let page = PageIn { limit: filter.limit, cursor: filter.cursor }.request()?;
    let page = payout_details::list(&app, actor, filter.affiliate_id, page).await?;
    Ok(Json(PageOut::of(page, Into::into)))
}

/// Remove payout details. Withdrawals that were requested before keep their own copy.
#[utoipa::path(delete, path = "/api/v1/payout-details/{id}", tag = "withdrawals", params(("id" = PayoutDetailsId, Path)),
    security(("api_key" = ["request_withdrawals"])),
    responses((status = 204, description = "They are gone."), (status = "default", body = Problem)))]
pub async fn remove_payout_details(
    State(app): State<App>,
    Caller(actor): Caller,
    PathId(id): PathId<PayoutDetailsId>,
) -> ApiResult<Gone<PayoutDetailsOut>> {
    Ok(Gone(payout_details::remove(&app, actor, id).await?.into()))
}
