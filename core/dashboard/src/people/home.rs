//! `/`: the start page. It shows the signed-in person and warnings for the operator.

use axum::extract::State;
use domain::people::actor::{Actor, Restriction};
use domain::people::permission::Permission;
use engine::Error;
use engine::app::App;
use engine::people::users;
use engine::program::affiliates;
use serde::Serialize;
use web::auth::Caller;
use web::errors::Problem;

use crate::page::{Page, Reply};
use crate::sentence::as_sentence;

const OPENED_BY_STAFF: &str = "You see this account as a member of staff. This session is read-only.";
const SUSPENDED: &str = "This affiliate is suspended. You can read its data but not change it; contact the operator.";

#[derive(Debug, Serialize)]
pub struct Home {
    name: String,
    email: Option<String>,
    role: &'static str,
    /// A member of staff opened the session for an affiliate.
    opened_by_staff: bool,
    /// Conditions that the operator should fix, as sentences.
    warnings: Vec<String>,
}

impl Page for Home {
    const TEMPLATE: &'static str = "people/home";

    #[cfg(test)]
    fn samples() -> Vec<Self> {
        let home = |email: Option<&str>, opened_by_staff| Self {
            name: "Ada <b>".into(),
            email: email.map(str::to_owned),
            role: "owner",
            opened_by_staff,
            warnings: vec!["The disk is almost full.".into()],
        };
        vec![home(Some("ada@example.com"), false), home(None, false), home(None, true)]
    }
}

/// `GET /`
pub async fn show(State(app): State<App>, Caller(actor): Caller) -> Result<Reply<Home>, Problem> {
    let (name, email) = name_of(&app, actor).await?;
    let warnings = if actor.may(Permission::ManageSettings) {
        app.warnings.list(app.clock.now()).iter().map(|it| as_sentence(&it.sentence)).collect()
    } else {
        Vec::new()
    };
    let restriction = actor.restriction();
    let opened_by_staff = restriction == Some(Restriction::OpenedByStaff);
    let home = Reply::new("Postrider", Home { name, email, role: actor.role.as_str(), opened_by_staff, warnings });
    Ok(match restriction {
        Some(Restriction::OpenedByStaff) => home.notice(OPENED_BY_STAFF),
        Some(Restriction::Suspended) => home.notice(SUSPENDED),
        None => home,
    })
}

/// The name of the caller, and the e-mail address if the caller is a user.
async fn name_of(app: &App, actor: Actor) -> Result<(String, Option<String>), Error> {
    if let Some(id) = actor.user() {
        let user = users::get(app, id).await?;
        return Ok((user.name, Some(user.email)));
    }
    match actor.confined_to() {
        Some(id) => Ok((affiliates::get(app, actor, id).await?.name, None)),
        None => Ok((actor.name(), None)),
    }
}
