//! Signing in: with a password and a second factor, or with a login link.

use crate::app::App;
use crate::domain::api_key;
use crate::domain::user::{PASSWORD_BYTES_MAX, User, UserStatus, normal_email};
use crate::services::Error;
use crate::storage;
use crate::storage::tokens::Purpose;

use super::sessions::{SignedIn, Whose};
use super::throttling::{self, Attempt};
use super::{AuthError, Visitor, second_factor, sessions};

pub struct Credentials {
    pub email: String,
    pub password: String,
    /// Of the second factor, or a recovery code.
    pub code: Option<String>,
}

/// Says the same, and takes as long, for an unknown address and for a wrong password.
pub async fn sign_in(app: &App, visitor: &Visitor, given: Credentials) -> Result<(String, SignedIn, User), Error> {
    let email = normal_email(&given.email);
    let attempt = Attempt::of_account(&email, visitor.address);
    throttling::begin(app, &attempt).await?;
    let user = storage::users::find_by_email(app.db.reader(), &email).await?;
    let hash = user.as_ref().and_then(|user| user.password_hash.clone());
    let password = if given.password.len() > PASSWORD_BYTES_MAX { String::new() } else { given.password };
    let matches = app.passwords.verify(password, hash).await?;
    let user = user.filter(|_| matches).ok_or(AuthError::SignInFailed)?;
    // Whoever knows the password may know what is wrong with the account.
    match user.status {
        UserStatus::Active => {}
        UserStatus::Waiting => return Err(AuthError::WaitingForApproval.into()),
        UserStatus::Disabled | UserStatus::Invited => return Err(AuthError::Disabled.into()),
    }
    if user.has_second_factor() {
        let code = given.code.filter(|code| !code.trim().is_empty()).ok_or(AuthError::SecondFactorNeeded)?;
        if !second_factor::check(app, &user, &code).await? {
            return Err(AuthError::SignInFailed.into());
        }
    }
    throttling::succeeded(app, &attempt).await?;
    let (secret, signed_in) = sessions::begin(app, Whose::User(&user), visitor).await?;
    Ok((secret, signed_in, user))
}

/// Whether a login link would still work. Asking does not use it up: that is for a browser, not for what looks ahead.
pub async fn link_works(app: &App, token: &str) -> Result<bool, Error> {
    let found = storage::tokens::find(app.db.reader(), &api_key::hash(token), app.clock.now()).await?;
    Ok(matches!(found, Some(Purpose::SignIn { .. })))
}

/// Uses a login link up. Returns the cookie's secret, the session and where to go.
pub async fn by_link(app: &App, visitor: &Visitor, token: &str) -> Result<(String, SignedIn, String), Error> {
    let hash = api_key::hash(token);
    if !link_works(app, token).await? {
        return Err(AuthError::LinkUsed.into());
    }
    let taken = storage::tokens::take(app.db.writer(), &hash, app.clock.now()).await?;
    let Some(Purpose::SignIn { affiliate, next }) = taken else { return Err(AuthError::LinkUsed.into()) };
    let (secret, signed_in) = sessions::begin(app, Whose::Affiliate(affiliate), visitor).await?;
    Ok((secret, signed_in, next))
}
