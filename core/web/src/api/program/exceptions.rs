//! `/api/v1/offers/{id}/exceptions` and `/api/v1/exceptions`

use axum::Json;
use axum::extract::State;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::api::Issues;
use crate::audit::{Audited, Deleted};
use crate::auth::Caller;
use crate::errors::{ApiResult, Problem};
use crate::extract::{ApiJson, ApiQuery, PageIn, PageOut, PathId};
use domain::ids::{AffiliateId, ExceptionId, OfferId};
use domain::program::exception::Exception;
use domain::program::offer::Payout;
use domain::timestamp::Timestamp;
use engine::app::App;
use engine::program::exceptions;

use super::offers::{PayoutIn, payout};

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ExceptionIn {
    affiliate_id: AffiliateId,
    /// For this goal; without one in place of the offer's own payout.
    #[schema(example = "trial", max_length = 100)]
    goal: Option<String>,
    payout: PayoutIn,
}

#[derive(Serialize, ToSchema)]
pub struct ExceptionOut {
    id: ExceptionId,
    offer_id: OfferId,
    affiliate_id: AffiliateId,
    goal: Option<String>,
    payout: Payout,
    created_at: Timestamp,
    updated_at: Timestamp,
}

impl From<Exception> for ExceptionOut {
    fn from(it: Exception) -> Self {
        Self {
            id: it.id,
            offer_id: it.offer_id,
            affiliate_id: it.affiliate_id,
            goal: it.goal,
            payout: it.payout,
            created_at: it.created_at,
            updated_at: it.updated_at,
        }
    }
}

/// Agree with one affiliate on another payout. One for the same affiliate and goal is changed.
#[utoipa::path(post, path = "/api/v1/offers/{id}/exceptions", tag = "offers", params(("id" = OfferId, Path)),
    request_body = ExceptionIn,
    security(("api_key" = ["manage_offers"])),
    responses((status = 200, body = ExceptionOut), (status = "default", body = Problem)))]
pub async fn set_exception(
    State(app): State<App>,
    _: Caller,
    PathId(id): PathId<OfferId>,
    ApiJson(body): ApiJson<ExceptionIn>,
) -> ApiResult<Audited<ExceptionOut>> {
    let mut issues = Issues::default();
    let goal = issues.optional_text("/goal", body.goal, 100);
    let payout = payout(&mut issues, "/payout", body.payout);
    issues.result()?;
    let payout = payout.expect("what is missing was an issue");
    Ok(Audited(exceptions::set(&app, id, body.affiliate_id, goal, payout).await?.map(Into::into)))
}

/// List an offer's exceptions, newest first.
#[utoipa::path(get, path = "/api/v1/offers/{id}/exceptions", tag = "offers", params(("id" = OfferId, Path), PageIn),
    security(("api_key" = ["manage_offers"])),
    responses((status = 200, body = PageOut<ExceptionOut>), (status = "default", body = Problem)))]
pub async fn list_exceptions(
    State(app): State<App>,
    _: Caller,
    PathId(id): PathId<OfferId>,
    ApiQuery(page): ApiQuery<PageIn>,
) -> ApiResult<Json<PageOut<ExceptionOut>>> {
    Ok(Json(PageOut::of(exceptions::list(&app, id, page.request()?).await?, ExceptionOut::from)))
}

/// End an exception: from now on the affiliate earns what the offer says.
#[utoipa::path(delete, path = "/api/v1/exceptions/{id}", tag = "offers", params(("id" = ExceptionId, Path)),
    security(("api_key" = ["manage_offers"])),
    responses((status = 204), (status = "default", body = Problem)))]
pub async fn delete_exception(
    State(app): State<App>,
    _: Caller,
    PathId(id): PathId<ExceptionId>,
) -> ApiResult<Deleted<ExceptionOut>> {
    Ok(Deleted(exceptions::delete(&app, id).await?.into()))
}
