//! `/account/notifications`: which messages a person wants. Each such message links to this page.

use axum::extract::{Query, State};
use axum::response::{IntoResponse, Redirect, Response};
use domain::people::mail::MailChoices;
use engine::app::App;
use engine::people::auth::own::{self, Profile};
use serde::{Deserialize, Serialize};
use web::api::people::auth::account::ProfileIn;
use web::audit::AuditedChanges;
use web::auth::Person;
use web::errors::Problem;

use super::Redirected;
use super::step_up::user_of;
use crate::form::Fields;
use crate::shell::page::{Page, Reply};
use crate::shell::texts::{Text, text};
use crate::shell::viewer::Viewer;

#[derive(Debug, Serialize)]
pub struct Notifications {
    email: String,
    choices: [Choice; 3],
}

#[derive(Debug, Serialize)]
struct Choice {
    name: &'static str,
    label: Text,
    help: Text,
    checked: bool,
}

impl Notifications {
    fn new(email: &str, chosen: MailChoices) -> Self {
        let choice = |name: &'static str, checked| Choice {
            name,
            label: text(&format!("notifications.{name}")),
            help: text(&format!("notifications_help.{name}")),
            checked,
        };
        Self {
            email: email.to_owned(),
            choices: [
                choice("failing_postbacks", chosen.failing_postbacks),
                choice("withdrawals", chosen.withdrawals),
                choice("weekly_summary", chosen.weekly_summary),
            ],
        }
    }
}

impl Page for Notifications {
    const TEMPLATE: &'static str = "people/notifications";

    #[cfg(test)]
    fn samples() -> Vec<Self> {
        vec![Self::new("ada@example.com", MailChoices::default())]
    }
}

/// `GET /account/notifications`
pub async fn show(viewer: Viewer, _: Person, Query(from): Query<Redirected>) -> Reply<Notifications> {
    let user = user_of(&viewer);
    let chosen = user.map(|user| user.mails).unwrap_or_default();
    let page = Notifications::new(user.map(|user| user.email.as_str()).unwrap_or_default(), chosen);
    let reply = viewer.page(text("notifications.title"), page).lead(text("notifications.lead"));
    let reply = reply.below("/account", text("account.title"));
    if from.is("saved") { reply.notice(text("account.saved")) } else { reply }
}

/// The boxes that are checked.
#[derive(Deserialize)]
pub struct NotificationsForm {
    failing_postbacks: Option<String>,
    withdrawals: Option<String>,
    weekly_summary: Option<String>,
}

/// `POST /account/notifications`
pub async fn save(
    State(app): State<App>,
    person: Person,
    Fields(form): Fields<NotificationsForm>,
) -> Result<Response, Problem> {
    let mails = MailChoices {
        failing_postbacks: form.failing_postbacks.is_some(),
        withdrawals: form.withdrawals.is_some(),
        weekly_summary: form.weekly_summary.is_some(),
    };
    let changed = own::change_profile(&app, person.user, |user| Ok(Profile { mails, ..Profile::of(user) })).await?;
    let changes = AuditedChanges::many(changed.map(|user| ProfileIn::of(&user)).fields());
    Ok((changes, Redirect::to("/account/notifications?done=saved")).into_response())
}
