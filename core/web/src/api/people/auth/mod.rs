//! `/api/v1/auth`: getting in and out.

pub mod account;
pub mod second_factor;

use axum::Json;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{AppendHeaders, IntoResponse, Response};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::api::{Issues, email};
use crate::auth::{self, Caller, From};
use crate::errors::{ApiResult, Problem};
use crate::extract::ApiJson;
use domain::ids::{AffiliateId, UserId};
use domain::people::actor::{Actor, Proof, Restriction};
use domain::people::permission::{Permission, Role};
use domain::people::user::{User, UserStatus};
use engine::app::App;
use engine::money::payout_details;
use engine::people::auth::sign_in::{Credentials, Evidence};
use engine::people::auth::{known_device, registration, sessions, sign_in};
use engine::people::users;

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct RegistrationIn {
    #[schema(example = "Ada Lovelace", max_length = 200)]
    name: String,
    #[schema(example = "ada@example.com", max_length = 254)]
    email: String,
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct MailboxIn {
    #[schema(example = "ada@example.com", max_length = 254)]
    email: String,
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewPasswordIn {
    /// From the link that came by mail.
    token: String,
    #[schema(min_length = 10)]
    password: String,
    /// Revoke one's API keys too.
    #[serde(default)]
    end_keys: bool,
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct LoginIn {
    #[schema(example = "ada@example.com")]
    email: String,
    password: String,
    /// Of the second factor, or a recovery code.
    code: Option<String>,
}

/// What was asked for is on its way, if it can be.
#[derive(Serialize, ToSchema)]
pub struct SentOut {
    #[schema(example = "if this address can be used, a message is on its way to it")]
    message: &'static str,
}

const SENT: SentOut = SentOut { message: "if this address can be used, a message is on its way to it" };

#[derive(Serialize, ToSchema)]
pub struct PasswordSetOut {
    /// `waiting` for a registration that has to be approved; `active` otherwise.
    status: UserStatus,
}

pub const CONFIRM_BY_MAIL: SentOut = SentOut {
    message: "nothing is changed yet; open the link in the message to the affiliate's address to confirm it",
};

/// Who is calling, and what that allows.
#[derive(Serialize, ToSchema)]
pub struct MeOut {
    role: Role,
    permissions: Vec<Permission>,
    /// "bootstrap", "key" or "session".
    signed_in_by: &'static str,
    affiliate_id: Option<AffiliateId>,
    user_id: Option<UserId>,
    name: Option<String>,
    email: Option<String>,
    second_factor: bool,
    /// Whether the caller reads and changes nothing, and why.
    read_only: bool,
    read_only_because: Option<Restriction>,
}

impl MeOut {
    fn of(actor: Actor, user: Option<User>) -> Self {
        Self {
            role: actor.role,
            permissions: actor.permissions().iter().collect(),
            signed_in_by: match actor.proof {
                Proof::Bootstrap | Proof::CommandLine => "bootstrap",
                Proof::Key { .. } => "key",
                Proof::Session { .. } | Proof::Link { .. } => "session",
            },
            affiliate_id: actor.confined_to(),
            user_id: actor.user(),
            read_only: actor.restriction().is_some(),
            read_only_because: actor.restriction(),
            second_factor: user.as_ref().is_some_and(User::has_second_factor),
            name: user.as_ref().map(|user| user.name.clone()),
            email: user.map(|user| user.email),
        }
    }
}

/// Register as an affiliate, where registration is open. A message with a link follows; the answer is the same for
/// an address that has an account already.
#[utoipa::path(post, path = "/api/v1/auth/register", tag = "sign-in", request_body = RegistrationIn,
    security(()),
    responses((status = 202, body = SentOut), (status = "default", body = Problem)))]
pub async fn register(
    State(app): State<App>,
    From(visitor): From,
    ApiJson(body): ApiJson<RegistrationIn>,
) -> ApiResult<(StatusCode, Json<SentOut>)> {
    let mut issues = Issues::default();
    let name = issues.text("/name", &body.name, 200);
    let email = email(&mut issues, &body.email);
    issues.result()?;
    registration::register(&app, &visitor, name, &email).await?;
    Ok((StatusCode::ACCEPTED, Json(SENT)))
}

/// Choose a password with the link of a registration, an invitation or a reset.
#[utoipa::path(post, path = "/api/v1/auth/set-password", tag = "sign-in", request_body = NewPasswordIn,
    security(()),
    responses((status = 200, body = PasswordSetOut), (status = "default", body = Problem)))]
pub async fn set_password(
    State(app): State<App>,
    From(visitor): From,
    ApiJson(body): ApiJson<NewPasswordIn>,
) -> ApiResult<Response> {
    let user = registration::set_password(&app, &visitor, &body.token, body.password, body.end_keys).await?;
    let device = known_device::of(&app, &visitor, &user.email);
    let cookie = AppendHeaders([(header::SET_COOKIE, auth::set_device(&app, &device))]);
    Ok((cookie, Json(PasswordSetOut { status: user.status })).into_response())
}

/// Ask for a link to choose a new password. The answer is the same for an address without an account.
#[utoipa::path(post, path = "/api/v1/auth/reset", tag = "sign-in", request_body = MailboxIn,
    security(()),
    responses((status = 202, body = SentOut), (status = "default", body = Problem)))]
pub async fn reset_password(
    State(app): State<App>,
    From(visitor): From,
    ApiJson(body): ApiJson<MailboxIn>,
) -> ApiResult<(StatusCode, Json<SentOut>)> {
    let mut issues = Issues::default();
    let email = email(&mut issues, &body.email);
    issues.result()?;
    registration::reset(&app, &visitor, &email).await?;
    Ok((StatusCode::ACCEPTED, Json(SENT)))
}

/// Sign in. The session is a cookie, always a new one.
#[utoipa::path(post, path = "/api/v1/auth/login", tag = "sign-in", request_body = LoginIn,
    security(()),
    responses((status = 200, body = MeOut), (status = "default", body = Problem)))]
pub async fn login(
    State(app): State<App>,
    headers: HeaderMap,
    From(visitor): From,
    ApiJson(body): ApiJson<LoginIn>,
) -> ApiResult<Response> {
    let evidence = Evidence::Password(body.password);
    let given = Credentials { email: body.email, evidence, code: body.code };
    let entered = sign_in::sign_in(&app, &visitor, given).await?;
    auth::leave(&app, &headers).await;
    let cookies = auth::cookies(&app, &entered);
    Ok((cookies, Json(MeOut::of(entered.actor, Some(entered.user)))).into_response())
}

/// Sign out: this session ends.
#[utoipa::path(post, path = "/api/v1/auth/logout", tag = "sign-in",
    security(("api_key" = [])),
    responses((status = 204), (status = "default", body = Problem)))]
pub async fn logout(State(app): State<App>, Caller(actor): Caller) -> ApiResult<Response> {
    if let Proof::Session { id, .. } = actor.proof {
        sessions::revoke(&app, id, None).await?;
    }
    Ok((StatusCode::NO_CONTENT, AppendHeaders([(header::SET_COOKIE, auth::clear_cookie(&app))])).into_response())
}

/// Who is calling, and what that allows.
#[utoipa::path(get, path = "/api/v1/auth/me", tag = "sign-in",
    security(("api_key" = [])),
    responses((status = 200, body = MeOut), (status = "default", body = Problem)))]
pub async fn get_me(State(app): State<App>, Caller(actor): Caller) -> ApiResult<Json<MeOut>> {
    let user = match actor.user() {
        Some(id) => Some(users::get(&app, id).await?),
        None => None,
    };
    Ok(Json(MeOut::of(actor, user)))
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ConfirmChangeIn {
    /// From the link that came by mail.
    token: String,
}

/// Confirm a change of payout details with the link that went to the affiliate's address.
#[utoipa::path(post, path = "/api/v1/auth/confirm-change", tag = "sign-in", request_body = ConfirmChangeIn,
    security(()),
    responses((status = 204), (status = "default", body = Problem)))]
pub async fn confirm_change(
    State(app): State<App>,
    From(visitor): From,
    ApiJson(body): ApiJson<ConfirmChangeIn>,
) -> ApiResult<StatusCode> {
    payout_details::confirm(&app, &visitor, &body.token).await?;
    Ok(StatusCode::NO_CONTENT)
}
