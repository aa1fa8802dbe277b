//! Who asks. An affiliate sees and changes only its own; someone else's object does not exist for it.

use crate::ids::{AffiliateId, KeyId, SessionId, UserId};

use super::permission::{Denied, Permission, Permissions, Role};

/// How the caller proved who it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Proof {
    /// The key that lives in the settings.
    Bootstrap,
    /// `user` is the person whose key it is; without one it is the program's or an affiliate's.
    Key {
        id: KeyId,
        user: Option<UserId>,
    },
    Session {
        id: SessionId,
        user: UserId,
    },
}

/// Somebody with a valid key or session, and what that allows at this moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Actor {
    pub proof: Proof,
    pub role: Role,
    /// Present if and only if the role is affiliate.
    affiliate_id: Option<AffiliateId>,
    /// What the role grants, less what a key's scopes leave out.
    permissions: Permissions,
}

impl Actor {
    /// `None` for an affiliate's role without an affiliate, who could see everything or nothing.
    pub fn new(proof: Proof, role: Role, affiliate_id: Option<AffiliateId>) -> Option<Self> {
        let consistent = role.is_staff() == affiliate_id.is_none();
        consistent.then(|| Self { proof, role, affiliate_id, permissions: role.permissions() })
    }

    pub fn bootstrap() -> Self {
        Self::new(Proof::Bootstrap, Role::Owner, None).expect("an owner has no affiliate")
    }

    /// The same with nothing beyond `scopes`.
    pub fn limited_to(self, scopes: Permissions) -> Self {
        Self { permissions: self.permissions.and(scopes), ..self }
    }

    pub fn require(self, permission: Permission) -> Result<(), Denied> {
        if self.permissions.contains(permission) {
            Ok(())
        } else if self.role.grants(permission) {
            Err(Denied::Scope { permission })
        } else {
            Err(Denied::Role { role: self.role, permission })
        }
    }

    pub fn may(self, permission: Permission) -> bool {
        self.permissions.contains(permission)
    }

    pub fn permissions(self) -> Permissions {
        self.permissions
    }

    /// Somebody of the program, who sees all affiliates and what affiliates are not shown.
    pub fn is_staff(self) -> bool {
        self.role.is_staff()
    }

    /// The former name of [`Self::is_staff`].
    pub fn is_admin(self) -> bool {
        self.is_staff()
    }

    /// The affiliate that everything must belong to, or `None` for the program's people, who see all.
    pub fn confined_to(self) -> Option<AffiliateId> {
        self.affiliate_id
    }

    pub fn may_see(self, owner: AffiliateId) -> bool {
        self.confined_to().is_none_or(|own| own == owner)
    }

    /// The person, where there is one.
    pub fn user(self) -> Option<UserId> {
        match self.proof {
            Proof::Bootstrap => None,
            Proof::Key { user, .. } => user,
            Proof::Session { user, .. } => Some(user),
        }
    }

    /// A stable name, to keep one caller's idempotency keys apart from another's.
    pub fn name(self) -> String {
        match self.proof {
            Proof::Bootstrap => "bootstrap".into(),
            Proof::Key { id, .. } => id.to_string(),
            Proof::Session { user, .. } => user.to_string(),
        }
    }
}
