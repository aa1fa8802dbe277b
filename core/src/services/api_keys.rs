//! API keys: made once, shown once, recognised by their hash.

use crate::app::App;
use crate::domain::actor::Actor;
use crate::domain::api_key::{self, ApiKey};
use crate::domain::permission::Role;
use crate::ids::{AffiliateId, KeyId};
use crate::storage;
use crate::storage::page::{Page, PageRequest};

use super::Error;

/// Makes a key; the secret is in the answer and nowhere else.
pub async fn create(app: &App, name: String, affiliate_id: Option<AffiliateId>) -> Result<(ApiKey, String), Error> {
    if let Some(id) = affiliate_id {
        storage::affiliates::find(app.db.reader(), id).await?.ok_or_else(|| Error::not_found("affiliate", id))?;
    }
    let now = app.clock.now();
    let secret = api_key::secret(rand::random());
    let key = ApiKey {
        id: KeyId::new(now),
        name,
        role: if affiliate_id.is_some() { Role::Affiliate } else { Role::Admin },
        affiliate_id,
        hash: api_key::hash(&secret),
        hint: secret[secret.len() - 4..].to_owned(),
        created_at: now,
        revoked_at: None,
    };
    storage::api_keys::insert(app.db.writer(), &key).await?;
    Ok((key, secret))
}

pub async fn list(app: &App, page: PageRequest) -> Result<Page<ApiKey>, Error> {
    Ok(storage::api_keys::list(app.db.reader(), page).await?)
}

/// Closes the door for that key; here at once, in other processes within [`super::catalog::FRESH`].
pub async fn revoke(app: &App, id: KeyId) -> Result<(), Error> {
    let key = storage::api_keys::revoke(app.db.writer(), id, app.clock.now()).await?;
    let key = key.ok_or_else(|| Error::not_found("API key", id))?;
    app.catalog.key_revoked(&key.hash);
    Ok(())
}

/// Who holds this secret; `None` for nobody.
pub async fn authenticate(app: &App, secret: &str) -> Result<Option<Actor>, Error> {
    let hash = api_key::hash(secret);
    // Hashes are compared, so a difference found early tells an attacker nothing about the secret.
    if *hash == *app.bootstrap_key_hash {
        return Ok(Some(Actor::bootstrap()));
    }
    Ok(app.catalog.key_holder(&hash).await?)
}
