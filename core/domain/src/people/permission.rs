//! Who may do what: one table of roles and permissions. An operation names one permission; a key's scopes are
//! some of its holder's permissions; an affiliate's permissions always mean what is its own.

use serde::{Deserialize, Serialize};

/// What somebody is in the program.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// Everything, and makes other owners.
    Owner,
    /// Runs the program; does not pay out.
    Admin,
    /// Keeps the books and pays.
    Finance,
    /// Reads, so as to answer questions; changes nothing.
    Support,
    /// Sees and changes what belongs to its affiliate, and nothing else exists for it.
    Affiliate,
}

text_enum!(Role {
    Owner => "owner",
    Admin => "admin",
    Finance => "finance",
    Support => "support",
    Affiliate => "affiliate",
});

/// One thing to be allowed. Its word is also the scope of an API key.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Permission {
    ReadProgram,
    ManageOffers,
    ManageAffiliates,
    ManageLinks,
    ManageConversions,
    ManagePostbacks,
    ManageSources,
    ManageAdapters,
    ManageKeys,
    ManageUsers,
    ReadMoney,
    ManageMoney,
    RequestWithdrawals,
    PayWithdrawals,
    ReadReports,
    ReadAudit,
    ManageSettings,
    OpenSessions,
    ReadBuyers,
    PruneAudit,
}

text_enum!(Permission {
    ReadProgram => "read_program",
    ManageOffers => "manage_offers",
    ManageAffiliates => "manage_affiliates",
    ManageLinks => "manage_links",
    ManageConversions => "manage_conversions",
    ManagePostbacks => "manage_postbacks",
    ManageSources => "manage_sources",
    ManageAdapters => "manage_adapters",
    ManageKeys => "manage_keys",
    ManageUsers => "manage_users",
    ReadMoney => "read_money",
    ManageMoney => "manage_money",
    RequestWithdrawals => "request_withdrawals",
    PayWithdrawals => "pay_withdrawals",
    ReadReports => "read_reports",
    ReadAudit => "read_audit",
    ManageSettings => "manage_settings",
    OpenSessions => "open_sessions",
    ReadBuyers => "read_buyers",
    PruneAudit => "prune_audit",
});

use Permission::*;
use Role::*;

/// THE table. Whoever is not named may not.
pub const TABLE: [(Permission, &[Role]); 20] = [
    (ReadProgram, &[Owner, Admin, Finance, Support, Affiliate]),
    (ManageOffers, &[Owner, Admin]),
    // Customers and coupons too.
    (ManageAffiliates, &[Owner, Admin]),
    (ManageLinks, &[Owner, Admin, Affiliate]),
    // Reporting, approving and rejecting.
    (ManageConversions, &[Owner, Admin]),
    // Saving, testing, and sending deliveries again.
    (ManagePostbacks, &[Owner, Admin, Affiliate]),
    (ManageSources, &[Owner, Admin, Affiliate]),
    (ManageAdapters, &[Owner, Admin]),
    // The program's keys and everybody's; one's own need no permission.
    (ManageKeys, &[Owner, Admin]),
    // Of people who may do no more than the caller, see [`super::grant`].
    (ManageUsers, &[Owner, Admin]),
    (ReadMoney, &[Owner, Admin, Finance, Support, Affiliate]),
    // Adjustments, tiers, rates. Who adjusts and who pays are two people where an admin adjusts.
    (ManageMoney, &[Owner, Admin, Finance]),
    (RequestWithdrawals, &[Owner, Finance, Affiliate]),
    (PayWithdrawals, &[Owner, Finance]),
    (ReadReports, &[Owner, Admin, Finance, Support, Affiliate]),
    (ReadAudit, &[Owner, Admin, Finance]),
    (ManageSettings, &[Owner, Admin]),
    // Login links: a key of the program signs a customer in, a person gets a session that only reads.
    (OpenSessions, &[Owner, Admin]),
    // Names and e-mail addresses of buyers; without it they are masked.
    (ReadBuyers, &[Owner, Admin, Finance, Support]),
    (PruneAudit, &[Owner]),
];

impl Role {
    pub fn grants(self, permission: Permission) -> bool {
        self.permissions().contains(permission)
    }

    pub fn permissions(self) -> Permissions {
        TABLE.iter().filter(|(_, roles)| roles.contains(&self)).map(|(permission, _)| *permission).collect()
    }

    /// Somebody of the program, in contrast to an affiliate.
    pub fn is_staff(self) -> bool {
        self != Affiliate
    }
}

impl Permission {
    /// What one may not do without it: "you may not …".
    fn verb(self) -> &'static str {
        match self {
            ReadProgram => "see the program",
            ManageOffers => "change offers",
            ManageAffiliates => "change affiliates, customers and coupons",
            ManageLinks => "change links",
            ManageConversions => "report or judge conversions",
            ManagePostbacks => "change postbacks or send deliveries",
            ManageSources => "change sources",
            ManageAdapters => "change adapters",
            ManageKeys => "manage API keys",
            ManageUsers => "manage users",
            ReadMoney => "see money",
            ManageMoney => "adjust money",
            RequestWithdrawals => "request withdrawals",
            PayWithdrawals => "settle withdrawals",
            ReadReports => "see reports",
            ReadAudit => "see the audit log",
            ManageSettings => "change settings",
            OpenSessions => "open sessions of affiliates",
            ReadBuyers => "see who bought",
            PruneAudit => "prune the audit log",
        }
    }

    /// "owner or admin"
    fn holders(self) -> String {
        let roles = TABLE.iter().find(|(permission, _)| *permission == self).map_or(&[][..], |(_, roles)| roles);
        roles.iter().map(|role| role.as_str()).collect::<Vec<_>>().join(" or ")
    }
}

/// A set of permissions.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct Permissions(u32);

impl Permissions {
    pub fn contains(self, permission: Permission) -> bool {
        self.0 & (1 << permission as u32) != 0
    }

    pub fn and(self, other: Self) -> Self {
        Self(self.0 & other.0)
    }

    /// Those that change nothing.
    pub fn reading(self) -> Self {
        self.and([ReadProgram, ReadMoney, ReadReports, ReadAudit, ReadBuyers].into_iter().collect())
    }

    /// Those of `self` that `other` lacks.
    pub fn without(self, other: Self) -> Self {
        Self(self.0 & !other.0)
    }

    pub fn includes(self, other: Self) -> bool {
        self.and(other) == other
    }

    pub fn iter(self) -> impl Iterator<Item = Permission> {
        TABLE.into_iter().map(|(permission, _)| permission).filter(move |it| self.contains(*it))
    }
}

impl FromIterator<Permission> for Permissions {
    fn from_iter<I: IntoIterator<Item = Permission>>(permissions: I) -> Self {
        Self(permissions.into_iter().fold(0, |bits, it| bits | 1 << it as u32))
    }
}

/// Somebody asked for what is not theirs to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Denied {
    #[error("the role {role} may not {}; ask somebody who is {}", .permission.verb(), .permission.holders())]
    Role { role: Role, permission: Permission },
    #[error("this key may not {}; use one with the scope {permission}", .permission.verb())]
    Scope { permission: Permission },
    #[error("you may not give or change what goes beyond your own permissions: {}; ask somebody who has them", list(.beyond))]
    Beyond { beyond: Permissions },
    #[error("this session was opened by a member of staff and reads only; the affiliate must sign in to do this")]
    ReadOnlySession,
    #[error("this affiliate is suspended: it may read and change nothing; ask the operator")]
    Suspended,
}

impl Denied {
    pub fn code(&self) -> &'static str {
        match self {
            Self::Role { .. } | Self::Scope { .. } | Self::Beyond { .. } => "forbidden",
            Self::ReadOnlySession => "read_only_session",
            Self::Suspended => "affiliate_suspended",
        }
    }
}

fn list(permissions: &Permissions) -> String {
    permissions.iter().map(|it| it.as_str()).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    const ROLES: [Role; 5] = [Owner, Admin, Finance, Support, Affiliate];

    #[test]
    fn the_table_has_each_permission_once_and_in_order() {
        assert_eq!(TABLE.len(), Permission::WORDS.len());
        for (row, (permission, roles)) in TABLE.iter().enumerate() {
            assert_eq!(*permission as usize, row);
            assert_eq!(roles[0], Owner, "an owner may do everything");
            for role in ROLES {
                assert_eq!(role.grants(*permission), roles.contains(&role), "{role} {permission}");
            }
        }
    }

    #[test]
    fn support_reads_and_changes_nothing() {
        let words: Vec<_> = Support.permissions().iter().map(Permission::as_str).collect();
        assert_eq!(words, ["read_program", "read_money", "read_reports", "read_buyers"]);
    }

    #[test]
    fn a_refusal_says_who_may() {
        let denied = Denied::Role { role: Support, permission: ManageOffers };
        assert_eq!(denied.to_string(), "the role support may not change offers; ask somebody who is owner or admin");
    }
}
