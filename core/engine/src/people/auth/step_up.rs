//! Step-up authentication: a signed-in person proves the identity again before changes that a stolen session must not
//! make, such as payout details and new API keys.

use crate::Error;
use crate::app::App;
use domain::people::actor::{Actor, Proof};
use domain::people::auth_error::AuthError;

use super::{account, second_factor, throttling};

/// The proof in a request.
#[derive(Default)]
pub struct StepUpProof {
    pub password: Option<String>,
    /// A code of the second factor, or a recovery code.
    pub code: Option<String>,
}

/// The result of the step-up authentication.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum StepUpOutcome {
    Passed,
    /// The actor is a customer who signed in by a login link and has no password. A link that is sent to the mailbox of
    /// the affiliate must confirm the change.
    NeedsMail,
}

/// Checks the proof of an actor. The session of a person needs the password, and a code if there is a second factor;
/// attempts are throttled like sign-ins. A key needs no proof: its creation needed one, and a message about the change
/// is sent.
///
/// # Errors
/// A proof is missing or wrong.
pub async fn check(app: &App, actor: Actor, proof: StepUpProof) -> Result<StepUpOutcome, Error> {
    let user = match actor.proof {
        Proof::Session { user: Some(user), .. } => user,
        Proof::Session { user: None, .. } => return Ok(StepUpOutcome::NeedsMail),
        Proof::Bootstrap | Proof::Key { .. } | Proof::CommandLine | Proof::Link { .. } => {
            return Ok(StepUpOutcome::Passed);
        }
    };
    let password = proof.password.ok_or(AuthError::PasswordNeeded)?;
    let (user, attempt) = account::check_password_of(app, user, password).await?;
    if user.has_second_factor() {
        let code = proof.code.filter(|code| !code.trim().is_empty()).ok_or(AuthError::SecondFactorNeeded)?;
        if !second_factor::check(app, &user, &code).await? {
            return Err(AuthError::WrongCode.into());
        }
    }
    throttling::succeeded(app, &attempt).await?;
    Ok(StepUpOutcome::Passed)
}
