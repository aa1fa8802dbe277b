//! The caller of an operation. An affiliate sees and changes only its own objects; other affiliates' objects are
//! reported as not found.

use crate::ids::{AffiliateId, KeyId, SessionId, UserId};
use crate::program::buyer_visibility::BuyerVisibility;

use super::permission::{Denied, Permission, Permissions, Role};

/// Why a caller can read but not change anything. `opened_by_staff`: staff opened the session, which is read-only.
/// `suspended`: the affiliate is suspended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Restriction {
    /// Staff opened the session, which is read-only.
    OpenedByStaff,
    /// The affiliate is suspended.
    Suspended,
}

/// How the caller was authenticated.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Proof {
    /// The key in the server's settings.
    Bootstrap,
    /// An API key.
    Key {
        /// The key.
        id: KeyId,
        /// The person that the key belongs to; `None` for keys of the program or of an affiliate.
        user: Option<UserId>,
    },
    /// A command on the server itself.
    CommandLine,
    /// A one-time link from an e-mail.
    Link {
        /// The person; `None` for a customer.
        user: Option<UserId>,
    },
    /// A browser session.
    Session {
        /// The session.
        id: SessionId,
        /// The person; `None` for a customer, who signed in by a login link.
        user: Option<UserId>,
    },
}

/// An authenticated caller, and what it may do at this moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Actor {
    /// How it was authenticated.
    pub proof: Proof,
    /// Its role.
    pub role: Role,
    /// Present if and only if the role is affiliate.
    affiliate_id: Option<AffiliateId>,
    /// The permissions of the role, limited by the scopes of the key.
    permissions: Permissions,
    restriction: Option<Restriction>,
    /// What an affiliate sees of buyers; nothing until the program's setting is known.
    buyers: BuyerVisibility,
    /// For keys of the program: whether its login links open full sessions for customers.
    vouches: bool,
    /// Whether keys that it creates may also vouch.
    vouches_for_keys: bool,
}

impl Actor {
    /// A caller with all permissions of its role. `None` if the role is affiliate and `affiliate_id` is missing, or the
    /// other way round.
    pub fn new(proof: Proof, role: Role, affiliate_id: Option<AffiliateId>) -> Option<Self> {
        let consistent = role.is_staff() == affiliate_id.is_none();
        consistent.then(|| Self {
            proof,
            role,
            affiliate_id,
            permissions: role.permissions(),
            restriction: None,
            buyers: BuyerVisibility::Nothing,
            vouches: false,
            vouches_for_keys: false,
        })
    }

    /// The owner with the key in the server's settings.
    pub fn bootstrap() -> Self {
        Self::new(Proof::Bootstrap, Role::Owner, None).expect("an owner has no affiliate").vouching(true)
    }

    /// The owner at the command line: a person who can start programs on the server owns it.
    pub fn command_line() -> Self {
        Self { proof: Proof::CommandLine, ..Self::bootstrap() }
    }

    /// The same caller, limited to the permissions in `scopes`.
    pub(crate) fn limited_to(self, scopes: Permissions) -> Self {
        Self { permissions: self.permissions.and(scopes), ..self }
    }

    /// The same caller; with a restriction it can only read.
    pub fn restricted(self, restriction: Option<Restriction>) -> Self {
        match restriction {
            Some(_) => Self { permissions: self.permissions.reading(), restriction, ..self },
            None => self,
        }
    }

    /// Why the caller can only read.
    pub fn restriction(self) -> Option<Restriction> {
        self.restriction
    }

    /// The same caller, which sees of buyers what the program's setting allows, if it is an affiliate.
    pub fn seeing_buyers(self, buyers: BuyerVisibility) -> Self {
        Self { buyers, ..self }
    }

    /// What the caller sees of buyers. For staff the permission decides, for affiliates the program's setting.
    pub fn buyers(self) -> BuyerVisibility {
        if !self.role.is_staff() {
            self.buyers
        } else if self.may(Permission::ReadBuyers) {
            BuyerVisibility::All
        } else {
            BuyerVisibility::Masked
        }
    }

    /// The same caller; `vouches` sets whether it and the keys that it creates vouch.
    pub(crate) fn vouching(self, vouches: bool) -> Self {
        Self { vouches, vouches_for_keys: vouches, ..self }
    }

    /// The same caller, which vouches, while keys that it creates don't.
    pub(crate) fn vouching_alone(self) -> Self {
        Self { vouches: true, vouches_for_keys: false, ..self }
    }

    /// Whether a key that it creates may vouch: see [`super::grant::key_vouches`].
    pub(crate) fn vouches_for_keys(self) -> bool {
        self.vouches_for_keys
    }

    /// Narrows a filter to what the caller may see. Returns `false` if nothing is left.
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

    /// Whether its login links open full sessions: see [`super::grant::session_access`].
    pub fn vouches(self) -> bool {
        self.vouches
    }

    /// Fails if the caller can only read. Checked before every operation that changes something.
    pub fn may_change(self) -> Result<(), Denied> {
        match self.restriction {
            None => Ok(()),
            Some(Restriction::OpenedByStaff) => Err(Denied::ReadOnlySession),
            Some(Restriction::Suspended) => Err(Denied::Suspended),
        }
    }

    /// Fails if the caller lacks this permission.
    pub fn require(self, permission: Permission) -> Result<(), Denied> {
        if self.permissions.contains(permission) {
            Ok(())
        } else if self.role.grants(permission) {
            Err(Denied::Scope { permission })
        } else {
            Err(Denied::Role { role: self.role, permission })
        }
    }

    /// Whether the caller has this permission.
    pub fn may(self, permission: Permission) -> bool {
        self.permissions.contains(permission)
    }

    /// Its permissions.
    pub fn permissions(self) -> Permissions {
        self.permissions
    }

    /// Whether it belongs to the program, so that it sees all affiliates, including data that affiliates don't see.
    pub fn is_staff(self) -> bool {
        self.role.is_staff()
    }

    /// The affiliate whose objects the caller is limited to; `None` for staff.
    pub fn confined_to(self) -> Option<AffiliateId> {
        self.affiliate_id
    }

    /// Whether it may see objects of this affiliate.
    pub fn may_see(self, owner: AffiliateId) -> bool {
        self.confined_to().is_none_or(|own| own == owner)
    }

    /// The person, if the caller is one.
    pub fn user(self) -> Option<UserId> {
        match self.proof {
            Proof::Bootstrap | Proof::CommandLine => None,
            Proof::Link { user } | Proof::Key { user, .. } | Proof::Session { user, .. } => user,
        }
    }

    /// A stable name, which separates the idempotency keys of callers and identifies them in the audit log.
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
