//! `/api/v1/auth/second-factor`: the codes of an authenticator app (TOTP, RFC 6238). For sessions of people, not for
//! API keys.

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

/// The password of the person who sets up a second factor.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct SecondFactorSetupIn {
    password: String,
}

/// The confirmation of a second factor.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct SecondFactorConfirmationIn {
    /// A code of the authenticator app, 6 digits.
    #[schema(example = "287082")]
    code: String,
}

/// The password and a code of the second factor.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct PasswordAndCodeIn {
    password: String,
    /// A code of the authenticator app, or a recovery code.
    code: String,
}

/// The secret of a second factor that is not confirmed yet.
#[derive(Serialize, ToSchema)]
pub struct SecondFactorSetupOut {
    /// The secret in base32, to be typed into an authenticator app. It is shown once.
    secret: String,
    /// The same as an `otpauth://` URI, to be shown as a QR code.
    uri: String,
}

/// Recovery codes for a lost authenticator app.
#[derive(Serialize, ToSchema)]
pub struct RecoveryCodesOut {
    /// Each code can be used once in place of a code of the app. They are shown once.
    recovery_codes: Vec<String>,
}

/// Begin to set up a second factor. Returns the secret for an authenticator app. The second factor takes effect when
/// its first code is confirmed.
#[utoipa::path(post, path = "/api/v1/auth/second-factor", tag = "sign-in", request_body = SecondFactorSetupIn,
    security(("session" = [])),
    responses((status = 200, body = SecondFactorSetupOut), (status = "default", body = Problem)))]
pub async fn begin_second_factor(
    State(app): State<App>,
    person: Person,
    ApiJson(body): ApiJson<SecondFactorSetupIn>,
) -> ApiResult<Json<SecondFactorSetupOut>> {
    let (secret, uri) = second_factor::begin(&app, person.user, body.password).await?;
    Ok(Json(SecondFactorSetupOut { secret, uri }))
}

/// Confirm a second factor with the first code of the app. From then on, signing in requires a code. The recovery codes
/// are only in this response.
#[utoipa::path(post, path = "/api/v1/auth/second-factor/confirm", tag = "sign-in", request_body = SecondFactorConfirmationIn,
    security(("session" = [])),
    responses((status = 200, body = RecoveryCodesOut), (status = "default", body = Problem)))]
pub async fn confirm_second_factor(
    State(app): State<App>,
    person: Person,
    ApiJson(body): ApiJson<SecondFactorConfirmationIn>,
) -> ApiResult<Json<RecoveryCodesOut>> {
    let recovery_codes = second_factor::confirm(&app, person.user, &body.code).await?;
    Ok(Json(RecoveryCodesOut { recovery_codes }))
}

/// Create new recovery codes, which replace the former ones. They are only in this response.
#[utoipa::path(post, path = "/api/v1/auth/second-factor/recovery-codes", tag = "sign-in", request_body = PasswordAndCodeIn,
    security(("session" = [])),
    responses((status = 200, body = RecoveryCodesOut), (status = "default", body = Problem)))]
pub async fn renew_recovery_codes(
    State(app): State<App>,
    person: Person,
    ApiJson(body): ApiJson<PasswordAndCodeIn>,
) -> ApiResult<Json<RecoveryCodesOut>> {
    let recovery_codes = second_factor::renew_recovery_codes(&app, person.user, body.password, &body.code).await?;
    Ok(Json(RecoveryCodesOut { recovery_codes }))
}

/// Remove the second factor. Requires the password and a code.
#[utoipa::path(delete, path = "/api/v1/auth/second-factor", tag = "sign-in", request_body = PasswordAndCodeIn,
    security(("session" = [])),
    responses((status = 204), (status = "default", body = Problem)))]
pub async fn remove_second_factor(
    State(app): State<App>,
    person: Person,
    ApiJson(body): ApiJson<PasswordAndCodeIn>,
) -> ApiResult<StatusCode> {
    second_factor::remove(&app, person.user, body.password, &body.code).await?;
    Ok(StatusCode::NO_CONTENT)
}
