//! Signing in: with a password and a second factor, or with a login link.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::Error;
use crate::app::App;
use crate::people::audit::{self, Change};
use crate::people::live_session;
use domain::ids::UserId;
use domain::people::actor::Actor;
use domain::people::api_key;
use domain::people::auth_error::AuthError;
use domain::people::session::Opener;
use domain::people::user::{PASSWORD_BYTES_MAX, User, UserStatus, normal_email};
use domain::timestamp::Timestamp;
use storage::people::tokens::Purpose;

use super::sessions::Whose;
use super::throttling::{self, Attempt};
use super::{Visitor, known_device, second_factor, sessions};

/// How long the second step may take.
const SECOND_STEP: Duration = Duration::from_secs(300);
const TICKET: &str = "sign-in ticket";

pub struct Credentials {
    pub email: String,
    pub evidence: Evidence,
    /// Of the second factor, or a recovery code.
    pub code: Option<String>,
}

pub enum Evidence {
    Password(String),
    /// Of [`Step::CodeNeeded`].
    Ticket(String),
}

/// Somebody who is in.
pub struct SignedIn {
    /// Of the session's cookie.
    pub secret: String,
    /// The cookie by which this browser is known from now on.
    pub device: String,
    pub actor: Actor,
    pub user: User,
}

pub enum Step {
    In(Box<SignedIn>),
    /// The password was right. The ticket stands for it, so that no page has to hold the password itself.
    CodeNeeded {
        ticket: String,
    },
}

/// Sealed; it ends after [`SECOND_STEP`], and when the password is changed.
#[derive(Serialize, Deserialize)]
struct Ticket {
    user: UserId,
    password: String,
    until: Timestamp,
}

/// Both steps in one.
pub async fn sign_in(app: &App, visitor: &Visitor, given: Credentials) -> Result<Box<SignedIn>, Error> {
    match step(app, visitor, given).await? {
        Step::In(entered) => Ok(entered),
        Step::CodeNeeded { .. } => Err(AuthError::SecondFactorNeeded.into()),
    }
}

/// Says the same, and does the same work, for an unknown address and for a wrong password.
pub async fn step(app: &App, visitor: &Visitor, given: Credentials) -> Result<Step, Error> {
    let email = normal_email(&given.email);
    let attempt = Attempt::of_account(app, &email, visitor);
    throttling::begin(app, &attempt).await?;
    let user = storage::people::users::find_by_email(app.db.reader(), &email).await?;
    let matches = match given.evidence {
        Evidence::Password(password) => {
            let hash = user.as_ref().and_then(|user| user.password_hash.clone());
            let password = if password.len() > PASSWORD_BYTES_MAX { String::new() } else { password };
            app.passwords.verify(password, hash).await?
        }
        Evidence::Ticket(ticket) => match (open(app, &ticket), &user) {
            (Some(ticket), Some(user)) => ticket.user == user.id && ticket.password == fingerprint(user),
            _ => false,
        },
    };
    let user = user.filter(|_| matches).ok_or(AuthError::SignInFailed)?;
    // Whoever knows the password may know what is wrong with the account.
    match user.status {
        UserStatus::Active => {}
        UserStatus::Waiting => return Err(AuthError::WaitingForApproval.into()),
        UserStatus::Disabled | UserStatus::Invited => return Err(AuthError::Disabled.into()),
    }
    if user.has_second_factor() {
        let Some(code) = given.code.filter(|code| !code.trim().is_empty()) else {
            return Ok(Step::CodeNeeded { ticket: ticket(app, &user) });
        };
        if !second_factor::check(app, &user, &code).await? {
            return Err(AuthError::SignInFailed.into());
        }
    }
    throttling::succeeded(app, &attempt).await?;
    let tx = app.db.begin().await?;
    let (secret, signed_in) = sessions::begin(app, &tx, Whose::User(&user), visitor).await?;
    let change = Change::by(visitor, "login", Some(signed_in.session.id.to_string()));
    audit::record(app, &tx, signed_in.actor, change).await?;
    tx.commit().await?;
    let device = known_device::of(app, visitor, &email);
    Ok(Step::In(Box::new(SignedIn { secret, device, actor: signed_in.actor, user })))
}

fn ticket(app: &App, user: &User) -> String {
    let ticket = Ticket { user: user.id, password: fingerprint(user), until: app.clock.now().plus(SECOND_STEP) };
    app.vault.seal(&serde_json::to_string(&ticket).expect("it is plain text"), TICKET)
}

fn open(app: &App, sealed: &str) -> Option<Ticket> {
    let ticket: Ticket = serde_json::from_str(&app.vault.open(sealed, TICKET).ok()?).ok()?;
    (app.clock.now() < ticket.until).then_some(ticket)
}

/// Whether the second step may be tried again.
pub fn is_good(app: &App, ticket: &str) -> bool {
    open(app, ticket).is_some()
}

fn fingerprint(user: &User) -> String {
    api_key::hash(user.password_hash.as_deref().unwrap_or_default())
}

/// Whether a login link would still work. Asking does not use it up: that is for a browser, not for what looks ahead.
pub async fn link_works(app: &App, token: &str) -> Result<bool, Error> {
    let found = storage::people::tokens::find(app.db.reader(), &api_key::hash(token), app.clock.now()).await?;
    match found {
        Some(Purpose::SignIn { opened_by, opener, .. }) => {
            link_stands(app, opened_by.as_deref(), opener.as_deref()).await
        }
        _ => Ok(false),
    }
}

/// Whether who made a login link may still open what it opens.
async fn link_stands(app: &App, opened_by: Option<&str>, opener: Option<&str>) -> Result<bool, Error> {
    let opener = opener.or(opened_by).and_then(Opener::from_name);
    Ok(live_session::still_opens(app.db.reader(), opener, opened_by.is_none(), app.clock.now()).await?)
}

/// Uses a login link up. Returns the cookie's secret and where to go.
pub async fn by_link(app: &App, visitor: &Visitor, token: &str) -> Result<(String, String), Error> {
    let hash = api_key::hash(token);
    if !link_works(app, token).await? {
        return Err(AuthError::LinkUsed.into());
    }
    let tx = app.db.begin().await?;
    let taken = storage::people::tokens::take(&tx, &hash, app.clock.now()).await?;
    let Some(Purpose::SignIn { affiliate, next, opened_by, opener }) = taken else {
        return Err(AuthError::LinkUsed.into());
    };
    let opener = opener.or_else(|| opened_by.clone());
    let body = serde_json::json!({"opened_by": opener, "read_only": opened_by.is_some()});
    let opener = opener.as_deref().and_then(Opener::from_name);
    let whose = Whose::Affiliate { id: affiliate, opened_by, opener };
    let (secret, signed_in) = sessions::begin(app, &tx, whose, visitor).await?;
    let change = Change::by(visitor, "sign_in_by_link", Some(signed_in.session.id.to_string()));
    let change = Change { body, ..change };
    audit::record(app, &tx, signed_in.actor, change).await?;
    tx.commit().await?;
    Ok((secret, next))
}
