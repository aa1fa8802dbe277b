//! Roles and permissions in one table. An operation needs one permission; the scopes of a key are some of its holder's
//! permissions; an affiliate's permissions apply to its own objects only.

use serde::{Deserialize, Serialize};

/// The role of a caller in the program. `owner`: has all permissions, and can invite owners. `admin`: runs the program,
/// but does not pay withdrawals. `finance`: manages money and pays withdrawals. `support`: can read, but not change
/// anything. `affiliate`: can only read and change the objects of its affiliate.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// May do everything, and can make other owners.
    Owner,
    /// Runs the program, but does not pay out.
    Admin,
    /// Manages money and pays.
    Finance,
    /// Reads, to answer questions; changes nothing.
    Support,
    /// Sees and changes only what belongs to its affiliate.
    Affiliate,
}

text_enum!(Role {
    Owner => "owner",
    Admin => "admin",
    Finance => "finance",
    Support => "support",
    Affiliate => "affiliate",
});

/// A permission. Its word is also the scope of an API key.
///
/// * `read_program`: see offers, affiliates, links, conversions and deliveries.
/// * `manage_offers`: change offers.
/// * `manage_affiliates`: change affiliates, customers and coupons.
/// * `manage_links`: change links.
/// * `manage_conversions`: report, approve and reject conversions.
/// * `manage_postbacks`: save and test postbacks, send deliveries again, and try out clicks with test conversions.
/// * `manage_sources`: change sources.
/// * `manage_adapters`: install, enable and disable adapters.
/// * `manage_keys`: manage the keys of the program and of others. A person's own keys need no permission.
/// * `manage_users`: manage users who have no more permissions than the caller.
/// * `read_money`: see balances, earnings and withdrawals.
/// * `manage_money`: adjust balances, and set commissions and exchange rates.
/// * `request_withdrawals`: request withdrawals.
/// * `pay_withdrawals`: approve, refuse and pay withdrawals.
/// * `read_reports`: see reports.
/// * `read_audit`: see the audit log.
/// * `manage_settings`: change the settings of the program.
/// * `open_sessions`: create login links for affiliates.
/// * `read_buyers`: see the data of buyers, which is masked otherwise.
/// * `prune_audit`: delete old entries of the audit log.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Permission {
    /// See offers, affiliates, links, conversions and deliveries.
    ReadProgram,
    /// Change offers.
    ManageOffers,
    /// Change affiliates, customers and coupons.
    ManageAffiliates,
    /// Change links.
    ManageLinks,
    /// Report, approve and reject conversions.
    ManageConversions,
    /// Save and test postbacks, send deliveries again, and try out clicks with test conversions.
    ManagePostbacks,
    /// Change sources.
    ManageSources,
    /// Install, enable and disable adapters.
    ManageAdapters,
    /// Manage the keys of the program and of others. A person's own keys need no permission.
    ManageKeys,
    /// Manage users who have no more permissions than the caller.
    ManageUsers,
    /// See balances, earnings and withdrawals.
    ReadMoney,
    /// Adjust balances, and set commissions and exchange rates.
    ManageMoney,
    /// Request withdrawals.
    RequestWithdrawals,
    /// Approve, refuse and pay withdrawals.
    PayWithdrawals,
    /// See reports.
    ReadReports,
    /// See the audit log.
    ReadAudit,
    /// Change the settings of the program.
    ManageSettings,
    /// Create login links for affiliates.
    OpenSessions,
    /// See the data of buyers, which is masked otherwise.
    ReadBuyers,
    /// Delete old entries of the audit log.
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

/// The roles that have each permission. A role that is not listed does not have it.
pub const TABLE: [(Permission, &[Role]); 20] = [
    (ReadProgram, &[Owner, Admin, Finance, Support, Affiliate]),
    (ManageOffers, &[Owner, Admin]),
    // Includes customers and coupons.
    (ManageAffiliates, &[Owner, Admin]),
    (ManageLinks, &[Owner, Admin, Affiliate]),
    // Reporting, approving and rejecting.
    (ManageConversions, &[Owner, Admin]),
    // Includes tests, also with test conversions of clicks, and sending deliveries again.
    (ManagePostbacks, &[Owner, Admin, Affiliate]),
    (ManageSources, &[Owner, Admin, Affiliate]),
    (ManageAdapters, &[Owner, Admin]),
    // The keys of the program and of others; one's own need no permission.
    (ManageKeys, &[Owner, Admin]),
    // Only users who have no more permissions than the caller: see [`super::grant`].
    (ManageUsers, &[Owner, Admin]),
    (ReadMoney, &[Owner, Admin, Finance, Support, Affiliate]),
    // Adjustments, commissions and exchange rates. If an admin adjusts, another person pays.
    (ManageMoney, &[Owner, Admin, Finance]),
    (RequestWithdrawals, &[Owner, Finance, Affiliate]),
    (PayWithdrawals, &[Owner, Finance]),
    (ReadReports, &[Owner, Admin, Finance, Support, Affiliate]),
    (ReadAudit, &[Owner, Admin, Finance]),
    (ManageSettings, &[Owner, Admin]),
    // Login links: a key of the program opens a full session for a customer, a person a read-only one.
    (OpenSessions, &[Owner, Admin]),
    // Without it, the data of buyers is masked. What affiliates see of buyers is a setting of the program.
    (ReadBuyers, &[Owner, Admin, Finance, Support]),
    (PruneAudit, &[Owner]),
];

impl Role {
    /// Whether the role has this permission.
    pub fn grants(self, permission: Permission) -> bool {
        self.permissions().contains(permission)
    }

    /// The permissions of the role.
    pub fn permissions(self) -> Permissions {
        TABLE.iter().filter(|(_, roles)| roles.contains(&self)).map(|(permission, _)| *permission).collect()
    }

    /// Whether the role belongs to the program, and not to an affiliate.
    pub fn is_staff(self) -> bool {
        self != Affiliate
    }
}

impl Permission {
    /// What is denied without the permission, after "may not".
    fn verb(self) -> &'static str {
        match self {
            ReadProgram => "see the program",
            ManageOffers => "change offers",
            ManageAffiliates => "change affiliates, customers and coupons",
            ManageLinks => "change links",
            ManageConversions => "report, approve or reject conversions",
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
    /// Whether the permission is in the set.
    pub fn contains(self, permission: Permission) -> bool {
        self.0 & (1 << permission as u32) != 0
    }

    /// The intersection.
    pub fn and(self, other: Self) -> Self {
        Self(self.0 & other.0)
    }

    /// The permissions that change nothing.
    pub fn reading(self) -> Self {
        self.and([ReadProgram, ReadMoney, ReadReports, ReadAudit, ReadBuyers].into_iter().collect())
    }

    /// The permissions that `other` lacks.
    pub fn without(self, other: Self) -> Self {
        Self(self.0 & !other.0)
    }

    /// Whether all permissions of `other` are in the set.
    pub fn includes(self, other: Self) -> bool {
        self.and(other) == other
    }

    /// The permissions in the order of [`TABLE`].
    pub fn iter(self) -> impl Iterator<Item = Permission> {
        TABLE.into_iter().map(|(permission, _)| permission).filter(move |it| self.contains(*it))
    }
}

impl FromIterator<Permission> for Permissions {
    fn from_iter<I: IntoIterator<Item = Permission>>(permissions: I) -> Self {
        Self(permissions.into_iter().fold(0, |bits, it| bits | 1 << it as u32))
    }
}

/// The caller may not do this.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Denied {
    /// The role lacks the permission.
    #[error("the role {role} may not {}; ask a person with the role {}", .permission.verb(), .permission.holders())]
    Role {
        /// The role.
        role: Role,
        /// The permission.
        permission: Permission,
    },
    /// The role has the permission, but the key does not.
    #[error("this key may not {}; use one with the scope {permission}", .permission.verb())]
    Scope {
        /// The permission.
        permission: Permission,
    },
    /// The account to give or change has more permissions than the caller.
    #[error("you may not give or change permissions that you don't have: {}; ask a person who has them", list(.beyond))]
    Beyond {
        /// The permissions that the caller lacks.
        beyond: Permissions,
    },
    /// The session is read-only.
    #[error("this session was opened by staff and is read-only; the affiliate must sign in to do this")]
    ReadOnlySession,
    /// The affiliate is suspended.
    #[error("this affiliate is suspended: it may read, but change nothing; ask the operator")]
    Suspended,
}

impl Denied {
    /// The stable error code of the API.
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
    fn the_table_has_each_permission_once_in_order() {
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
    fn a_denial_names_the_roles_that_may() {
        let denied = Denied::Role { role: Support, permission: ManageOffers };
        assert_eq!(
            denied.to_string(),
            "the role support may not change offers; ask a person with the role owner or admin"
        );
    }
}
