//! `/api/v1/offers/{id}/payout-overrides` and `/api/v1/payout-overrides`

use axum::Json;
use axum::extract::State;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::api::Issues;
use crate::audit::{Audited, Deleted};
use crate::auth::Caller;
use crate::errors::{ApiResult, Problem};
use crate::extract::{ApiJson, ApiQuery, PageIn, PageOut, PathId};
use domain::ids::{AffiliateId, OfferId, PayoutOverrideId};
use domain::program::offer::Payout;
use domain::program::payout_override::PayoutOverride;
use domain::timestamp::Timestamp;
use engine::app::App;
use engine::program::payout_overrides;

use super::offers::{PayoutIn, payout};

/// The payout of one affiliate for an offer or a goal.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct PayoutOverrideIn {
    /// The affiliate to which the payout applies.
    affiliate_id: AffiliateId,
    /// The goal to which the payout applies. If absent or null, it replaces the payout of the offer.
    #[schema(example = "trial", max_length = 100)]
    goal: Option<String>,
    /// The amount that the affiliate earns for a conversion.
    payout: PayoutIn,
}

/// The payout of one affiliate for an offer or a goal.
#[derive(Serialize, ToSchema)]
pub struct PayoutOverrideOut {
    id: PayoutOverrideId,
    offer_id: OfferId,
    affiliate_id: AffiliateId,
    /// The goal to which the payout applies; null if it replaces the payout of the offer.
    goal: Option<String>,
    /// The amount that the affiliate earns for a conversion.
    payout: Payout,
    /// When the payout override was created.
    created_at: Timestamp,
    /// When the payout override last changed.
    updated_at: Timestamp,
}

impl From<PayoutOverride> for PayoutOverrideOut {
    fn from(payout_override: PayoutOverride) -> Self {
        Self {
            id: payout_override.id,
            offer_id: payout_override.offer_id,
            affiliate_id: payout_override.affiliate_id,
            goal: payout_override.goal,
            payout: payout_override.payout,
            created_at: payout_override.created_at,
            updated_at: payout_override.updated_at,
        }
    }
}

/// Set the payout of one affiliate for an offer or a goal.
///
/// It applies to later conversions, and replaces the payout override for the same affiliate and goal.
#[utoipa::path(post, path = "/api/v1/offers/{id}/payout-overrides", tag = "offers", params(("id" = OfferId, Path)),
    request_body = PayoutOverrideIn,
    security(("api_key" = ["manage_offers"])),
    responses((status = 200, body = PayoutOverrideOut), (status = "default", body = Problem)))]
pub async fn set_payout_override(
    State(app): State<App>,
    _: Caller,
    PathId(id): PathId<OfferId>,
    ApiJson(body): ApiJson<PayoutOverrideIn>,
) -> ApiResult<Audited<PayoutOverrideOut>> {
    let mut issues = Issues::default();
    let goal = issues.optional_text("/goal", body.goal, 100);
    let payout = payout(&mut issues, "/payout", body.payout);
    issues.result()?;
    let payout = payout.expect("a missing field is an issue");
    Ok(Audited(payout_overrides::set(&app, id, body.affiliate_id, goal, payout).await?.map(Into::into)))
}

/// List an offer's payout overrides, newest first.
#[utoipa::path(get, path = "/api/v1/offers/{id}/payout-overrides", tag = "offers", params(("id" = OfferId, Path), PageIn),
    security(("api_key" = ["manage_offers"])),
    responses((status = 200, body = PageOut<PayoutOverrideOut>), (status = "default", body = Problem)))]
pub async fn list_payout_overrides(
    State(app): State<App>,
    _: Caller,
    PathId(id): PathId<OfferId>,
    ApiQuery(page): ApiQuery<PageIn>,
) -> ApiResult<Json<PageOut<PayoutOverrideOut>>> {
    Ok(Json(PageOut::of(payout_overrides::list(&app, id, page.request()?).await?, PayoutOverrideOut::from)))
}

/// Delete a payout override. The affiliate then earns the offer's payout.
#[utoipa::path(delete, path = "/api/v1/payout-overrides/{id}", tag = "offers", params(("id" = PayoutOverrideId, Path)),
    security(("api_key" = ["manage_offers"])),
    responses((status = 204), (status = "default", body = Problem)))]
pub async fn delete_payout_override(
    State(app): State<App>,
    _: Caller,
    PathId(id): PathId<PayoutOverrideId>,
) -> ApiResult<Deleted<PayoutOverrideOut>> {
    Ok(Deleted(payout_overrides::delete(&app, id).await?.into()))
}
