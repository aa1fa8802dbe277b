//! `/api/v1/auth`: registration, passwords, sign-in and sign-out.

pub mod account;
pub mod second_factor;

use axum::Json;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{AppendHeaders, IntoResponse, Response};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::api::{Issues, email};
use crate::auth::{self, Caller, RequestClient};
use crate::errors::{ApiResult, Problem};
use crate::extract::ApiJson;
use domain::ids::{AffiliateId, UserId};
use domain::people::actor::{Actor, Proof, Restriction};
use domain::people::permission::{Permission, Role};
use domain::people::preferences::{Language, Theme};
use domain::people::user::{User, UserStatus};
use domain::reports::zone::Zone;
use engine::app::App;
use engine::money::payout_details;
use engine::people::auth::sign_in::{Credentials, Evidence};
use engine::people::auth::{known_device, registration, sessions, sign_in};
use engine::people::users;

use account::NotificationsIn;

/// A person who registers as an affiliate.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct RegistrationIn {
    #[schema(example = "Ada Lovelace", min_length = 1, max_length = 200)]
    name: String,
    #[schema(example = "ada@example.com", min_length = 1, max_length = 254)]
    email: String,
}

/// A request for a link to choose a new password.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct PasswordResetIn {
    /// The address of the account.
    #[schema(example = "ada@example.com", min_length = 1, max_length = 254)]
    email: String,
}

/// A new password, chosen with a link that was sent by e-mail.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewPasswordIn {
    /// The token of the link in the e-mail.
    #[schema(min_length = 1, max_length = 200)]
    token: String,
    #[schema(min_length = 10, max_length = 200)]
    password: String,
    /// Whether the person's API keys are revoked too.
    #[serde(default)]
    end_keys: bool,
}

/// The credentials of a person.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct LoginIn {
    #[schema(example = "ada@example.com")]
    email: String,
    password: String,
    /// A code of the second factor, or a recovery code. Required if there is a second factor.
    code: Option<String>,
}

/// An e-mail is sent, if the address can be used. The response does not reveal whether the address has an account.
#[derive(Serialize, ToSchema)]
pub struct EmailSentOut {
    /// A sentence for people.
    #[schema(example = "if this address can be used, a message is on its way to it")]
    message: &'static str,
}

const EMAIL_SENT: EmailSentOut = EmailSentOut { message: "if this address can be used, a message is on its way to it" };

/// The password is set.
#[derive(Serialize, ToSchema)]
pub struct PasswordSetOut {
    /// `waiting` for a registration that must be approved before the person can sign in; otherwise `active`.
    status: UserStatus,
}

pub const CONFIRM_BY_EMAIL: EmailSentOut = EmailSentOut {
    message: "nothing is changed yet; open the link in the message to the affiliate's address to confirm it",
};

/// The caller and its permissions.
#[derive(Serialize, ToSchema)]
pub struct CallerOut {
    role: Role,
    permissions: Vec<Permission>,
    /// The credentials of the request: `bootstrap` (the bootstrap admin key), `key` (an API key) or `session`.
    signed_in_by: &'static str,
    /// The affiliate whose data the caller can access; null for staff.
    affiliate_id: Option<AffiliateId>,
    /// The person, also if an API key of that person is used; null for other keys and for customers.
    user_id: Option<UserId>,
    /// The name of the person.
    name: Option<String>,
    /// The e-mail address of the person.
    email: Option<String>,
    /// Whether the person has a second factor.
    second_factor: bool,
    /// The language of the pages; null if the person has not chosen one. The language of the browser counts then.
    language: Option<Language>,
    /// The time zone of the pages; null if the person has not chosen one.
    time_zone: Option<Zone>,
    /// The colours of the pages; null if the person has not chosen them.
    theme: Option<Theme>,
    /// The messages that the person wants; null for callers that are no person.
    notifications: Option<NotificationsIn>,
    /// Whether the caller can read but not change anything.
    read_only: bool,
    /// Why the caller is read-only; null if it is not.
    read_only_because: Option<Restriction>,
}

impl CallerOut {
    fn of(actor: Actor, user: Option<User>) -> Self {
        let preferences = user.as_ref().map(|user| user.preferences).unwrap_or_default();
        Self {
            language: preferences.language,
            time_zone: preferences.time_zone,
            theme: preferences.theme,
            notifications: user.as_ref().map(|user| user.mails.into()),
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

/// Register as an affiliate, if the program allows registration. A link for choosing a password is sent to the address.
/// The response is the same for an address that already has an account.
#[utoipa::path(post, path = "/api/v1/auth/register", tag = "sign-in", request_body = RegistrationIn,
    security(()),
    responses((status = 202, body = EmailSentOut), (status = "default", body = Problem)))]
pub async fn register(
    State(app): State<App>,
    RequestClient(visitor): RequestClient,
    ApiJson(body): ApiJson<RegistrationIn>,
) -> ApiResult<(StatusCode, Json<EmailSentOut>)> {
    let mut issues = Issues::default();
    let name = issues.text("/name", &body.name, 200);
    let email = email(&mut issues, &body.email);
    issues.result()?;
    registration::register(&app, &visitor, name, &email).await?;
    Ok((StatusCode::ACCEPTED, Json(EMAIL_SENT)))
}

/// Choose a password with the token of a link: of a registration, an invitation or a password reset. A token can be
/// used once. Ends all sessions of the person; with `end_keys`, the person's API keys are revoked too.
#[utoipa::path(post, path = "/api/v1/auth/set-password", tag = "sign-in", request_body = NewPasswordIn,
    security(()),
    responses((status = 200, body = PasswordSetOut), (status = "default", body = Problem)))]
pub async fn set_password(
    State(app): State<App>,
    RequestClient(visitor): RequestClient,
    ApiJson(body): ApiJson<NewPasswordIn>,
) -> ApiResult<Response> {
    let user = registration::set_password(&app, &visitor, &body.token, body.password, body.end_keys).await?;
    let device = known_device::of(&app, &visitor, &user.email);
    let cookie = AppendHeaders([(header::SET_COOKIE, auth::set_device_cookie(&app, &device))]);
    Ok((cookie, Json(PasswordSetOut { status: user.status })).into_response())
}

/// Send a link for choosing a new password to the address. The response is the same for an address without an account.
#[utoipa::path(post, path = "/api/v1/auth/reset", tag = "sign-in", request_body = PasswordResetIn,
    security(()),
    responses((status = 202, body = EmailSentOut), (status = "default", body = Problem)))]
pub async fn reset_password(
    State(app): State<App>,
    RequestClient(visitor): RequestClient,
    ApiJson(body): ApiJson<PasswordResetIn>,
) -> ApiResult<(StatusCode, Json<EmailSentOut>)> {
    let mut issues = Issues::default();
    let email = email(&mut issues, &body.email);
    issues.result()?;
    registration::reset(&app, &visitor, &email).await?;
    Ok((StatusCode::ACCEPTED, Json(EMAIL_SENT)))
}

/// Sign in with a password. The response sets the cookie of a new session; the session of the request, if there is one,
/// ends. Failed attempts are limited (429).
#[utoipa::path(post, path = "/api/v1/auth/login", tag = "sign-in", request_body = LoginIn,
    security(()),
    responses((status = 200, body = CallerOut), (status = "default", body = Problem)))]
pub async fn login(
    State(app): State<App>,
    headers: HeaderMap,
    RequestClient(visitor): RequestClient,
    ApiJson(body): ApiJson<LoginIn>,
) -> ApiResult<Response> {
    let evidence = Evidence::Password(body.password);
    let credentials = Credentials { email: body.email, evidence, code: body.code };
    let signed_in = sign_in::sign_in(&app, &visitor, credentials).await?;
    auth::end_former_session(&app, &headers).await;
    let cookies = auth::sign_in_cookies(&app, &signed_in);
    Ok((cookies, Json(CallerOut::of(signed_in.actor, Some(signed_in.user)))).into_response())
}

/// Sign out: the session of the request ends.
#[utoipa::path(post, path = "/api/v1/auth/logout", tag = "sign-in",
    security(("api_key" = [])),
    responses((status = 204), (status = "default", body = Problem)))]
pub async fn logout(State(app): State<App>, Caller(actor): Caller) -> ApiResult<Response> {
    if let Proof::Session { id, .. } = actor.proof {
        sessions::revoke(&app, id, None).await?;
    }
    Ok((StatusCode::NO_CONTENT, AppendHeaders([(header::SET_COOKIE, auth::clear_session_cookie(&app))]))
        .into_response())
}

/// Read the caller and its permissions.
#[utoipa::path(get, path = "/api/v1/auth/me", tag = "sign-in",
    security(("api_key" = [])),
    responses((status = 200, body = CallerOut), (status = "default", body = Problem)))]
pub async fn get_me(State(app): State<App>, Caller(actor): Caller) -> ApiResult<Json<CallerOut>> {
    let user = match actor.user() {
        Some(id) => Some(users::get(&app, id).await?),
        None => None,
    };
    Ok(Json(CallerOut::of(actor, user)))
}

/// The confirmation of a change of payout details.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct PayoutDetailsConfirmationIn {
    /// The token of the link in the e-mail.
    token: String,
}

/// Confirm a change of payout details with the token of the link that was sent to the affiliate's address. A token can
/// be used once.
#[utoipa::path(post, path = "/api/v1/auth/confirm-change", tag = "sign-in", request_body = PayoutDetailsConfirmationIn,
    security(()),
    responses((status = 204), (status = "default", body = Problem)))]
pub async fn confirm_change(
    State(app): State<App>,
    RequestClient(visitor): RequestClient,
    ApiJson(body): ApiJson<PayoutDetailsConfirmationIn>,
) -> ApiResult<StatusCode> {
    payout_details::confirm(&app, &visitor, &body.token).await?;
    Ok(StatusCode::NO_CONTENT)
}
