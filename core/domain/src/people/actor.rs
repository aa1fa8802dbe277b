//! Who asks. An affiliate sees and changes only its own; someone else's object does not exist for it.

use crate::ids::{AffiliateId, KeyId, SessionId, UserId};

use super::permission::{Denied, Permission, Permissions, Role};

/// Why somebody reads and changes nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Restriction {
    /// A member of staff opened the session to look on.
    OpenedByStaff,
    /// Its affiliate is suspended.
    Suspended,
}

/// How the caller proved who it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Proof {
    /// The key that lives in the settings.
    Bootstrap,
    /// `user` is the person whose key it is; without one it is the program's or an affiliate's.
    Key { id: KeyId, user: Option<UserId> },
    /// Somebody at the command line of the server itself.
    CommandLine,
    /// A one-time link that came by mail. Without `user` it is a customer's.
    Link { user: Option<UserId> },
    /// Without `user` it is a customer's, who came by a login link.
    Session { id: SessionId, user: Option<UserId> },
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
    restriction: Option<Restriction>,
    /// Of a key of the program: its login links sign customers in for good.
    vouches: bool,
    /// Keys that it makes may vouch too.
    vouches_for_keys: bool,
}

impl Actor {
    /// `None` for an affiliate's role without an affiliate, who could see everything or nothing.
    pub fn new(proof: Proof, role: Role, affiliate_id: Option<AffiliateId>) -> Option<Self> {
        let consistent = role.is_staff() == affiliate_id.is_none();
        consistent.then(|| Self {
            proof,
            role,
            affiliate_id,
            permissions: role.permissions(),
            restriction: None,
            vouches: false,
            vouches_for_keys: false,
        })
    }

    pub fn bootstrap() -> Self {
        Self::new(Proof::Bootstrap, Role::Owner, None).expect("an owner has no affiliate").vouching(true)
    }

    /// Who can start programs on the server owns it.
    pub fn command_line() -> Self {
        Self { proof: Proof::CommandLine, ..Self::bootstrap() }
    }

    /// The same with nothing beyond `scopes`.
    pub fn limited_to(self, scopes: Permissions) -> Self {
        Self { permissions: self.permissions.and(scopes), ..self }
    }

    /// The same, which reads and changes nothing.
    pub fn restricted(self, restriction: Option<Restriction>) -> Self {
        match restriction {
            Some(_) => Self { permissions: self.permissions.reading(), restriction, ..self },
            None => self,
        }
    }

    pub fn restriction(self) -> Option<Restriction> {
        self.restriction
    }

    pub fn vouching(self, vouches: bool) -> Self {
        Self { vouches, vouches_for_keys: vouches, ..self }
    }

    /// The same, whose own login links sign customers in, and not those of keys that it makes.
    pub fn vouching_alone(self) -> Self {
        Self { vouches: true, vouches_for_keys: false, ..self }
    }

    /// Whether a key that it makes may vouch, see [`super::grant::key_vouches`].
    pub fn vouches_for_keys(self) -> bool {
        self.vouches_for_keys
    }

    /// Narrows a filter to what the actor may see; `false` when nothing is left.
    pub fn confine(self, affiliate_id: &mut Option<AffiliateId>) -> bool {
        match (self.confined_to(), *affiliate_id) {
            (Some(own), Some(asked)) if own != asked => false,
            (Some(own), _) => {
                *affiliate_id = Some(own);
                true
            }
            (None, _) => true,
        }
    }

    /// Whether its login links open full sessions, see [`super::grant::session_access`].
    pub fn vouches(self) -> bool {
        self.vouches
    }

    /// Asked before anything that is not reading.
    pub fn may_change(self) -> Result<(), Denied> {
        match self.restriction {
            None => Ok(()),
            Some(Restriction::OpenedByStaff) => Err(Denied::ReadOnlySession),
            Some(Restriction::Suspended) => Err(Denied::Suspended),
        }
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
            Proof::Bootstrap | Proof::CommandLine => None,
            Proof::Link { user } | Proof::Key { user, .. } | Proof::Session { user, .. } => user,
        }
    }

    /// A stable name, to keep one caller's idempotency keys apart from another's.
    pub fn name(self) -> String {
        match self.proof {
            Proof::Bootstrap => "bootstrap".into(),
            Proof::CommandLine => "command line".into(),
            Proof::Link { user: Some(user) } => user.to_string(),
            Proof::Link { user: None } => "link".into(),
            Proof::Key { id, .. } => id.to_string(),
            Proof::Session { user: Some(user), .. } => user.to_string(),
            Proof::Session { id, user: None } => id.to_string(),
        }
    }
}
