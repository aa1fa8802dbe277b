//! The present permissions of a session.

use sea_orm::{ConnectionTrait, DbErr};

use domain::people::actor::{Actor, Proof, Restriction};
use domain::people::grant::{self, SessionAccess};
use domain::people::permission::{Permission, Role};
use domain::people::session::{Opener, Session};
use domain::people::user::User;
use domain::program::affiliate::AffiliateStatus;
use domain::timestamp::Timestamp;

/// A session and its present actor.
#[derive(Clone, Debug)]
pub struct LiveSession {
    pub session: Session,
    pub actor: Actor,
}

/// The actor of a session. `None` if its person may no longer sign in.
pub fn actor(session: &Session, user: Option<&User>) -> Option<Actor> {
    let proof = Proof::Session { id: session.id, user: session.user_id };
    match (session.user_id, session.affiliate_id, user) {
        (Some(_), None, Some(user)) if user.is_active() => Actor::new(proof, user.role, user.affiliate_id),
        (None, Some(affiliate), _) => {
            let restriction = session.opened_by.is_some().then_some(Restriction::OpenedByStaff);
            Actor::new(proof, Role::Affiliate, Some(affiliate)).map(|actor| actor.restricted(restriction))
        }
        _ => None,
    }
}

/// Restricts an actor whose affiliate is suspended. The status is read from the table and not from the catalog, because
/// the catalog can be five seconds old.
pub(crate) async fn with_present_restriction(db: &impl ConnectionTrait, actor: Actor) -> Result<Actor, DbErr> {
    let Some(affiliate) = actor.confined_to().filter(|_| actor.restriction().is_none()) else { return Ok(actor) };
    let affiliate = storage::program::affiliates::find(db, affiliate).await?;
    let suspended = affiliate.is_none_or(|it| it.status == AffiliateStatus::Suspended);
    Ok(actor.restricted(suspended.then_some(Restriction::Suspended)))
}

/// Whether the person or key that opened a session or created a login link may still open sessions, and was not
/// disabled, revoked or demoted since. `full` is a customer's own session; it needs more than a read-only session.
pub(crate) async fn may_still_open(
    db: &impl ConnectionTrait,
    opener: Option<Opener>,
    full: bool,
    now: Timestamp,
) -> Result<bool, DbErr> {
    let actor = match opener {
        // The opener is unknown in a session of an older release. The session ends at its expiry.
        None | Some(Opener::Server) => return Ok(true),
        Some(Opener::User(id)) => {
            let user = storage::people::users::find(db, id).await?.filter(User::is_active);
            let proof = Proof::Link { user: Some(id) };
            user.and_then(|user| Actor::new(proof, user.role, user.affiliate_id))
        }
        Some(Opener::Key(id)) => match storage::people::api_keys::find(db, id, None).await? {
            Some(key) if key.is_live(now) => {
                let user = match key.user_id {
                    Some(id) => storage::people::users::find(db, id).await?,
                    None => None,
                };
                key.actor(user.as_ref())
            }
            _ => None,
        },
    };
    Ok(actor.is_some_and(|it| {
        it.may(Permission::OpenSessions) && (!full || grant::session_access(it) == SessionAccess::Full)
    }))
}
