//! `/api/v1/postbacks/{id}/approve` and `/refuse`, and `/api/v1/settings/postbacks`

use axum::Json;
use axum::extract::State;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::audit::Audited;
use crate::auth::Caller;
use crate::errors::{ApiResult, Problem};
use crate::extract::{ApiJson, PathId};
use domain::delivery::approval::PostbackSettings;
use domain::ids::PostbackId;
use engine::app::App;
use engine::delivery::postbacks::approval;

use super::postbacks::PostbackOut;

/// The approval of a postback.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct PostbackApprovalIn {
    /// The `version` of the postback that was examined. If it was changed since, nothing is approved.
    #[schema(example = 3, minimum = 1)]
    version: i32,
}

/// The refusal of a postback.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct PostbackRefusalIn {
    /// The `version` of the postback that was examined. If it was changed since, nothing is refused.
    #[schema(example = 3, minimum = 1)]
    version: i32,
    /// The reason. It is shown to the affiliate.
    #[schema(example = "this address is not yours", min_length = 1, max_length = 500)]
    reason: String,
}

/// Approve a postback of an affiliate, which is then fired for events from now on.
#[utoipa::path(post, path = "/api/v1/postbacks/{id}/approve", tag = "postbacks", params(("id" = PostbackId, Path)),
    request_body = PostbackApprovalIn,
    security(("api_key" = ["manage_affiliates"])),
    responses((status = 200, body = PostbackOut), (status = "default", body = Problem)))]
pub async fn approve_postback(
    State(app): State<App>,
    Caller(actor): Caller,
    PathId(id): PathId<PostbackId>,
    ApiJson(body): ApiJson<PostbackApprovalIn>,
) -> ApiResult<Audited<PostbackOut>> {
    Ok(Audited(approval::approve(&app, actor, id, body.version).await?.map(Into::into)))
}

/// Refuse a postback of an affiliate, also one that was approved.
///
/// It is not fired until it is approved. Its pending deliveries are cancelled when they are due.
#[utoipa::path(post, path = "/api/v1/postbacks/{id}/refuse", tag = "postbacks", params(("id" = PostbackId, Path)),
    request_body = PostbackRefusalIn,
    security(("api_key" = ["manage_affiliates"])),
    responses((status = 200, body = PostbackOut), (status = "default", body = Problem)))]
pub async fn refuse_postback(
    State(app): State<App>,
    Caller(actor): Caller,
    PathId(id): PathId<PostbackId>,
    ApiJson(body): ApiJson<PostbackRefusalIn>,
) -> ApiResult<Audited<PostbackOut>> {
    Ok(Audited(approval::refuse(&app, actor, id, body.version, body.reason).await?.map(Into::into)))
}

/// The setting of postbacks.
#[derive(Deserialize, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = PostbackSettings)]
pub struct PostbackSettingsBody {
    /// Whether postbacks that affiliates create or reconfigure are fired only after the program approved them; false
    /// until it is set.
    affiliates_need_approval: bool,
}

impl From<PostbackSettings> for PostbackSettingsBody {
    fn from(settings: PostbackSettings) -> Self {
        Self { affiliates_need_approval: settings.affiliates_need_approval }
    }
}

/// Read whether postbacks of affiliates need approval.
#[utoipa::path(get, path = "/api/v1/settings/postbacks", tag = "postbacks",
    security(("api_key" = ["read_program"])),
    responses((status = 200, body = PostbackSettingsBody), (status = "default", body = Problem)))]
pub async fn get_postback_settings(State(app): State<App>, _: Caller) -> ApiResult<Json<PostbackSettingsBody>> {
    Ok(Json(approval::settings(&app).await?.into()))
}

/// Set whether postbacks of affiliates need approval.
///
/// It applies when an affiliate creates a postback or changes its configuration. Until it is approved, such a postback is
/// not fired: events are not sent later, and its pending deliveries are cancelled with the reason
/// `postback_not_approved`. Changes of the name, the rule or `enabled` need no approval. Postbacks that exist, or that
/// await approval when the setting is switched off, stay as they are.
#[utoipa::path(put, path = "/api/v1/settings/postbacks", tag = "postbacks", request_body = PostbackSettingsBody,
    security(("api_key" = ["manage_settings"])),
    responses((status = 200, body = PostbackSettingsBody), (status = "default", body = Problem)))]
pub async fn set_postback_settings(
    State(app): State<App>,
    _: Caller,
    ApiJson(body): ApiJson<PostbackSettingsBody>,
) -> ApiResult<Audited<PostbackSettingsBody>> {
    let settings = PostbackSettings { affiliates_need_approval: body.affiliates_need_approval };
    Ok(Audited(approval::change_settings(&app, settings).await?.map(Into::into)))
}
