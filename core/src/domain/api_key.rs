//! API keys: 256 random bits, of which only a hash is kept.

use sha2::{Digest, Sha256};

use crate::clock::Timestamp;
use crate::ids::{AffiliateId, KeyId};

use super::actor::{Actor, Proof};
use super::permission::Role;

pub const PREFIX: &str = "prk_";

#[derive(Clone, Debug)]
pub struct ApiKey {
    pub id: KeyId,
    pub name: String,
    pub role: Role,
    /// Whose it is, for the role affiliate.
    pub affiliate_id: Option<AffiliateId>,
    pub hash: String,
    /// The last four characters, to tell keys apart.
    pub hint: String,
    pub created_at: Timestamp,
    pub revoked_at: Option<Timestamp>,
}

impl ApiKey {
    /// `None` for a row that contradicts itself: it opens nothing.
    pub fn actor(&self) -> Option<Actor> {
        Actor::new(Proof::Key { id: self.id, user: None }, self.role, self.affiliate_id)
    }
}

/// A new secret, to be shown once.
pub fn secret(random: [u8; 32]) -> String {
    format!("{PREFIX}{}", hex(&random))
}

/// A plain SHA-256: a slow hash protects guessable passwords, and 256 random bits can't be guessed.
pub fn hash(secret: &str) -> String {
    hex(&Sha256::digest(secret.as_bytes()))
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
