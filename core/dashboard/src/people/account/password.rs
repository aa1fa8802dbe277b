//! `/account/password`: another password. It ends all other sessions.

use axum::extract::State;
use axum::response::{IntoResponse, Redirect, Response};
use engine::app::App;
use engine::people::auth::own;
use serde::Deserialize;
use web::auth::Person;
use web::errors::Problem;

use super::step_up::{self, AccountForm};
use crate::form::Fields;
use crate::parts::field::{Field, Form};
use crate::shell::page::Reply;
use crate::shell::texts::text;
use crate::shell::viewer::Viewer;

const ACTION: &str = "/account/password";

fn page(viewer: &Viewer) -> AccountForm {
    let new = Field::password("new", "password.new", "new-password").length(Some(10), 200);
    let fields = step_up::fields(step_up::has_second_factor(viewer));
    let fields =
        fields.chain([new.help("password.help").required(), Field::checkbox("end_keys", "password.end_keys", false)]);
    AccountForm::new(Form::new(fields), ACTION, "account.change_password")
}

fn reply(viewer: &Viewer, page: AccountForm) -> Reply<AccountForm> {
    let reply = viewer.page(text("account.password_title"), page).lead(text("account.password_lead"));
    reply.below("/account", text("account.title"))
}

/// `GET /account/password`
pub async fn show(viewer: Viewer, _: Person) -> Reply<AccountForm> {
    reply(&viewer, page(&viewer))
}

#[derive(Deserialize)]
pub struct PasswordForm {
    password: String,
    code: Option<String>,
    new: String,
    /// Present if the box is checked.
    end_keys: Option<String>,
}

/// `POST /account/password`
pub async fn change(
    State(app): State<App>,
    viewer: Viewer,
    person: Person,
    Fields(form): Fields<PasswordForm>,
) -> Response {
    let proof = step_up::proof(form.password, form.code);
    let signed_in = (person.user, person.session);
    match own::change_password(&app, person.actor, signed_in, proof, form.new, form.end_keys.is_some()).await {
        Ok(()) => Redirect::to("/account?done=password").into_response(),
        Err(error) => {
            let (problem, mut page) = (Problem::from(error), page(&viewer));
            let is_shown = page.refuse(&problem);
            reply(&viewer, page).refused(&problem, is_shown).into_response()
        }
    }
}
