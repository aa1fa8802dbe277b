//! API keys: 256 random bits, of which only a hash is kept. A key never allows more than its role, and a person's
//! key never more than that person's role at this moment.

use std::time::Duration;

use sha2::{Digest, Sha256};

use crate::ids::{AffiliateId, KeyId, UserId};
use crate::timestamp::Timestamp;

use super::actor::{Actor, Proof};
use super::grant::Power;
use super::permission::{Permission, Role};
use super::user::User;

pub const PREFIX: &str = "prk_";

/// How exactly a key's last use is known. Noting it costs one statement a minute and key, and nobody waits for it.
pub const USED_EVERY: Duration = Duration::from_secs(60);

#[derive(Clone, Debug)]
pub struct ApiKey {
    pub id: KeyId,
    pub name: String,
    /// Whose it is; without one it is the program's or an affiliate's.
    pub user_id: Option<UserId>,
    /// Of a person's key, the role at the time when it was made: what counts is the person's of today.
    pub role: Role,
    /// For the role affiliate.
    pub affiliate_id: Option<AffiliateId>,
    /// What it is limited to; without any, to its role.
    pub scopes: Option<Vec<Permission>>,
    pub hash: String,
    /// The last four characters, to tell keys apart.
    pub hint: String,
    pub created_at: Timestamp,
    pub expires_at: Option<Timestamp>,
    /// To the minute.
    pub last_used_at: Option<Timestamp>,
    pub revoked_at: Option<Timestamp>,
    /// Whether its login links sign customers in for good, see [`super::grant::key_vouches`]. A key from before that
    /// question says nothing: its own links do, and it makes no keys that do.
    pub vouches: Option<bool>,
}

impl ApiKey {
    pub fn is_live(&self, now: Timestamp) -> bool {
        self.revoked_at.is_none() && self.expires_at.is_none_or(|at| now < at)
    }

    /// What it allowed at most when it was made.
    pub fn power(&self) -> Power {
        self.power_as(self.role)
    }

    /// What it allows at most while its person has this role.
    pub fn power_as(&self, role: Role) -> Power {
        let of_role = Power::of_role(role);
        match &self.scopes {
            Some(scopes) => Power { permissions: of_role.permissions.and(scopes.iter().copied().collect()), ..of_role },
            None => of_role,
        }
    }

    /// `None` for a key whose person may not sign in, and for a row that contradicts itself: it opens nothing.
    pub fn actor(&self, user: Option<&User>) -> Option<Actor> {
        let (role, affiliate_id) = match (self.user_id, user) {
            (None, _) => (self.role, self.affiliate_id),
            (Some(id), Some(user)) if user.id == id && user.is_active() => (user.role, user.affiliate_id),
            (Some(_), _) => return None,
        };
        let actor = Actor::new(Proof::Key { id: self.id, user: self.user_id }, role, affiliate_id)?;
        let actor = match self.vouches {
            Some(vouches) => actor.vouching(vouches),
            None => actor.vouching_alone(),
        };
        Some(match &self.scopes {
            Some(scopes) => actor.limited_to(scopes.iter().copied().collect()),
            None => actor,
        })
    }
}

/// A new secret, to be shown once.
pub fn secret(random: [u8; 32]) -> String {
    format!("{PREFIX}{}", hex(&random))
}

/// 256 bits for a cookie or a one-time link.
pub fn token(random: [u8; 32]) -> String {
    hex(&random)
}

/// A plain SHA-256: a slow hash protects guessable passwords, and 256 random bits can't be guessed.
pub fn hash(secret: &str) -> String {
    hex(&Sha256::digest(secret.as_bytes()))
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
