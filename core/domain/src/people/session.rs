//! Sessions: somebody who signed in, for a while. 256 random bits in a cookie, of which only a hash is kept.

use std::time::Duration;

use crate::ids::{AffiliateId, KeyId, SessionId, UserId};
use crate::timestamp::Timestamp;

use super::actor::{Actor, Proof};

/// Ends when nobody uses it for so long.
pub const IDLE: Duration = Duration::from_secs(12 * 3_600);
/// Ends in any case.
pub const ABSOLUTE: Duration = Duration::from_secs(7 * 24 * 3_600);
/// How exactly its last use is known.
pub const SEEN_EVERY: Duration = Duration::from_secs(60);

#[derive(Clone, Debug)]
pub struct Session {
    pub id: SessionId,
    pub hash: String,
    pub user_id: Option<UserId>,
    /// Of a login link, which signs in a customer that has no user.
    pub affiliate_id: Option<AffiliateId>,
    pub address: Option<String>,
    pub user_agent: Option<String>,
    pub created_at: Timestamp,
    pub last_seen_at: Timestamp,
    pub expires_at: Timestamp,
    pub revoked_at: Option<Timestamp>,
    /// The member of staff who opened it to look on: it reads only.
    pub opened_by: Option<String>,
    /// Who made the login link that began it; unknown of one from an older release that signed a customer in.
    pub opener: Option<Opener>,
}

/// Who opened the account of an affiliate, for itself or to look on. What it opened ends when it may open nothing more.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Opener {
    /// Who has the server itself: the key in its settings, or its command line.
    Server,
    User(UserId),
    Key(KeyId),
}

impl Opener {
    pub fn of(actor: Actor) -> Option<Self> {
        match actor.proof {
            Proof::Bootstrap | Proof::CommandLine => Some(Self::Server),
            Proof::Key { id, .. } => Some(Self::Key(id)),
            Proof::Session { user: Some(user), .. } => Some(Self::User(user)),
            Proof::Session { user: None, .. } | Proof::Link { .. } => None,
        }
    }

    /// As [`Actor::name`] has it.
    pub fn from_name(name: &str) -> Option<Self> {
        match name {
            "bootstrap" | "command line" => Some(Self::Server),
            name => name.parse().map(Self::User).or_else(|_| name.parse().map(Self::Key)).ok(),
        }
    }

    pub fn name(self) -> String {
        match self {
            Self::Server => "bootstrap".to_owned(),
            Self::User(id) => id.to_string(),
            Self::Key(id) => id.to_string(),
        }
    }
}

impl Session {
    pub fn is_live(&self, now: Timestamp) -> bool {
        self.revoked_at.is_none() && now < self.expires_at && now.since(self.last_seen_at) < IDLE
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_session_ends_idle_or_old() {
        let start = Timestamp::from_millis(1_773_144_000_000);
        let mut session = Session {
            id: SessionId::new(start),
            hash: String::new(),
            user_id: None,
            affiliate_id: None,
            address: None,
            user_agent: None,
            created_at: start,
            last_seen_at: start,
            expires_at: start.plus(ABSOLUTE),
            revoked_at: None,
            opened_by: None,
            opener: None,
        };
        assert!(session.is_live(start));
        assert!(!session.is_live(start.plus(IDLE)));
        session.last_seen_at = start.plus(ABSOLUTE);
        assert!(!session.is_live(start.plus(ABSOLUTE)));
        session.revoked_at = Some(start);
        assert!(!session.is_live(start));
    }

    #[test]
    fn an_opener_is_found_by_its_name() {
        let (user, key) = (UserId(uuid::Uuid::from_u128(1)), KeyId(uuid::Uuid::from_u128(2)));
        for opener in [Opener::Server, Opener::User(user), Opener::Key(key)] {
            assert_eq!(Opener::from_name(&opener.name()), Some(opener));
        }
        assert_eq!(Opener::from_name("nobody"), None);
    }
}
