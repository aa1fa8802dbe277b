//! `/account/sessions`: the browsers in which a person is signed in. One or all others can be signed out.

use axum::extract::{Query, State};
use axum::response::Redirect;
use domain::ids::SessionId;
use domain::people::session::Session;
use domain::timestamp::Timestamp;
use engine::app::App;
use engine::people::auth::{own, sessions};
use serde::Serialize;
use web::auth::Person;
use web::errors::Problem;
use web::extract::PathId;

use super::Redirected;
use crate::shell::page::{Page, Reply};
use crate::shell::texts::{Text, plain, text};
use crate::shell::viewer::Viewer;

#[derive(Debug, Serialize)]
pub struct Sessions {
    rows: Vec<Row>,
    has_others: bool,
}

#[derive(Debug, Serialize)]
struct Row {
    id: String,
    is_current: bool,
    /// Browser and operating system.
    device: Text,
    address: Option<String>,
    signed_in_at: Timestamp,
    seen_at: Timestamp,
    ends_at: Timestamp,
}

impl Row {
    fn new(session: &Session, current: SessionId) -> Self {
        Self {
            id: session.id.to_string(),
            is_current: session.id == current,
            device: device_of(session.user_agent.as_deref()),
            address: session.address.clone(),
            signed_in_at: session.created_at,
            seen_at: session.last_seen_at,
            ends_at: session.expires_at,
        }
    }
}

/// `Firefox, Linux`; a program that is not a browser is shown by its own name.
fn device_of(user_agent: Option<&str>) -> Text {
    let agent = web::tracking::read_user_agent(user_agent);
    let parts: Vec<_> = [agent.browser, agent.os].into_iter().flatten().collect();
    match (parts.is_empty(), user_agent) {
        (false, _) => plain(parts.join(", ")),
        (true, Some(name)) => plain(name.chars().take(60).collect::<String>()),
        (true, None) => text("sessions.unknown_device"),
    }
}

impl Page for Sessions {
    const TEMPLATE: &'static str = "people/sessions";

    #[cfg(test)]
    fn samples() -> Vec<Self> {
        let row = |is_current: bool| Row {
            id: "ses_06a5xk2m7q8r9stvwxyz012345".into(),
            is_current,
            device: plain("Firefox, <b>"),
            address: is_current.then(|| "203.0.113.7".into()),
            signed_in_at: Timestamp::from_millis(0),
            seen_at: Timestamp::from_millis(60_000),
            ends_at: Timestamp::from_millis(120_000),
        };
        vec![
            Self { rows: vec![row(true), row(false)], has_others: true },
            Self { rows: vec![row(true)], has_others: false },
        ]
    }
}

/// `GET /account/sessions`
pub async fn show(
    State(app): State<App>,
    viewer: Viewer,
    person: Person,
    Query(from): Query<Redirected>,
) -> Result<Reply<Sessions>, Problem> {
    let found = sessions::list(&app, person.user).await?;
    let rows: Vec<_> = found.iter().map(|session| Row::new(session, person.session)).collect();
    let page = Sessions { has_others: rows.iter().any(|row| !row.is_current), rows };
    let reply = viewer.page(text("sessions.title"), page).lead(text("sessions.lead"));
    let reply = reply.below("/account", text("account.title"));
    Ok(if from.is("ended") { reply.notice(text("sessions.ended")) } else { reply })
}

const ENDED: &str = "/account/sessions?done=ended";

/// `POST /account/sessions/{id}/end`
pub async fn end(State(app): State<App>, person: Person, PathId(id): PathId<SessionId>) -> Result<Redirect, Problem> {
    own::end_session(&app, person.user, id).await?;
    Ok(Redirect::to(ENDED))
}

/// `POST /account/sessions/end-others`
pub async fn end_others(State(app): State<App>, person: Person) -> Result<Redirect, Problem> {
    sessions::revoke_all(&app, person.user, Some(person.session)).await?;
    Ok(Redirect::to(ENDED))
}
