//! Grants: nobody gives, takes over or changes more power than they have. One rule for invitations, roles, keys and
//! login links; the services ask it, and nothing else compares permissions.

use super::actor::{Actor, Proof};
use super::permission::{Denied, Permission, Permissions, Role};

/// Power over the whole program, or over one affiliate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Power {
    pub role: Role,
    pub permissions: Permissions,
}

impl Power {
    pub fn of_role(role: Role) -> Self {
        Self { role, permissions: role.permissions() }
    }
}

/// Whether `giver` may hand this out: all of it must be the giver's.
pub fn may_give(giver: Actor, power: Power) -> Result<(), Denied> {
    let beyond = power.permissions.without(giver.permissions());
    if beyond == Permissions::default() { Ok(()) } else { Err(Denied::Beyond { beyond }) }
}

/// Whether `changer` may edit, disable or re-enable the holder of this. Affiliates are in the program's hands, whatever
/// each may do with its own; of staff, only those who may do no more than the changer.
pub fn may_change(changer: Actor, power: Power) -> Result<(), Denied> {
    match power.role {
        Role::Affiliate if changer.is_staff() => Ok(()),
        _ => may_give(changer, power),
    }
}

/// Whether `inviter` may see the link that it has made for an affiliate's person. Otherwise the link goes to the
/// affiliate's own mailbox and nowhere else, so that no power passes through the inviter's hands.
pub fn may_hold_link_of(inviter: Actor, role: Role) -> bool {
    may_give(inviter, Power::of_role(role)).is_ok()
}

/// What a login link opens.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum SessionAccess {
    /// The customer's own.
    Full,
    /// Somebody looks on; nothing can be changed.
    ReadOnly,
}

/// A key of the program vouches for a customer whom the operator's backend knows. A person does not.
pub fn session_access(opener: Actor) -> SessionAccess {
    match opener.proof {
        Proof::Bootstrap => SessionAccess::Full,
        Proof::Key { user: None, .. } if opener.vouches() => SessionAccess::Full,
        _ => SessionAccess::ReadOnly,
    }
}

/// Whether a key of the program that `maker` makes opens full sessions: only if its maker could have acted for every
/// affiliate itself.
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
    fn may_a_give_b() {
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
    fn scopes_bound_what_is_given() {
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
    fn may_a_change_b() {
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
    fn a_program_key_signs_customers_in_and_a_person_looks_on() {
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
    fn a_key_vouches_for_customers_if_its_maker_could_act_for_them() {
        let asked = Admin.permissions();
        assert!(key_vouches(Actor::bootstrap(), asked));
        assert!(!key_vouches(staff(Admin, None).vouching(false), asked));
        assert!(key_vouches(staff(Admin, None).vouching(true), asked));
        // A key from before the question: its own links only.
        let old = staff(Admin, None).vouching_alone();
        assert_eq!((session_access(old), key_vouches(old, asked)), (SessionAccess::Full, false));
        assert!(key_vouches(staff(Owner, None).vouching_alone(), asked));
        assert!(!key_vouches(Actor::bootstrap(), Support.permissions()));
    }
}
