//! API keys: made once, shown once, recognised by their hash. People make their own; the program's and affiliates'
//! are made by whoever may manage keys.

use crate::app::App;
use crate::program::quota;
use crate::{Error, FieldIssue};
use domain::ids::{AffiliateId, KeyId, UserId};
use domain::people::actor::Actor;
use domain::people::api_key::{self, ApiKey};
use domain::people::auth_error::AuthError;
use domain::people::changes::Changed;
use domain::people::grant::{self, Power};
use domain::people::permission::{Permission, Permissions, Role};
use domain::timestamp::Timestamp;
use storage::base::page::{Page, PageRequest};

use super::auth::step_up::{self, Given, Proven};
use super::{notices, outbox};

/// A key about to be made.
#[derive(Clone, Debug)]
pub struct Wanted {
    pub name: String,
    /// A person's own key; then role and affiliate are the person's.
    pub user_id: Option<UserId>,
    pub role: Role,
    pub affiliate_id: Option<AffiliateId>,
    pub scopes: Option<Vec<Permission>>,
    pub expires_at: Option<Timestamp>,
}

/// Makes a key; the secret is in the answer and nowhere else. It allows nothing that `actor` may not do. A person proves
/// once more who they are, and a message tells of the key.
pub async fn create(app: &App, actor: Actor, given: Given, wanted: Wanted) -> Result<(ApiKey, String), Error> {
    let now = app.clock.now();
    if let Some(id) = wanted.affiliate_id.filter(|_| wanted.user_id.is_none()) {
        storage::program::affiliates::find(app.db.reader(), id)
            .await?
            .ok_or_else(|| Error::not_found("affiliate", id))?;
    }
    if wanted.expires_at.is_some_and(|at| at <= now) {
        return Err(Error::invalid("/expires_at", "is over already; choose a later time"));
    }
    let role = wanted.role.permissions();
    let asked: Permissions = match &wanted.scopes {
        Some(scopes) => scopes.iter().copied().collect(),
        None => role,
    };
    if let Some(beyond) = asked.iter().find(|it| !role.contains(*it)) {
        let message = format!("the role {} does not have {beyond}; leave it out", wanted.role);
        return Err(Error::Invalid(vec![FieldIssue::new("/scopes", "invalid_field", message)]));
    }
    if actor.is_staff() && wanted.role == Role::Affiliate {
        actor.require(Permission::ManageAffiliates)?;
    }
    grant::may_give(actor, Power { role: wanted.role, permissions: asked })?;
    if step_up::prove(app, actor, given).await? == Proven::ByMail {
        return Err(AuthError::NeedsPerson.into());
    }
    let secret = api_key::secret(rand::random());
    let key = ApiKey {
        id: KeyId::new(now),
        name: wanted.name,
        user_id: wanted.user_id,
        role: wanted.role,
        affiliate_id: wanted.affiliate_id,
        scopes: wanted.scopes,
        hash: api_key::hash(&secret),
        hint: secret[secret.len() - 4..].to_owned(),
        created_at: now,
        expires_at: wanted.expires_at,
        last_used_at: None,
        revoked_at: None,
        vouches: Some(wanted.user_id.is_none() && grant::key_vouches(actor, asked)),
    };
    let tx = app.db.begin().await?;
    quota::api_key(app, &tx, actor, key.user_id).await?;
    storage::people::api_keys::insert(&tx, &key).await?;
    notices::key_made(app, &tx, &key).await?;
    tx.commit().await?;
    outbox::hurry(app);
    Ok((key, secret))
}

/// `user` shows that person's only.
pub async fn list(app: &App, user: Option<UserId>, page: PageRequest) -> Result<Page<ApiKey>, Error> {
    Ok(storage::people::api_keys::list(app.db.lists(), user, page).await?)
}

/// Closes the door for that key, here at once; PostgreSQL tells other processes. `user` confines it to that person's
/// own; else the key must not allow more than `actor` may do.
pub async fn revoke(app: &App, actor: Actor, id: KeyId, user: Option<UserId>) -> Result<Changed<ApiKey>, Error> {
    let tx = app.db.begin().await?;
    let before =
        storage::people::api_keys::find(&tx, id, user).await?.ok_or_else(|| Error::not_found("API key", id))?;
    if user.is_none() {
        grant::may_change(actor, before.power())?;
        // Its person may have become more since the key was made, and the key with them.
        if let Some(id) = before.user_id
            && let Some(holder) = storage::people::users::find(&tx, id).await?
        {
            grant::may_change(actor, before.power_as(holder.role))?;
        }
    }
    let key = storage::people::api_keys::revoke(&tx, id, user, app.clock.now()).await?;
    let key = key.ok_or_else(|| Error::not_found("API key", id))?;
    tx.commit().await?;
    app.catalog.people_changed();
    Ok(Changed::new(before, key))
}

/// Who holds this secret; `None` for nobody.
pub async fn authenticate(app: &App, secret: &str) -> Result<Option<Actor>, Error> {
    let hash = api_key::hash(secret);
    // Hashes are compared, so a difference found early tells an attacker nothing about the secret.
    if *hash == *app.bootstrap_key_hash {
        return Ok(Some(Actor::bootstrap()));
    }
    let Some(holder) = app.catalog.key_holder(&hash).await? else { return Ok(None) };
    let now = app.clock.now();
    if holder.expires_at.is_some_and(|at| at <= now) {
        return Ok(None);
    }
    if app.catalog.must_record_use(holder.key, now) {
        let app = app.clone();
        tokio::spawn(async move {
            if let Err(error) = storage::people::api_keys::used(app.db.writer(), holder.key, now).await {
                tracing::warn!(key.id = %holder.key, %error, "The last use of an API key could not be noted");
            }
        });
    }
    Ok(Some(holder.actor))
}
