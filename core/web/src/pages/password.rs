//! `/forgot-password` and `/set-password/{token}`: a link that came by mail chooses a password.

use axum::extract::{Path, State};
use axum::http::header;
use axum::response::{AppendHeaders, IntoResponse, Redirect, Response};
use serde::Deserialize;

use crate::api::valid_email;
use crate::auth::{self, From};
use domain::people::auth_error::AuthError;
use domain::people::user::UserStatus;
use engine::Error;
use engine::app::App;
use engine::people::auth::registration::Account;
use engine::people::auth::{known_device, registration};

use super::{OwnForm, Page};

const FORGOT: &str = include_str!("../../assets/pages/forgot_password.html");
const SET: &str = include_str!("../../assets/pages/set_password.html");
/// For somebody who has API keys.
const END_KEYS: &str =
    "  <label><input name=\"end_keys\" type=\"checkbox\" value=\"yes\"> End my API keys too</label>\n";
const SUBMIT: &str = "  <button>Set the password</button>\n</form>\n";
/// The same whether there is such an account or not.
pub(super) const SENT: &str = "<p>If this address can be used, a message is on its way to it. Open the link in it.</p>
<p><a href=\"/login\">Back to signing in</a></p>";
const USED: &str = "<p><a href=\"/forgot-password\">Ask for a new one</a></p>";

/// `GET /forgot-password`
pub async fn look() -> Page {
    Page::new("Choose a new password").add(FORGOT, &[("email", "")])
}

#[derive(Deserialize)]
pub struct MailboxForm {
    email: String,
}

/// `POST /forgot-password`
pub async fn ask(State(app): State<App>, From(visitor): From, OwnForm(form): OwnForm<MailboxForm>) -> Page {
    let asked = async {
        let email = valid_email(&form.email)?;
        registration::reset(&app, &visitor, &email).await
    };
    match asked.await {
        Ok(()) => Page::new("Look into your mail").add(SENT, &[]),
        Err(error) => Page::new("Choose a new password").alert(&error.into()).add(FORGOT, &[("email", &form.email)]),
    }
}

/// `GET /set-password/{token}`. Looking does not use the link up.
pub async fn look_at_link(State(app): State<App>, Path(token): Path<String>) -> Page {
    match registration::account_of_link(&app, &token).await {
        Ok(account) => form(Page::new("Choose a password"), &account),
        Err(error) => used(error),
    }
}

fn form(page: Page, account: &Account) -> Page {
    let page = page.add(SET, &[("email", &account.email)]);
    let page = if account.has_keys { page.add(END_KEYS, &[]) } else { page };
    page.add(SUBMIT, &[])
}

fn used(error: Error) -> Page {
    let page = Page::new("This link no longer works").alert(&error.clone().into());
    match error {
        Error::Auth(AuthError::LinkUsed) => page.add(USED, &[]),
        _ => page,
    }
}

#[derive(Deserialize)]
pub struct PasswordForm {
    password: String,
    /// A box that is ticked.
    end_keys: Option<String>,
}

/// `POST /set-password/{token}`
pub async fn set(
    State(app): State<App>,
    From(visitor): From,
    Path(token): Path<String>,
    OwnForm(given): OwnForm<PasswordForm>,
) -> Response {
    let end_keys = given.end_keys.is_some();
    let error = match registration::set_password(&app, &visitor, &token, given.password, end_keys).await {
        Ok(user) if user.status == UserStatus::Waiting => {
            let page = Page::new("Your address is confirmed");
            return page.notice("The registration waits for an approval now; a message will follow.").into_response();
        }
        // Who opened the link has the mailbox: strangers who guess must not hold up the next step.
        Ok(user) => {
            let device = auth::set_device(&app, &known_device::of(&app, &visitor, &user.email));
            let cookie = AppendHeaders([(header::SET_COOKIE, device)]);
            return (cookie, Redirect::to("/login?done=password")).into_response();
        }
        Err(error) => error,
    };
    // A password that is too weak, or too many attempts: the link is still good.
    match registration::account_of_link(&app, &token).await {
        Ok(account) => form(Page::new("Choose a password").alert(&error.into()), &account).into_response(),
        Err(error) => used(error).into_response(),
    }
}
