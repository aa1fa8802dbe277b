//! Sessions: a signed-in browser, for a limited time. 256 random bits in a cookie, of which only a hash is stored.

use std::time::Duration;

use crate::ids::{AffiliateId, KeyId, SessionId, UserId};
use crate::timestamp::Timestamp;

use super::actor::{Actor, Proof};

/// A session ends if it is not used for this long.
pub const IDLE: Duration = Duration::from_secs(12 * 3_600);
/// The longest duration of a session.
pub const ABSOLUTE: Duration = Duration::from_secs(7 * 24 * 3_600);
/// The resolution of a session's last use.
pub const SEEN_EVERY: Duration = Duration::from_secs(60);

/// A session as it is stored.
#[derive(Clone, Debug)]
pub struct Session {
    /// Id of the session.
    pub id: SessionId,
    /// Hash of the token in the cookie.
    pub hash: String,
    /// The person that signed in.
    pub user_id: Option<UserId>,
    /// For a session from a login link: the affiliate of the customer, who has no user.
    pub affiliate_id: Option<AffiliateId>,
    /// The address at sign-in.
    pub address: Option<String>,
    /// The user agent at sign-in.
    pub user_agent: Option<String>,
    /// When it began.
    pub created_at: Timestamp,
    /// Its last use, to the minute.
    pub last_seen_at: Timestamp,
    /// When it ends at the latest.
    pub expires_at: Timestamp,
    /// When it was revoked.
    pub revoked_at: Option<Timestamp>,
    /// The member of staff who opened it; the session is then read-only.
    pub opened_by: Option<String>,
    /// Who created its login link; `None` for some sessions of older releases.
    pub opener: Option<Opener>,
}

/// Who created a login link. The sessions that it opened end when the opener may no longer open sessions.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Opener {
    /// The operator of the server: the key in its settings, or its command line.
    Server,
    /// A user.
    User(UserId),
    /// An API key.
    Key(KeyId),
}

impl Opener {
    /// The opener for a caller; `None` for callers that can't create login links.
    pub fn of(actor: Actor) -> Option<Self> {
        match actor.proof {
            Proof::Bootstrap | Proof::CommandLine => Some(Self::Server),
            Proof::Key { id, .. } => Some(Self::Key(id)),
            Proof::Session { user: Some(user), .. } => Some(Self::User(user)),
            Proof::Session { user: None, .. } | Proof::Link { .. } => None,
        }
    }

    /// Parses [`Actor::name`].
    pub fn from_name(name: &str) -> Option<Self> {
        match name {
            "bootstrap" | "command line" => Some(Self::Server),
            name => name.parse().map(Self::User).or_else(|_| name.parse().map(Self::Key)).ok(),
        }
    }

    /// The name in the database.
    pub fn name(self) -> String {
        match self {
            Self::Server => "bootstrap".to_owned(),
            Self::User(id) => id.to_string(),
            Self::Key(id) => id.to_string(),
        }
    }
}

impl Session {
    /// Whether it is neither revoked nor expired nor idle at `now`.
    pub fn is_live(&self, now: Timestamp) -> bool {
        self.revoked_at.is_none() && now < self.expires_at && now.since(self.last_seen_at) < IDLE
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_session_ends_by_idle_time_or_age() {
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
