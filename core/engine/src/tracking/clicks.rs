//! Clicks: recorded first, then sent on their way.

use std::sync::Arc;

use sea_orm::DbErr;

use crate::Error;
use crate::app::App;
use crate::catalog::Catalog;
use crate::inbound::sources;
use domain::ids::{ClickId, LinkId, OfferId};
use domain::people::actor::Actor;
use domain::program::affiliate::{Affiliate, AffiliateStatus};
use domain::program::offer::{Offer, OfferStatus};
use domain::timestamp::Timestamp;
use domain::tracking::action::Action;
use domain::tracking::click::{Agent, Click, SUB_IDS, VALUE_MAX_CHARS, person, visitor};
use domain::tracking::deep_link::deep_url;
use domain::tracking::landing::LandingUrl;
use domain::tracking::link::{Link, LinkStatus};
use storage::base::page::{self, PageRequest};
use storage::{self};

/// What a browser sent along.
#[derive(Clone, Debug, Default)]
pub struct Visit {
    pub query: Vec<(String, String)>,
    pub referrer: Option<String>,
    pub ip: Option<String>,
    pub user_agent: Option<String>,
    pub agent: Agent,
}

/// Where a visit leads.
struct Destination {
    link: Option<Arc<Link>>,
    affiliate: Arc<Affiliate>,
    offer: Arc<Offer>,
}

/// One page of the shop: a landing page of the offer, or a page that the visitor's link names.
enum Page<'a> {
    Landing(&'a LandingUrl),
    Deep(url::Url),
}

/// The parameter that asks for a landing page by name.
const LANDING_PAGE: &str = "lp";
/// The parameter that asks for any page on the hosts that the offer allows.
const DEEP_LINK: &str = "url";

/// Records a click over a link and says where it leads. `None`: the link leads nowhere.
pub async fn follow_link(app: &App, id: LinkId, visit: Visit) -> Result<Option<String>, Error> {
    let Some(destination) = destination_of_link(&app.catalog, id).await? else { return Ok(None) };
    follow(app, destination, visit).await
}

/// Records a click over a referral code; without `offer_id` it leads to the default offer.
pub async fn follow_code(
    app: &App,
    code: &str,
    offer_id: Option<OfferId>,
    visit: Visit,
) -> Result<Option<String>, Error> {
    let Some(affiliate) = app.catalog.affiliate_by_code(code).await? else { return Ok(None) };
    let offer = match offer_id {
        Some(id) => app.catalog.offer(id).await?,
        None => app.catalog.default_offer().await?,
    };
    let Some(offer) = offer else { return Ok(None) };
    if affiliate.status != AffiliateStatus::Active || !app.catalog.admits(&offer, affiliate.id).await? {
        return Ok(None);
    }
    follow(app, Destination { link: None, affiliate, offer }, visit).await
}

/// A paused offer sends visitors elsewhere, if it says where; that is no click.
async fn follow(app: &App, destination: Destination, mut visit: Visit) -> Result<Option<String>, Error> {
    if destination.offer.status == OfferStatus::Paused {
        return Ok(destination.elsewhere());
    }
    let (offer, link) = (destination.offer.clone(), destination.link.clone());
    let Some(page) = page_for(&offer, link.as_deref(), &mut visit.query) else { return Ok(None) };
    record(app, Action::Click, destination, page, visit).await.map(Some)
}

/// The page that a visitor asks for, or the link, and takes the question out of `query`. `Some(None)`: neither does.
/// `None`: the visitor asks for a host that the offer does not allow.
fn page_for<'a>(offer: &'a Offer, link: Option<&Link>, query: &mut Vec<(String, String)>) -> Option<Option<Page<'a>>> {
    let hosts = &offer.terms.deep_link_hosts;
    if !hosts.is_empty()
        && let Some(at) = query.iter().position(|(name, _)| name == DEEP_LINK)
    {
        let (_, text) = query.remove(at);
        return deep_url(&text, hosts).ok().map(|url| Some(Page::Deep(url)));
    }
    let asked = query.iter().position(|(name, value)| name == LANDING_PAGE && offer.landing_page(value).is_some());
    let asked = asked.and_then(|at| offer.landing_page(&query.remove(at).1));
    if let Some(page) = asked {
        return Some(Some(Page::Landing(&page.url)));
    }
    // What was allowed when the link was made may not be any more.
    if let Some(url) = link.and_then(|link| deep_url(link.deep_url.as_deref()?, hosts).ok()) {
        return Some(Some(Page::Deep(url)));
    }
    let named = link.and_then(|link| offer.landing_page(link.landing_page.as_deref()?));
    Some(named.map(|page| Page::Landing(&page.url)))
}

/// Records that a banner was seen. `false`: the link leads nowhere.
pub async fn record_impression(app: &App, id: LinkId, visit: Visit) -> Result<bool, Error> {
    let found = destination_of_link(&app.catalog, id).await?;
    let Some(destination) = found.filter(|it| it.offer.status == OfferStatus::Active) else { return Ok(false) };
    record(app, Action::Impression, destination, None, visit).await?;
    Ok(true)
}

async fn destination_of_link(catalog: &Catalog, id: LinkId) -> Result<Option<Destination>, DbErr> {
    let Some(link) = catalog.link(id).await? else { return Ok(None) };
    let (affiliate, offer) = (catalog.affiliate(link.affiliate_id).await?, catalog.offer(link.offer_id).await?);
    let (Some(affiliate), Some(offer)) = (affiliate, offer) else { return Ok(None) };
    let is_open = link.status == LinkStatus::Active && affiliate.status == AffiliateStatus::Active;
    Ok(is_open.then_some(Destination { link: Some(link), affiliate, offer }))
}

impl Destination {
    /// Where visitors of a paused offer go.
    fn elsewhere(&self) -> Option<String> {
        let (affiliate, offer) = (self.affiliate.id.to_string(), self.offer.id.to_string());
        let value = |name: &str| match name {
            "affiliate_id" => Some(affiliate.as_str()),
            "offer_id" => Some(offer.as_str()),
            _ => None,
        };
        self.offer.terms.fallback_url.as_ref().map(|url| url.fill(value, &[]))
    }
}

/// Answers with the landing page when the click is durable.
async fn record(
    app: &App,
    action: Action,
    destination: Destination,
    page: Option<Page<'_>>,
    visit: Visit,
) -> Result<String, Error> {
    let country = app.geoip.country(visit.ip.as_deref());
    let mut click = describe(action, destination, page, visit, app.clock.now());
    click.country = country;
    if action == Action::Click {
        let wishes = app.catalog.for_clicks().await?;
        click.session = session(&click, wishes.session_parameters(click.affiliate_id));
        sources::decorate(app, &wishes, &mut click).await;
    }
    let landing_url = click.landing_url.clone();
    // One visitor, one lane: two first visits of a day would else not see each other.
    let visitor = click.visitor;
    app.clicks.submit(&visitor, click).await?.map_err(Error::Database)?;
    metrics::counter!("postrider_clicks_total", "action" => action.as_str()).increment(1);
    Ok(landing_url)
}

fn describe(action: Action, destination: Destination, page: Option<Page<'_>>, visit: Visit, now: Timestamp) -> Click {
    let Destination { link, affiliate, offer } = destination;
    let link_id = link.map(|link| link.id);
    let id = ClickId::new(now);
    let cut = |text: String| match text.char_indices().nth(VALUE_MAX_CHARS) {
        Some((end, _)) => text[..end].to_owned(),
        None => text,
    };
    let mut external_id = None;
    let mut sub_ids: Vec<(String, String)> = Vec::new();
    let mut params: Vec<(String, String)> = Vec::new();
    for (name, value) in visit.query {
        let (name, value) = (cut(name), cut(value));
        if name == "click_id" {
            external_id = external_id.or(Some(value).filter(|value| !value.is_empty()));
        } else if is_sub_id(&name) {
            if !sub_ids.iter().any(|(known, _)| *known == name) {
                sub_ids.push((name, value));
            }
        } else if name != "offer_id" || link_id.is_some() {
            params.push((name, value));
        }
    }
    let (ip, user_agent) = (visit.ip, visit.user_agent.map(cut));
    let scope = link_id.map_or(affiliate.id.0, |link| link.0);
    let visitor = visitor(scope, now, ip.as_deref(), user_agent.as_deref()) ^ i64::from(action == Action::Impression);
    let counted = action == Action::Click && offer.counts_visitors();
    // A tracker's own parameters travel on; ours are put where the offer's macros ask for them.
    let landing_url = {
        let (click, affiliate, offer_id) = (id.to_string(), affiliate.id.to_string(), offer.id.to_string());
        let value = |name: &str| match name {
            "click_id" => Some(click.as_str()),
            "affiliate_id" => Some(affiliate.as_str()),
            "offer_id" => Some(offer_id.as_str()),
            sub => sub_ids.iter().find(|(name, _)| name == sub).map(|(_, value)| value.as_str()),
        };
        match page {
            Some(Page::Landing(page)) => page.fill(value, &params),
            Some(Page::Deep(url)) => offer.landing_url.fill_deep(url, value, &params),
            None => offer.landing_for(visitor).fill(value, &params),
        }
    };
    Click {
        id,
        action,
        link_id,
        affiliate_id: affiliate.id,
        offer_id: offer.id,
        occurred_at: now,
        external_id,
        sub_ids,
        params,
        session: None,
        landing_url,
        referrer: visit.referrer.map(cut),
        visitor,
        person: counted.then(|| person(offer.id, ip.as_deref(), user_agent.as_deref())),
        ip,
        user_agent,
        country: None,
        agent: visit.agent,
        unique: false,
    }
}

/// The session that a link carries under the first of these names.
fn session<'a>(click: &Click, mut names: impl Iterator<Item = &'a str>) -> Option<String> {
    let found = names.find_map(|name| click.parameter(name).map(str::trim).filter(|value| !value.is_empty()));
    found.map(str::to_lowercase)
}

fn is_sub_id(name: &str) -> bool {
    name.strip_prefix("sub").is_some_and(|digits| {
        !digits.starts_with('0') && digits.parse::<usize>().is_ok_and(|slot| (1..=SUB_IDS).contains(&slot))
    })
}

pub async fn get(app: &App, actor: Actor, id: ClickId) -> Result<Click, Error> {
    let found = storage::tracking::clicks::find(app.db.reader(), id).await?;
    found.filter(|click| actor.may_see(click.affiliate_id)).ok_or_else(|| Error::not_found("click", id))
}

pub async fn list(
    app: &App,
    actor: Actor,
    mut filter: storage::tracking::clicks::Filter,
    page: PageRequest,
) -> Result<page::Page<Click>, Error> {
    if !actor.confine(&mut filter.affiliate_id) {
        return Ok(page::Page { items: Vec::new(), next: None });
    }
    Ok(storage::tracking::clicks::list(app.db.lists(), filter, page).await?)
}

#[cfg(test)]
mod tests {
    use super::is_sub_id;

    #[test]
    fn there_are_ten_sub_ids() {
        for name in ["sub1", "sub9", "sub10"] {
            assert!(is_sub_id(name), "{name}");
        }
        for name in ["sub", "sub0", "sub01", "sub11", "sub1x", "subid", "SUB1"] {
            assert!(!is_sub_id(name), "{name}");
        }
    }
}
