//! Sessions: begun at sign-in with an id that nobody knew before, looked up by hash, ended by hand or by time.

use sea_orm::{ConnectionTrait, DbErr};

use crate::app::App;
use crate::clock::Timestamp;
use crate::domain::people::actor::{Actor, Proof, Restriction};
use crate::domain::people::api_key;
use crate::domain::people::grant::{self, SessionAccess};
use crate::domain::people::permission::{Permission, Role};
use crate::domain::people::session::{ABSOLUTE, Opener, SEEN_EVERY, Session};
use crate::domain::people::user::User;
use crate::domain::program::affiliate::AffiliateStatus;
use crate::ids::{AffiliateId, SessionId, UserId};
use crate::services::Error;
use crate::storage;

use super::Visitor;

const USER_AGENT_MAX_CHARS: usize = 300;

/// A session and what it allows at this moment.
#[derive(Clone, Debug)]
pub struct SignedIn {
    pub session: Session,
    pub actor: Actor,
}

/// Whose session it is.
pub enum Whose<'a> {
    User(&'a User),
    /// A customer, who came by a login link, or a member of staff who looks on.
    Affiliate {
        id: AffiliateId,
        opened_by: Option<String>,
        opener: Option<Opener>,
    },
}

/// A new session; the cookie's secret is in the answer and nowhere else.
pub async fn begin(
    app: &App,
    tx: &impl ConnectionTrait,
    whose: Whose<'_>,
    visitor: &Visitor,
) -> Result<(String, SignedIn), Error> {
    let now = app.clock.now();
    let secret = api_key::token(rand::random());
    let (user, affiliate_id, opened_by, opener) = match whose {
        Whose::User(user) => (Some(user), None, None, None),
        Whose::Affiliate { id, opened_by, opener } => (None, Some(id), opened_by, opener),
    };
    let session = Session {
        id: SessionId::new(now),
        hash: api_key::hash(&secret),
        user_id: user.map(|user| user.id),
        affiliate_id,
        address: Some(visitor.origin.address.to_string()),
        user_agent: visitor.user_agent.as_ref().map(|text| text.chars().take(USER_AGENT_MAX_CHARS).collect()),
        created_at: now,
        last_seen_at: now,
        expires_at: now.plus(ABSOLUTE),
        revoked_at: None,
        opened_by,
        opener,
    };
    let actor = actor(&session, user).ok_or(super::AuthError::Disabled)?;
    let actor = as_it_stands(tx, actor).await?;
    storage::people::sessions::insert(tx, &session).await?;
    Ok((secret, SignedIn { session, actor }))
}

/// `None` for a session whose person may not sign in any more.
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

/// Read from the table: who is suspended must not act for another five seconds.
pub async fn as_it_stands(db: &impl ConnectionTrait, actor: Actor) -> Result<Actor, DbErr> {
    let Some(affiliate) = actor.confined_to().filter(|_| actor.restriction().is_none()) else { return Ok(actor) };
    let affiliate = storage::program::affiliates::find(db, affiliate).await?;
    let suspended = affiliate.is_none_or(|it| it.status == AffiliateStatus::Suspended);
    Ok(actor.restricted(suspended.then_some(Restriction::Suspended)))
}

/// Whether who opened a session or made a login link may still open one: it was not disabled, revoked or demoted since.
/// `full` is a customer's own, which needs more than one that reads.
pub async fn still_opens(
    db: &impl ConnectionTrait,
    opener: Option<Opener>,
    full: bool,
    now: Timestamp,
) -> Result<bool, DbErr> {
    let actor = match opener {
        // Of an older release nobody knows; it ends by time.
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

/// Who has this cookie; `None` for nobody.
pub async fn authenticate(app: &App, secret: &str) -> Result<Option<Actor>, Error> {
    let now = app.clock.now();
    let hash = api_key::hash(secret);
    let Some(found) = app.catalog.session(&hash, now).await? else { return Ok(None) };
    if !found.session.is_live(now) {
        return Ok(None);
    }
    if now.since(found.session.last_seen_at) >= SEEN_EVERY {
        app.catalog.session_seen(&found, now);
        let (app, id) = (app.clone(), found.session.id);
        // Nobody waits for this; lost, it makes the session end a minute early.
        tokio::spawn(async move {
            if let Err(error) = storage::people::sessions::seen(app.db.writer(), id, now).await {
                tracing::warn!(session.id = %id, %error, "The last use of a session could not be noted");
            }
        });
    }
    Ok(Some(found.actor))
}

pub async fn list(app: &App, user: UserId) -> Result<Vec<Session>, Error> {
    let now = app.clock.now();
    let sessions = storage::people::sessions::list(app.db.reader(), user, now).await?;
    Ok(sessions.into_iter().filter(|session| session.is_live(now)).collect())
}

/// Here at once; PostgreSQL tells other processes.
pub async fn revoke(app: &App, id: SessionId, user: Option<UserId>) -> Result<(), Error> {
    let ended = storage::people::sessions::revoke(app.db.writer(), id, user, app.clock.now()).await?;
    app.catalog.people_changed();
    if ended { Ok(()) } else { Err(Error::not_found("session", id)) }
}

pub async fn revoke_all(app: &App, user: UserId, except: Option<SessionId>) -> Result<u64, Error> {
    let ended = storage::people::sessions::revoke_all(app.db.writer(), user, except, app.clock.now()).await?;
    app.catalog.people_changed();
    Ok(ended)
}

/// Ends every session that shows an affiliate, and every login link to it that nobody has used yet. Says how many sessions.
pub async fn revoke_of_affiliate(app: &App, id: AffiliateId) -> Result<u64, Error> {
    let now = app.clock.now();
    let tx = app.db.begin().await?;
    storage::program::affiliates::find(&tx, id).await?.ok_or_else(|| Error::not_found("affiliate", id))?;
    storage::people::tokens::revoke_login_links(&tx, id, now).await?;
    let ended = storage::people::sessions::revoke_of_affiliate(&tx, id, now).await?;
    tx.commit().await?;
    app.catalog.people_changed();
    Ok(ended)
}
