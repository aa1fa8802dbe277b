//! Offers: creation, changes and queries. Referral codes lead to the default offer.

use std::collections::HashMap;

use crate::app::App;
use crate::{Error, FieldIssue};
use domain::amounts::{Amount, Currency};
use domain::archive::{ArchiveError, ArchivedFilter};
use domain::ids::{AffiliateId, OfferId};
use domain::people::actor::Actor;
use domain::people::changes::{Changed, of_word};
use domain::program::application::ApplicationStatus;
use domain::program::offer::{Offer, OfferStatus, Payout, Terms, Visibility};
use domain::program::payout_override::PayoutOverrides;
use domain::search::Search;
use domain::timestamp::Timestamp;
use domain::tracking::landing::LandingUrl;
use storage::base::page::{Page, PageRequest};

/// What a person decides about an offer, when it is created and when it is changed.
#[derive(Clone, Debug)]
pub struct OfferData {
    pub name: String,
    pub landing_url: LandingUrl,
    /// It cannot be changed, because conversions are stored in it.
    pub currency: Currency,
    pub payout: Payout,
    pub status: OfferStatus,
    pub visibility: Visibility,
    pub terms: Terms,
    /// The first offer is always the default offer.
    pub is_default: bool,
    pub hold_days: u16,
    pub minimum_withdrawal: Option<Amount>,
}

/// Creates an offer. The first offer is always the default offer.
pub async fn create(app: &App, data: OfferData) -> Result<Offer, Error> {
    let now = app.clock.now();
    check_terms(&data.terms)?;
    let tx = app.db.begin().await?;
    let is_default = data.is_default || storage::program::offers::find_default(&tx).await?.is_none();
    if is_default {
        storage::program::offers::clear_default(&tx).await?;
    }
    let offer = Offer {
        id: OfferId::new(now),
        name: data.name,
        landing_url: data.landing_url,
        currency: data.currency,
        payout: data.payout,
        status: data.status,
        visibility: data.visibility,
        terms: data.terms,
        is_default,
        hold_days: data.hold_days,
        minimum_withdrawal: data.minimum_withdrawal,
        created_at: now,
        updated_at: now,
        archived_at: None,
    };
    storage::program::offers::insert(&tx, &offer).await?;
    tx.commit().await?;
    app.catalog.offer_changed(offer.id);
    Ok(offer)
}

fn check_terms(terms: &Terms) -> Result<(), Error> {
    let issues = terms.issues().into_iter();
    let issues: Vec<_> = issues.map(|(path, sentence)| FieldIssue::new(path, "invalid_field", sentence)).collect();
    if issues.is_empty() { Ok(()) } else { Err(Error::Invalid(issues)) }
}

/// Changes an offer. `edit` gets the offer while it is locked. A new default offer replaces the former one.
pub async fn change(
    app: &App,
    id: OfferId,
    edit: impl FnOnce(&Offer) -> Result<OfferData, Error>,
) -> Result<Changed<Offer>, Error> {
    let tx = app.db.begin().await?;
    let found = storage::program::offers::lock(&tx, id).await?;
    let before = found.ok_or_else(|| Error::not_found("offer", id))?;
    let data = edit(&before)?;
    check_terms(&data.terms)?;
    if data.currency != before.currency {
        let message = "cannot be changed, because conversions are stored in it; create another offer";
        return Err(Error::invalid("/currency", message));
    }
    if before.is_default && !data.is_default {
        return Err(Error::invalid("/default", "make another offer the default; it then replaces this one"));
    }
    if data.is_default {
        before.check_in_use()?;
    }
    let former_default = storage::program::offers::find_default(&tx).await?.map(|it| it.id);
    if data.is_default && !before.is_default {
        storage::program::offers::clear_default(&tx).await?;
    }
    let offer = Offer {
        id,
        name: data.name,
        landing_url: data.landing_url,
        currency: before.currency,
        payout: data.payout,
        status: data.status,
        visibility: data.visibility,
        terms: data.terms,
        is_default: data.is_default,
        hold_days: data.hold_days,
        minimum_withdrawal: data.minimum_withdrawal,
        created_at: before.created_at,
        updated_at: app.clock.now(),
        archived_at: before.archived_at,
    };
    storage::program::offers::save(&tx, &offer).await?;
    tx.commit().await?;
    app.catalog.offer_changed(id);
    former_default.into_iter().for_each(|id| app.catalog.offer_changed(id));
    let displaced = former_default.filter(|former| offer.is_default && *former != id);
    let unseen = displaced.and_then(|former| of_word(format!("{former}.default"), "true", "false"));
    Ok(Changed::new(before, offer).with_unseen(unseen.into_iter().collect()))
}

/// Archives an offer: it takes no clicks, links and applications. Conversions of earlier clicks are recorded and paid.
pub async fn archive(app: &App, id: OfferId) -> Result<Changed<Offer>, Error> {
    change_archive(app, id, Offer::archive).await
}

/// Restores an archived offer.
pub async fn restore(app: &App, id: OfferId) -> Result<Changed<Offer>, Error> {
    let step = |offer: &mut Offer, now| {
        offer.restore(now);
        Ok(())
    };
    change_archive(app, id, step).await
}

async fn change_archive(
    app: &App,
    id: OfferId,
    step: fn(&mut Offer, Timestamp) -> Result<(), ArchiveError>,
) -> Result<Changed<Offer>, Error> {
    let tx = app.db.begin().await?;
    let found = storage::program::offers::lock(&tx, id).await?;
    let before = found.ok_or_else(|| Error::not_found("offer", id))?;
    let mut offer = before.clone();
    step(&mut offer, app.clock.now())?;
    storage::program::offers::save(&tx, &offer).await?;
    tx.commit().await?;
    app.catalog.offer_changed(id);
    Ok(Changed::new(before, offer))
}

/// An offer and the eligibility of the affiliate that reads it.
#[derive(Clone, Debug)]
pub struct OfferWithEligibility {
    pub offer: Offer,
    /// `None` if staff read the offer.
    pub eligibility: Option<Eligibility>,
}

/// The conditions under which an affiliate can promote an offer.
#[derive(Clone, Debug)]
pub struct Eligibility {
    pub affiliate_id: AffiliateId,
    /// The payout overrides of the affiliate for this offer.
    pub payout_overrides: PayoutOverrides,
    /// The status of its application. `None` if it has not applied.
    pub application: Option<ApplicationStatus>,
}

impl OfferWithEligibility {
    /// The offer without an eligibility, for staff.
    pub fn for_staff(offer: Offer) -> Self {
        Self { offer, eligibility: None }
    }

    /// Whether the reader may promote the offer.
    pub fn may_promote(&self) -> bool {
        self.offer.visibility == Visibility::Public
            || self.eligibility.as_ref().is_none_or(|it| it.application == Some(ApplicationStatus::Approved))
    }
}

/// Reads an offer. An affiliate does not find a private offer that it may not promote.
pub async fn get(app: &App, actor: Actor, id: OfferId) -> Result<OfferWithEligibility, Error> {
    let found = storage::program::offers::find(app.db.reader(), id).await?;
    let offer = found.ok_or_else(|| Error::not_found("offer", id))?;
    let found = with_eligibility(app, actor, vec![offer]).await?.pop();
    let visible = found.filter(|it| it.offer.visibility != Visibility::Private || it.may_promote());
    visible.ok_or_else(|| Error::not_found("offer", id))
}

/// Lists the offers that the caller may see.
pub async fn list(
    app: &App,
    actor: Actor,
    search: Option<Search>,
    archived: ArchivedFilter,
    page: PageRequest,
) -> Result<Page<OfferWithEligibility>, Error> {
    let affiliate = actor.confined_to();
    let page = storage::program::offers::list(app.db.lists(), affiliate, search.as_ref(), archived, page).await?;
    Ok(Page { items: with_eligibility(app, actor, page.items).await?, next: page.next })
}

/// Adds the eligibility of the caller to offers.
async fn with_eligibility(app: &App, actor: Actor, offers: Vec<Offer>) -> Result<Vec<OfferWithEligibility>, Error> {
    let Some(affiliate_id) = actor.confined_to() else {
        return Ok(offers.into_iter().map(OfferWithEligibility::for_staff).collect());
    };
    let ids = || offers.iter().map(|offer| offer.id);
    let applications = storage::program::applications::list_of(app.db.reader(), ids(), affiliate_id).await?;
    let applications: HashMap<_, _> = applications.into_iter().map(|it| (it.offer_id, it.status)).collect();
    let payout_overrides =
        storage::program::payout_overrides::list_of(app.db.reader(), ids(), Some(affiliate_id)).await?;
    let eligibility = |id: OfferId| Eligibility {
        affiliate_id,
        payout_overrides: PayoutOverrides::new(payout_overrides.iter().filter(|it| it.offer_id == id).cloned()),
        application: applications.get(&id).copied(),
    };
    Ok(offers
        .into_iter()
        .map(|offer| OfferWithEligibility { eligibility: Some(eligibility(offer.id)), offer })
        .collect())
}
