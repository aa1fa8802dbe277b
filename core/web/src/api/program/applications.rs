//! `/api/v1/offers/{id}/applications` and `/api/v1/applications`

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use crate::api::Issues;
use crate::audit::Audited;
use crate::auth::Caller;
use crate::errors::{ApiResult, Problem};
use crate::extract::{ApiJson, ApiQuery, PageIn, PageOut, PathId};
use crate::filters::{Period, PeriodIn};
use domain::ids::{AffiliateId, ApplicationId, OfferId};
use domain::program::application::{Application, ApplicationStatus};
use domain::timestamp::Timestamp;
use engine::Error;
use engine::app::App;
use engine::program::applications;
use storage::program::applications::Filter;

/// An application: an affiliate asks to promote an offer.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ApplicationIn {
    /// The affiliate that applies. Required for staff; optional for callers of an affiliate.
    affiliate_id: Option<AffiliateId>,
    /// How the affiliate intends to promote the offer; null for no message.
    #[schema(max_length = 2000)]
    message: Option<String>,
}

/// An application: an affiliate asks to promote an offer.
#[derive(Serialize, ToSchema)]
pub struct ApplicationOut {
    id: ApplicationId,
    offer_id: OfferId,
    affiliate_id: AffiliateId,
    status: ApplicationStatus,
    /// How the affiliate intends to promote the offer; null if there is no message.
    message: Option<String>,
    /// The reason of a refusal; null unless the application is refused.
    reason: Option<String>,
    /// When the application was last approved or refused; null while it is pending.
    decided_at: Option<Timestamp>,
    /// When the application was created.
    created_at: Timestamp,
    /// When the application last changed.
    updated_at: Timestamp,
}

impl From<Application> for ApplicationOut {
    fn from(application: Application) -> Self {
        Self {
            id: application.id,
            offer_id: application.offer_id,
            affiliate_id: application.affiliate_id,
            status: application.status,
            message: application.message,
            reason: application.reason,
            decided_at: application.decided_at,
            created_at: application.created_at,
            updated_at: application.updated_at,
        }
    }
}

#[derive(Default, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct ApplicationFilter {
    /// The maximum number of items on the page, 1 to 200; 50 if absent.
    limit: Option<u64>,
    /// `next` of the previous page; absent for the first page.
    cursor: Option<String>,
    /// Only applications of this affiliate.
    affiliate_id: Option<AffiliateId>,
    /// Only applications for this offer.
    offer_id: Option<OfferId>,
    /// Only applications with this status.
    status: Option<ApplicationStatus>,
}

/// Apply for an offer, or invite an affiliate.
///
/// An application that staff create for an affiliate is an invitation and is approved immediately. If the affiliate
/// has an application for the offer, the response is that application, unchanged.
#[utoipa::path(post, path = "/api/v1/offers/{id}/applications", tag = "applications", params(("id" = OfferId, Path)),
    request_body = ApplicationIn,
    security(("api_key" = ["manage_links"])),
    responses((status = 201, body = ApplicationOut), (status = "default", body = Problem)))]
pub async fn create_application(
    State(app): State<App>,
    Caller(actor): Caller,
    PathId(id): PathId<OfferId>,
    ApiJson(body): ApiJson<ApplicationIn>,
) -> ApiResult<(StatusCode, Json<ApplicationOut>)> {
    let mut issues = Issues::default();
    let message = issues.optional_text("/message", body.message, 2000);
    issues.result()?;
    let affiliate_id = body.affiliate_id.or(actor.confined_to());
    let affiliate_id = affiliate_id.ok_or_else(|| Error::invalid("/affiliate_id", "affiliate_id is missing"))?;
    let application = applications::create(&app, actor, id, affiliate_id, message).await?;
    Ok((StatusCode::CREATED, Json(application.into())))
}

/// List applications, newest first. Affiliates see their own.
#[utoipa::path(get, path = "/api/v1/applications", tag = "applications", params(ApplicationFilter, PeriodIn),
    security(("api_key" = ["read_program"])),
    responses((status = 200, body = PageOut<ApplicationOut>), (status = "default", body = Problem)))]
pub async fn list_applications(
    State(app): State<App>,
    Caller(actor): Caller,
    period: Period,
    ApiQuery(params): ApiQuery<ApplicationFilter>,
) -> ApiResult<Json<PageOut<ApplicationOut>>> {
    let page = period.of(&PageIn { limit: params.limit, cursor: params.cursor })?;
    let filter = Filter { affiliate_id: params.affiliate_id, offer_id: params.offer_id, status: params.status };
    Ok(Json(PageOut::of(applications::list(&app, actor, filter, page).await?, ApplicationOut::from)))
}

/// Read an application.
#[utoipa::path(get, path = "/api/v1/applications/{id}", tag = "applications", params(("id" = ApplicationId, Path)),
    security(("api_key" = ["read_program"])),
    responses((status = 200, body = ApplicationOut), (status = "default", body = Problem)))]
pub async fn get_application(
    State(app): State<App>,
    Caller(actor): Caller,
    PathId(id): PathId<ApplicationId>,
) -> ApiResult<Json<ApplicationOut>> {
    Ok(Json(applications::get(&app, actor, id).await?.into()))
}

/// Approve an application: the affiliate may promote the offer.
#[utoipa::path(post, path = "/api/v1/applications/{id}/approve", tag = "applications",
    params(("id" = ApplicationId, Path)),
    security(("api_key" = ["manage_affiliates"])),
    responses((status = 200, body = ApplicationOut), (status = "default", body = Problem)))]
pub async fn approve_application(
    State(app): State<App>,
    _: Caller,
    PathId(id): PathId<ApplicationId>,
) -> ApiResult<Audited<ApplicationOut>> {
    Ok(Audited(applications::approve(&app, id).await?.map(Into::into)))
}

/// The refusal of an application.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ApplicationRefusalIn {
    /// The reason. It is shown to the affiliate.
    #[schema(example = "no coupon sites", min_length = 1, max_length = 500)]
    reason: String,
}

/// Refuse an application, also one that was approved.
///
/// The affiliate's links to the offer are paused, unless the offer is public. Earlier clicks still count.
#[utoipa::path(post, path = "/api/v1/applications/{id}/refuse", tag = "applications",
    params(("id" = ApplicationId, Path)), request_body = ApplicationRefusalIn,
    security(("api_key" = ["manage_affiliates"])),
    responses((status = 200, body = ApplicationOut), (status = "default", body = Problem)))]
pub async fn refuse_application(
    State(app): State<App>,
    _: Caller,
    PathId(id): PathId<ApplicationId>,
    ApiJson(body): ApiJson<ApplicationRefusalIn>,
) -> ApiResult<Audited<ApplicationOut>> {
    let mut issues = Issues::default();
    let reason = issues.text("/reason", &body.reason, 500);
    issues.result()?;
    Ok(Audited(applications::refuse(&app, id, reason).await?.map(Into::into)))
}
