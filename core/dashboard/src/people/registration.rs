//! `/register` and `/confirm-email/{token}`: registration of affiliates, and the link that confirms an e-mail address.

use axum::extract::{Path, State};
use axum::response::{IntoResponse, Redirect, Response};
use domain::people::auth_error::AuthError;
use engine::Error;
use engine::app::App;
use engine::config::Registration;
use engine::people::auth::{own, registration};
use serde::{Deserialize, Serialize};
use web::api::{valid_email, valid_name};
use web::auth::RequestClient;
use web::errors::Problem;

use crate::form::Fields;
use crate::parts::field::{Field, Form};
use crate::people::password::message_sent;
use crate::shell::page::{Message, Page, Reply};
use crate::shell::texts::text;
use crate::shell::viewer::Viewer;

#[derive(Debug, Serialize)]
pub struct Register {
    form: Form,
}

impl Register {
    pub fn new(name: &str, email: &str) -> Self {
        let name = Field::text("name", "register.name").value(name).autocomplete("name").length(None, 200).required();
        Self { form: Form::new([name, Field::email("email", "entry.email").value(email).required()]) }
    }
}

impl Page for Register {
    const TEMPLATE: &'static str = "people/register";

    #[cfg(test)]
    fn samples() -> Vec<Self> {
        let mut refused = Self::new("Ada <b>", "ada@");
        let issue = Error::invalid("/email", "must be an address such as ada@example.com");
        assert!(refused.form.refuse(&issue.into()));
        vec![Self::new("", ""), refused]
    }
}

#[derive(Debug, Serialize)]
pub struct ConfirmEmail {
    email: String,
}

impl Page for ConfirmEmail {
    const TEMPLATE: &'static str = "people/confirm_email";

    #[cfg(test)]
    fn samples() -> Vec<Self> {
        vec![Self { email: "ada@example.com".into() }]
    }
}

/// `GET /register`
pub async fn show(State(app): State<App>, viewer: Viewer) -> Result<Reply<Register>, Reply<Message>> {
    if app.settings.registration == Registration::Closed {
        return Err(closed(&viewer));
    }
    Ok(form_page(&viewer, Register::new("", "")))
}

fn form_page(viewer: &Viewer, page: Register) -> Reply<Register> {
    viewer.entry(text("register.title"), page).lead(text("register.lead"))
}

fn closed(viewer: &Viewer) -> Reply<Message> {
    let message = Message::default().with_link("/login", "entry.back_to_sign_in");
    viewer.entry(text("register.title"), message).alert(&Error::from(AuthError::RegistrationClosed).into())
}

#[derive(Deserialize)]
pub struct RegistrationForm {
    name: String,
    email: String,
}

/// `POST /register`
pub async fn register(
    State(app): State<App>,
    viewer: Viewer,
    RequestClient(visitor): RequestClient,
    Fields(form): Fields<RegistrationForm>,
) -> Response {
    let request = async {
        let (name, email) = (valid_name(&form.name)?, valid_email(&form.email)?);
        registration::register(&app, &visitor, name, &email).await
    };
    match request.await {
        Ok(()) => message_sent(&viewer).into_response(),
        Err(Error::Auth(AuthError::RegistrationClosed)) => closed(&viewer).into_response(),
        Err(error) => {
            let (problem, mut page) = (Problem::from(error), Register::new(&form.name, &form.email));
            let is_shown = page.form.refuse(&problem);
            form_page(&viewer, page).refused(&problem, is_shown).into_response()
        }
    }
}

/// `GET /confirm-email/{token}`. The link stays valid.
pub async fn show_link(
    State(app): State<App>,
    viewer: Viewer,
    Path(token): Path<String>,
) -> Result<Reply<ConfirmEmail>, Reply<Message>> {
    match own::email_of_link(&app, &token).await {
        Ok(email) => Ok(viewer.entry(text("confirm_email.title"), ConfirmEmail { email })),
        Err(error) => Err(link_refused(&viewer, error)),
    }
}

/// `POST /confirm-email/{token}`
pub async fn confirm(
    State(app): State<App>,
    viewer: Viewer,
    RequestClient(visitor): RequestClient,
    Path(token): Path<String>,
) -> Result<Redirect, Reply<Message>> {
    own::confirm_email(&app, &visitor, &token).await.map_err(|error| link_refused(&viewer, error))?;
    Ok(Redirect::to("/login?done=email"))
}

fn link_refused(viewer: &Viewer, error: Error) -> Reply<Message> {
    viewer.entry(text("entry.link_used"), Message::default()).alert(&error.into())
}
