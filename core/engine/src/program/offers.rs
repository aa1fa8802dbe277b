//! Offers: creation, changes and queries. Referral codes lead to the default offer.

use std::collections::HashMap;

use crate::app::App;
use crate::{Error, FieldIssue};
use domain::amounts::{Amount, Currency};
use domain::ids::{AffiliateId, OfferId};
use domain::people::actor::Actor;
use domain::people::changes::{Changed, of_word};
use domain::program::application::ApplicationStatus;
use domain::program::cap::Caps;
use domain::program::offer::{Goal, LandingPage, Offer, OfferStatus, Payout, Terms, Visibility};
use domain::program::payout_override::PayoutOverrides;
use domain::search::Search;
use domain::tracking::attribution::AttributionTerms;
use domain::tracking::deep_link::HostPattern;
use domain::tracking::landing::LandingUrl;
use storage::base::page::{Page, PageRequest};

/// The data of a new offer.
#[derive(Clone, Debug)]
pub struct NewOffer {
    pub name: String,
    pub landing_url: LandingUrl,
    pub currency: Currency,
    pub payout: Payout,
    pub visibility: Visibility,
    pub terms: TermChanges,
    pub is_default: bool,
    pub hold_days: u16,
    pub minimum_withdrawal: Option<Amount>,
}

/// Creates an offer. The first offer is always the default offer.
pub async fn create(app: &App, new: NewOffer) -> Result<Offer, Error> {
    let now = app.clock.now();
    let terms = new.terms.apply_to(Terms::default())?;
    let tx = app.db.begin().await?;
    let is_default = new.is_default || storage::program::offers::find_default(&tx).await?.is_none();
    if is_default {
        storage::program::offers::clear_default(&tx).await?;
    }
    let offer = Offer {
        id: OfferId::new(now),
        name: new.name,
        landing_url: new.landing_url,
        currency: new.currency,
        payout: new.payout,
        status: OfferStatus::Active,
        visibility: new.visibility,
        terms,
        is_default,
        hold_days: new.hold_days,
        minimum_withdrawal: new.minimum_withdrawal,
        created_at: now,
        updated_at: now,
    };
    storage::program::offers::insert(&tx, &offer).await?;
    tx.commit().await?;
    app.catalog.offer_changed(offer.id);
    Ok(offer)
}

/// The changes of an offer. Fields with `None` are unchanged. The currency cannot be changed, because conversions are
/// stored in it.
#[derive(Clone, Debug, Default)]
pub struct Changes {
    pub name: Option<String>,
    pub landing_url: Option<LandingUrl>,
    pub payout: Option<Payout>,
    pub status: Option<OfferStatus>,
    pub visibility: Option<Visibility>,
    pub terms: TermChanges,
    pub make_default: bool,
    pub hold_days: Option<u16>,
    pub minimum_withdrawal: Option<Option<Amount>>,
}

/// The changes of the terms of an offer. A given field replaces the whole value. Fields with `None` are unchanged.
#[derive(Clone, Debug, Default)]
pub struct TermChanges {
    pub revenue: Option<Option<Payout>>,
    pub goals: Option<Vec<Goal>>,
    pub fallback_url: Option<Option<LandingUrl>>,
    pub landing_pages: Option<Vec<LandingPage>>,
    pub deep_link_hosts: Option<Vec<HostPattern>>,
    pub attribution: Option<AttributionTerms>,
    pub caps: Option<Caps>,
}

impl TermChanges {
    /// Applies the changes to `before` and validates the result.
    fn apply_to(self, before: Terms) -> Result<Terms, Error> {
        let terms = Terms {
            revenue: self.revenue.unwrap_or(before.revenue),
            goals: self.goals.unwrap_or(before.goals),
            fallback_url: self.fallback_url.unwrap_or(before.fallback_url),
            landing_pages: self.landing_pages.unwrap_or(before.landing_pages),
            deep_link_hosts: self.deep_link_hosts.unwrap_or(before.deep_link_hosts),
            attribution: self.attribution.unwrap_or(before.attribution),
            caps: self.caps.unwrap_or(before.caps),
        };
        let issues: Vec<_> = terms
            .issues()
            .into_iter()
            .map(|(path, sentence)| FieldIssue::new(path, "invalid_field", sentence))
            .collect();
        if issues.is_empty() { Ok(terms) } else { Err(Error::Invalid(issues)) }
    }
}

/// Changes an offer. A new default offer replaces the former one.
pub async fn change(app: &App, id: OfferId, changes: Changes) -> Result<Changed<Offer>, Error> {
    let tx = app.db.begin().await?;
    let found = storage::program::offers::lock(&tx, id).await?;
    let mut offer = found.ok_or_else(|| Error::not_found("offer", id))?;
    let before = offer.clone();
    let former_default = storage::program::offers::find_default(&tx).await?.map(|it| it.id);
    if changes.make_default && !offer.is_default {
        storage::program::offers::clear_default(&tx).await?;
        offer.is_default = true;
    }
    offer.name = changes.name.unwrap_or(offer.name);
    offer.landing_url = changes.landing_url.unwrap_or(offer.landing_url);
    offer.payout = changes.payout.unwrap_or(offer.payout);
    offer.hold_days = changes.hold_days.unwrap_or(offer.hold_days);
    offer.minimum_withdrawal = changes.minimum_withdrawal.unwrap_or(offer.minimum_withdrawal);
    offer.status = changes.status.unwrap_or(offer.status);
    offer.visibility = changes.visibility.unwrap_or(offer.visibility);
    offer.terms = changes.terms.apply_to(offer.terms)?;
    offer.updated_at = app.clock.now();
    storage::program::offers::save(&tx, &offer).await?;
    tx.commit().await?;
    app.catalog.offer_changed(id);
    former_default.into_iter().for_each(|id| app.catalog.offer_changed(id));
    let displaced = former_default.filter(|former| offer.is_default && *former != id);
    let unseen = displaced.and_then(|former| of_word(format!("{former}.default"), "true", "false"));
    Ok(Changed::new(before, offer).with_unseen(unseen.into_iter().collect()))
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
    page: PageRequest,
) -> Result<Page<OfferWithEligibility>, Error> {
    let page = storage::program::offers::list(app.db.lists(), actor.confined_to(), search.as_ref(), page).await?;
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
