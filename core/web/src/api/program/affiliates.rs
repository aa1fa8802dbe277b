//! `/api/v1/affiliates`

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use crate::api::{Issues, email};
use crate::audit::Audited;
use crate::auth::Caller;
use crate::errors::{ApiResult, Problem};
use crate::extract::{ApiJson, ApiQuery, PageIn, PageOut, PathId};
use crate::filters;
use domain::ids::AffiliateId;
use domain::program::affiliate::{Affiliate, AffiliateStatus};
use domain::timestamp::Timestamp;
use engine::app::App;
use engine::people::auth::sessions;
use engine::program::affiliates::{self, Changes};
use engine::program::sub_affiliates;

/// An affiliate: a person or company that sends visitors and earns money.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct AffiliateIn {
    /// The name of the affiliate.
    #[schema(example = "Ada Lovelace", max_length = 200)]
    name: String,
    /// The e-mail address of the affiliate.
    #[schema(example = "ada@example.com", max_length = 254)]
    email: String,
    /// The id or referral code of the affiliate that brought this affiliate to the program and gets second-tier
    /// commissions; no parent affiliate if absent or null.
    #[schema(example = "AF12345")]
    parent_affiliate: Option<String>,
}

/// Changes of an affiliate. Absent fields are unchanged.
#[derive(Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct AffiliateChanges {
    /// The name of the affiliate.
    #[schema(max_length = 200)]
    name: Option<String>,
    /// The e-mail address of the affiliate. The former address gets a message about the change.
    #[schema(max_length = 254)]
    email: Option<String>,
    status: Option<AffiliateStatus>,
    /// The id or referral code of another parent affiliate; null removes the parent affiliate. Applies to conversions
    /// that are approved from now on.
    #[serde(default, deserialize_with = "crate::api::some")]
    parent_affiliate: Option<Option<String>>,
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
    ApiJson(body): ApiJson<AffiliateIn>,
) -> ApiResult<(StatusCode, Json<AffiliateOut>)> {
    let mut issues = Issues::default();
    let name = issues.text("/name", &body.name, 200);
    let email = email(&mut issues, &body.email);
    issues.result()?;
    let parent = match body.parent_affiliate.as_deref().map(str::trim).filter(|text| !text.is_empty()) {
        Some(text) => Some(sub_affiliates::find_parent(&app, text).await?),
        None => None,
    };
    let affiliate = affiliates::create(&app, &name, &email, parent).await?;
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
    let page = affiliates::list(&app, actor, search, page).await?;
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

/// Change an affiliate. The links and codes of a suspended affiliate lead to a "not found" page.
#[utoipa::path(patch, path = "/api/v1/affiliates/{id}", tag = "affiliates", params(("id" = AffiliateId, Path)),
    request_body = AffiliateChanges,
    security(("api_key" = ["manage_affiliates"])),
    responses((status = 200, body = AffiliateOut), (status = "default", body = Problem)))]
pub async fn change_affiliate(
    State(app): State<App>,
    _: Caller,
    PathId(id): PathId<AffiliateId>,
    ApiJson(body): ApiJson<AffiliateChanges>,
) -> ApiResult<Audited<AffiliateOut>> {
    let mut issues = Issues::default();
    let changes = Changes {
        name: body.name.map(|name| issues.text("/name", &name, 200)),
        email: body.email.map(|text| email(&mut issues, &text)),
        status: body.status,
        parent_affiliate_id: match &body.parent_affiliate {
            Some(Some(text)) => Some(Some(sub_affiliates::find_parent(&app, text.trim()).await?)),
            Some(None) => Some(None),
            None => None,
        },
    };
    issues.result()?;
    let changed = affiliates::change(&app, id, changes).await?;
    Ok(Audited(changed.map(|it| AffiliateOut::of(&app, it))))
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
