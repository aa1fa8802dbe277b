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
use web::errors::Problem;

use crate::form::Fields;
use crate::parts::field::{Field, Form};
use crate::shell::page::{Message, Page, Reply};
use crate::shell::texts::text;
use crate::shell::viewer::Viewer;

#[derive(Debug, Serialize)]
pub struct ForgotPassword {
    form: Form,
}

impl ForgotPassword {
    fn new(email: &str) -> Self {
        Self { form: Form::new([Field::email("email", "entry.email").value(email).required()]) }
    }
}

impl Page for ForgotPassword {
    const TEMPLATE: &'static str = "people/forgot_password";

    #[cfg(test)]
    fn samples() -> Vec<Self> {
        vec![Self::new("ada@example.com")]
    }
}

#[derive(Debug, Serialize)]
pub struct SetPassword {
    form: Form,
}

impl SetPassword {
    fn of(account: &Account) -> Self {
        Self::new(&account.email, account.has_keys)
    }

    /// If the account has API keys, the form offers to revoke them.
    fn new(email: &str, has_keys: bool) -> Self {
        let password = Field::password("password", "password.new", "new-password").length(Some(10), 200);
        let mut fields = vec![
            Field::email("email", "entry.email").value(email).readonly(),
            password.help("password.help").required().focused(),
        ];
        if has_keys {
            fields.push(Field::checkbox("end_keys", "password.end_keys", false));
        }
        Self { form: Form::new(fields) }
    }
}

impl Page for SetPassword {
    const TEMPLATE: &'static str = "people/set_password";

    #[cfg(test)]
    fn samples() -> Vec<Self> {
        [false, true].map(|has_keys| Self::new("ada@example.com", has_keys)).into()
    }
}

/// `GET /forgot-password`
pub async fn show(viewer: Viewer) -> Reply<ForgotPassword> {
    forgot(&viewer, ForgotPassword::new(""))
}

fn forgot(viewer: &Viewer, page: ForgotPassword) -> Reply<ForgotPassword> {
    viewer.entry(text("password.forgot_title"), page).lead(text("password.forgot_lead"))
}

#[derive(Deserialize)]
pub struct ForgotPasswordForm {
    email: String,
}

/// `POST /forgot-password`
pub async fn request_reset(
    State(app): State<App>,
    viewer: Viewer,
    RequestClient(visitor): RequestClient,
    Fields(form): Fields<ForgotPasswordForm>,
) -> Result<Reply<Message>, Reply<ForgotPassword>> {
    let request = async {
        let email = valid_email(&form.email)?;
        registration::reset(&app, &visitor, &email).await
    };
    request.await.map(|()| message_sent(&viewer)).map_err(|error| {
        let (problem, mut page) = (Problem::from(error), ForgotPassword::new(&form.email));
        let is_shown = page.form.refuse(&problem);
        forgot(&viewer, page).refused(&problem, is_shown)
    })
}

/// The page is the same whether the account exists or not.
pub fn message_sent(viewer: &Viewer) -> Reply<Message> {
    let message = Message::new("password.message_sent").with_link("/login", "entry.back_to_sign_in");
    viewer.entry(text("password.check_mail"), message)
}

/// `GET /set-password/{token}`. The link stays valid.
pub async fn show_link(
    State(app): State<App>,
    viewer: Viewer,
    Path(token): Path<String>,
) -> Result<Reply<SetPassword>, Reply<Message>> {
    match registration::account_of_link(&app, &token).await {
        Ok(account) => Ok(viewer.entry(text("password.choose_title"), SetPassword::of(&account))),
        Err(error) => Err(link_refused(&viewer, error)),
    }
}

fn link_refused(viewer: &Viewer, error: Error) -> Reply<Message> {
    let message = match &error {
        Error::Auth(AuthError::LinkUsed) => Message::default().with_link("/forgot-password", "password.new_link"),
        _ => Message::default(),
    };
    viewer.entry(text("entry.link_used"), message).alert(&error.into())
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
    viewer: Viewer,
    RequestClient(visitor): RequestClient,
    Path(token): Path<String>,
    Fields(form): Fields<PasswordForm>,
) -> Response {
    let end_keys = form.end_keys.is_some();
    let error = match registration::set_password(&app, &visitor, &token, form.password, end_keys).await {
        Ok(user) if user.status == UserStatus::Waiting => {
            let page = viewer.entry(text("password.confirmed_title"), Message::new("password.waits_for_approval"));
            return page.into_response();
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
        Ok(account) => {
            let (problem, mut page) = (Problem::from(error), SetPassword::of(&account));
            let is_shown = page.form.refuse(&problem);
            viewer.entry(text("password.choose_title"), page).refused(&problem, is_shown).into_response()
        }
        Err(error) => link_refused(&viewer, error).into_response(),
    }
}
