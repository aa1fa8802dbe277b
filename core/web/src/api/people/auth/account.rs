//! `/api/v1/auth`: the signed-in person's own password, e-mail address and sessions. Not for API keys.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::api::{Issues, email, valid_name};
use crate::audit::Audited;
use crate::auth::{Person, RequestClient};
use crate::body::Patch;
use crate::errors::{ApiResult, Problem};
use crate::extract::{ApiJson, PageOut, PathId};
use domain::ids::SessionId;
use domain::people::mail::MailChoices;
use domain::people::preferences::{Language, Preferences, Theme};
use domain::people::session::Session;
use domain::people::user::User;
use domain::reports::zone::Zone;
use domain::timestamp::Timestamp;
use engine::Error;
use engine::app::App;
use engine::people::auth::own::Profile;
use engine::people::auth::step_up::StepUpProof;
use engine::people::auth::{own, sessions};

use super::{CallerOut, EMAIL_SENT, EmailSentOut};

/// What a person can change about itself without its password.
#[derive(Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ProfileIn {
    /// 1 to 200 characters.
    #[schema(max_length = 200)]
    name: String,
    /// The language of the pages. Null: that of the browser.
    language: Option<Language>,
    /// The time zone of the pages. Null: that of the browser at the next sign-in.
    time_zone: Option<Zone>,
    /// The colours of the pages. Null: as the device.
    theme: Option<Theme>,
    /// The messages that the person wants.
    notifications: NotificationsIn,
}

/// The messages that a person wants, besides those about its account.
#[derive(Clone, Copy, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NotificationsIn {
    /// When a postback starts to fail: at most one message per postback and day.
    failing_postbacks: bool,
    /// When a withdrawal is approved, paid, refused, failed or returned.
    withdrawals: bool,
    /// Clicks, conversions and earnings of each week against the week before, on Mondays.
    weekly_summary: bool,
}

impl From<MailChoices> for NotificationsIn {
    fn from(choices: MailChoices) -> Self {
        let MailChoices { failing_postbacks, withdrawals, weekly_summary } = choices;
        Self { failing_postbacks, withdrawals, weekly_summary }
    }
}

impl From<NotificationsIn> for MailChoices {
    fn from(choices: NotificationsIn) -> Self {
        let NotificationsIn { failing_postbacks, withdrawals, weekly_summary } = choices;
        Self { failing_postbacks, withdrawals, weekly_summary }
    }
}

impl ProfileIn {
    /// The present state, for a patch and for the audit log.
    pub fn of(user: &User) -> Self {
        let Preferences { language, time_zone, theme } = user.preferences;
        Self { name: user.name.clone(), language, time_zone, theme, notifications: user.mails.into() }
    }

    fn profile(self) -> Result<Profile, Error> {
        let Self { name, language, time_zone, theme, notifications } = self;
        let preferences = Preferences { language, time_zone, theme };
        Ok(Profile { name: valid_name(&name)?, preferences, mails: notifications.into() })
    }
}

/// A change of the signed-in person's password.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct PasswordChangeIn {
    /// The present password.
    current: String,
    /// A code of the second factor, or a recovery code. Required if there is a second factor.
    code: Option<String>,
    /// The new password.
    #[schema(min_length = 10, max_length = 200)]
    new: String,
    /// Whether the person's API keys are revoked too.
    #[serde(default)]
    end_keys: bool,
}

/// A change of the signed-in person's e-mail address.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct EmailChangeIn {
    /// The new address.
    #[schema(example = "ada@example.com", min_length = 1, max_length = 254)]
    email: String,
    password: String,
    /// A code of the second factor, or a recovery code. Required if there is a second factor.
    code: Option<String>,
}

/// The confirmation of a new e-mail address.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct EmailConfirmationIn {
    /// The token of the link in the e-mail.
    token: String,
}

/// A signed-in browser.
#[derive(Serialize, ToSchema)]
pub struct SessionOut {
    id: SessionId,
    /// Whether it is the session of this request.
    current: bool,
    /// The IP address of the sign-in.
    address: Option<String>,
    /// The `User-Agent` of the sign-in.
    user_agent: Option<String>,
    created_at: Timestamp,
    /// The last request, to the minute.
    last_seen_at: Timestamp,
    expires_at: Timestamp,
}

impl SessionOut {
    fn of(session: Session, current: SessionId) -> Self {
        Self {
            current: session.id == current,
            id: session.id,
            address: session.address,
            user_agent: session.user_agent,
            created_at: session.created_at,
            last_seen_at: session.last_seen_at,
            expires_at: session.expires_at,
        }
    }
}

/// Change the signed-in person's name, language, time zone, theme or messages.
///
/// The body is a merge patch (RFC 7396).
#[utoipa::path(patch, path = "/api/v1/auth/me", tag = "sign-in", request_body = ProfileIn,
    security(("session" = [])),
    responses((status = 200, body = CallerOut), (status = "default", body = Problem)))]
pub async fn change_me(State(app): State<App>, person: Person, patch: Patch) -> ApiResult<Audited<CallerOut>> {
    let edit = |user: &User| patch.apply(&ProfileIn::of(user))?.profile();
    let changed = own::change_profile(&app, person.user, edit).await?;
    Ok(Audited(changed.map(|user| CallerOut::of(person.actor, Some(user)))))
}

/// Change the signed-in person's password. Ends all other sessions. With `end_keys`, the person's API keys are revoked
/// too.
#[utoipa::path(post, path = "/api/v1/auth/password", tag = "sign-in", request_body = PasswordChangeIn,
    security(("session" = [])),
    responses((status = 204), (status = "default", body = Problem)))]
pub async fn change_password(
    State(app): State<App>,
    person: Person,
    ApiJson(body): ApiJson<PasswordChangeIn>,
) -> ApiResult<StatusCode> {
    let proof = StepUpProof { password: Some(body.current), code: body.code };
    let signed_in = (person.user, person.session);
    own::change_password(&app, person.actor, signed_in, proof, body.new, body.end_keys).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Change the signed-in person's e-mail address. A link is sent to the new address; the address changes when the link
/// is confirmed. The response is the same if the new address is taken.
#[utoipa::path(post, path = "/api/v1/auth/email", tag = "sign-in", request_body = EmailChangeIn,
    security(("session" = [])),
    responses((status = 202, body = EmailSentOut), (status = "default", body = Problem)))]
pub async fn change_email(
    State(app): State<App>,
    person: Person,
    ApiJson(body): ApiJson<EmailChangeIn>,
) -> ApiResult<(StatusCode, Json<EmailSentOut>)> {
    let mut issues = Issues::default();
    let email = email(&mut issues, &body.email);
    issues.result()?;
    let proof = StepUpProof { password: Some(body.password), code: body.code };
    own::request_email_change(&app, person.actor, person.user, proof, &email).await?;
    Ok((StatusCode::ACCEPTED, Json(EMAIL_SENT)))
}

/// Confirm a new e-mail address with the token of the link that was sent to it. A token can be used once.
#[utoipa::path(post, path = "/api/v1/auth/confirm-email", tag = "sign-in", request_body = EmailConfirmationIn,
    security(()),
    responses((status = 204), (status = "default", body = Problem)))]
pub async fn confirm_email(
    State(app): State<App>,
    RequestClient(visitor): RequestClient,
    ApiJson(body): ApiJson<EmailConfirmationIn>,
) -> ApiResult<StatusCode> {
    own::confirm_email(&app, &visitor, &body.token).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// List the sessions of the signed-in person, newest first.
#[utoipa::path(get, path = "/api/v1/auth/sessions", tag = "sign-in",
    security(("session" = [])),
    responses((status = 200, body = PageOut<SessionOut>), (status = "default", body = Problem)))]
pub async fn list_sessions(State(app): State<App>, person: Person) -> ApiResult<Json<PageOut<SessionOut>>> {
    let items = sessions::list(&app, person.user).await?;
    let items = items.into_iter().map(|session| SessionOut::of(session, person.session)).collect();
    Ok(Json(PageOut { items, next: None }))
}

/// End a session of the signed-in person.
#[utoipa::path(delete, path = "/api/v1/auth/sessions/{id}", tag = "sign-in", params(("id" = SessionId, Path)),
    security(("session" = [])),
    responses((status = 204), (status = "default", body = Problem)))]
pub async fn revoke_session(
    State(app): State<App>,
    person: Person,
    PathId(id): PathId<SessionId>,
) -> ApiResult<StatusCode> {
    own::end_session(&app, person.user, id).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// End all sessions of the signed-in person except the session of this request.
#[utoipa::path(delete, path = "/api/v1/auth/sessions", tag = "sign-in",
    security(("session" = [])),
    responses((status = 204), (status = "default", body = Problem)))]
pub async fn revoke_other_sessions(State(app): State<App>, person: Person) -> ApiResult<StatusCode> {
    sessions::revoke_all(&app, person.user, Some(person.session)).await?;
    Ok(StatusCode::NO_CONTENT)
}
