//! Grants: nobody can give, take over or change more permissions than they have. One rule for invitations, roles, keys
//! and login links; services call it, and no other code compares permissions.

use super::actor::{Actor, Proof};
use super::permission::{Denied, Permission, Permissions, Role};

/// What an account allows: over the whole program, or over one affiliate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Power {
    /// The role.
    pub role: Role,
    /// The permissions.
    pub permissions: Permissions,
}

impl Power {
    /// All permissions of a role.
    pub fn of_role(role: Role) -> Self {
        Self { role, permissions: role.permissions() }
    }
}

/// Fails if `power` exceeds the permissions of `giver`.
pub fn may_give(giver: Actor, power: Power) -> Result<(), Denied> {
    let beyond = power.permissions.without(giver.permissions());
    if beyond == Permissions::default() { Ok(()) } else { Err(Denied::Beyond { beyond }) }
}

/// Fails if `changer` may not edit, disable or re-enable an account with this power. Staff may change every affiliate;
/// accounts of staff only if they have no more permissions than `changer`.
pub fn may_change(changer: Actor, power: Power) -> Result<(), Denied> {
    match power.role {
        Role::Affiliate if changer.is_staff() => Ok(()),
        _ => may_give(changer, power),
    }
}

/// Whether `inviter` may see the invitation link of a person with this role. Otherwise the link is only sent to the
/// affiliate's own mailbox, so that the inviter can't use it.
pub fn may_hold_link_of(inviter: Actor, role: Role) -> bool {
    may_give(inviter, Power::of_role(role)).is_ok()
}

/// The access of a session that a login link opens. `full`: the customer's own access. `read_only`: read access for
/// staff.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum SessionAccess {
    /// The customer's own access.
    Full,
    /// Read access for staff.
    ReadOnly,
}

/// The access that a login link of `opener` gives. A key of the program vouches for a customer of the operator's
/// system; a person does not.
pub fn session_access(opener: Actor) -> SessionAccess {
    match opener.proof {
        Proof::Bootstrap => SessionAccess::Full,
        Proof::Key { user: None, .. } if opener.vouches() => SessionAccess::Full,
        _ => SessionAccess::ReadOnly,
    }
}

/// Whether a key of the program that `maker` creates with the permissions `asked` opens full sessions: only if the
/// maker could act for every affiliate itself.
pub fn key_vouches(maker: Actor, asked: Permissions) -> bool {
    asked.contains(Permission::OpenSessions)
        && (maker.vouches_for_keys() || maker.permissions().includes(Role::Affiliate.permissions()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::{KeyId, SessionId, UserId};
    use Role::*;

    fn staff(role: Role, scopes: Option<&[Permission]>) -> Actor {
        let id = KeyId(uuid::Uuid::nil());
        let actor = Actor::new(Proof::Key { id, user: None }, role, None).unwrap();
        scopes.map_or(actor, |scopes| actor.limited_to(scopes.iter().copied().collect()))
    }

    #[test]
    fn roles_can_give_what_they_have() {
        for (giver, given, may) in [
            (Owner, [Owner, Admin, Finance, Support, Affiliate].as_slice(), true),
            (Admin, &[Admin, Support], true),
            (Admin, &[Owner, Finance, Affiliate], false),
            (Finance, &[Finance, Support], true),
            (Finance, &[Owner, Admin, Affiliate], false),
            (Support, &[Support], true),
            (Support, &[Owner, Admin, Finance, Affiliate], false),
        ] {
            for role in given {
                let given = may_give(staff(giver, None), Power::of_role(*role));
                assert_eq!(given.is_ok(), may, "{giver} gives {role}: {given:?}");
            }
        }
    }

    #[test]
    fn scopes_limit_what_can_be_given() {
        let limited = staff(Owner, Some(&[Permission::ManageUsers]));
        for role in [Owner, Admin, Finance, Support, Affiliate] {
            assert!(may_give(limited, Power::of_role(role)).is_err(), "{role}");
        }
        let same = Power { role: Owner, permissions: limited.permissions() };
        assert_eq!(may_give(limited, same), Ok(()));
        let denied = may_give(limited, Power::of_role(Support)).unwrap_err();
        assert!(denied.to_string().contains("read_program, read_money, read_reports, read_buyers"), "{denied}");
    }

    #[test]
    fn roles_can_change_accounts_without_more_permissions() {
        for (changer, changed, may) in [
            (Owner, Owner, true),
            (Admin, Owner, false),
            (Admin, Finance, false),
            (Admin, Admin, true),
            (Admin, Support, true),
            (Admin, Affiliate, true),
            (Support, Admin, false),
        ] {
            let changed_it = may_change(staff(changer, None), Power::of_role(changed));
            assert_eq!(changed_it.is_ok(), may, "{changer} changes {changed}");
        }
    }

    #[test]
    fn program_keys_open_full_sessions_and_people_read_only_ones() {
        let (key, user) = (KeyId(uuid::Uuid::nil()), UserId(uuid::Uuid::nil()));
        let session = Proof::Session { id: SessionId(uuid::Uuid::nil()), user: Some(user) };
        for (proof, access) in [
            (Proof::Bootstrap, SessionAccess::Full),
            (Proof::Key { id: key, user: None }, SessionAccess::Full),
            (Proof::Key { id: key, user: Some(user) }, SessionAccess::ReadOnly),
            (session, SessionAccess::ReadOnly),
        ] {
            assert_eq!(session_access(Actor::new(proof, Owner, None).unwrap().vouching(true)), access, "{proof:?}");
        }
        let made_by_an_admin = staff(Admin, None).vouching(false);
        assert_eq!(session_access(made_by_an_admin), SessionAccess::ReadOnly);
    }

    #[test]
    fn a_key_vouches_if_its_maker_could_act_for_every_affiliate() {
        let asked = Admin.permissions();
        assert!(key_vouches(Actor::bootstrap(), asked));
        assert!(!key_vouches(staff(Admin, None).vouching(false), asked));
        assert!(key_vouches(staff(Admin, None).vouching(true), asked));
        // A key of an older release vouches, but the keys that it creates don't.
        let old = staff(Admin, None).vouching_alone();
        assert_eq!((session_access(old), key_vouches(old, asked)), (SessionAccess::Full, false));
        assert!(key_vouches(staff(Owner, None).vouching_alone(), asked));
        assert!(!key_vouches(Actor::bootstrap(), Support.permissions()));
    }
}
