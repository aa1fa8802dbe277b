//! `/login` and `/logout`: signing in and out.

use axum::extract::{Query, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{AppendHeaders, IntoResponse, Redirect, Response};
use domain::people::actor::{Actor, Proof};
use domain::people::auth_error::AuthError;
use engine::Error;
use engine::app::App;
use engine::config::Registration;
use engine::people::auth::sign_in::{Credentials, Evidence, SignInStep};
use engine::people::auth::{sessions, sign_in};
use serde::{Deserialize, Serialize};
use web::auth::{self, Caller, RequestClient};
use web::errors::Problem;

use crate::form::Fields;
use crate::page::{Page, Reply};

#[derive(Debug, Serialize)]
pub struct SignIn {
    email: String,
    /// Affiliates may register themselves.
    may_register: bool,
}

impl SignIn {
    fn new(app: &App, email: &str) -> Self {
        let may_register = match app.settings.registration {
            Registration::Closed => false,
            Registration::Open | Registration::Approval => true,
        };
        Self { email: email.to_owned(), may_register }
    }
}

impl Page for SignIn {
    const TEMPLATE: &'static str = "people/sign_in";

    #[cfg(test)]
    fn samples() -> Vec<Self> {
        [false, true].map(|may_register| Self { email: "ada@example.com".into(), may_register }).into()
    }
}

/// The second step of signing in.
#[derive(Debug, Serialize)]
pub struct SecondFactor {
    email: String,
    /// Proves that the first step succeeded.
    ticket: String,
}

impl Page for SecondFactor {
    const TEMPLATE: &'static str = "people/second_factor";

    #[cfg(test)]
    fn samples() -> Vec<Self> {
        vec![Self { email: "ada@example.com".into(), ticket: "c2lnbmVk".into() }]
    }
}

/// The action that redirected here: `password`, `email` or `logout`.
#[derive(Deserialize)]
pub struct Redirected {
    done: Option<String>,
}

/// `GET /login`
pub async fn show(State(app): State<App>, Query(from): Query<Redirected>) -> Reply<SignIn> {
    let page = Reply::new("Sign in", SignIn::new(&app, ""));
    match from.done.as_deref() {
        Some("password") => page.notice("Your password is set. Sign in with it."),
        Some("email") => page.notice("Your address is confirmed. Sign in with it from now on."),
        Some("logout") => page.notice("You are signed out."),
        _ => page,
    }
}

#[derive(Deserialize)]
pub struct SignInForm {
    email: String,
    #[serde(default)]
    password: String,
    /// [`SecondFactor::ticket`], at the second step.
    ticket: Option<String>,
    /// The code of the second factor, at the second step.
    code: Option<String>,
}

/// `POST /login`
pub async fn sign_in(
    State(app): State<App>,
    headers: HeaderMap,
    RequestClient(visitor): RequestClient,
    Fields(form): Fields<SignInForm>,
) -> Response {
    let evidence = match &form.ticket {
        Some(ticket) => Evidence::Ticket(ticket.clone()),
        None => Evidence::Password(form.password),
    };
    let credentials = Credentials { email: form.email.clone(), evidence, code: form.code };
    match sign_in::step(&app, &visitor, credentials).await {
        Ok(SignInStep::SignedIn(signed_in)) => {
            auth::end_former_session(&app, &headers).await;
            (auth::sign_in_cookies(&app, &signed_in), Redirect::to("/")).into_response()
        }
        Ok(SignInStep::CodeNeeded { ticket }) => code_page(&form.email, &ticket).into_response(),
        Err(error) => refused(&app, &form.email, form.ticket.as_deref(), error),
    }
}

fn code_page(email: &str, ticket: &str) -> Reply<SecondFactor> {
    Reply::new("Enter your code", SecondFactor { email: email.to_owned(), ticket: ticket.to_owned() })
}

fn refused(app: &App, email: &str, ticket: Option<&str>, error: Error) -> Response {
    let ticket = ticket.filter(|ticket| sign_in::is_ticket_valid(app, ticket));
    match (ticket, error) {
        (Some(ticket), Error::Auth(AuthError::SignInFailed)) => {
            let problem = Problem::from(Error::from(AuthError::WrongCode)).with_status(StatusCode::UNAUTHORIZED);
            code_page(email, ticket).alert(&problem).into_response()
        }
        (Some(ticket), error) => code_page(email, ticket).alert(&error.into()).into_response(),
        (None, error) => Reply::new("Sign in", SignIn::new(app, email)).alert(&error.into()).into_response(),
    }
}

/// `POST /logout`
pub async fn sign_out(State(app): State<App>, Caller(actor): Caller) -> Result<Response, Problem> {
    if let Actor { proof: Proof::Session { id, .. }, .. } = actor {
        sessions::revoke(&app, id, None).await?;
    }
    let cookie = AppendHeaders([(header::SET_COOKIE, auth::clear_session_cookie(&app))]);
    Ok((cookie, Redirect::to("/login?done=logout")).into_response())
}
