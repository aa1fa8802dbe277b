//! `/register` and `/confirm-email/{token}`: an address is its owner's once a link that went there was followed.

use axum::extract::{Path, State};
use axum::response::{IntoResponse, Redirect, Response};
use serde::Deserialize;

use crate::api::{valid_email, valid_name};
use crate::auth::From;
use domain::people::auth_error::AuthError;
use engine::Error;
use engine::app::App;
use engine::config::Registration;
use engine::people::auth::{own, registration};

use super::password::SENT;
use super::{Nothing, OwnForm, Page};

const REGISTER: &str = include_str!("../../assets/pages/register.html");
const CONFIRM: &str = include_str!("../../assets/pages/confirm_email.html");

/// `GET /register`
pub async fn look(State(app): State<App>) -> Page {
    if app.settings.registration == Registration::Closed {
        return Page::new("Register").alert(&Error::from(AuthError::RegistrationClosed).into());
    }
    form(Page::new("Register"), "", "")
}

fn form(page: Page, name: &str, email: &str) -> Page {
    page.add(REGISTER, &[("name", name), ("email", email)])
}

#[derive(Deserialize)]
pub struct RegistrationForm {
    name: String,
    email: String,
}

/// `POST /register`
pub async fn register(State(app): State<App>, From(visitor): From, OwnForm(given): OwnForm<RegistrationForm>) -> Page {
    let registering = async {
        let (name, email) = (valid_name(&given.name)?, valid_email(&given.email)?);
        registration::register(&app, &visitor, name, &email).await
    };
    match registering.await {
        Ok(()) => Page::new("Look into your mail").add(SENT, &[]),
        Err(error @ Error::Auth(AuthError::RegistrationClosed)) => Page::new("Register").alert(&error.into()),
        Err(error) => form(Page::new("Register").alert(&error.into()), &given.name, &given.email),
    }
}

/// `GET /confirm-email/{token}`. Looking does not use the link up.
pub async fn look_at_link(State(app): State<App>, Path(token): Path<String>) -> Page {
    match own::email_of_link(&app, &token).await {
        Ok(email) => Page::new("Confirm your new address").add(CONFIRM, &[("email", &email)]),
        Err(error) => Page::new("This link no longer works").alert(&error.into()),
    }
}

/// `POST /confirm-email/{token}`
pub async fn confirm(
    State(app): State<App>,
    From(visitor): From,
    Path(token): Path<String>,
    _: OwnForm<Nothing>,
) -> Response {
    match own::confirm_email(&app, &visitor, &token).await {
        Ok(_) => Redirect::to("/login?done=email").into_response(),
        Err(error) => Page::new("This link no longer works").alert(&error.into()).into_response(),
    }
}
