//! Payout overrides: the payout of one affiliate for an offer, in place of the offer's payout. Affiliates
//! cannot list them.

use crate::Error;
use crate::app::App;
use domain::ids::{AffiliateId, OfferId, PayoutOverrideId};
use domain::people::changes::Changed;
use domain::program::offer::Payout;
use domain::program::payout_override::PayoutOverride;
use domain::tracking::transaction::goal::is_same_goal;
use storage::base::page::{Page, PageRequest};

/// Stores a payout override. It replaces the override for the same affiliate and goal.
pub async fn set(
    app: &App,
    offer_id: OfferId,
    affiliate_id: AffiliateId,
    goal: Option<String>,
    payout: Payout,
) -> Result<Changed<PayoutOverride>, Error> {
    let now = app.clock.now();
    let tx = app.db.begin().await?;
    storage::program::offers::find(&tx, offer_id).await?.ok_or_else(|| Error::not_found("offer", offer_id))?;
    // The lock makes two changes for one affiliate run one after the other, so that the audit log has the right payout
    // before each change.
    storage::program::affiliates::lock(&tx, affiliate_id)
        .await?
        .ok_or_else(|| Error::not_found("affiliate", affiliate_id))?;
    let stored = storage::program::payout_overrides::list_of(&tx, [offer_id], Some(affiliate_id)).await?;
    let before = stored.into_iter().find(|it| is_same_goal(it.goal.as_deref(), goal.as_deref()));
    let goal = before.as_ref().map_or(goal, |before| before.goal.clone());
    let id = PayoutOverrideId::new(now);
    let payout_override = PayoutOverride { id, offer_id, affiliate_id, goal, payout, created_at: now, updated_at: now };
    let payout_override = storage::program::payout_overrides::save(&tx, &payout_override).await?;
    tx.commit().await?;
    app.catalog.payout_overrides_changed(offer_id);
    Ok(match before {
        Some(before) => Changed::new(before, payout_override),
        None => Changed::made(payout_override),
    })
}

/// Deletes a payout override and returns it. The affiliate then earns the offer's payout.
pub async fn delete(app: &App, id: PayoutOverrideId) -> Result<PayoutOverride, Error> {
    let tx = app.db.begin().await?;
    let unknown = || Error::not_found("payout override", id);
    let affiliate_id = storage::program::payout_overrides::find(&tx, id).await?.ok_or_else(unknown)?.affiliate_id;
    // `set` takes the same lock.
    storage::program::affiliates::lock(&tx, affiliate_id).await?;
    let payout_override = storage::program::payout_overrides::find(&tx, id).await?.ok_or_else(unknown)?;
    storage::program::payout_overrides::delete(&tx, id).await?;
    tx.commit().await?;
    app.catalog.payout_overrides_changed(payout_override.offer_id);
    Ok(payout_override)
}

/// Lists the payout overrides of an offer.
pub async fn list(app: &App, offer_id: OfferId, page: PageRequest) -> Result<Page<PayoutOverride>, Error> {
    storage::program::offers::find(app.db.reader(), offer_id)
        .await?
        .ok_or_else(|| Error::not_found("offer", offer_id))?;
    Ok(storage::program::payout_overrides::list(app.db.lists(), offer_id, page).await?)
}
