//! Who asks. An affiliate sees and changes only its own; someone else's object does not exist for it.

use crate::ids::{AffiliateId, KeyId};

/// The holder of an API key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Actor {
    /// `key` is absent for the bootstrap key, which lives in the settings.
    Admin {
        key: Option<KeyId>,
    },
    Affiliate {
        key: KeyId,
        affiliate_id: AffiliateId,
    },
}

impl Actor {
    pub fn is_admin(self) -> bool {
        matches!(self, Self::Admin { .. })
    }

    /// The affiliate that everything must belong to, or `None` for an admin, who sees all.
    pub fn confined_to(self) -> Option<AffiliateId> {
        match self {
            Self::Admin { .. } => None,
            Self::Affiliate { affiliate_id, .. } => Some(affiliate_id),
        }
    }

    pub fn may_see(self, owner: AffiliateId) -> bool {
        self.confined_to().is_none_or(|own| own == owner)
    }

    /// A stable name, to keep one caller's idempotency keys apart from another's.
    pub fn name(self) -> String {
        match self {
            Self::Admin { key: None } => "bootstrap".into(),
            Self::Admin { key: Some(key) } | Self::Affiliate { key, .. } => key.to_string(),
        }
    }
}
