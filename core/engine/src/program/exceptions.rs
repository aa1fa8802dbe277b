//! Exceptions: what single affiliates earn with an offer. They are the program's own affair: no affiliate reads them.

use crate::Error;
use crate::app::App;
use domain::ids::{AffiliateId, ExceptionId, OfferId};
use domain::people::changes::Changed;
use domain::program::exception::Exception;
use domain::program::offer::Payout;
use storage::base::page::{Page, PageRequest};

/// Agrees on a payout; one for the same affiliate and goal is changed.
pub async fn set(
    app: &App,
    offer_id: OfferId,
    affiliate_id: AffiliateId,
    goal: Option<String>,
    payout: Payout,
) -> Result<Changed<Exception>, Error> {
    let now = app.clock.now();
    let tx = app.db.begin().await?;
    storage::program::offers::find(&tx, offer_id).await?.ok_or_else(|| Error::not_found("offer", offer_id))?;
    // Held, so that two who agree with one affiliate at once take turns, and each knows what was agreed before.
    storage::program::affiliates::lock(&tx, affiliate_id)
        .await?
        .ok_or_else(|| Error::not_found("affiliate", affiliate_id))?;
    let agreed = storage::program::exceptions::list_of(&tx, [offer_id], Some(affiliate_id)).await?;
    let before = agreed.into_iter().find(|it| it.goal == goal);
    let id = ExceptionId::new(now);
    let exception = Exception { id, offer_id, affiliate_id, goal, payout, created_at: now, updated_at: now };
    let exception = storage::program::exceptions::set(&tx, &exception).await?;
    tx.commit().await?;
    app.catalog.exceptions_changed(offer_id);
    Ok(match before {
        Some(before) => Changed::new(before, exception),
        None => Changed::made(exception),
    })
}

/// From now on the affiliate earns what the offer says. Returns what it earned until now.
pub async fn delete(app: &App, id: ExceptionId) -> Result<Exception, Error> {
    let tx = app.db.begin().await?;
    let unknown = || Error::not_found("exception", id);
    let affiliate_id = storage::program::exceptions::find(&tx, id).await?.ok_or_else(unknown)?.affiliate_id;
    // As whoever agrees on another one holds it.
    storage::program::affiliates::lock(&tx, affiliate_id).await?;
    let exception = storage::program::exceptions::find(&tx, id).await?.ok_or_else(unknown)?;
    storage::program::exceptions::delete(&tx, id).await?;
    tx.commit().await?;
    app.catalog.exceptions_changed(exception.offer_id);
    Ok(exception)
}

pub async fn list(app: &App, offer_id: OfferId, page: PageRequest) -> Result<Page<Exception>, Error> {
    storage::program::offers::find(app.db.reader(), offer_id)
        .await?
        .ok_or_else(|| Error::not_found("offer", offer_id))?;
    Ok(storage::program::exceptions::list(app.db.lists(), offer_id, page).await?)
}
