//! `/api/v1/auth`: one's own password, address and sessions. For people, not for keys.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::api::{Issues, email};
use crate::auth::{From, Person};
use crate::errors::{ApiResult, Problem};
use crate::extract::{ApiJson, PageOut, PathId};
use domain::ids::SessionId;
use domain::people::session::Session;
use domain::timestamp::Timestamp;
use engine::app::App;
use engine::people::auth::step_up::StepUpProof;
use engine::people::auth::{own, sessions};

use super::{SENT, SentOut};

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct PasswordChangeIn {
    current: String,
    /// Of the second factor, if there is one.
    code: Option<String>,
    #[schema(min_length = 10)]
    new: String,
    /// Revoke one's API keys too.
    #[serde(default)]
    end_keys: bool,
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct EmailChangeIn {
    #[schema(example = "ada@example.com", max_length = 254)]
    email: String,
    password: String,
    /// Of the second factor, if there is one.
    code: Option<String>,
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ConfirmationIn {
    /// From the link that came by mail.
    token: String,
}

#[derive(Serialize, ToSchema)]
pub struct SessionOut {
    id: SessionId,
    /// The one that asks.
    current: bool,
    address: Option<String>,
    user_agent: Option<String>,
    created_at: Timestamp,
    /// To the minute.
    last_seen_at: Timestamp,
    expires_at: Timestamp,
}

impl SessionOut {
    fn of(it: Session, current: SessionId) -> Self {
        Self {
            current: it.id == current,
            id: it.id,
            address: it.address,
            user_agent: it.user_agent,
            created_at: it.created_at,
            last_seen_at: it.last_seen_at,
            expires_at: it.expires_at,
        }
    }
}

/// Change one's password. Signs out everywhere else, and ends one's API keys if asked to.
#[utoipa::path(post, path = "/api/v1/auth/password", tag = "sign-in", request_body = PasswordChangeIn,
    security(("api_key" = [])),
    responses((status = 204), (status = "default", body = Problem)))]
pub async fn change_password(
    State(app): State<App>,
    person: Person,
    ApiJson(body): ApiJson<PasswordChangeIn>,
) -> ApiResult<StatusCode> {
    let given = StepUpProof { password: Some(body.current), code: body.code };
    let signed_in = (person.user, person.session);
    own::change_password(&app, person.actor, signed_in, given, body.new, body.end_keys).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Ask to change one's e-mail address: a link goes to the new one.
#[utoipa::path(post, path = "/api/v1/auth/email", tag = "sign-in", request_body = EmailChangeIn,
    security(("api_key" = [])),
    responses((status = 202, body = SentOut), (status = "default", body = Problem)))]
pub async fn change_email(
    State(app): State<App>,
    person: Person,
    ApiJson(body): ApiJson<EmailChangeIn>,
) -> ApiResult<(StatusCode, Json<SentOut>)> {
    let mut issues = Issues::default();
    let email = email(&mut issues, &body.email);
    issues.result()?;
    let given = StepUpProof { password: Some(body.password), code: body.code };
    own::request_email_change(&app, person.actor, person.user, given, &email).await?;
    Ok((StatusCode::ACCEPTED, Json(SENT)))
}

/// Confirm a new e-mail address with the link that went to it.
#[utoipa::path(post, path = "/api/v1/auth/confirm-email", tag = "sign-in", request_body = ConfirmationIn,
    security(()),
    responses((status = 204), (status = "default", body = Problem)))]
pub async fn confirm_email(
    State(app): State<App>,
    From(visitor): From,
    ApiJson(body): ApiJson<ConfirmationIn>,
) -> ApiResult<StatusCode> {
    own::confirm_email(&app, &visitor, &body.token).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// List one's sessions, newest first.
#[utoipa::path(get, path = "/api/v1/auth/sessions", tag = "sign-in",
    security(("api_key" = [])),
    responses((status = 200, body = PageOut<SessionOut>), (status = "default", body = Problem)))]
pub async fn list_sessions(State(app): State<App>, person: Person) -> ApiResult<Json<PageOut<SessionOut>>> {
    let items = sessions::list(&app, person.user).await?;
    let items = items.into_iter().map(|it| SessionOut::of(it, person.session)).collect();
    Ok(Json(PageOut { items, next: None }))
}

/// End one of one's sessions.
#[utoipa::path(delete, path = "/api/v1/auth/sessions/{id}", tag = "sign-in", params(("id" = SessionId, Path)),
    security(("api_key" = [])),
    responses((status = 204), (status = "default", body = Problem)))]
pub async fn revoke_session(
    State(app): State<App>,
    person: Person,
    PathId(id): PathId<SessionId>,
) -> ApiResult<StatusCode> {
    own::end_session(&app, person.user, id).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// End all of one's sessions but this one.
#[utoipa::path(delete, path = "/api/v1/auth/sessions", tag = "sign-in",
    security(("api_key" = [])),
    responses((status = 204), (status = "default", body = Problem)))]
pub async fn revoke_other_sessions(State(app): State<App>, person: Person) -> ApiResult<StatusCode> {
    sessions::revoke_all(&app, person.user, Some(person.session)).await?;
    Ok(StatusCode::NO_CONTENT)
}
