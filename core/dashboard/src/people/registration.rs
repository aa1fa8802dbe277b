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

use crate::form::Fields;
use crate::page::{Message, Page, Reply};
use crate::people::password::message_sent;

#[derive(Debug, Default, Serialize)]
pub struct Register {
    pub name: String,
    pub email: String,
}

impl Page for Register {
    const TEMPLATE: &'static str = "people/register";

    #[cfg(test)]
    fn samples() -> Vec<Self> {
        vec![Self { name: "Ada <b>".into(), email: "ada@example.com".into() }]
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
pub async fn show(State(app): State<App>) -> Result<Reply<Register>, Reply<Message>> {
    if app.settings.registration == Registration::Closed {
        return Err(closed());
    }
    Ok(Reply::new("Register", Register::default()))
}

fn closed() -> Reply<Message> {
    Reply::new("Register", Message::default()).alert(&Error::from(AuthError::RegistrationClosed).into())
}

#[derive(Deserialize)]
pub struct RegistrationForm {
    name: String,
    email: String,
}

/// `POST /register`
pub async fn register(
    State(app): State<App>,
    RequestClient(visitor): RequestClient,
    Fields(form): Fields<RegistrationForm>,
) -> Response {
    let request = async {
        let (name, email) = (valid_name(&form.name)?, valid_email(&form.email)?);
        registration::register(&app, &visitor, name, &email).await
    };
    match request.await {
        Ok(()) => message_sent().into_response(),
        Err(Error::Auth(AuthError::RegistrationClosed)) => closed().into_response(),
        Err(error) => {
            let page = Register { name: form.name, email: form.email };
            Reply::new("Register", page).alert(&error.into()).into_response()
        }
    }
}

/// `GET /confirm-email/{token}`. The link stays valid.
pub async fn show_link(
    State(app): State<App>,
    Path(token): Path<String>,
) -> Result<Reply<ConfirmEmail>, Reply<Message>> {
    match own::email_of_link(&app, &token).await {
        Ok(email) => Ok(Reply::new("Confirm your new address", ConfirmEmail { email })),
        Err(error) => Err(link_refused(error)),
    }
}

/// `POST /confirm-email/{token}`
pub async fn confirm(
    State(app): State<App>,
    RequestClient(visitor): RequestClient,
    Path(token): Path<String>,
) -> Result<Redirect, Reply<Message>> {
    own::confirm_email(&app, &visitor, &token).await.map_err(link_refused)?;
    Ok(Redirect::to("/login?done=email"))
}

fn link_refused(error: Error) -> Reply<Message> {
    Reply::new("This link no longer works", Message::default()).alert(&error.into())
}
