//! `/forgot-password` and `/set-password/{token}`: a link from a message opens the page to choose a password.

use axum::extract::{Path, State};
use axum::http::header;
use axum::response::{AppendHeaders, IntoResponse, Redirect, Response};
use domain::people::auth_error::AuthError;
use domain::people::user::UserStatus;
use engine::Error;
use engine::app::App;
use engine::people::auth::registration::Account;
use engine::people::auth::{known_device, registration};
use serde::{Deserialize, Serialize};
use web::api::valid_email;
use web::auth::{self, RequestClient};

use crate::form::Fields;
use crate::page::{Message, Page, Reply};

#[derive(Debug, Serialize)]
pub struct ForgotPassword {
    email: String,
}

impl Page for ForgotPassword {
    const TEMPLATE: &'static str = "people/forgot_password";

    #[cfg(test)]
    fn samples() -> Vec<Self> {
        vec![Self { email: "ada@example.com".into() }]
    }
}

#[derive(Debug, Serialize)]
pub struct SetPassword {
    email: String,
    /// The account has API keys, so the form offers to revoke them.
    has_keys: bool,
}

impl SetPassword {
    fn of(account: Account) -> Self {
        Self { email: account.email, has_keys: account.has_keys }
    }
}

impl Page for SetPassword {
    const TEMPLATE: &'static str = "people/set_password";

    #[cfg(test)]
    fn samples() -> Vec<Self> {
        [false, true].map(|has_keys| Self { email: "ada@example.com".into(), has_keys }).into()
    }
}

/// `GET /forgot-password`
pub async fn show() -> Reply<ForgotPassword> {
    Reply::new("Choose a new password", ForgotPassword { email: String::new() })
}

#[derive(Deserialize)]
pub struct ForgotPasswordForm {
    email: String,
}

/// `POST /forgot-password`
pub async fn request_reset(
    State(app): State<App>,
    RequestClient(visitor): RequestClient,
    Fields(form): Fields<ForgotPasswordForm>,
) -> Result<Reply<Message>, Reply<ForgotPassword>> {
    let request = async {
        let email = valid_email(&form.email)?;
        registration::reset(&app, &visitor, &email).await
    };
    match request.await {
        Ok(()) => Ok(message_sent()),
        Err(error) => {
            Err(Reply::new("Choose a new password", ForgotPassword { email: form.email }).alert(&error.into()))
        }
    }
}

/// The page is the same whether the account exists or not.
pub fn message_sent() -> Reply<Message> {
    let message = Message::new("If this address can be used, a message was sent to it. Open the link in that message.");
    Reply::new("Check your e-mail", message.with_link("/login", "Back to the sign-in page"))
}

/// `GET /set-password/{token}`. The link stays valid.
pub async fn show_link(
    State(app): State<App>,
    Path(token): Path<String>,
) -> Result<Reply<SetPassword>, Reply<Message>> {
    let account = registration::account_of_link(&app, &token).await.map_err(link_refused)?;
    Ok(Reply::new("Choose a password", SetPassword::of(account)))
}

fn link_refused(error: Error) -> Reply<Message> {
    let message = match &error {
        Error::Auth(AuthError::LinkUsed) => Message::default().with_link("/forgot-password", "Request a new link"),
        _ => Message::default(),
    };
    Reply::new("This link no longer works", message).alert(&error.into())
}

#[derive(Deserialize)]
pub struct PasswordForm {
    password: String,
    /// Present if the box is checked.
    end_keys: Option<String>,
}

/// `POST /set-password/{token}`
pub async fn set(
    State(app): State<App>,
    RequestClient(visitor): RequestClient,
    Path(token): Path<String>,
    Fields(form): Fields<PasswordForm>,
) -> Response {
    let end_keys = form.end_keys.is_some();
    let error = match registration::set_password(&app, &visitor, &token, form.password, end_keys).await {
        Ok(user) if user.status == UserStatus::Waiting => {
            let page = Reply::new("Your address is confirmed", Message::default());
            return page
                .notice("The registration now waits for an approval. You will receive a message.")
                .into_response();
        }
        // This browser opened a link from the mailbox, so failed attempts of others must not delay its next sign-in.
        Ok(user) => {
            let device = auth::set_device_cookie(&app, &known_device::of(&app, &visitor, &user.email));
            let cookie = AppendHeaders([(header::SET_COOKIE, device)]);
            return (cookie, Redirect::to("/login?done=password")).into_response();
        }
        Err(error) => error,
    };
    // The password is too weak, or there were too many attempts: the link may still be valid.
    match registration::account_of_link(&app, &token).await {
        Ok(account) => Reply::new("Choose a password", SetPassword::of(account)).alert(&error.into()).into_response(),
        Err(error) => link_refused(error).into_response(),
    }
}
