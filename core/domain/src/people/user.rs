//! Users: people who sign in. What a person may do follows from its role; see [`super::permission`].

use serde::{Deserialize, Serialize};

use crate::ids::{AffiliateId, UserId};
use crate::timestamp::Timestamp;

use super::permission::Role;

pub const PASSWORD_CHARS_MIN: usize = 10;
/// Longer ones would only cost time to hash.
pub const PASSWORD_BYTES_MAX: usize = 200;

#[derive(Clone, Debug)]
pub struct User {
    pub id: UserId,
    /// As [`normal_email`] has it.
    pub email: String,
    pub name: String,
    pub role: Role,
    /// Whose person it is, for the role affiliate. A registration that waits for its approval has none yet.
    pub affiliate_id: Option<AffiliateId>,
    pub status: UserStatus,
    pub password_hash: Option<String>,
    /// The second factor, sealed.
    pub totp_secret: Option<String>,
    /// A second factor that has not been confirmed with a code, sealed.
    pub totp_pending: Option<String>,
    pub created_at: Timestamp,
    pub updated_at: Timestamp,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum UserStatus {
    /// Has not chosen a password yet.
    Invited,
    /// Registered, and waits for an approval.
    Waiting,
    Active,
    Disabled,
}

text_enum!(UserStatus {
    Invited => "invited",
    Waiting => "waiting",
    Active => "active",
    Disabled => "disabled",
});

impl User {
    pub fn is_active(&self) -> bool {
        self.status == UserStatus::Active
    }

    /// Without one of these nobody can make owners any more.
    pub fn is_working_owner(&self) -> bool {
        self.role == Role::Owner && self.is_active()
    }

    pub fn has_second_factor(&self) -> bool {
        self.totp_secret.is_some()
    }
}

/// An address is one account however it is typed. Mail servers that tell case apart do not exist.
pub fn normal_email(typed: &str) -> String {
    typed.trim().to_lowercase()
}

/// What is wrong with a password that somebody chooses.
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
        return Some("is too easy to guess; choose one that has nothing to do with the address".to_owned());
    }
    let rest = guessable.iter().fold(lower, |rest, word| rest.replace(word, ""));
    (rest.chars().count() < 6).then(|| "is too easy to guess; use several words".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn guessable_passwords_are_refused() {
        for bad in
            ["short", "aaaaaaaaaaaaaa", "password123456", "ada@example.com", "x".repeat(300).as_str(), "lovelace12"]
        {
            assert!(password_fault(bad, "lovelace@example.com").is_some() || bad.contains('@'), "{bad}");
        }
        assert!(password_fault("ada@example.com", "ada@example.com").is_some());
        assert_eq!(password_fault("correct horse battery", "ada@example.com"), None);
    }

    #[test]
    fn an_address_is_one_account_however_it_is_typed() {
        assert_eq!(normal_email(" Ada@Example.COM "), "ada@example.com");
    }
}
