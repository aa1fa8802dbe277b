//! Clicks: recorded first, then sent on their way.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use sea_orm::DbErr;
use tokio::task::JoinHandle;

use crate::app::App;
use crate::clock::{Clock, Timestamp};
use crate::domain::people::actor::Actor;
use crate::domain::program::affiliate::{Affiliate, AffiliateStatus};
use crate::domain::program::offer::{Offer, OfferStatus};
use crate::domain::tracking::action::Action;
use crate::domain::tracking::click::{Agent, Click, SUB_IDS, VALUE_MAX_CHARS, person, visitor};
use crate::domain::tracking::deep_link::deep_url;
use crate::domain::tracking::event::Event;
use crate::domain::tracking::landing::LandingUrl;
use crate::domain::tracking::link::{Link, LinkStatus};
use crate::ids::{AffiliateId, ClickId, LinkId, OfferId};
use crate::storage::base::page::{self, PageRequest};
use crate::storage::base::writer::{Groups, Lanes};
use crate::storage::{self, Database};

use crate::services::Error;
use crate::services::catalog::Catalog;
use crate::services::error::is_outage;
use crate::services::inbound::sources;
use crate::services::inbox::Inbox;

/// Clicks wait for each other for no longer than one commit.
pub type ClickWriter = Lanes<Click, Result<(), Arc<DbErr>>>;

/// A group of clicks takes few statements: no lane waits for another.
const GROUPS: Groups = Groups { largest: 512, worth_a_commit: 1 };
/// A click that waited longer than this is not stored any more: its visitor has left, and reports count on ids to be in
/// the table soon after they are made (`services/reports/fold.rs`).
pub const LATEST: Duration = Duration::from_secs(30);

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

/// Starts the tasks that commit clicks in groups.
pub fn spawn_writer(
    db: Database,
    catalog: Catalog,
    inbox: Inbox<Event>,
    clock: Clock,
) -> (ClickWriter, Vec<JoinHandle<()>>) {
    Lanes::spawn(db.lanes(), GROUPS, || {
        let (db, catalog, inbox, clock) = (db.clone(), catalog.clone(), inbox.clone(), clock.clone());
        move |clicks| {
            let (db, catalog, inbox, oldest) = (db.clone(), catalog.clone(), inbox.clone(), clock.now().minus(LATEST));
            async move { commit_timely(&db, &catalog, &inbox, clicks, oldest).await }
        }
    })
}

/// Stores what did not wait too long.
async fn commit_timely(
    db: &Database,
    catalog: &Catalog,
    inbox: &Inbox<Event>,
    clicks: Vec<Click>,
    oldest: Timestamp,
) -> Vec<Result<(), Arc<DbErr>>> {
    if clicks.iter().all(|click| click.occurred_at >= oldest) {
        return commit_all(db, catalog, inbox, clicks).await;
    }
    let late: Vec<bool> = clicks.iter().map(|click| click.occurred_at < oldest).collect();
    tracing::error!(clicks = late.iter().filter(|late| **late).count(), "Clicks waited too long to be stored");
    let timely = clicks.into_iter().filter(|click| click.occurred_at >= oldest).collect();
    let mut answers = commit_all(db, catalog, inbox, timely).await.into_iter();
    let refused = || Err(Arc::new(DbErr::Custom("the click waited too long".into())));
    late.into_iter().map(|late| if late { refused() } else { answers.next().unwrap_or_else(refused) }).collect()
}

/// Answers every click. If the group fails for one of them, each is tried alone.
async fn commit_all(
    db: &Database,
    catalog: &Catalog,
    inbox: &Inbox<Event>,
    mut clicks: Vec<Click>,
) -> Vec<Result<(), Arc<DbErr>>> {
    let error = match commit(db, catalog, inbox, &mut clicks).await {
        Ok(()) => return vec![Ok(()); clicks.len()],
        Err(error) => error,
    };
    tracing::error!(%error, clicks = clicks.len(), "Clicks could not be stored");
    if clicks.len() == 1 || is_outage(&error) {
        let error = Arc::new(error);
        return clicks.iter().map(|_| Err(error.clone())).collect();
    }
    let mut answers = Vec::with_capacity(clicks.len());
    for click in &mut clicks {
        answers.push(commit(db, catalog, inbox, std::slice::from_mut(click)).await.map_err(Arc::new));
    }
    answers
}

/// One transaction for a group: the clicks, and the events that somebody listens for.
async fn commit(db: &Database, catalog: &Catalog, inbox: &Inbox<Event>, clicks: &mut [Click]) -> Result<(), DbErr> {
    mark_first(clicks);
    let events = events(catalog, clicks).await?;
    let Some(newest) = events.last() else {
        return insert(db, clicks).await;
    };
    let lease = inbox.lease(newest.occurred_at);
    let tx = db.begin().await?;
    storage::tracking::clicks::insert(&tx, clicks).await?;
    storage::tracking::events::append(&tx, &events, lease).await?;
    tx.commit().await?;
    inbox.put(lease, events);
    Ok(())
}

/// Clicks alone are one statement on PostgreSQL, and that is a transaction by itself.
async fn insert(db: &Database, clicks: &[Click]) -> Result<(), DbErr> {
    if db.is_postgres() {
        return storage::tracking::clicks::insert(db.writer(), clicks).await;
    }
    let tx = db.begin().await?;
    storage::tracking::clicks::insert(&tx, clicks).await?;
    tx.commit().await
}

async fn events(catalog: &Catalog, clicks: &[Click]) -> Result<Vec<Event>, DbErr> {
    let listeners = catalog.listeners().await?;
    let mut events = Vec::new();
    if !listeners.is_empty() {
        for click in clicks {
            let event = Event::clicked(click, catalog.parties(click.affiliate_id, click.offer_id).await?);
            if listeners.iter().any(|rule| rule.admits(&event, None)) {
                events.push(event);
            }
        }
    }
    Ok(events)
}

/// Whether a visitor has been seen before this group, the database knows.
fn mark_first(clicks: &mut [Click]) {
    let mut seen = HashSet::with_capacity(clicks.len());
    for click in clicks {
        click.unique = seen.insert(click.visitor);
    }
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
    if !confine(actor, &mut filter.affiliate_id) {
        return Ok(page::Page { items: Vec::new(), next: None });
    }
    Ok(storage::tracking::clicks::list(app.db.lists(), filter, page).await?)
}

/// Narrows a filter to what the actor may see; `false` when nothing is left.
pub fn confine(actor: Actor, affiliate_id: &mut Option<AffiliateId>) -> bool {
    match (actor.confined_to(), *affiliate_id) {
        (Some(own), Some(asked)) if own != asked => false,
        (Some(own), _) => {
            *affiliate_id = Some(own);
            true
        }
        (None, _) => true,
    }
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
