//! Why somebody does not get in, or may not do something with an account.

use std::time::Duration;

#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AuthError {
    #[error("the e-mail address, the password or the code is wrong; try again, or ask for a new password")]
    SignInFailed,
    #[error("this account has a second factor; send the code of its app, or a recovery code, as `code`")]
    SecondFactorNeeded,
    #[error("too many attempts; try again in {}", seconds(.wait))]
    TooManyAttempts { wait: Duration },
    #[error("the registration waits for an approval; a message will follow")]
    WaitingForApproval,
    #[error("this account is disabled; ask the operator")]
    Disabled,
    #[error("nobody can register here; ask the operator for an invitation")]
    RegistrationClosed,
    #[error("this link was used already or has expired; ask for a new one")]
    LinkUsed,
    #[error("an API key can't do this; sign in as a person")]
    NeedsPerson,
    #[error("this request comes from another site; open ours and try there")]
    CrossSite,
    #[error("the present password is wrong; try again")]
    WrongPassword,
    #[error("the code is wrong or was used already; wait for the next one")]
    WrongCode,
    #[error("ask for a second factor first, and then send its first code")]
    NoSecondFactor,
    #[error("this account has a second factor; take that one away first")]
    HasSecondFactor,
    #[error("this is the last owner; make somebody else an owner first")]
    LastOwner,
    #[error("this needs your password; send it as `password`, and the code of a second factor as `code`")]
    PasswordNeeded,
    #[error("too many people sign in at this moment; try again")]
    Busy,
}

impl AuthError {
    pub fn code(&self) -> &'static str {
        match self {
            Self::SignInFailed => "sign_in_failed",
            Self::SecondFactorNeeded => "second_factor_needed",
            Self::TooManyAttempts { .. } => "too_many_attempts",
            Self::WaitingForApproval => "waiting_for_approval",
            Self::Disabled => "user_disabled",
            Self::RegistrationClosed => "registration_closed",
            Self::LinkUsed => "link_used",
            Self::NeedsPerson => "needs_person",
            Self::CrossSite => "cross_site",
            Self::WrongPassword => "wrong_password",
            Self::WrongCode => "wrong_code",
            Self::NoSecondFactor => "no_second_factor",
            Self::HasSecondFactor => "has_second_factor",
            Self::LastOwner => "last_owner",
            Self::PasswordNeeded => "password_needed",
            Self::Busy => "busy",
        }
    }
}

/// Whole ones and never too few: who comes back after them is let in.
pub fn whole_seconds(wait: Duration) -> u32 {
    u32::try_from(wait.as_millis().div_ceil(1_000)).unwrap_or(u32::MAX).max(1)
}

fn seconds(wait: &Duration) -> String {
    match whole_seconds(*wait) {
        1 => "1 second".to_owned(),
        seconds => format!("{seconds} seconds"),
    }
}
