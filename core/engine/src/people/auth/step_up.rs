//! Proving once more who asks, for what a stolen session must not do: where the money goes, and new API keys.

use crate::Error;
use crate::app::App;
use crate::people::auth::account;
use domain::people::actor::{Actor, Proof};
use domain::people::auth_error::AuthError;

use super::{second_factor, throttling};

/// What came with the request.
#[derive(Default)]
pub struct Given {
    pub password: Option<String>,
    /// Of the second factor, or a recovery code.
    pub code: Option<String>,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Proven {
    Now,
    /// A customer, who came by a login link and has no password: a link to the affiliate's mailbox is to prove it.
    ByMail,
}

/// A person's session needs the password, and the code where there is a second factor; guessing is throttled like
/// signing in. A key does what its permissions say: making it needed the same proof, and a message tells of the change.
pub async fn prove(app: &App, actor: Actor, given: Given) -> Result<Proven, Error> {
    let user = match actor.proof {
        Proof::Session { user: Some(user), .. } => user,
        Proof::Session { user: None, .. } => return Ok(Proven::ByMail),
        Proof::Bootstrap | Proof::Key { .. } | Proof::CommandLine | Proof::Link { .. } => return Ok(Proven::Now),
    };
    let password = given.password.ok_or(AuthError::PasswordNeeded)?;
    let (user, attempt) = account::check_password_of(app, user, password).await?;
    if user.has_second_factor() {
        let code = given.code.filter(|code| !code.trim().is_empty()).ok_or(AuthError::SecondFactorNeeded)?;
        if !second_factor::check(app, &user, &code).await? {
            return Err(AuthError::WrongCode.into());
        }
    }
    throttling::succeeded(app, &attempt).await?;
    Ok(Proven::Now)
}
