//! Sessions: creation with a new secret at each sign-in, authentication by the hash of the secret, and revocation.

use sea_orm::ConnectionTrait;

use crate::Error;
use crate::app::App;
use crate::people::live_session::{LiveSession, actor, with_present_restriction};
use domain::ids::{AffiliateId, SessionId, UserId};
use domain::people::actor::Actor;
use domain::people::api_key;
use domain::people::auth_error;
use domain::people::session::{ABSOLUTE, Opener, SEEN_EVERY, Session};
use domain::people::user::User;

use super::Visitor;

const USER_AGENT_MAX_CHARS: usize = 300;

/// The owner of a session.
pub enum SessionOwner<'a> {
    User(&'a User),
    /// A customer who signed in by a login link, or a member of staff with a read-only session.
    Affiliate {
        id: AffiliateId,
        opened_by: Option<String>,
        opener: Option<Opener>,
    },
}

/// Creates a session. Returns it with the secret of its cookie, which is not stored.
pub async fn begin(
    app: &App,
    tx: &impl ConnectionTrait,
    owner: SessionOwner<'_>,
    visitor: &Visitor,
) -> Result<(String, LiveSession), Error> {
    let now = app.clock.now();
    let secret = api_key::token(rand::random());
    let (user, affiliate_id, opened_by, opener) = match owner {
        SessionOwner::User(user) => (Some(user), None, None, None),
        SessionOwner::Affiliate { id, opened_by, opener } => (None, Some(id), opened_by, opener),
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
    let actor = actor(&session, user).ok_or(auth_error::AuthError::Disabled)?;
    let actor = with_present_restriction(tx, actor).await?;
    storage::people::sessions::insert(tx, &session).await?;
    Ok((secret, LiveSession { session, actor }))
}

/// Finds the actor of a session cookie. `None`: the session does not exist or has ended.
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
        // Written in the background. If it is lost, the session ends a minute early.
        tokio::spawn(async move {
            if let Err(error) = storage::people::sessions::save_last_seen(app.db.writer(), id, now).await {
                tracing::warn!(session.id = %id, %error, "The last use of a session could not be stored");
            }
        });
    }
    Ok(Some(found.actor))
}

/// Lists the live sessions of a person.
pub async fn list(app: &App, user: UserId) -> Result<Vec<Session>, Error> {
    let now = app.clock.now();
    let sessions = storage::people::sessions::list(app.db.reader(), user, now).await?;
    Ok(sessions.into_iter().filter(|session| session.is_live(now)).collect())
}

/// Ends a session. This process rejects it immediately; PostgreSQL notifies the other processes. With `user`, only a
/// session of that person can be ended.
pub async fn revoke(app: &App, id: SessionId, user: Option<UserId>) -> Result<(), Error> {
    let ended = storage::people::sessions::revoke(app.db.writer(), id, user, app.clock.now()).await?;
    app.catalog.people_changed();
    if ended { Ok(()) } else { Err(Error::not_found("session", id)) }
}

/// Ends all sessions of a person except one. Returns their number.
pub async fn revoke_all(app: &App, user: UserId, except: Option<SessionId>) -> Result<u64, Error> {
    let ended = storage::people::sessions::revoke_all(app.db.writer(), user, except, app.clock.now()).await?;
    app.catalog.people_changed();
    Ok(ended)
}

/// Ends all sessions of an affiliate, including those of staff, and revokes its unused login links. Returns the number
/// of sessions.
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
