//! Why a person can't sign in, or can't change an account.

use std::time::Duration;

/// Why a person can't sign in, or can't change an account.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AuthError {
    /// Address, password or code is wrong.
    #[error("the e-mail address, the password or the code is wrong; try again, or ask for a new password")]
    SignInFailed,
    /// The code of the second factor is missing.
    #[error("this account has a second factor; send the code of its app, or a recovery code, as `code`")]
    SecondFactorNeeded,
    /// Too many attempts.
    #[error("too many attempts; try again in {}", seconds(.wait))]
    TooManyAttempts {
        /// When the next attempt is allowed.
        wait: Duration,
    },
    /// The registration is not approved yet.
    #[error("the registration is waiting for approval; you will get an e-mail")]
    WaitingForApproval,
    /// The account is disabled.
    #[error("this account is disabled; ask the operator")]
    Disabled,
    /// Registration is switched off.
    #[error("registration is closed; ask the operator for an invitation")]
    RegistrationClosed,
    /// The link was used or has expired.
    #[error("this link was used already or has expired; ask for a new one")]
    LinkUsed,
    /// The operation needs a session of a person.
    #[error("an API key can't do this; sign in as a person")]
    NeedsPerson,
    /// The request comes from a page of another site.
    #[error("this request comes from another site; open this site and try again there")]
    CrossSite,
    /// The current password is wrong.
    #[error("the current password is wrong; try again")]
    WrongPassword,
    /// The code of the second factor is wrong or was used.
    #[error("the code is wrong or was used already; wait for the next one")]
    WrongCode,
    /// There is no second factor to confirm.
    #[error("request a second factor first, and then send its first code")]
    NoSecondFactor,
    /// The account has a second factor already.
    #[error("this account already has a second factor; remove it first")]
    HasSecondFactor,
    /// The program would have no owner left.
    #[error("this is the last owner; make somebody else an owner first")]
    LastOwner,
    /// The operation needs the password again.
    #[error("this needs your password; send it as `password`, and the code of a second factor as `code`")]
    PasswordNeeded,
    /// Too many passwords are being checked.
    #[error("too many people are signing in at the moment; try again")]
    Busy,
}

impl AuthError {
    /// The stable error code of the API.
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

/// The time in whole seconds, rounded up and at least 1, so that a retry after it is not too early.
pub fn whole_seconds(wait: Duration) -> u32 {
    u32::try_from(wait.as_millis().div_ceil(1_000)).unwrap_or(u32::MAX).max(1)
}

/// `1 second`, `20 seconds`.
pub(crate) fn seconds(wait: &Duration) -> String {
    match whole_seconds(*wait) {
        1 => "1 second".to_owned(),
        seconds => format!("{seconds} seconds"),
    }
}
