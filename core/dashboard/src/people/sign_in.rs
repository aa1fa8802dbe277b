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
use engine::people::auth::{own, sessions, sign_in};
use serde::{Deserialize, Serialize};
use web::auth::{self, Caller, RequestClient};
use web::errors::Problem;

use crate::form::Fields;
use crate::parts::field::{Field, Form};
use crate::shell::page::{Page, Reply};
use crate::shell::problem::local_path;
use crate::shell::sentence::sentence;
use crate::shell::texts::text;
use crate::shell::viewer::{Viewer, preferences_of_browser};

#[derive(Debug, Serialize)]
pub struct SignIn {
    form: Form,
    /// The page to open afterwards.
    next: Option<String>,
    /// Affiliates may register themselves.
    may_register: bool,
}

impl SignIn {
    fn new(app: &App, email: &str, next: Option<String>) -> Self {
        let may_register = match app.settings.registration {
            Registration::Closed => false,
            Registration::Open | Registration::Approval => true,
        };
        Self { form: Self::form(email), next, may_register }
    }

    fn form(email: &str) -> Form {
        let password = Field::password("password", "sign_in.password", "current-password").required();
        Form::new([
            Field::email("email", "entry.email").value(email).required(),
            password.link("/forgot-password", "sign_in.forgot"),
        ])
    }
}

impl Page for SignIn {
    const TEMPLATE: &'static str = "people/sign_in";

    #[cfg(test)]
    fn samples() -> Vec<Self> {
        let sample = |next, may_register| Self { form: Self::form("ada@example.com"), next, may_register };
        vec![sample(None, false), sample(Some("/links".into()), true)]
    }
}

/// The second step of signing in.
#[derive(Debug, Serialize)]
pub struct SecondFactor {
    email: String,
    /// Proves that the first step succeeded.
    ticket: String,
    next: Option<String>,
    form: Form,
}

impl SecondFactor {
    fn new(email: &str, ticket: &str, next: Option<String>) -> Self {
        let code = Field::code("code", "sign_in.code").help("sign_in.code_help").required().focused();
        Self { email: email.to_owned(), ticket: ticket.to_owned(), next, form: Form::new([code]) }
    }
}

impl Page for SecondFactor {
    const TEMPLATE: &'static str = "people/second_factor";

    #[cfg(test)]
    fn samples() -> Vec<Self> {
        let plain = Self::new("ada@example.com", "c2lnbmVk", None);
        let mut refused = Self::new("ada@example.com", "c2lnbmVk", Some("/links".into()));
        refused.form.refuse_at("code", text("error.wrong_code"));
        vec![plain, refused]
    }
}

/// The action that redirected here (`password`, `email` or `logout`), and the page to open after signing in.
#[derive(Deserialize)]
pub struct Redirected {
    done: Option<String>,
    next: Option<String>,
}

/// `GET /login`
pub async fn show(State(app): State<App>, viewer: Viewer, Query(from): Query<Redirected>) -> Reply<SignIn> {
    let next = from.next.as_deref().and_then(local_path);
    let page = viewer.entry(text("sign_in.title"), SignIn::new(&app, "", next));
    match from.done.as_deref() {
        Some("password") => page.notice(text("sign_in.done_password")),
        Some("email") => page.notice(text("sign_in.done_email")),
        Some("logout") => page.notice(text("sign_in.done_logout")),
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
    next: Option<String>,
}

/// `POST /login`
pub async fn sign_in(
    State(app): State<App>,
    viewer: Viewer,
    headers: HeaderMap,
    RequestClient(visitor): RequestClient,
    Fields(form): Fields<SignInForm>,
) -> Response {
    let evidence = match &form.ticket {
        Some(ticket) => Evidence::Ticket(ticket.clone()),
        None => Evidence::Password(form.password.clone()),
    };
    let credentials = Credentials { email: form.email.clone(), evidence, code: form.code.clone() };
    let next = form.next.as_deref().and_then(local_path);
    match sign_in::step(&app, &visitor, credentials).await {
        Ok(SignInStep::SignedIn(signed_in)) => {
            auth::end_former_session(&app, &headers).await;
            if let Err(error) = own::adopt_preferences(&app, &signed_in.user, preferences_of_browser(&headers)).await {
                tracing::warn!(user.id = %signed_in.user.id, %error, "Language and time zone could not be stored");
            }
            let next = next.unwrap_or_else(|| "/".to_owned());
            (auth::sign_in_cookies(&app, &signed_in), Redirect::to(&next)).into_response()
        }
        Ok(SignInStep::CodeNeeded { ticket }) => code_page(&viewer, &form.email, &ticket, next).into_response(),
        Err(error) => refused(&app, &viewer, &form, next, error),
    }
}

fn code_page(viewer: &Viewer, email: &str, ticket: &str, next: Option<String>) -> Reply<SecondFactor> {
    let page = viewer.entry(text("sign_in.code_title"), SecondFactor::new(email, ticket, next));
    page.lead(text("sign_in.as").with("email", email))
}

fn refused(app: &App, viewer: &Viewer, form: &SignInForm, next: Option<String>, error: Error) -> Response {
    let ticket = form.ticket.as_deref().filter(|ticket| sign_in::is_ticket_valid(app, ticket));
    match (ticket, error) {
        (Some(ticket), Error::Auth(AuthError::SignInFailed)) => {
            let problem = Problem::from(Error::from(AuthError::WrongCode)).with_status(StatusCode::UNAUTHORIZED);
            let mut page = SecondFactor::new(&form.email, ticket, next);
            page.form.refuse_at("code", sentence(&problem));
            let reply = viewer.entry(text("sign_in.code_title"), page).status_of(&problem);
            reply.lead(text("sign_in.as").with("email", &form.email)).into_response()
        }
        (Some(ticket), error) => code_page(viewer, &form.email, ticket, next).alert(&error.into()).into_response(),
        (None, error) => {
            let page = viewer.entry(text("sign_in.title"), SignIn::new(app, &form.email, next));
            page.alert(&error.into()).into_response()
        }
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
