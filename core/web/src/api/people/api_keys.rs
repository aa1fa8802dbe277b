//! `/api/v1/api-keys`: keys of the program and of affiliates. `/api/v1/auth/keys`: keys of the signed-in person.

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

/// A new API key of the program or of an affiliate.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ApiKeyIn {
    /// A name for lists, 1 to 200 characters.
    #[schema(example = "checkout server", min_length = 1, max_length = 200)]
    name: String,
    /// Determines the permissions of the key.
    role: Role,
    /// The affiliate whose key it is. Required for the role `affiliate`, not allowed for other roles.
    affiliate_id: Option<AffiliateId>,
    /// Limits the key to these permissions of its role; all permissions of the role if absent.
    scopes: Option<Vec<Permission>>,
    /// The end of the key's validity, in the future; it does not expire if absent.
    expires_at: Option<Timestamp>,
    /// Your password. Required for sessions, ignored for API keys.
    password: Option<String>,
    /// A code of your second factor, or a recovery code. Required for sessions of people with a second factor.
    code: Option<String>,
}

/// A new API key of the signed-in person.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct OwnApiKeyIn {
    /// A name for lists, 1 to 200 characters.
    #[schema(example = "my spreadsheet", min_length = 1, max_length = 200)]
    name: String,
    /// Limits the key to these permissions of your role; all permissions of the role if absent.
    scopes: Option<Vec<Permission>>,
    /// The end of the key's validity, in the future; it does not expire if absent.
    expires_at: Option<Timestamp>,
    /// Your password. Required.
    password: Option<String>,
    /// A code of your second factor, or a recovery code. Required if you have a second factor.
    code: Option<String>,
}

/// An API key, without its secret.
#[derive(Serialize, ToSchema)]
pub struct ApiKeyOut {
    id: KeyId,
    name: String,
    /// For a key of a person, the person's role when the key was created. If the person's present role has fewer
    /// permissions, so has the key.
    role: Role,
    /// The person whose key it is; null for keys of the program and of affiliates.
    user_id: Option<UserId>,
    /// The affiliate whose data the key can access; null for keys of staff.
    affiliate_id: Option<AffiliateId>,
    /// The permissions to which the key is limited; null if it has all permissions of its role.
    scopes: Option<Vec<Permission>>,
    /// The last four characters of the key.
    hint: String,
    created_at: Timestamp,
    /// The end of its validity; null if it does not expire.
    expires_at: Option<Timestamp>,
    /// The last use, to the minute; null if it was not used.
    last_used_at: Option<Timestamp>,
    /// When it was revoked; null if it was not.
    revoked_at: Option<Timestamp>,
}

/// A created API key with its secret, which no other response contains.
#[derive(Serialize, ToSchema)]
pub struct NewApiKeyOut {
    #[serde(flatten)]
    about: ApiKeyOut,
    /// The secret, to be sent as `Authorization: Bearer`. It is shown once: null in the repeated response to the same
    /// Idempotency-Key.
    #[schema(example = "prk_…")]
    key: Option<String>,
}

impl From<ApiKey> for ApiKeyOut {
    fn from(key: ApiKey) -> Self {
        Self {
            id: key.id,
            name: key.name,
            role: key.role,
            user_id: key.user_id,
            affiliate_id: key.affiliate_id,
            scopes: key.scopes,
            hint: key.hint,
            created_at: key.created_at,
            expires_at: key.expires_at,
            last_used_at: key.last_used_at,
            revoked_at: key.revoked_at,
        }
    }
}

fn created((key, secret): (ApiKey, String)) -> (StatusCode, Json<NewApiKeyOut>) {
    (StatusCode::CREATED, Json(NewApiKeyOut { about: key.into(), key: Some(secret) }))
}

/// 204, with the changes for the audit log.
type RevokedResponse = (StatusCode, Extension<AuditedChanges>);

fn revoked(key: Changed<ApiKey>) -> ApiResult<RevokedResponse> {
    Ok((StatusCode::NO_CONTENT, AuditedChanges::many(key.map(ApiKeyOut::from).fields())))
}

/// Create an API key of the program or of an affiliate. It can only have permissions that you have.
///
/// Sessions must send the password, and a code of the second factor if there is one. An e-mail about the new key is
/// sent.
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
        (false, None) => issues.add(
            "/affiliate_id",
            "invalid_field",
            "affiliate_id is missing; the role affiliate requires the id of the affiliate whose key it is",
        ),
        (true, Some(_)) => issues.add(
            "/affiliate_id",
            "invalid_field",
            "only keys with the role affiliate have an affiliate; remove affiliate_id",
        ),
        _ => {}
    }
    issues.result()?;
    let new = NewApiKey {
        name,
        user_id: None,
        role: body.role,
        affiliate_id: body.affiliate_id,
        scopes: body.scopes,
        expires_at: body.expires_at,
    };
    let proof = StepUpProof { password: body.password, code: body.code };
    Ok(created(api_keys::create(&app, actor, proof, new).await?))
}

/// List the API keys of the program, of affiliates and of people, newest first, without their secrets.
#[utoipa::path(get, path = "/api/v1/api-keys", tag = "api keys", params(PageIn),
    security(("api_key" = ["manage_keys"])),
    responses((status = 200, body = PageOut<ApiKeyOut>), (status = "default", body = Problem)))]
pub async fn list_api_keys(
    State(app): State<App>,
    ApiQuery(page): ApiQuery<PageIn>,
) -> ApiResult<Json<PageOut<ApiKeyOut>>> {
    Ok(Json(PageOut::of(api_keys::list(&app, None, page.request()?).await?, ApiKeyOut::from)))
}

/// Revoke an API key, which takes effect immediately. You need all permissions that the key has.
#[utoipa::path(delete, path = "/api/v1/api-keys/{id}", tag = "api keys", params(("id" = KeyId, Path)),
    security(("api_key" = ["manage_keys"])),
    responses((status = 204), (status = "default", body = Problem)))]
pub async fn revoke_api_key(
    State(app): State<App>,
    Caller(actor): Caller,
    PathId(id): PathId<KeyId>,
) -> ApiResult<RevokedResponse> {
    revoked(api_keys::revoke(&app, actor, id, None).await?)
}

/// Create an API key of the signed-in person. It never has more permissions than the person's present role. Requires a
/// session, the password, and a code of the second factor if there is one.
#[utoipa::path(post, path = "/api/v1/auth/keys", tag = "api keys", request_body = OwnApiKeyIn,
    security(("session" = [])),
    responses((status = 201, body = NewApiKeyOut), (status = "default", body = Problem)))]
pub async fn create_own_api_key(
    State(app): State<App>,
    person: Person,
    ApiJson(body): ApiJson<OwnApiKeyIn>,
) -> ApiResult<(StatusCode, Json<NewApiKeyOut>)> {
    let mut issues = Issues::default();
    let name = issues.text("/name", &body.name, 200);
    issues.result()?;
    let new = NewApiKey {
        name,
        user_id: Some(person.user),
        role: person.actor.role,
        affiliate_id: person.actor.confined_to(),
        scopes: body.scopes,
        expires_at: body.expires_at,
    };
    let proof = StepUpProof { password: body.password, code: body.code };
    Ok(created(api_keys::create(&app, person.actor, proof, new).await?))
}

/// List the API keys of the signed-in person, newest first. Requires a session.
#[utoipa::path(get, path = "/api/v1/auth/keys", tag = "api keys", params(PageIn),
    security(("session" = [])),
    responses((status = 200, body = PageOut<ApiKeyOut>), (status = "default", body = Problem)))]
pub async fn list_own_api_keys(
    State(app): State<App>,
    person: Person,
    ApiQuery(page): ApiQuery<PageIn>,
) -> ApiResult<Json<PageOut<ApiKeyOut>>> {
    let page = api_keys::list(&app, Some(person.user), page.request()?).await?;
    Ok(Json(PageOut::of(page, ApiKeyOut::from)))
}

/// Revoke an API key of the signed-in person. Requires a session.
#[utoipa::path(delete, path = "/api/v1/auth/keys/{id}", tag = "api keys", params(("id" = KeyId, Path)),
    security(("session" = [])),
    responses((status = 204), (status = "default", body = Problem)))]
pub async fn revoke_own_api_key(
    State(app): State<App>,
    person: Person,
    PathId(id): PathId<KeyId>,
) -> ApiResult<RevokedResponse> {
    revoked(api_keys::revoke(&app, person.actor, id, Some(person.user)).await?)
}
