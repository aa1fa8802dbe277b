//! Records clicks and impressions. A click is stored before its visitor is redirected.

use std::sync::Arc;

use sea_orm::DbErr;

use crate::Error;
use crate::app::App;
use crate::catalog::Catalog;
use crate::inbound::decoration;
use domain::ids::{ClickId, LinkId, OfferId};
use domain::people::actor::Actor;
use domain::program::affiliate::Affiliate;
use domain::program::offer::Offer;
use domain::tracking::action::Action;
use domain::tracking::click::Click;
use domain::tracking::click_request::ClickRequest;
use domain::tracking::landing_choice::{Landing, Page};
use domain::tracking::link::Link;
use storage::base::page::{self, PageRequest};
use storage::tracking::clicks::{Filter, VisitFilter};

/// The affiliate and offer of a link or referral code.
struct Destination {
    link: Option<Arc<Link>>,
    affiliate: Arc<Affiliate>,
    offer: Arc<Offer>,
}

/// Records a click on a link. Returns the URL of its landing page. `None`: the link or its affiliate is not active, or
/// the visitor requests a page that the offer does not allow.
pub async fn follow_link(app: &App, id: LinkId, request: ClickRequest) -> Result<Option<String>, Error> {
    let Some(destination) = destination_of_link(&app.catalog, id).await? else { return Ok(None) };
    follow(app, destination, request).await
}

/// Records a click on a referral code. Without `offer_id` the code leads to the default offer. Returns the same as
/// [`follow_link`].
pub async fn follow_code(
    app: &App,
    code: &str,
    offer_id: Option<OfferId>,
    request: ClickRequest,
) -> Result<Option<String>, Error> {
    let Some(affiliate) = app.catalog.affiliate_by_code(code).await? else { return Ok(None) };
    let offer = match offer_id {
        Some(id) => app.catalog.offer(id).await?,
        None => app.catalog.default_offer().await?,
    };
    let Some(offer) = offer else { return Ok(None) };
    if !affiliate.is_active() || !app.catalog.admits(&offer, affiliate.id).await? {
        return Ok(None);
    }
    follow(app, Destination { link: None, affiliate, offer }, request).await
}

/// Chooses the landing page and records the click. Visitors of a paused or archived offer are redirected to its fallback
/// URL, if it has one, and no click is recorded.
async fn follow(app: &App, destination: Destination, mut request: ClickRequest) -> Result<Option<String>, Error> {
    if !destination.offer.is_open() {
        return Ok(destination.fallback_url());
    }
    let (offer, link) = (destination.offer.clone(), destination.link.clone());
    let page = match Landing::choose(&offer, link.as_deref(), &mut request.query) {
        Landing::Default => None,
        Landing::Page(page) => Some(page),
        Landing::Refused => return Ok(None),
    };
    record(app, Action::Click, destination, page, request).await.map(Some)
}

/// Records an impression of a link's banner. `false`: the link, its affiliate or its offer is not active.
pub async fn record_impression(app: &App, id: LinkId, request: ClickRequest) -> Result<bool, Error> {
    let found = destination_of_link(&app.catalog, id).await?;
    let Some(destination) = found.filter(|it| it.offer.is_open()) else { return Ok(false) };
    record(app, Action::Impression, destination, None, request).await?;
    Ok(true)
}

async fn destination_of_link(catalog: &Catalog, id: LinkId) -> Result<Option<Destination>, DbErr> {
    let Some(link) = catalog.link(id).await? else { return Ok(None) };
    let (affiliate, offer) = (catalog.affiliate(link.affiliate_id).await?, catalog.offer(link.offer_id).await?);
    let (Some(affiliate), Some(offer)) = (affiliate, offer) else { return Ok(None) };
    let is_open = link.is_open() && affiliate.is_active();
    Ok(is_open.then_some(Destination { link: Some(link), affiliate, offer }))
}

impl Destination {
    fn fallback_url(&self) -> Option<String> {
        let (affiliate, offer) = (self.affiliate.id.to_string(), self.offer.id.to_string());
        let value = |name: &str| match name {
            "affiliate_id" => Some(affiliate.as_str()),
            "offer_id" => Some(offer.as_str()),
            _ => None,
        };
        self.offer.terms.fallback_url.as_ref().map(|url| url.fill(value, &[]))
    }
}

/// Records a click or an impression. Returns the URL of the landing page when the click is durable.
async fn record(
    app: &App,
    action: Action,
    destination: Destination,
    page: Option<Page<'_>>,
    request: ClickRequest,
) -> Result<String, Error> {
    let country = app.geoip.country(request.ip.as_deref());
    let Destination { link, affiliate, offer } = destination;
    let mut click = request.into_click(action, link.map(|it| it.id), affiliate.id, &offer, page, app.clock.now());
    click.country = country;
    if action == Action::Click {
        let requirements = app.catalog.click_requirements().await?;
        click.session = click.session_in(requirements.session_parameters(click.affiliate_id));
        if !offer.terms.without_source_parameters {
            decoration::decorate(app, &requirements, &mut click).await;
        }
    }
    let landing_url = click.landing_url.clone();
    // The visitor is the key of the shard. Otherwise two writers could both mark a click as the first of the day.
    let visitor = click.visitor;
    app.clicks.submit(&visitor, click).await?.map_err(Error::Database)?;
    metrics::counter!("postrider_clicks_total", "action" => action.as_str()).increment(1);
    Ok(landing_url)
}

/// Reads a click that the caller may see.
pub async fn get(app: &App, actor: Actor, id: ClickId) -> Result<Click, Error> {
    let found = storage::tracking::clicks::find(app.db.reader(), id).await?;
    found.filter(|click| actor.may_see(click.affiliate_id)).ok_or_else(|| Error::not_found("click", id))
}

/// Lists the clicks that the caller may see. The affiliate of a link never changes, so its index
/// finds the link's clicks.
pub async fn list(
    app: &App,
    actor: Actor,
    mut filter: Filter,
    visit: VisitFilter,
    page: PageRequest,
) -> Result<page::Page<Click>, Error> {
    if !actor.confine(&mut filter.affiliate_id) {
        return Ok(page::Page { items: Vec::new(), next: None });
    }
    if let Some(id) = filter.link_id {
        let link = app.catalog.link(id).await?;
        match link.map(|it| it.affiliate_id).filter(|owner| filter.affiliate_id.is_none_or(|wanted| wanted == *owner)) {
            Some(owner) => filter.affiliate_id = Some(owner),
            None => return Ok(page::Page { items: Vec::new(), next: None }),
        }
    }
    Ok(storage::tracking::clicks::list(app.db.lists(), filter, visit, page).await?)
}
