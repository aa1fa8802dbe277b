//! `/account/email`: another address to sign in with. It changes when the link is opened that is sent to the new address.

use axum::extract::State;
use engine::app::App;
use engine::people::auth::own;
use serde::Deserialize;
use web::api::valid_email;
use web::auth::Person;
use web::errors::Problem;

use super::step_up::{self, AccountForm};
use crate::form::Fields;
use crate::parts::field::{Field, Form};
use crate::shell::page::Reply;
use crate::shell::texts::text;
use crate::shell::viewer::Viewer;

const ACTION: &str = "/account/email";

fn page(viewer: &Viewer, email: &str) -> AccountForm {
    let new = Field::email("email", "account.new_email").value(email).autocomplete("email").required();
    let fields = [new].into_iter().chain(step_up::fields(step_up::has_second_factor(viewer)));
    AccountForm::new(Form::new(fields), ACTION, "account.change_email")
}

fn reply(viewer: &Viewer, page: AccountForm) -> Reply<AccountForm> {
    let email = step_up::user_of(viewer).map(|user| user.email.clone()).unwrap_or_default();
    let reply = viewer.page(text("account.email_title"), page);
    reply.lead(text("account.email_lead").with("email", email)).below("/account", text("account.title"))
}

/// `GET /account/email`
pub async fn show(viewer: Viewer, _: Person) -> Reply<AccountForm> {
    reply(&viewer, page(&viewer, ""))
}

#[derive(Deserialize)]
pub struct EmailForm {
    email: String,
    password: String,
    code: Option<String>,
}

/// `POST /account/email`. The page is the same whether the new address is taken or not.
pub async fn change(
    State(app): State<App>,
    viewer: Viewer,
    person: Person,
    Fields(form): Fields<EmailForm>,
) -> Reply<AccountForm> {
    let changing = async {
        let email = valid_email(&form.email)?;
        let proof = step_up::proof(form.password, form.code);
        own::request_email_change(&app, person.actor, person.user, proof, &email).await
    };
    match changing.await {
        Ok(()) => {
            let notice = text("account.email_sent").with("email", form.email.trim());
            reply(&viewer, page(&viewer, "")).notice(notice)
        }
        Err(error) => {
            let (problem, mut page) = (Problem::from(error), page(&viewer, &form.email));
            let is_shown = page.refuse(&problem);
            reply(&viewer, page).refused(&problem, is_shown)
        }
    }
}
