//! Payout details: checked, sealed, masked. They are opened to copy them into a withdrawal and to write a payment
//! file, and for nothing else.

use crate::app::App;
use crate::domain::actor::Actor;
use crate::domain::changes::{Changed, of_secrets};
use crate::domain::payout_details::{Fields, PayoutDetails};
use crate::ids::{AffiliateId, PayoutDetailsId};
use crate::storage;
use crate::storage::page::{Page, PageRequest};

use super::clicks::confine;
use super::secrets::{SecretError, Vault};
use super::{Error, FieldIssue, payout_methods};

/// Saves the details of an affiliate for one method, in place of those that were there.
pub async fn set(
    app: &App,
    actor: Actor,
    affiliate_id: AffiliateId,
    method: &str,
    given: &Fields,
) -> Result<Changed<PayoutDetails>, Error> {
    if !actor.may_see(affiliate_id) {
        return Err(Error::not_found("affiliate", affiliate_id));
    }
    let tx = app.db.begin().await?;
    // Held, so that two who set the first details at once take turns.
    storage::affiliates::lock(&tx, affiliate_id).await?.ok_or_else(|| Error::not_found("affiliate", affiliate_id))?;
    let method = payout_methods::named(&tx, method).await?;
    let schema =
        method.schema().map_err(|reason| Error::invalid("/method", format!("its schema is broken: {reason}")))?;
    let fields = schema.accept(given).map_err(|issues| {
        let issue = |it: crate::domain::payout_details::Issue| {
            FieldIssue::new(format!("/details{}", it.path), "invalid_details", it.message)
        };
        Error::Invalid(issues.into_iter().map(issue).collect())
    })?;
    let now = app.clock.now();
    let known = storage::payout_details::find_of(&tx, affiliate_id, &method.id).await?;
    let (id, created_at) = known.as_ref().map_or((PayoutDetailsId::new(now), now), |it| (it.id, it.created_at));
    let details = PayoutDetails {
        id,
        affiliate_id,
        method: method.id.clone(),
        sealed: seal(&app.vault, &fields, &id.to_string()),
        masked: schema.mask(&fields),
        created_at,
        updated_at: now,
    };
    match &known {
        Some(_) => storage::payout_details::save(&tx, &details).await?,
        None => storage::payout_details::insert(&tx, &details).await?,
    }
    tx.commit().await?;
    let Some(known) = known else { return Ok(Changed::made(details)) };
    // A mask may hide the very part that differs.
    let before = open(&app.vault, &known.sealed, &id.to_string()).unwrap_or_default();
    let unseen = of_secrets("details", &before, &fields);
    Ok(Changed::new(known, details).with_unseen(unseen))
}

/// Returns what was there.
pub async fn remove(app: &App, actor: Actor, id: PayoutDetailsId) -> Result<PayoutDetails, Error> {
    let details = get(app, actor, id).await?;
    storage::payout_details::delete(app.db.writer(), id).await?;
    Ok(details)
}

pub async fn get(app: &App, actor: Actor, id: PayoutDetailsId) -> Result<PayoutDetails, Error> {
    let found = storage::payout_details::find(app.db.reader(), id).await?;
    found.filter(|it| actor.may_see(it.affiliate_id)).ok_or_else(|| Error::not_found("payout details", id))
}

pub async fn list(
    app: &App,
    actor: Actor,
    mut affiliate_id: Option<AffiliateId>,
    page: PageRequest,
) -> Result<Page<PayoutDetails>, Error> {
    if !confine(actor, &mut affiliate_id) {
        return Ok(Page { items: Vec::new(), next: None });
    }
    Ok(storage::payout_details::list(app.db.lists(), affiliate_id, page).await?)
}

/// Sealed for `holder` alone: a withdrawal's copy does not open as another's.
pub fn seal(vault: &Vault, fields: &Fields, holder: &str) -> String {
    vault.seal(&serde_json::to_string(fields).expect("text is JSON"), holder)
}

pub fn open(vault: &Vault, sealed: &str, holder: &str) -> Result<Fields, SecretError> {
    serde_json::from_str(&vault.open(sealed, holder)?).map_err(|_| SecretError::Unreadable)
}
