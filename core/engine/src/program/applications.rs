//! Applications: affiliates that may promote an offer that is not public.

use sea_orm::ConnectionTrait;

use crate::Error;
use crate::app::App;
use crate::error::is_taken;
use domain::ids::{AffiliateId, ApplicationId, OfferId};
use domain::people::actor::Actor;
use domain::people::changes::{Changed, of_word};
use domain::program::affiliate::Affiliate;
use domain::program::application::{Application, ApplicationStatus};
use domain::program::offer::{Offer, Visibility};
use storage::base::page::{Page, PageRequest};
use storage::program::applications::Filter;

/// Creates an application of an affiliate for an offer. An application that staff create is an invitation and is
/// approved immediately. Creating it again changes nothing.
pub async fn create(
    app: &App,
    actor: Actor,
    offer_id: OfferId,
    affiliate_id: AffiliateId,
    message: Option<String>,
) -> Result<Application, Error> {
    if !actor.may_see(affiliate_id) {
        return Err(Error::not_found("affiliate", affiliate_id));
    }
    let now = app.clock.now();
    let tx = app.db.begin().await?;
    let affiliate = find_affiliate(&tx, affiliate_id).await?;
    let offer = find_offer(&tx, offer_id).await?;
    if let Some(known) = storage::program::applications::find_of(&tx, offer_id, affiliate_id).await? {
        return Ok(known);
    }
    if offer.visibility == Visibility::Private && !actor.is_staff() {
        return Err(Error::not_found("offer", offer_id));
    }
    offer.check_in_use()?;
    affiliate.check_in_use()?;
    let mut application = Application {
        id: ApplicationId::new(now),
        offer_id,
        affiliate_id,
        status: ApplicationStatus::Pending,
        message,
        reason: None,
        decided_at: None,
        created_at: now,
        updated_at: now,
    };
    if actor.is_staff() {
        application.approve(now);
    }
    match storage::program::applications::insert(&tx, &application).await {
        Ok(()) => tx.commit().await?,
        // Two equal requests at the same time create one application.
        Err(error) if is_taken(&error) => {
            tx.rollback().await?;
            let known = storage::program::applications::find_of(app.db.writer(), offer_id, affiliate_id).await?;
            return known.ok_or_else(|| error.into());
        }
        Err(error) => return Err(error.into()),
    }
    app.catalog.application_decided(offer_id, affiliate_id);
    Ok(application)
}

async fn find_affiliate(tx: &impl ConnectionTrait, id: AffiliateId) -> Result<Affiliate, Error> {
    storage::program::affiliates::find(tx, id).await?.ok_or_else(|| Error::not_found("affiliate", id))
}

async fn find_offer(tx: &impl ConnectionTrait, id: OfferId) -> Result<Offer, Error> {
    storage::program::offers::find(tx, id).await?.ok_or_else(|| Error::not_found("offer", id))
}

/// Approves an application. The affiliate may then promote the offer.
///
/// # Errors
/// The offer or the affiliate is archived.
pub async fn approve(app: &App, id: ApplicationId) -> Result<Changed<Application>, Error> {
    decide(app, id, Decision::Approve).await
}

/// Refuses an application, also an approved one. Pauses the links of the affiliate to the offer, unless the offer is
/// public.
pub async fn refuse(app: &App, id: ApplicationId, reason: String) -> Result<Changed<Application>, Error> {
    decide(app, id, Decision::Refuse(reason)).await
}

enum Decision {
    Approve,
    Refuse(String),
}

async fn decide(app: &App, id: ApplicationId, decision: Decision) -> Result<Changed<Application>, Error> {
    let now = app.clock.now();
    let tx = app.db.begin().await?;
    let found = storage::program::applications::lock(&tx, id).await?;
    let mut application = found.ok_or_else(|| Error::not_found("application", id))?;
    let (affiliate_id, offer_id) = (application.affiliate_id, application.offer_id);
    let before = application.clone();
    let mut paused = Vec::new();
    match decision {
        Decision::Approve => {
            find_offer(&tx, offer_id).await?.check_in_use()?;
            find_affiliate(&tx, affiliate_id).await?.check_in_use()?;
            application.approve(now);
        }
        Decision::Refuse(reason) => {
            application.refuse(reason, now);
            // Every affiliate may promote a public offer.
            if find_offer(&tx, offer_id).await?.visibility != Visibility::Public {
                paused = storage::tracking::links::pause_all(&tx, affiliate_id, offer_id, now).await?;
            }
        }
    }
    storage::program::applications::save(&tx, &application).await?;
    tx.commit().await?;
    app.catalog.application_decided(offer_id, affiliate_id);
    let unseen = paused.iter().filter_map(|link| of_word(format!("{link}.status"), "active", "paused")).collect();
    paused.into_iter().for_each(|link| app.catalog.link_changed(link));
    Ok(Changed::new(before, application).with_unseen(unseen))
}

/// Reads an application that the caller may see.
pub async fn get(app: &App, actor: Actor, id: ApplicationId) -> Result<Application, Error> {
    let found = storage::program::applications::find(app.db.reader(), id).await?;
    found.filter(|it| actor.may_see(it.affiliate_id)).ok_or_else(|| Error::not_found("application", id))
}

/// Lists the applications that the caller may see.
pub async fn list(app: &App, actor: Actor, mut filter: Filter, page: PageRequest) -> Result<Page<Application>, Error> {
    if !actor.confine(&mut filter.affiliate_id) {
        return Ok(Page { items: Vec::new(), next: None });
    }
    Ok(storage::program::applications::list(app.db.lists(), filter, page).await?)
}
