//! API keys: creation, revocation and authentication. The secret of a key is shown once; the database has its hash.
//! People create keys for themselves. Keys of the program and of affiliates need the permission to manage keys.

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

use super::auth::step_up::{self, StepUpOutcome, StepUpProof};
use super::{notices, outbox};

/// The data of a new key.
#[derive(Clone, Debug)]
pub struct NewApiKey {
    pub name: String,
    /// The person whose key it is. Role and affiliate are then those of the person.
    pub user_id: Option<UserId>,
    pub role: Role,
    pub affiliate_id: Option<AffiliateId>,
    /// `None`: all permissions of the role.
    pub scopes: Option<Vec<Permission>>,
    pub expires_at: Option<Timestamp>,
}

/// Creates a key and returns it with its secret, which is not stored. The key has no permission that `actor` does not
/// have. A person must pass the step-up authentication. A message about the key is sent to its owner.
pub async fn create(app: &App, actor: Actor, proof: StepUpProof, new: NewApiKey) -> Result<(ApiKey, String), Error> {
    let now = app.clock.now();
    if let Some(id) = new.affiliate_id.filter(|_| new.user_id.is_none()) {
        storage::program::affiliates::find(app.db.reader(), id)
            .await?
            .ok_or_else(|| Error::not_found("affiliate", id))?;
    }
    if new.expires_at.is_some_and(|at| at <= now) {
        return Err(Error::invalid("/expires_at", "must be in the future; choose a later time"));
    }
    let role = new.role.permissions();
    let requested: Permissions = match &new.scopes {
        Some(scopes) => scopes.iter().copied().collect(),
        None => role,
    };
    if let Some(beyond) = requested.iter().find(|it| !role.contains(*it)) {
        let message = format!("the role {} does not have the permission {beyond}; remove it", new.role);
        return Err(Error::Invalid(vec![FieldIssue::new("/scopes", "invalid_field", message)]));
    }
    if actor.is_staff() && new.role == Role::Affiliate {
        actor.require(Permission::ManageAffiliates)?;
    }
    grant::may_give(actor, Power { role: new.role, permissions: requested })?;
    if step_up::check(app, actor, proof).await? == StepUpOutcome::NeedsMail {
        return Err(AuthError::NeedsPerson.into());
    }
    let secret = api_key::secret(rand::random());
    let key = ApiKey {
        id: KeyId::new(now),
        name: new.name,
        user_id: new.user_id,
        role: new.role,
        affiliate_id: new.affiliate_id,
        scopes: new.scopes,
        hash: api_key::hash(&secret),
        hint: secret[secret.len() - 4..].to_owned(),
        created_at: now,
        expires_at: new.expires_at,
        last_used_at: None,
        revoked_at: None,
        vouches: Some(new.user_id.is_none() && grant::key_vouches(actor, requested)),
    };
    let tx = app.db.begin().await?;
    quota::api_key(app, &tx, actor, key.user_id).await?;
    storage::people::api_keys::insert(&tx, &key).await?;
    notices::api_key_created(app, &tx, &key).await?;
    tx.commit().await?;
    outbox::wake_worker(app);
    Ok((key, secret))
}

/// Lists the keys of a person, or with `None` all keys.
pub async fn list(app: &App, user: Option<UserId>, page: PageRequest) -> Result<Page<ApiKey>, Error> {
    Ok(storage::people::api_keys::list(app.db.lists(), user, page).await?)
}

/// Revokes a key. This process rejects it immediately; PostgreSQL notifies the other processes. With `user`, only a key
/// of that person can be revoked. Without, the key must not have more permissions than `actor`.
pub async fn revoke(app: &App, actor: Actor, id: KeyId, user: Option<UserId>) -> Result<Changed<ApiKey>, Error> {
    let tx = app.db.begin().await?;
    let before =
        storage::people::api_keys::find(&tx, id, user).await?.ok_or_else(|| Error::not_found("API key", id))?;
    if user.is_none() {
        grant::may_change(actor, before.power())?;
        // The role of its person, and with it the permissions of the key, may have grown since the key was created.
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

/// Finds the actor of a secret. `None`: the secret is not valid.
pub async fn authenticate(app: &App, secret: &str) -> Result<Option<Actor>, Error> {
    let hash = api_key::hash(secret);
    // Hashes are compared, so the duration of the comparison tells an attacker nothing about the secret.
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
            if let Err(error) = storage::people::api_keys::save_last_used(app.db.writer(), holder.key, now).await {
                tracing::warn!(key.id = %holder.key, %error, "The last use of an API key could not be stored");
            }
        });
    }
    Ok(Some(holder.actor))
}
