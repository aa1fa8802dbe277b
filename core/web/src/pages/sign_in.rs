//! `/`, `/login` and `/logout`: who is signed in, getting in and getting out.

use axum::extract::{Query, State};
use axum::http::{HeaderMap, Method, StatusCode, header};
use axum::response::{AppendHeaders, IntoResponse, Redirect, Response};
use serde::Deserialize;

use crate::auth::{self, From};
use crate::errors::Problem;
use domain::people::actor::{Actor, Proof, Restriction};
use domain::people::audit::{Ending, Outcome};
use domain::people::auth_error::AuthError;
use domain::people::permission::Permission;
use engine::Error;
use engine::app::App;
use engine::config::Registration;
use engine::people::audit::{self, Change};
use engine::people::auth::sign_in::{Credentials, Evidence, Step};
use engine::people::auth::{Visitor, sessions, sign_in};
use engine::people::users;
use engine::program::affiliates;

use super::{Nothing, OwnForm, Page, as_sentence};

const HOME: &str = include_str!("../../assets/pages/home.html");
const LOOKING_ON: &str = include_str!("../../assets/pages/home_looking_on.html");
const WARNING: &str = "<p class=\"alert\" role=\"status\">{{text}}</p>";
const SIGN_IN: &str = include_str!("../../assets/pages/sign_in.html");
const SECOND_FACTOR: &str = include_str!("../../assets/pages/second_factor.html");
const OPENED_BY_STAFF: &str = "You look on as a member of staff. This session reads only.";
const SUSPENDED: &str = "This affiliate is suspended. It may read and change nothing; ask the operator.";
const REGISTER: &str = "<p><a href=\"/register\">Register as an affiliate</a></p>";

/// `GET /`
pub async fn home(State(app): State<App>, headers: HeaderMap) -> Response {
    let Ok(actor) = auth::authenticate(&Method::GET, &headers, &app).await else {
        return Redirect::to("/login").into_response();
    };
    let (name, email) = match who(&app, actor).await {
        Ok(found) => found,
        Err(error) => return Page::new("Postrider").alert(&error.into()).into_response(),
    };
    let values = [("name", name.as_str()), ("email", email.as_str()), ("role", actor.role.as_str())];
    let mut page = match actor.restriction() {
        Some(Restriction::OpenedByStaff) => Page::new("Postrider").notice(OPENED_BY_STAFF),
        Some(Restriction::Suspended) => Page::new("Postrider").notice(SUSPENDED),
        None => Page::new("Postrider"),
    };
    if actor.may(Permission::ManageSettings) {
        for warning in app.warnings.list(app.clock.now()) {
            page = page.add(WARNING, &[("text", &as_sentence(&warning.sentence))]);
        }
    }
    match actor.restriction() {
        Some(Restriction::OpenedByStaff) => page.add(LOOKING_ON, &values[..1]).into_response(),
        _ => page.add(HOME, &values).into_response(),
    }
}

/// The name, and the address in brackets where there is one.
async fn who(app: &App, actor: Actor) -> Result<(String, String), Error> {
    if let Some(id) = actor.user() {
        let user = users::get(app, id).await?;
        return Ok((user.name, format!(" ({})", user.email)));
    }
    match actor.confined_to() {
        Some(id) => Ok((affiliates::get(app, actor, id).await?.name, String::new())),
        None => Ok((actor.name(), String::new())),
    }
}

/// What was done before one comes to sign in.
#[derive(Deserialize)]
pub struct Before {
    done: Option<String>,
}

/// `GET /login`
pub async fn look(State(app): State<App>, Query(before): Query<Before>) -> Page {
    let page = Page::new("Sign in");
    let page = match before.done.as_deref() {
        Some("password") => page.notice("Your password is set. Sign in with it."),
        Some("email") => page.notice("Your address is confirmed. Sign in with it from now on."),
        Some("logout") => page.notice("You are signed out."),
        _ => page,
    };
    form(page, &app, "")
}

fn form(page: Page, app: &App, email: &str) -> Page {
    let page = page.add(SIGN_IN, &[("email", email)]);
    match app.settings.registration {
        Registration::Closed => page,
        Registration::Open | Registration::Approval => page.add(REGISTER, &[]),
    }
}

#[derive(Deserialize)]
pub struct SignInForm {
    email: String,
    #[serde(default)]
    password: String,
    /// At the second step: what shows that the first one was passed.
    ticket: Option<String>,
    code: Option<String>,
}

/// `POST /login`
pub async fn sign_in(
    State(app): State<App>,
    headers: HeaderMap,
    From(visitor): From,
    OwnForm(form): OwnForm<SignInForm>,
) -> Response {
    let evidence = match &form.ticket {
        Some(ticket) => Evidence::Ticket(ticket.clone()),
        None => Evidence::Password(form.password),
    };
    let given = Credentials { email: form.email.clone(), evidence, code: form.code };
    match sign_in::step(&app, &visitor, given).await {
        Ok(Step::In(entered)) => {
            auth::leave(&app, &headers).await;
            (auth::cookies(&app, &entered), Redirect::to("/")).into_response()
        }
        Ok(Step::CodeNeeded { ticket }) => code_page(Page::new("One more step"), &form.email, &ticket).into_response(),
        Err(error) => refused(&app, &form.email, form.ticket.as_deref(), error).into_response(),
    }
}

fn code_page(page: Page, email: &str, ticket: &str) -> Page {
    page.add(SECOND_FACTOR, &[("email", email), ("ticket", ticket)])
}

fn refused(app: &App, email: &str, ticket: Option<&str>, error: Error) -> Page {
    let ticket = ticket.filter(|ticket| sign_in::is_good(app, ticket));
    match (ticket, error) {
        (Some(ticket), Error::Auth(AuthError::SignInFailed)) => {
            let problem = Problem::from(Error::from(AuthError::WrongCode)).with_status(StatusCode::UNAUTHORIZED);
            code_page(Page::new("One more step").alert(&problem), email, ticket)
        }
        (Some(ticket), error) => code_page(Page::new("One more step").alert(&error.into()), email, ticket),
        (None, error) => form(Page::new("Sign in").alert(&error.into()), app, email),
    }
}

/// `POST /logout`
pub async fn sign_out(
    State(app): State<App>,
    headers: HeaderMap,
    From(visitor): From,
    _: OwnForm<Nothing>,
) -> Response {
    let actor = auth::authenticate(&Method::POST, &headers, &app).await;
    if let Ok(actor) = actor
        && let Err(error) = leave(&app, actor, &visitor).await
    {
        return Page::new("Sign out").alert(&error.into()).into_response();
    }
    let cookie = AppendHeaders([(header::SET_COOKIE, auth::clear_cookie(&app))]);
    (cookie, Redirect::to("/login?done=logout")).into_response()
}

async fn leave(app: &App, actor: Actor, visitor: &Visitor) -> Result<(), Error> {
    let Proof::Session { id, .. } = actor.proof else { return Ok(()) };
    let asked = audit::ask(app, actor, Change::by(visitor, "logout", None)).await?;
    sessions::revoke(app, id, None).await?;
    audit::conclude(app, asked, Ending::of(Outcome::Done, app.clock.now())).await
}
