//! API keys: 256 random bits, of which only a hash is stored. A key never allows more than its role, and a person's key
//! never more than that person's current role.

use std::time::Duration;

use sha2::{Digest, Sha256};

use crate::ids::{AffiliateId, KeyId, UserId};
use crate::timestamp::Timestamp;

use super::actor::{Actor, Proof};
use super::grant::Power;
use super::permission::{Permission, Role};
use super::user::User;

/// The prefix of every key.
pub const PREFIX: &str = "prk_";

/// The resolution of a key's last use: one asynchronous statement per minute and key.
pub const USED_EVERY: Duration = Duration::from_secs(60);

/// An API key as it is stored.
#[derive(Clone, Debug)]
pub struct ApiKey {
    /// Id of the key.
    pub id: KeyId,
    /// The name that people see.
    pub name: String,
    /// The person that it belongs to; `None` for keys of the program or of an affiliate.
    pub user_id: Option<UserId>,
    /// Its role. For a person's key, the role at its creation: the person's current role applies instead.
    pub role: Role,
    /// The affiliate, for the role affiliate.
    pub affiliate_id: Option<AffiliateId>,
    /// The permissions that it is limited to; `None` for all permissions of its role.
    pub scopes: Option<Vec<Permission>>,
    /// Hash of the secret: see [`hash`].
    pub hash: String,
    /// The last four characters, to distinguish keys.
    pub hint: String,
    /// When it was created.
    pub created_at: Timestamp,
    /// When it expires.
    pub expires_at: Option<Timestamp>,
    /// Its last use, to the minute.
    pub last_used_at: Option<Timestamp>,
    /// When it was revoked.
    pub revoked_at: Option<Timestamp>,
    /// Whether its login links open full sessions for customers: see [`super::grant::key_vouches`]. `None` for keys of
    /// older releases: they vouch, but the keys that they create don't.
    pub vouches: Option<bool>,
}

impl ApiKey {
    /// Whether it is neither revoked nor expired.
    pub fn is_live(&self, now: Timestamp) -> bool {
        self.revoked_at.is_none() && self.expires_at.is_none_or(|at| now < at)
    }

    /// The most that it allowed at its creation.
    pub fn power(&self) -> Power {
        self.power_as(self.role)
    }

    /// The most that it allows while its person has this role.
    pub fn power_as(&self, role: Role) -> Power {
        let of_role = Power::of_role(role);
        match &self.scopes {
            Some(scopes) => Power { permissions: of_role.permissions.and(scopes.iter().copied().collect()), ..of_role },
            None => of_role,
        }
    }

    /// The caller with this key. `None` if its person is not active, or if the row is inconsistent.
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

/// A new key, which is shown once.
pub fn secret(random: [u8; 32]) -> String {
    format!("{PREFIX}{}", hex(&random))
}

/// 256 bits in hexadecimal for a cookie or a one-time link.
pub fn token(random: [u8; 32]) -> String {
    hex(&random)
}

/// SHA-256 in hexadecimal. A slow hash would protect guessable passwords, but 256 random bits can't be guessed.
pub fn hash(secret: &str) -> String {
    hex(&Sha256::digest(secret.as_bytes()))
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
