//! Sign-in with a password and a second factor, or by a login link.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::Error;
use crate::app::App;
use crate::people::audit::{self, RequestedChange};
use crate::people::live_session;
use domain::ids::UserId;
use domain::people::actor::Actor;
use domain::people::api_key;
use domain::people::auth_error::AuthError;
use domain::people::session::Opener;
use domain::people::user::{PASSWORD_BYTES_MAX, User, UserStatus, normal_email};
use domain::timestamp::Timestamp;
use storage::people::tokens::Purpose;

use super::sessions::SessionOwner;
use super::throttling::{self, Attempt};
use super::{Visitor, account, known_device, second_factor, sessions};

/// The maximum time between the first and the second step.
const SECOND_STEP: Duration = Duration::from_secs(300);
/// The lifetime of a link of [`create_link`].
const PERSON_LINK: Duration = Duration::from_secs(24 * 3_600);
/// The purpose for which tickets are sealed.
const TICKET: &str = "sign-in ticket";

/// The credentials of a sign-in.
pub struct Credentials {
    pub email: String,
    pub evidence: Evidence,
    /// A code of the second factor, or a recovery code.
    pub code: Option<String>,
}

/// The proof of the first factor.
pub enum Evidence {
    Password(String),
    /// The ticket of [`SignInStep::CodeNeeded`], in the second step.
    Ticket(String),
}

/// A new session of a person.
pub struct SignedIn {
    /// The secret of the session cookie.
    pub secret: String,
    /// The cookie by which this browser is a known device from now on.
    pub device: String,
    pub actor: Actor,
    pub user: User,
}

/// The result of a step.
pub enum SignInStep {
    SignedIn(Box<SignedIn>),
    /// The password is right, and a code is needed. The ticket proves the first step, so that no page has to contain
    /// the password.
    CodeNeeded {
        ticket: String,
    },
}

/// The sealed proof of the first step. It expires after [`SECOND_STEP`], and when the password is changed.
#[derive(Serialize, Deserialize)]
struct Ticket {
    user: UserId,
    /// The hash of the stored password hash.
    password: String,
    until: Timestamp,
}

/// Signs in with both steps in one request.
pub async fn sign_in(app: &App, visitor: &Visitor, given: Credentials) -> Result<Box<SignedIn>, Error> {
    match step(app, visitor, given).await? {
        SignInStep::SignedIn(signed_in) => Ok(signed_in),
        SignInStep::CodeNeeded { .. } => Err(AuthError::SecondFactorNeeded.into()),
    }
}

/// Performs one step of a sign-in. Answer and work are the same for an unknown address and for a wrong password.
pub async fn step(app: &App, visitor: &Visitor, given: Credentials) -> Result<SignInStep, Error> {
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
    // Only a person who knows the password learns the status of the account.
    match user.status {
        UserStatus::Active => {}
        UserStatus::Waiting => return Err(AuthError::WaitingForApproval.into()),
        UserStatus::Disabled | UserStatus::Invited => return Err(AuthError::Disabled.into()),
    }
    if user.has_second_factor() {
        let Some(code) = given.code.filter(|code| !code.trim().is_empty()) else {
            return Ok(SignInStep::CodeNeeded { ticket: ticket(app, &user) });
        };
        if !second_factor::check(app, &user, &code).await? {
            return Err(AuthError::SignInFailed.into());
        }
    }
    throttling::succeeded(app, &attempt).await?;
    let tx = app.db.begin().await?;
    let (secret, signed_in) = sessions::begin(app, &tx, SessionOwner::User(&user), visitor).await?;
    let change = RequestedChange::by(visitor, "login", Some(signed_in.session.id.to_string()));
    audit::record(app, &tx, signed_in.actor, change).await?;
    tx.commit().await?;
    let device = known_device::of(app, visitor, &email);
    Ok(SignInStep::SignedIn(Box::new(SignedIn { secret, device, actor: signed_in.actor, user })))
}

fn ticket(app: &App, user: &User) -> String {
    let ticket = Ticket { user: user.id, password: fingerprint(user), until: app.clock.now().plus(SECOND_STEP) };
    app.vault.seal(&serde_json::to_string(&ticket).expect("it is plain text"), TICKET)
}

fn open(app: &App, sealed: &str) -> Option<Ticket> {
    let ticket: Ticket = serde_json::from_str(&app.vault.open(sealed, TICKET).ok()?).ok()?;
    (app.clock.now() < ticket.until).then_some(ticket)
}

/// Whether a ticket is valid, so that the second step can be tried again.
pub fn is_ticket_valid(app: &App, ticket: &str) -> bool {
    open(app, ticket).is_some()
}

fn fingerprint(user: &User) -> String {
    api_key::hash(user.password_hash.as_deref().unwrap_or_default())
}

/// Creates a link that signs a person in once, without a password. Only commands on the server itself call this: no
/// operation of the API creates such a link. It does not sign in a person with a second factor.
pub async fn create_link(app: &App, id: UserId) -> Result<String, Error> {
    let tx = app.db.begin().await?;
    let token = super::issue(app, &tx, &Purpose::SignInPerson { user: id }, PERSON_LINK).await?;
    tx.commit().await?;
    Ok(format!("{}/login/{token}", app.public_url))
}

fn may_sign_in_by_link(user: &User) -> bool {
    user.status == UserStatus::Active && !user.has_second_factor()
}

/// Whether a login link is valid. The link can still be used, so that a scanner or a preview does not use it up.
pub async fn is_link_valid(app: &App, token: &str) -> Result<bool, Error> {
    let found = storage::people::tokens::find(app.db.reader(), &api_key::hash(token), app.clock.now()).await?;
    match found {
        Some(Purpose::SignIn { opened_by, opener, .. }) => {
            may_maker_open(app, opened_by.as_deref(), opener.as_deref()).await
        }
        Some(Purpose::SignInPerson { user }) => Ok(may_sign_in_by_link(&account::get(app, user).await?)),
        _ => Ok(false),
    }
}

/// Whether the person or key that created a login link may still open its session.
async fn may_maker_open(app: &App, opened_by: Option<&str>, opener: Option<&str>) -> Result<bool, Error> {
    let opener = opener.or(opened_by).and_then(Opener::from_name);
    Ok(live_session::may_still_open(app.db.reader(), opener, opened_by.is_none(), app.clock.now()).await?)
}

/// Signs in by a login link and uses up the link. Returns the secret of the session cookie and the path to which the
/// browser is redirected.
pub async fn by_link(app: &App, visitor: &Visitor, token: &str) -> Result<(String, String), Error> {
    let hash = api_key::hash(token);
    if !is_link_valid(app, token).await? {
        return Err(AuthError::LinkUsed.into());
    }
    let tx = app.db.begin().await?;
    let taken = storage::people::tokens::redeem(&tx, &hash, app.clock.now()).await?;
    let (user, body, next);
    let owner = match taken {
        Some(Purpose::SignIn { affiliate, next: path, opened_by, opener }) => {
            let opener = opener.or_else(|| opened_by.clone());
            (body, next) = (serde_json::json!({"opened_by": opener, "read_only": opened_by.is_some()}), path);
            let opener = opener.as_deref().and_then(Opener::from_name);
            SessionOwner::Affiliate { id: affiliate, opened_by, opener }
        }
        Some(Purpose::SignInPerson { user: id }) => {
            user = account::lock(&tx, id).await?;
            if !may_sign_in_by_link(&user) {
                return Err(AuthError::LinkUsed.into());
            }
            (body, next) = (serde_json::json!({}), "/".to_owned());
            SessionOwner::User(&user)
        }
        _ => return Err(AuthError::LinkUsed.into()),
    };
    let (secret, signed_in) = sessions::begin(app, &tx, owner, visitor).await?;
    let change = RequestedChange::by(visitor, "sign_in_by_link", Some(signed_in.session.id.to_string()));
    let change = RequestedChange { body, ..change };
    audit::record(app, &tx, signed_in.actor, change).await?;
    tx.commit().await?;
    Ok((secret, next))
}
