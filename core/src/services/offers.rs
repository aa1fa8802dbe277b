//! Offers: making, changing, finding. One of them is where referral codes lead.

use crate::app::App;
use crate::domain::landing::LandingUrl;
use crate::domain::offer::{Offer, OfferStatus, Payout};
use crate::ids::OfferId;
use crate::money::Currency;
use crate::storage;
use crate::storage::page::{Page, PageRequest};

use super::Error;

#[derive(Clone, Debug)]
pub struct NewOffer {
    pub name: String,
    pub landing_url: LandingUrl,
    pub currency: Currency,
    pub payout: Payout,
    pub is_default: bool,
    pub hold_days: u16,
}

/// The first offer is the default one whether it asks for that or not.
pub async fn create(app: &App, new: NewOffer) -> Result<Offer, Error> {
    let now = app.clock.now();
    let tx = app.db.begin().await?;
    let is_default = new.is_default || storage::offers::find_default(&tx).await?.is_none();
    if is_default {
        storage::offers::clear_default(&tx).await?;
    }
    let offer = Offer {
        id: OfferId::new(now),
        name: new.name,
        landing_url: new.landing_url,
        currency: new.currency,
        payout: new.payout,
        status: OfferStatus::Active,
        is_default,
        hold_days: new.hold_days,
        created_at: now,
        updated_at: now,
    };
    storage::offers::insert(&tx, &offer).await?;
    tx.commit().await?;
    app.catalog.offer_changed(offer.id);
    Ok(offer)
}

/// What may be changed; `None` stays. A currency stays for good: conversions are in it.
#[derive(Clone, Debug, Default)]
pub struct Changes {
    pub name: Option<String>,
    pub landing_url: Option<LandingUrl>,
    pub payout: Option<Payout>,
    pub status: Option<OfferStatus>,
    pub make_default: bool,
    pub hold_days: Option<u16>,
}

pub async fn change(app: &App, id: OfferId, changes: Changes) -> Result<Offer, Error> {
    let tx = app.db.begin().await?;
    let found = storage::offers::lock(&tx, id).await?;
    let mut offer = found.ok_or_else(|| Error::not_found("offer", id))?;
    let former_default = storage::offers::find_default(&tx).await?.map(|it| it.id);
    if changes.make_default && !offer.is_default {
        storage::offers::clear_default(&tx).await?;
        offer.is_default = true;
    }
    offer.name = changes.name.unwrap_or(offer.name);
    offer.landing_url = changes.landing_url.unwrap_or(offer.landing_url);
    offer.payout = changes.payout.unwrap_or(offer.payout);
    offer.hold_days = changes.hold_days.unwrap_or(offer.hold_days);
    offer.status = changes.status.unwrap_or(offer.status);
    offer.updated_at = app.clock.now();
    storage::offers::save(&tx, &offer).await?;
    tx.commit().await?;
    app.catalog.offer_changed(id);
    former_default.into_iter().for_each(|id| app.catalog.offer_changed(id));
    Ok(offer)
}

/// Offers are open to every affiliate of the program.
pub async fn get(app: &App, id: OfferId) -> Result<Offer, Error> {
    storage::offers::find(app.db.reader(), id).await?.ok_or_else(|| Error::not_found("offer", id))
}

pub async fn list(app: &App, page: PageRequest) -> Result<Page<Offer>, Error> {
    Ok(storage::offers::list(app.db.reader(), page).await?)
}
