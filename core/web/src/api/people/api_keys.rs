//! `/api/v1/api-keys`: the program's and affiliates'. `/api/v1/auth/keys`: a person's own.

use axum::extract::State;
use axum::http::StatusCode;
use axum::{Extension, Json};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::api::Issues;
use crate::audit::AuditedChanges;
use crate::auth::{Caller, Person};
use crate::errors::{ApiResult, Problem};
use crate::extract::{ApiJson, ApiQuery, PageIn, PageOut, PathId};
use domain::ids::{AffiliateId, KeyId, UserId};
use domain::people::api_key::ApiKey;
use domain::people::changes::Changed;
use domain::people::permission::{Permission, Role};
use domain::timestamp::Timestamp;
use engine::app::App;
use engine::people::api_keys::{self, NewApiKey};
use engine::people::auth::step_up::StepUpProof;

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ApiKeyIn {
    #[schema(example = "checkout server", max_length = 200)]
    name: String,
    role: Role,
    /// For the role affiliate.
    affiliate_id: Option<AffiliateId>,
    /// What it is limited to; all that its role may do when absent.
    scopes: Option<Vec<Permission>>,
    /// When it ends; never when absent.
    expires_at: Option<Timestamp>,
    /// Yours, when you are signed in with one.
    password: Option<String>,
    /// Of your second factor, if you have one.
    code: Option<String>,
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct OwnApiKeyIn {
    #[schema(example = "my spreadsheet", max_length = 200)]
    name: String,
    /// What it is limited to; all that you may do when absent.
    scopes: Option<Vec<Permission>>,
    /// When it ends; never when absent.
    expires_at: Option<Timestamp>,
    password: Option<String>,
    /// Of your second factor, if you have one.
    code: Option<String>,
}

#[derive(Serialize, ToSchema)]
pub struct ApiKeyOut {
    id: KeyId,
    name: String,
    /// Of a person's key, the role when it was made; it never allows more than the person's role of today.
    role: Role,
    /// Whose it is; null for the program's and affiliates'.
    user_id: Option<UserId>,
    affiliate_id: Option<AffiliateId>,
    scopes: Option<Vec<Permission>>,
    /// Its last four characters.
    hint: String,
    created_at: Timestamp,
    expires_at: Option<Timestamp>,
    /// To the minute.
    last_used_at: Option<Timestamp>,
    revoked_at: Option<Timestamp>,
}

/// A new key: the only answer that holds it.
#[derive(Serialize, ToSchema)]
pub struct NewApiKeyOut {
    #[serde(flatten)]
    about: ApiKeyOut,
    /// Shown once. Null in a repeated answer to the same Idempotency-Key.
    #[schema(example = "prk_…")]
    key: Option<String>,
}

impl From<ApiKey> for ApiKeyOut {
    fn from(it: ApiKey) -> Self {
        Self {
            id: it.id,
            name: it.name,
            role: it.role,
            user_id: it.user_id,
            affiliate_id: it.affiliate_id,
            scopes: it.scopes,
            hint: it.hint,
            created_at: it.created_at,
            expires_at: it.expires_at,
            last_used_at: it.last_used_at,
            revoked_at: it.revoked_at,
        }
    }
}

fn created((key, secret): (ApiKey, String)) -> (StatusCode, Json<NewApiKeyOut>) {
    (StatusCode::CREATED, Json(NewApiKeyOut { about: key.into(), key: Some(secret) }))
}

type Revoked = (StatusCode, Extension<AuditedChanges>);

fn revoked(key: Changed<ApiKey>) -> ApiResult<Revoked> {
    Ok((StatusCode::NO_CONTENT, AuditedChanges::many(key.map(ApiKeyOut::from).fields())))
}

/// Create an API key of the program or of an affiliate. It allows nothing that you may not do. A person sends the
/// password too; a message tells of the new key.
#[utoipa::path(post, path = "/api/v1/api-keys", tag = "api keys", request_body = ApiKeyIn,
    security(("api_key" = ["manage_keys"])),
    responses((status = 201, body = NewApiKeyOut), (status = "default", body = Problem)))]
pub async fn create_api_key(
    State(app): State<App>,
    Caller(actor): Caller,
    ApiJson(body): ApiJson<ApiKeyIn>,
) -> ApiResult<(StatusCode, Json<NewApiKeyOut>)> {
    let mut issues = Issues::default();
    let name = issues.text("/name", &body.name, 200);
    match (body.role.is_staff(), body.affiliate_id) {
        (false, None) => issues.add("/affiliate_id", "invalid_field", "say whose key it is"),
        (true, Some(_)) => issues.add("/affiliate_id", "invalid_field", "only an affiliate's key belongs to one"),
        _ => {}
    }
    issues.result()?;
    let wanted = NewApiKey {
        name,
        user_id: None,
        role: body.role,
        affiliate_id: body.affiliate_id,
        scopes: body.scopes,
        expires_at: body.expires_at,
    };
    let given = StepUpProof { password: body.password, code: body.code };
    Ok(created(api_keys::create(&app, actor, given, wanted).await?))
}

/// List everybody's API keys, newest first, without the keys themselves.
#[utoipa::path(get, path = "/api/v1/api-keys", tag = "api keys", params(PageIn),
    security(("api_key" = ["manage_keys"])),
    responses((status = 200, body = PageOut<ApiKeyOut>), (status = "default", body = Problem)))]
pub async fn list_api_keys(
    State(app): State<App>,
    ApiQuery(page): ApiQuery<PageIn>,
) -> ApiResult<Json<PageOut<ApiKeyOut>>> {
    Ok(Json(PageOut::of(api_keys::list(&app, None, page.request()?).await?, ApiKeyOut::from)))
}

/// Revoke an API key that allows no more than you may do.
#[utoipa::path(delete, path = "/api/v1/api-keys/{id}", tag = "api keys", params(("id" = KeyId, Path)),
    security(("api_key" = ["manage_keys"])),
    responses((status = 204), (status = "default", body = Problem)))]
pub async fn revoke_api_key(
    State(app): State<App>,
    Caller(actor): Caller,
    PathId(id): PathId<KeyId>,
) -> ApiResult<Revoked> {
    revoked(api_keys::revoke(&app, actor, id, None).await?)
}

/// Create an API key of one's own, with one's password. It never allows more than one's role at any time.
#[utoipa::path(post, path = "/api/v1/auth/keys", tag = "api keys", request_body = OwnApiKeyIn,
    security(("api_key" = [])),
    responses((status = 201, body = NewApiKeyOut), (status = "default", body = Problem)))]
pub async fn create_own_api_key(
    State(app): State<App>,
    person: Person,
    ApiJson(body): ApiJson<OwnApiKeyIn>,
) -> ApiResult<(StatusCode, Json<NewApiKeyOut>)> {
    let mut issues = Issues::default();
    let name = issues.text("/name", &body.name, 200);
    issues.result()?;
    let wanted = NewApiKey {
        name,
        user_id: Some(person.user),
        role: person.actor.role,
        affiliate_id: person.actor.confined_to(),
        scopes: body.scopes,
        expires_at: body.expires_at,
    };
    let given = StepUpProof { password: body.password, code: body.code };
    Ok(created(api_keys::create(&app, person.actor, given, wanted).await?))
}

/// List one's own API keys, newest first.
#[utoipa::path(get, path = "/api/v1/auth/keys", tag = "api keys", params(PageIn),
    security(("api_key" = [])),
    responses((status = 200, body = PageOut<ApiKeyOut>), (status = "default", body = Problem)))]
pub async fn list_own_api_keys(
    State(app): State<App>,
    person: Person,
    ApiQuery(page): ApiQuery<PageIn>,
) -> ApiResult<Json<PageOut<ApiKeyOut>>> {
    let page = api_keys::list(&app, Some(person.user), page.request()?).await?;
    Ok(Json(PageOut::of(page, ApiKeyOut::from)))
}

/// Revoke one of one's own API keys.
#[utoipa::path(delete, path = "/api/v1/auth/keys/{id}", tag = "api keys", params(("id" = KeyId, Path)),
    security(("api_key" = [])),
    responses((status = 204), (status = "default", body = Problem)))]
pub async fn revoke_own_api_key(
    State(app): State<App>,
    person: Person,
    PathId(id): PathId<KeyId>,
) -> ApiResult<Revoked> {
    revoked(api_keys::revoke(&app, person.actor, id, Some(person.user)).await?)
}
