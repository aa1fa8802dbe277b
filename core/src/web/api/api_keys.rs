//! `/api/v1/api-keys`

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::app::App;
use crate::clock::Timestamp;
use crate::domain::api_key::ApiKey;
use crate::ids::{AffiliateId, KeyId};
use crate::services::{Error, api_keys};
use crate::web::auth::Caller;
use crate::web::errors::{ApiResult, Problem};
use crate::web::extract::{ApiJson, ApiQuery, PageIn, PageOut, PathId};

use super::Issues;

#[derive(Clone, Copy, PartialEq, Eq, Deserialize, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum KeyRole {
    Admin,
    /// Sees and changes what belongs to its affiliate, and nothing else exists for it.
    Affiliate,
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ApiKeyIn {
    #[schema(example = "checkout server", max_length = 200)]
    name: String,
    role: KeyRole,
    /// For the role affiliate.
    affiliate_id: Option<AffiliateId>,
}

#[derive(Serialize, ToSchema)]
pub struct ApiKeyOut {
    id: KeyId,
    name: String,
    role: KeyRole,
    affiliate_id: Option<AffiliateId>,
    /// Its last four characters.
    hint: String,
    created_at: Timestamp,
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
            role: if it.affiliate_id.is_some() { KeyRole::Affiliate } else { KeyRole::Admin },
            affiliate_id: it.affiliate_id,
            hint: it.hint,
            created_at: it.created_at,
            revoked_at: it.revoked_at,
        }
    }
}

/// Create an API key.
#[utoipa::path(post, path = "/api/v1/api-keys", tag = "api keys", request_body = ApiKeyIn,
    security(("api_key" = ["manage_keys"])),
    responses((status = 201, body = NewApiKeyOut), (status = "default", body = Problem)))]
pub async fn create_api_key(
    State(app): State<App>,
    _: Caller,
    ApiJson(body): ApiJson<ApiKeyIn>,
) -> ApiResult<(StatusCode, Json<NewApiKeyOut>)> {
    let mut issues = Issues::default();
    let name = issues.text("/name", &body.name, 200);
    match (body.role, body.affiliate_id) {
        (KeyRole::Affiliate, None) => issues.add("/affiliate_id", "invalid_field", "say whose key it is"),
        (KeyRole::Admin, Some(_)) => {
            issues.add("/affiliate_id", "invalid_field", "an admin's key belongs to no affiliate")
        }
        _ => {}
    }
    issues.result()?;
    let (key, secret) = api_keys::create(&app, name, body.affiliate_id).await?;
    Ok((StatusCode::CREATED, Json(NewApiKeyOut { about: key.into(), key: Some(secret) })))
}

/// List API keys, newest first, without the keys themselves.
#[utoipa::path(get, path = "/api/v1/api-keys", tag = "api keys", params(PageIn),
    security(("api_key" = ["manage_keys"])),
    responses((status = 200, body = PageOut<ApiKeyOut>), (status = "default", body = Problem)))]
pub async fn list_api_keys(
    State(app): State<App>,
    _: Caller,
    ApiQuery(page): ApiQuery<PageIn>,
) -> ApiResult<Json<PageOut<ApiKeyOut>>> {
    Ok(Json(PageOut::of(api_keys::list(&app, page.request()?).await?, ApiKeyOut::from)))
}

/// Revoke an API key.
#[utoipa::path(delete, path = "/api/v1/api-keys/{id}", tag = "api keys", params(("id" = KeyId, Path)),
    security(("api_key" = ["manage_keys"])),
    responses((status = 204), (status = "default", body = Problem)))]
pub async fn revoke_api_key(
    State(app): State<App>,
    _: Caller,
    PathId(id): PathId<KeyId>,
) -> Result<StatusCode, Problem> {
    api_keys::revoke(&app, id).await.map_err(|error: Error| Problem::from(error))?;
    Ok(StatusCode::NO_CONTENT)
}
