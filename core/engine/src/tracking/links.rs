//! Links of affiliates to offers, with an optional landing page or deep link, and with coupons.

use sea_orm::ConnectionTrait;

use crate::Error;
use crate::app::App;
use crate::error::is_taken;
use crate::program::quota;
use domain::ids::{AffiliateId, LinkId, OfferId};
use domain::people::actor::Actor;
use domain::people::changes::Changed;
use domain::people::permission::Permission;
use domain::program::affiliate::normal_code;
use domain::program::offer::{Offer, Visibility};
use domain::timestamp::Timestamp;
use domain::tracking::coupon::{Active, Coupon};
use domain::tracking::deep_link::deep_url_of_link;
use domain::tracking::link::{Link, LinkStatus};
use domain::tracking::transaction::is_no_id;
use storage::base::page::{Page, PageRequest};
use storage::tracking::links::Filter;

/// A link and its coupons.
#[derive(Clone, Debug)]
pub struct LinkWithCoupons {
    pub link: Link,
    pub coupons: Vec<Coupon>,
}

/// The data of a link, when it is created and when it is changed.
#[derive(Clone, Debug)]
pub struct LinkData {
    /// Affiliate and offer cannot be changed.
    pub affiliate_id: AffiliateId,
    pub offer_id: OfferId,
    pub deep_url: Option<String>,
    pub landing_page: Option<String>,
    pub coupons: Vec<NewCoupon>,
    pub status: LinkStatus,
}

/// The data of a coupon of a link.
#[derive(Clone, Debug)]
pub struct NewCoupon {
    pub code: String,
    pub active: Active,
}

/// Creates a link. Only staff with the permission to manage affiliates can give it coupons.
pub async fn create(app: &App, actor: Actor, new: LinkData) -> Result<LinkWithCoupons, Error> {
    let LinkData { affiliate_id, offer_id, status, .. } = new;
    if !actor.may_see(affiliate_id) {
        return Err(Error::not_found("affiliate", affiliate_id));
    }
    if !new.coupons.is_empty() {
        actor.require(Permission::ManageAffiliates)?;
    }
    let now = app.clock.now();
    let tx = app.db.begin().await?;
    let affiliate = storage::program::affiliates::find(&tx, affiliate_id).await?;
    affiliate.ok_or_else(|| Error::not_found("affiliate", affiliate_id))?.check_in_use()?;
    let offer = find_promotable(&tx, actor, offer_id, affiliate_id).await?;
    quota::link(app, &tx, actor, affiliate_id).await?;
    let mut link = Link {
        id: LinkId::new(now),
        affiliate_id,
        offer_id,
        deep_url: None,
        landing_page: None,
        status,
        created_at: now,
        updated_at: now,
        archived_at: None,
    };
    set_target(&mut link, &offer, new.deep_url, new.landing_page)?;
    storage::tracking::links::insert(&tx, &link).await?;
    let coupons = replace_coupons(&tx, link.id, new.coupons).await?;
    tx.commit().await?;
    Ok(LinkWithCoupons { link, coupons })
}

/// Changes a link. `edit` gets the link while it is locked. The affiliate must still be allowed to promote the offer if
/// the target changes or the link is activated.
pub async fn change(
    app: &App,
    actor: Actor,
    id: LinkId,
    edit: impl FnOnce(&LinkWithCoupons) -> Result<LinkData, Error>,
) -> Result<Changed<LinkWithCoupons>, Error> {
    let tx = app.db.begin().await?;
    let before = lock(&tx, actor, id).await?;
    let mut link = before.link.clone();
    let data = edit(&before)?;
    if (data.affiliate_id, data.offer_id) != (link.affiliate_id, link.offer_id) {
        let field = if data.offer_id == link.offer_id { "/affiliate_id" } else { "/offer_id" };
        return Err(Error::invalid(field, "cannot be changed; create another link"));
    }
    let has_new_coupons = !before.has_coupons(&data.coupons);
    if has_new_coupons {
        actor.require(Permission::ManageAffiliates)?;
    }
    let has_new_target = (&data.deep_url, &data.landing_page) != (&link.deep_url, &link.landing_page);
    // Coupons of an active link can be changed although the approval of its affiliate was revoked.
    if has_new_target || (data.status == LinkStatus::Active && !has_new_coupons) {
        let offer = find_promotable(&tx, actor, link.offer_id, link.affiliate_id).await?;
        set_target(&mut link, &offer, data.deep_url, data.landing_page)?;
    }
    link.status = data.status;
    link.updated_at = app.clock.now();
    storage::tracking::links::save(&tx, &link).await?;
    let coupons = match has_new_coupons {
        true => replace_coupons(&tx, id, data.coupons).await?,
        false => before.coupons.clone(),
    };
    tx.commit().await?;
    app.catalog.link_changed(id);
    Ok(Changed::new(before, LinkWithCoupons { link, coupons }))
}

/// Archives a link: its visitors get a "not found" page. Its coupons remain its own.
pub async fn archive(app: &App, actor: Actor, id: LinkId) -> Result<Changed<LinkWithCoupons>, Error> {
    change_archive(app, actor, id, Link::archive).await
}

/// Restores an archived link, which then counts for the quota of its affiliate again.
pub async fn restore(app: &App, actor: Actor, id: LinkId) -> Result<Changed<LinkWithCoupons>, Error> {
    change_archive(app, actor, id, Link::restore).await
}

async fn change_archive(
    app: &App,
    actor: Actor,
    id: LinkId,
    step: fn(&mut Link, Timestamp),
) -> Result<Changed<LinkWithCoupons>, Error> {
    let tx = app.db.begin().await?;
    let before = lock(&tx, actor, id).await?;
    let mut link = before.link.clone();
    step(&mut link, app.clock.now());
    if before.link.archived_at.is_some() && link.archived_at.is_none() {
        quota::link(app, &tx, actor, link.affiliate_id).await?;
    }
    storage::tracking::links::save(&tx, &link).await?;
    tx.commit().await?;
    app.catalog.link_changed(id);
    let coupons = before.coupons.clone();
    Ok(Changed::new(before, LinkWithCoupons { link, coupons }))
}

/// Locks a link that the caller may see, and finds its coupons.
async fn lock(tx: &impl ConnectionTrait, actor: Actor, id: LinkId) -> Result<LinkWithCoupons, Error> {
    let found = storage::tracking::links::lock(tx, id).await?.filter(|link| actor.may_see(link.affiliate_id));
    let link = found.ok_or_else(|| Error::not_found("link", id))?;
    let coupons = storage::tracking::coupons::list_of(tx, [id]).await?.remove(&id).unwrap_or_default();
    Ok(LinkWithCoupons { link, coupons })
}

impl LinkWithCoupons {
    fn has_coupons(&self, coupons: &[NewCoupon]) -> bool {
        let known = self.coupons.iter().map(|it| (it.code.clone(), it.active));
        known.eq(coupons.iter().map(|it| (normal_code(&it.code), it.active)))
    }
}

/// Finds the offer of a link.
///
/// # Errors
/// The affiliate may not promote the offer, or the offer is archived. A private offer that the affiliate may not promote
/// is not found by affiliates.
async fn find_promotable(
    tx: &impl ConnectionTrait,
    actor: Actor,
    offer_id: OfferId,
    affiliate_id: AffiliateId,
) -> Result<Offer, Error> {
    let found = storage::program::offers::find(tx, offer_id).await?;
    let offer = found.ok_or_else(|| Error::not_found("offer", offer_id))?;
    let admitted = offer.visibility == Visibility::Public
        || storage::program::applications::find_of(tx, offer_id, affiliate_id).await?.is_some_and(|it| it.admits());
    match admitted {
        true => {
            offer.check_in_use()?;
            Ok(offer)
        }
        false if offer.visibility == Visibility::Private && !actor.is_staff() => {
            Err(Error::not_found("offer", offer_id))
        }
        false => Err(Error::NotAdmitted { affiliate: affiliate_id, offer: offer_id }),
    }
}

/// Sets the deep link and the landing page of a link. Only a changed one is checked, because the offer may have removed
/// a present one.
fn set_target(link: &mut Link, offer: &Offer, deep: Option<String>, page: Option<String>) -> Result<(), Error> {
    if deep != link.deep_url {
        let url = deep.map(|text| deep_url_of_link(&text, &offer.terms.deep_link_hosts)).transpose();
        link.deep_url = url.map_err(|error| Error::invalid("/deep_url", error.to_string()))?;
    }
    if page != link.landing_page {
        if let Some(name) = page.as_deref().filter(|name| offer.landing_page(name).is_none()) {
            let message = format!("the offer has no landing page \"{name}\"; use a name of its landing_pages");
            return Err(Error::invalid("/landing_page", message));
        }
        link.landing_page = page;
    }
    Ok(())
}

/// Replaces the coupons of a link.
///
/// # Errors
/// Another link has one of the codes, or a code is a word that shops send for no coupon.
async fn replace_coupons(
    tx: &impl ConnectionTrait,
    link_id: LinkId,
    coupons: Vec<NewCoupon>,
) -> Result<Vec<Coupon>, Error> {
    let coupon = |it: NewCoupon| Coupon { code: normal_code(&it.code), link_id, active: it.active };
    let coupons: Vec<Coupon> = coupons.into_iter().map(coupon).collect();
    if let Some(nothing) = coupons.iter().find(|it| is_no_id(&it.code)) {
        let message = format!("shops send \"{}\" for orders without a coupon; choose another code", nothing.code);
        return Err(Error::invalid("/coupons", message));
    }
    if coupons.is_empty() && storage::tracking::coupons::list_of(tx, [link_id]).await?.is_empty() {
        return Ok(coupons);
    }
    let taken = |code: &str| Error::Taken { what: "the coupon", value: code.to_owned() };
    if let Some(other) = storage::tracking::coupons::find_taken(tx, link_id, &coupons).await? {
        return Err(taken(&other.code));
    }
    // Another request may give one of the codes to another link at the same time.
    let replaced = storage::tracking::coupons::replace(tx, link_id, &coupons).await;
    replaced.map_err(|error| match coupons.first() {
        Some(first) if is_taken(&error) => taken(&first.code),
        _ => error.into(),
    })?;
    Ok(coupons)
}

/// Reads a link that the caller may see.
pub async fn get(app: &App, actor: Actor, id: LinkId) -> Result<LinkWithCoupons, Error> {
    let found = storage::tracking::links::find(app.db.reader(), id).await?;
    let link = found.filter(|link| actor.may_see(link.affiliate_id)).ok_or_else(|| Error::not_found("link", id))?;
    let coupons = storage::tracking::coupons::list_of(app.db.reader(), [id]).await?.remove(&id).unwrap_or_default();
    Ok(LinkWithCoupons { link, coupons })
}

/// Lists the links that the caller may see.
pub async fn list(
    app: &App,
    actor: Actor,
    mut filter: Filter,
    page: PageRequest,
) -> Result<Page<LinkWithCoupons>, Error> {
    if !actor.confine(&mut filter.affiliate_id) {
        return Ok(Page { items: Vec::new(), next: None });
    }
    let page = storage::tracking::links::list(app.db.lists(), filter, page).await?;
    let mut coupons =
        storage::tracking::coupons::list_of(app.db.reader(), page.items.iter().map(|link| link.id)).await?;
    Ok(page.map(|link| LinkWithCoupons { coupons: coupons.remove(&link.id).unwrap_or_default(), link }))
}
