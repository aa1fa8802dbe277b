//! `/api/v1/auth/second-factor`: the codes of an authenticator app. For people, not for keys.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::auth::Person;
use crate::errors::{ApiResult, Problem};
use crate::extract::ApiJson;
use engine::app::App;
use engine::people::auth::second_factor;

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct SecondFactorIn {
    password: String,
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct FirstCodeIn {
    #[schema(example = "287082")]
    code: String,
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct BothFactorsIn {
    password: String,
    /// Of the app, or a recovery code.
    code: String,
}

#[derive(Serialize, ToSchema)]
pub struct SecondFactorOut {
    /// For typing into an app; shown once.
    secret: String,
    /// For scanning with one.
    uri: String,
}

#[derive(Serialize, ToSchema)]
pub struct RecoveryCodesOut {
    /// Each is good once, when the app is gone. Shown once.
    recovery_codes: Vec<String>,
}

/// Begin a second factor: a secret for an authenticator app. It counts once its first code was sent.
#[utoipa::path(post, path = "/api/v1/auth/second-factor", tag = "sign-in", request_body = SecondFactorIn,
    security(("api_key" = [])),
    responses((status = 200, body = SecondFactorOut), (status = "default", body = Problem)))]
pub async fn begin_second_factor(
    State(app): State<App>,
    person: Person,
    ApiJson(body): ApiJson<SecondFactorIn>,
) -> ApiResult<Json<SecondFactorOut>> {
    let (secret, uri) = second_factor::begin(&app, person.user, body.password).await?;
    Ok(Json(SecondFactorOut { secret, uri }))
}

/// Send the first code. From now on signing in needs one; the recovery codes are in this answer only.
#[utoipa::path(post, path = "/api/v1/auth/second-factor/confirm", tag = "sign-in", request_body = FirstCodeIn,
    security(("api_key" = [])),
    responses((status = 200, body = RecoveryCodesOut), (status = "default", body = Problem)))]
pub async fn confirm_second_factor(
    State(app): State<App>,
    person: Person,
    ApiJson(body): ApiJson<FirstCodeIn>,
) -> ApiResult<Json<RecoveryCodesOut>> {
    let recovery_codes = second_factor::confirm(&app, person.user, &body.code).await?;
    Ok(Json(RecoveryCodesOut { recovery_codes }))
}

/// Make new recovery codes; those before are worth nothing any more. They are in this answer only.
#[utoipa::path(post, path = "/api/v1/auth/second-factor/recovery-codes", tag = "sign-in", request_body = BothFactorsIn,
    security(("api_key" = [])),
    responses((status = 200, body = RecoveryCodesOut), (status = "default", body = Problem)))]
pub async fn renew_recovery_codes(
    State(app): State<App>,
    person: Person,
    ApiJson(body): ApiJson<BothFactorsIn>,
) -> ApiResult<Json<RecoveryCodesOut>> {
    let recovery_codes = second_factor::renew_recovery_codes(&app, person.user, body.password, &body.code).await?;
    Ok(Json(RecoveryCodesOut { recovery_codes }))
}

/// Take the second factor away.
#[utoipa::path(delete, path = "/api/v1/auth/second-factor", tag = "sign-in", request_body = BothFactorsIn,
    security(("api_key" = [])),
    responses((status = 204), (status = "default", body = Problem)))]
pub async fn remove_second_factor(
    State(app): State<App>,
    person: Person,
    ApiJson(body): ApiJson<BothFactorsIn>,
) -> ApiResult<StatusCode> {
    second_factor::remove(&app, person.user, body.password, &body.code).await?;
    Ok(StatusCode::NO_CONTENT)
}
