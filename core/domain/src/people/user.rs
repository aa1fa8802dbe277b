//! Users: people who sign in. A person's permissions follow from the role: see [`super::permission`].

use serde::{Deserialize, Serialize};

use crate::ids::{AffiliateId, UserId};
use crate::timestamp::Timestamp;

use super::mail::{self, MailChoices};
use super::permission::Role;
use super::preferences::Preferences;

/// The fewest characters of a password.
pub(crate) const PASSWORD_CHARS_MIN: usize = 10;
/// The most bytes of a password; longer ones would only take time to hash.
pub const PASSWORD_BYTES_MAX: usize = 200;

/// A user as it is stored.
#[derive(Clone, Debug)]
pub struct User {
    /// Id of the user.
    pub id: UserId,
    /// The e-mail address, normalised by [`normal_email`].
    pub email: String,
    /// The name that people see.
    pub name: String,
    /// The role.
    pub role: Role,
    /// The affiliate, for the role affiliate; `None` while the registration waits for approval.
    pub affiliate_id: Option<AffiliateId>,
    /// The current status.
    pub status: UserStatus,
    /// Hash of the password.
    pub password_hash: Option<String>,
    /// The secret of the second factor, sealed.
    pub totp_secret: Option<String>,
    /// The secret of a second factor that is not confirmed yet, sealed.
    pub totp_pending: Option<String>,
    /// How the person wants to see the pages.
    pub preferences: Preferences,
    /// The messages that the person wants.
    pub mails: MailChoices,
    /// When the next weekly summary is due; `None` if the person wants none.
    pub summary_at: Option<Timestamp>,
    /// When it was created.
    pub created_at: Timestamp,
    /// When it last changed.
    pub updated_at: Timestamp,
}

/// The status of a user. `invited`: the person has not chosen a password yet. `waiting`: the person has registered, and
/// the registration waits for approval. `active`: the person can sign in. `disabled`: the person cannot sign in.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum UserStatus {
    /// Has not chosen a password yet.
    Invited,
    /// Has registered and waits for approval.
    Waiting,
    /// Can sign in.
    Active,
    /// Can't sign in.
    Disabled,
}

text_enum!(UserStatus {
    Invited => "invited",
    Waiting => "waiting",
    Active => "active",
    Disabled => "disabled",
});

impl User {
    /// Whether the user can sign in.
    pub fn is_active(&self) -> bool {
        self.status == UserStatus::Active
    }

    /// Whether the user is an active owner. The program needs at least one.
    pub fn is_working_owner(&self) -> bool {
        self.role == Role::Owner && self.is_active()
    }

    /// Fails if there is no invitation that could be sent again.
    pub fn check_invited(&self) -> Result<(), NotInvited> {
        match self.status {
            UserStatus::Invited => Ok(()),
            UserStatus::Waiting => Err(NotInvited::Registered),
            UserStatus::Active => Err(NotInvited::Accepted),
            UserStatus::Disabled => Err(NotInvited::Disabled),
        }
    }

    /// Sets preferences and wanted messages. The weekly summary is due next in the zone of the person.
    pub fn choose(&mut self, preferences: Preferences, mails: MailChoices, now: Timestamp) {
        let same_zone = self.preferences.time_zone == preferences.time_zone;
        let due = self.summary_at.filter(|_| same_zone);
        let next = || mail::next_summary(now, preferences.time_zone.unwrap_or_default());
        self.summary_at = mails.weekly_summary.then(|| due.unwrap_or_else(next));
        (self.preferences, self.mails) = (preferences, mails);
    }

    /// Whether sign-in needs a second factor.
    pub fn has_second_factor(&self) -> bool {
        self.totp_secret.is_some()
    }
}

/// Why a user can't be invited again.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum NotInvited {
    /// The person has chosen a password.
    #[error(
        "this person has accepted the invitation already; for a new password, the person uses the page /forgot-password"
    )]
    Accepted,
    /// The person has registered.
    #[error("this person has registered and was not invited; approve the registration instead")]
    Registered,
    /// The user is disabled.
    #[error("this user is disabled; set the status to active first")]
    Disabled,
}

impl NotInvited {
    /// The stable error code of the API.
    pub fn code(self) -> &'static str {
        "not_invited"
    }
}

/// The normalised form of an e-mail address: trimmed, in lower case. No relevant mail server distinguishes case.
pub fn normal_email(typed: &str) -> String {
    typed.trim().to_lowercase()
}

/// Why a new password is not acceptable, as the end of a sentence.
pub fn password_fault(password: &str, email: &str) -> Option<String> {
    let lower = password.to_lowercase();
    let name = email.split('@').next().unwrap_or_default();
    if password.chars().count() < PASSWORD_CHARS_MIN || password.len() > PASSWORD_BYTES_MAX {
        return Some(format!(
            "must have at least {PASSWORD_CHARS_MIN} characters and at most {PASSWORD_BYTES_MAX} bytes"
        ));
    }
    let mut distinct: Vec<char> = lower.chars().collect();
    distinct.sort_unstable();
    distinct.dedup();
    let guessable = ["password", "passwort", "qwertz", "qwerty", "123456", "letmein", "postrider"];
    if distinct.len() < 5
        || lower == email
        || (name.len() > 3 && lower.starts_with(name) && lower.len() < name.len() + 6)
    {
        return Some("is too easy to guess; choose one that is not derived from the e-mail address".to_owned());
    }
    let rest = guessable.iter().fold(lower, |rest, word| rest.replace(word, ""));
    (rest.chars().count() < 6).then(|| "is too easy to guess; use several words".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn guessable_passwords_are_refused() {
        for (bad, email) in [
            ("short", "lovelace@example.com"),
            ("aaaaaaaaaaaaaa", "lovelace@example.com"),
            ("password123456", "lovelace@example.com"),
            ("x".repeat(300).as_str(), "lovelace@example.com"),
            ("lovelace12", "lovelace@example.com"),
            ("ada@example.com", "ada@example.com"),
            ("Ada@Example.com", "ada@example.com"),
        ] {
            assert!(password_fault(bad, email).is_some(), "{bad}");
        }
        assert_eq!(password_fault("correct horse battery", "ada@example.com"), None);
    }

    #[test]
    fn spellings_of_an_address_are_one_account() {
        assert_eq!(normal_email(" Ada@Example.COM "), "ada@example.com");
    }
}
