//! Offers, affiliates, links and API keys as the hot paths see them: in memory, at most five seconds old.
//!
//! This process forgets an entry the moment it changes it; another process sees the change within
//! [`FRESH`]. Nothing that must be exact (money, status, ownership) is decided from here, only names,
//! landing pages, payouts of new conversions and who holds a key.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use moka::sync::Cache;
use sea_orm::DbErr;

use crate::domain::actor::Actor;
use crate::domain::affiliate::Affiliate;
use crate::domain::event::Parties;
use crate::domain::link::Link;
use crate::domain::offer::Offer;
use crate::domain::rules::Rule;
use crate::domain::source::{AFFRANK_SESSION, Source};
use crate::ids::{AffiliateId, LinkId, OfferId};
use crate::storage::{self, Database};

/// How long another process's change may go unseen.
pub const FRESH: Duration = Duration::from_secs(5);
/// Postbacks that listen for clicks are few and asked for by every click.
const FRESH_LISTENERS: Duration = Duration::from_secs(1);

#[derive(Clone)]
pub struct Catalog {
    db: Database,
    affiliates: Cache<AffiliateId, Arc<Affiliate>>,
    codes: Cache<String, AffiliateId>,
    offers: Cache<OfferId, Arc<Offer>>,
    links: Cache<LinkId, Arc<Link>>,
    default_offer: Cache<(), OfferId>,
    listeners: Cache<(), Arc<Vec<Rule>>>,
    for_clicks: Cache<(), Arc<ForClicks>>,
    /// By the hash of an API key.
    key_holders: Cache<String, Actor>,
}

/// What sources want of clicks, by whose clicks they find.
#[derive(Debug, Default)]
pub struct ForClicks {
    everybodys: Wishes,
    own: HashMap<AffiliateId, Wishes>,
}

#[derive(Debug, Default)]
struct Wishes {
    decorating: Vec<Source>,
    /// Parameters of links in which sessions stand.
    sessions: Vec<String>,
}

impl ForClicks {
    fn new(decorating: Vec<Source>, sessions: Vec<(Option<AffiliateId>, String)>) -> Self {
        let mut all = Self::default();
        for source in decorating {
            all.of_owner(source.affiliate_id).decorating.push(source);
        }
        for (owner, parameter) in sessions {
            all.of_owner(owner).sessions.push(parameter);
        }
        all
    }

    fn of_owner(&mut self, owner: Option<AffiliateId>) -> &mut Wishes {
        match owner {
            Some(id) => self.own.entry(id).or_default(),
            None => &mut self.everybodys,
        }
    }

    /// The sources that decorate an affiliate's clicks.
    pub fn decorating(&self, affiliate: AffiliateId) -> impl Iterator<Item = &Source> {
        let own = self.own.get(&affiliate).into_iter().flat_map(|it| &it.decorating);
        self.everybodys.decorating.iter().chain(own)
    }

    /// Under which names an affiliate's links carry sessions: its own, the operator's, AffRank's.
    pub fn session_parameters(&self, affiliate: AffiliateId) -> impl Iterator<Item = &str> {
        let own = self.own.get(&affiliate).into_iter().flat_map(|it| &it.sessions);
        own.chain(&self.everybodys.sessions).map(String::as_str).chain([AFFRANK_SESSION])
    }
}

fn cache<K, V>(entries: u64, fresh: Duration) -> Cache<K, V>
where
    K: std::hash::Hash + Eq + Send + Sync + 'static,
    V: Clone + Send + Sync + 'static,
{
    Cache::builder().max_capacity(entries).time_to_live(fresh).build()
}

impl Catalog {
    pub fn new(db: Database) -> Self {
        Self {
            db,
            affiliates: cache(20_000, FRESH),
            codes: cache(20_000, FRESH),
            offers: cache(5_000, FRESH),
            links: cache(20_000, FRESH),
            default_offer: cache(1, FRESH),
            listeners: cache(1, FRESH_LISTENERS),
            for_clicks: cache(1, FRESH),
            key_holders: cache(10_000, FRESH),
        }
    }

    pub async fn affiliate(&self, id: AffiliateId) -> Result<Option<Arc<Affiliate>>, DbErr> {
        if let Some(found) = self.affiliates.get(&id) {
            return Ok(Some(found));
        }
        let found = storage::affiliates::find(self.db.reader(), id).await?.map(Arc::new);
        if let Some(found) = &found {
            self.affiliates.insert(id, found.clone());
        }
        Ok(found)
    }

    /// `code` in its normal form.
    pub async fn affiliate_by_code(&self, code: &str) -> Result<Option<Arc<Affiliate>>, DbErr> {
        if let Some(id) = self.codes.get(code) {
            return self.affiliate(id).await;
        }
        let found = storage::affiliates::find_by_code(self.db.reader(), code).await?.map(Arc::new);
        if let Some(found) = &found {
            self.codes.insert(code.to_owned(), found.id);
            self.affiliates.insert(found.id, found.clone());
        }
        Ok(found)
    }

    pub async fn offer(&self, id: OfferId) -> Result<Option<Arc<Offer>>, DbErr> {
        if let Some(found) = self.offers.get(&id) {
            return Ok(Some(found));
        }
        let found = storage::offers::find(self.db.reader(), id).await?.map(Arc::new);
        if let Some(found) = &found {
            self.offers.insert(id, found.clone());
        }
        Ok(found)
    }

    pub async fn default_offer(&self) -> Result<Option<Arc<Offer>>, DbErr> {
        if let Some(id) = self.default_offer.get(&()) {
            return self.offer(id).await;
        }
        let found = storage::offers::find_default(self.db.reader()).await?.map(Arc::new);
        if let Some(found) = &found {
            self.default_offer.insert((), found.id);
            self.offers.insert(found.id, found.clone());
        }
        Ok(found)
    }

    pub async fn link(&self, id: LinkId) -> Result<Option<Arc<Link>>, DbErr> {
        if let Some(found) = self.links.get(&id) {
            return Ok(Some(found));
        }
        let found = storage::links::find(self.db.reader(), id).await?.map(Arc::new);
        if let Some(found) = &found {
            self.links.insert(id, found.clone());
        }
        Ok(found)
    }

    /// The rules of live postbacks for clicks and impressions.
    pub async fn listeners(&self) -> Result<Arc<Vec<Rule>>, DbErr> {
        if let Some(found) = self.listeners.get(&()) {
            return Ok(found);
        }
        let found = Arc::new(storage::postbacks::list_listeners(self.db.reader()).await?);
        self.listeners.insert((), found.clone());
        Ok(found)
    }

    /// What sources want of clicks.
    pub async fn for_clicks(&self) -> Result<Arc<ForClicks>, DbErr> {
        if let Some(found) = self.for_clicks.get(&()) {
            return Ok(found);
        }
        let decorating = storage::sources::list_decorating(self.db.reader()).await?;
        let sessions = storage::sources::list_session_parameters(self.db.reader()).await?;
        let found = Arc::new(ForClicks::new(decorating, sessions));
        self.for_clicks.insert((), found.clone());
        Ok(found)
    }

    /// Who holds the API key of this hash.
    pub async fn key_holder(&self, hash: &str) -> Result<Option<Actor>, DbErr> {
        if let Some(found) = self.key_holders.get(hash) {
            return Ok(Some(found));
        }
        let found = storage::api_keys::find_by_hash(self.db.reader(), hash).await?.map(|key| key.actor());
        if let Some(found) = found {
            self.key_holders.insert(hash.to_owned(), found);
        }
        Ok(found)
    }

    /// The names that go into an event.
    pub async fn parties(&self, affiliate: AffiliateId, offer: OfferId) -> Result<Parties, DbErr> {
        let missing = |what| DbErr::RecordNotFound(format!("{what} of a click or conversion is gone"));
        let affiliate = self.affiliate(affiliate).await?.ok_or_else(|| missing("the affiliate"))?;
        let offer = self.offer(offer).await?.ok_or_else(|| missing("the offer"))?;
        Ok(Parties { affiliate: affiliate.facts(), offer: offer.facts() })
    }

    pub fn affiliate_changed(&self, id: AffiliateId) {
        self.affiliates.invalidate(&id);
    }

    pub fn offer_changed(&self, id: OfferId) {
        self.offers.invalidate(&id);
        self.default_offer.invalidate(&());
    }

    pub fn link_changed(&self, id: LinkId) {
        self.links.invalidate(&id);
    }

    pub fn key_revoked(&self, hash: &str) {
        self.key_holders.invalidate(hash);
    }

    pub fn sources_changed(&self) {
        self.for_clicks.invalidate(&());
    }

    pub fn postbacks_changed(&self) {
        self.listeners.invalidate(&());
    }
}
