//! Links: an affiliate takes up an offer.

use crate::app::App;
use crate::domain::actor::Actor;
use crate::domain::affiliate::normal_code;
use crate::domain::link::{Link, LinkStatus};
use crate::domain::permission::Permission;
use crate::ids::{AffiliateId, LinkId, OfferId};
use crate::storage;
use crate::storage::page::{Page, PageRequest};

use super::Error;
use super::clicks::confine;
use super::error::is_taken;

pub async fn create(
    app: &App,
    actor: Actor,
    affiliate_id: AffiliateId,
    offer_id: OfferId,
    coupon: Option<String>,
) -> Result<Link, Error> {
    if !actor.may_see(affiliate_id) {
        return Err(Error::not_found("affiliate", affiliate_id));
    }
    if coupon.is_some() {
        actor.require(Permission::ManageAffiliates)?;
    }
    let now = app.clock.now();
    let tx = app.db.begin().await?;
    storage::affiliates::find(&tx, affiliate_id).await?.ok_or_else(|| Error::not_found("affiliate", affiliate_id))?;
    storage::offers::find(&tx, offer_id).await?.ok_or_else(|| Error::not_found("offer", offer_id))?;
    let link = Link {
        id: LinkId::new(now),
        affiliate_id,
        offer_id,
        coupon: coupon.as_deref().map(normal_code),
        status: LinkStatus::Active,
        created_at: now,
        updated_at: now,
    };
    storage::links::insert(&tx, &link).await.map_err(|error| taken(error, &link))?;
    tx.commit().await?;
    Ok(link)
}

/// What may be changed; `None` stays.
#[derive(Clone, Debug, Default)]
pub struct Changes {
    /// `Some(None)` takes the coupon away.
    pub coupon: Option<Option<String>>,
    pub status: Option<LinkStatus>,
}

pub async fn change(app: &App, actor: Actor, id: LinkId, changes: Changes) -> Result<Link, Error> {
    let tx = app.db.begin().await?;
    let found = storage::links::lock(&tx, id).await?.filter(|link| actor.may_see(link.affiliate_id));
    let mut link = found.ok_or_else(|| Error::not_found("link", id))?;
    if let Some(coupon) = changes.coupon {
        actor.require(Permission::ManageAffiliates)?;
        link.coupon = coupon.as_deref().map(normal_code);
    }
    link.status = changes.status.unwrap_or(link.status);
    link.updated_at = app.clock.now();
    storage::links::save(&tx, &link).await.map_err(|error| taken(error, &link))?;
    tx.commit().await?;
    app.catalog.link_changed(id);
    Ok(link)
}

fn taken(error: sea_orm::DbErr, link: &Link) -> Error {
    match &link.coupon {
        Some(coupon) if is_taken(&error) => Error::Taken { what: "the coupon", value: coupon.clone() },
        _ => error.into(),
    }
}

pub async fn get(app: &App, actor: Actor, id: LinkId) -> Result<Link, Error> {
    let found = storage::links::find(app.db.reader(), id).await?;
    found.filter(|link| actor.may_see(link.affiliate_id)).ok_or_else(|| Error::not_found("link", id))
}

pub async fn list(
    app: &App,
    actor: Actor,
    mut affiliate_id: Option<AffiliateId>,
    offer_id: Option<OfferId>,
    page: PageRequest,
) -> Result<Page<Link>, Error> {
    if !confine(actor, &mut affiliate_id) {
        return Ok(Page { items: Vec::new(), next: None });
    }
    Ok(storage::links::list(app.db.reader(), affiliate_id, offer_id, page).await?)
}
