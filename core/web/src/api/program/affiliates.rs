//! `/api/v1/affiliates`

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::{IntoParams, ToSchema};

use crate::api::{Issues, email};
use crate::audit::Audited;
use crate::auth::Caller;
use crate::body::Patch;
use crate::errors::{ApiResult, Problem};
use crate::extract::{ApiJson, ApiQuery, PageIn, PageOut, PathId};
use crate::filters;
use domain::archive::ArchivedFilter;
use domain::ids::AffiliateId;
use domain::program::affiliate::{Affiliate, AffiliateStatus};
use domain::timestamp::Timestamp;
use engine::Error;
use engine::app::App;
use engine::people::auth::sessions;
use engine::program::affiliates::{self, AffiliateData};
use engine::program::sub_affiliates;

/// An affiliate: a person or company that sends visitors and earns money.
#[derive(Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct AffiliateIn {
    /// The name of the affiliate.
    #[schema(example = "Ada Lovelace", min_length = 1, max_length = 200)]
    name: String,
    /// The e-mail address of the affiliate. After a change the former address gets a message.
    #[schema(example = "ada@example.com", min_length = 1, max_length = 254)]
    email: String,
    /// `active` if absent.
    #[serde(default)]
    status: AffiliateStatus,
    /// The id or referral code of the affiliate that brought this affiliate to the program and gets second-tier
    /// commissions; no parent affiliate if absent or null. A change applies to conversions that are approved from now
    /// on.
    #[serde(default)]
    #[schema(example = "AF12345")]
    parent_affiliate: Option<String>,
}

impl AffiliateIn {
    /// The data, if `parent_affiliate` is an id. A referral code must be resolved first.
    fn data(self) -> Result<AffiliateData, Error> {
        let mut issues = Issues::default();
        let (name, email) = (issues.text("/name", &self.name, 200), email(&mut issues, &self.email));
        issues.result()?;
        let parent = self.parent_affiliate.filter(|text| !text.trim().is_empty());
        let parent = parent.map(|text| text.parse::<AffiliateId>()).transpose();
        let parent_affiliate_id = parent.map_err(|error| Error::invalid("/parent_affiliate", error.to_string()))?;
        Ok(AffiliateData { name, email, status: self.status, parent_affiliate_id })
    }

    fn of(affiliate: &Affiliate) -> Self {
        Self {
            name: affiliate.name.clone(),
            email: affiliate.email.clone(),
            status: affiliate.status,
            parent_affiliate: affiliate.parent_affiliate_id.map(|id| id.to_string()),
        }
    }
}

/// The id of the parent affiliate that a body names.
async fn parent_id(app: &App, text: Option<&str>) -> Result<Option<String>, Error> {
    match text.map(str::trim).filter(|text| !text.is_empty()) {
        Some(text) => Ok(Some(sub_affiliates::find_parent(app, text).await?.to_string())),
        None => Ok(None),
    }
}

/// An affiliate: a person or company that sends visitors and earns money.
#[derive(Serialize, ToSchema)]
pub struct AffiliateOut {
    id: AffiliateId,
    /// The name of the affiliate.
    name: String,
    /// The e-mail address of the affiliate.
    email: String,
    /// A short code that people can type or read aloud.
    #[schema(example = "AF12345")]
    referral_code: String,
    /// A URL with the referral code. It leads to the default offer, or with the parameter `offer_id` to that offer.
    referral_url: String,
    status: AffiliateStatus,
    /// The affiliate that gets second-tier commissions; null if there is none.
    parent_affiliate_id: Option<AffiliateId>,
    /// When the affiliate was created.
    created_at: Timestamp,
    /// When the affiliate last changed.
    updated_at: Timestamp,
    /// When the affiliate was archived; null while it is in use.
    archived_at: Option<Timestamp>,
}

impl AffiliateOut {
    fn of(app: &App, affiliate: Affiliate) -> Self {
        Self {
            id: affiliate.id,
            name: affiliate.name,
            email: affiliate.email,
            referral_url: format!("{}/r/{}", app.public_url, affiliate.referral_code),
            referral_code: affiliate.referral_code,
            status: affiliate.status,
            parent_affiliate_id: affiliate.parent_affiliate_id,
            created_at: affiliate.created_at,
            updated_at: affiliate.updated_at,
            archived_at: affiliate.archived_at,
        }
    }
}

/// Create an affiliate, with a referral code and a source for AffRank.
#[utoipa::path(post, path = "/api/v1/affiliates", tag = "affiliates", request_body = AffiliateIn,
    security(("api_key" = ["manage_affiliates"])),
    responses((status = 201, body = AffiliateOut), (status = "default", body = Problem)))]
pub async fn create_affiliate(
    State(app): State<App>,
    _: Caller,
    ApiJson(mut body): ApiJson<AffiliateIn>,
) -> ApiResult<(StatusCode, Json<AffiliateOut>)> {
    body.parent_affiliate = parent_id(&app, body.parent_affiliate.as_deref()).await?;
    let affiliate = affiliates::create(&app, body.data()?).await?;
    Ok((StatusCode::CREATED, Json(AffiliateOut::of(&app, affiliate))))
}

#[derive(Default, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct AffiliateFilter {
    /// The maximum number of items on the page, 1 to 200; 50 if absent.
    limit: Option<u64>,
    /// `next` of the previous page; absent for the first page.
    cursor: Option<String>,
    /// Only affiliates whose name, e-mail address, referral code or id begins with this text.
    search: Option<String>,
    /// Which affiliates the list has: `false` (the default) those in use, `true` archived ones, `any` both.
    #[param(inline)]
    archived: Option<ArchivedFilter>,
}

/// List affiliates, newest first. An affiliate sees only itself.
#[utoipa::path(get, path = "/api/v1/affiliates", tag = "affiliates", params(AffiliateFilter),
    security(("api_key" = ["read_program"])),
    responses((status = 200, body = PageOut<AffiliateOut>), (status = "default", body = Problem)))]
pub async fn list_affiliates(
    State(app): State<App>,
    Caller(actor): Caller,
    ApiQuery(params): ApiQuery<AffiliateFilter>,
) -> ApiResult<Json<PageOut<AffiliateOut>>> {
    let page = PageIn { limit: params.limit, cursor: params.cursor }.request()?;
    let search = filters::search(params.search.as_deref())?;
    let page = affiliates::list(&app, actor, search, params.archived.unwrap_or_default(), page).await?;
    Ok(Json(PageOut::of(page, |it| AffiliateOut::of(&app, it))))
}

/// Read an affiliate.
#[utoipa::path(get, path = "/api/v1/affiliates/{id}", tag = "affiliates", params(("id" = AffiliateId, Path)),
    security(("api_key" = ["read_program"])),
    responses((status = 200, body = AffiliateOut), (status = "default", body = Problem)))]
pub async fn get_affiliate(
    State(app): State<App>,
    Caller(actor): Caller,
    PathId(id): PathId<AffiliateId>,
) -> ApiResult<Json<AffiliateOut>> {
    let affiliate = affiliates::get(&app, actor, id).await?;
    Ok(Json(AffiliateOut::of(&app, affiliate)))
}

/// Change an affiliate.
///
/// The body is a merge patch (RFC 7396). The links and codes of a suspended affiliate lead to a "not found" page.
#[utoipa::path(patch, path = "/api/v1/affiliates/{id}", tag = "affiliates", params(("id" = AffiliateId, Path)),
    request_body = AffiliateIn,
    security(("api_key" = ["manage_affiliates"])),
    responses((status = 200, body = AffiliateOut), (status = "default", body = Problem)))]
pub async fn change_affiliate(
    State(app): State<App>,
    _: Caller,
    PathId(id): PathId<AffiliateId>,
    mut patch: Patch,
) -> ApiResult<Audited<AffiliateOut>> {
    if let Some(parent) = parent_id(&app, patch.get("parent_affiliate").and_then(Value::as_str)).await? {
        patch.set("parent_affiliate", parent);
    }
    let changed = affiliates::change(&app, id, |it| patch.apply(&AffiliateIn::of(it))?.data()).await?;
    Ok(Audited(changed.map(|it| AffiliateOut::of(&app, it))))
}

/// Archive an affiliate.
///
/// It stays for statistics and the books, and is not in lists by default. Its links and codes lead to a "not found"
/// page, and it gets no new links, approvals and second-tier commissions. Its people can still sign in, conversions of
/// its earlier clicks are recorded and paid, and its money can be withdrawn. Archiving it again has no effect.
#[utoipa::path(post, path = "/api/v1/affiliates/{id}/archive", tag = "affiliates", params(("id" = AffiliateId, Path)),
    security(("api_key" = ["manage_affiliates"])),
    responses((status = 200, body = AffiliateOut), (status = "default", body = Problem)))]
pub async fn archive_affiliate(
    State(app): State<App>,
    _: Caller,
    PathId(id): PathId<AffiliateId>,
) -> ApiResult<Audited<AffiliateOut>> {
    Ok(Audited(affiliates::archive(&app, id).await?.map(|it| AffiliateOut::of(&app, it))))
}

/// Restore an archived affiliate.
///
/// Its links and codes work again, unless it is suspended. Restoring an affiliate that is in use has no effect.
#[utoipa::path(post, path = "/api/v1/affiliates/{id}/restore", tag = "affiliates", params(("id" = AffiliateId, Path)),
    security(("api_key" = ["manage_affiliates"])),
    responses((status = 200, body = AffiliateOut), (status = "default", body = Problem)))]
pub async fn restore_affiliate(
    State(app): State<App>,
    _: Caller,
    PathId(id): PathId<AffiliateId>,
) -> ApiResult<Audited<AffiliateOut>> {
    Ok(Audited(affiliates::restore(&app, id).await?.map(|it| AffiliateOut::of(&app, it))))
}

/// The result of ending sessions.
#[derive(Serialize, ToSchema)]
pub struct SessionsEndedOut {
    /// The number of sessions that were ended.
    ended: u64,
}

/// End all sessions of an affiliate.
///
/// These are sessions of its people, of customers with a login link, and of staff. Unused login links end too.
#[utoipa::path(delete, path = "/api/v1/affiliates/{id}/sessions", tag = "affiliates",
    params(("id" = AffiliateId, Path)),
    security(("api_key" = ["manage_affiliates"])),
    responses((status = 200, body = SessionsEndedOut), (status = "default", body = Problem)))]
pub async fn end_affiliate_sessions(
    State(app): State<App>,
    _: Caller,
    PathId(id): PathId<AffiliateId>,
) -> ApiResult<Json<SessionsEndedOut>> {
    let ended = sessions::revoke_of_affiliate(&app, id).await?;
    Ok(Json(SessionsEndedOut { ended }))
}
