//! Offers, affiliates, links, API keys and sessions, cached in memory for the hot paths.
//!
//! When this process changes an entry, it removes the entry from its cache. PostgreSQL notifies the other processes
//! when a person loses access; they see other changes within `catalog_max_age_secs`. Decisions that must be exact
//! (money, status, ownership) do not use the catalog. It supplies names, landing pages, payouts of new conversions and
//! the holders of keys.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use moka::ops::compute::Op;
use moka::sync::Cache;
use sea_orm::DbErr;

use crate::people::live_session;
use crate::people::live_session::LiveSession;
use domain::amounts::Currency;
use domain::delivery::rules::Rule;
use domain::ids::{AffiliateId, KeyId, LinkId, OfferId};
use domain::inbound::source::{AFFRANK_SESSION, Source};
use domain::people::actor::Actor;
use domain::people::api_key::USED_EVERY;
use domain::program::affiliate::Affiliate;
use domain::program::buyer_visibility::BuyerVisibility;
use domain::program::offer::{Offer, Visibility};
use domain::program::order_scope::OrderScope;
use domain::program::payout_override::PayoutOverrides;
use domain::program::sub_affiliate::SubAffiliateSettings;
use domain::timestamp::Timestamp;
use domain::tracking::action::Action;
use domain::tracking::event::Parties;
use domain::tracking::link::Link;
use storage::Database;

/// The maximum age of the rules of postbacks that subscribe to clicks or events. Every click reads them.
const SUBSCRIPTIONS_MAX_AGE: Duration = Duration::from_secs(1);

/// All clones share the same caches.
#[derive(Clone)]
pub struct Catalog {
    db: Database,
    affiliates: Cache<AffiliateId, Arc<Affiliate>>,
    codes: Cache<String, AffiliateId>,
    offers: Cache<OfferId, Arc<Offer>>,
    links: Cache<LinkId, Arc<Link>>,
    payout_overrides: Cache<OfferId, Arc<PayoutOverrides>>,
    /// Whether an affiliate may promote an offer that is not public.
    admitted: Cache<(OfferId, AffiliateId), bool>,
    default_offer: Cache<(), OfferId>,
    /// The currencies in which an offer has a minimum for withdrawals.
    minimum_currencies: Cache<(), Arc<HashSet<Currency>>>,
    click_subscriptions: Cache<(), Arc<Vec<Rule>>>,
    event_subscriptions: Cache<(), Arc<Vec<Rule>>>,
    sub_affiliate_settings: Cache<(), Arc<SubAffiliateSettings>>,
    buyer_visibility: Cache<(), BuyerVisibility>,
    order_scope: Cache<(), OrderScope>,
    click_requirements: Cache<(), Arc<ClickRequirements>>,
    /// By hash of the API key.
    key_holders: Cache<String, Holder>,
    /// When this process last recorded a use of a key.
    key_uses: Cache<KeyId, Timestamp>,
    /// By hash of the cookie.
    sessions: Cache<String, Arc<LiveSession>>,
    /// Counts the calls of [`Self::people_changed`]. An entry that was read before a change must not stay in the cache
    /// after it.
    people_changes: Arc<AtomicU64>,
}

/// The holder of an API key.
#[derive(Clone, Copy, Debug)]
pub struct Holder {
    pub key: KeyId,
    pub actor: Actor,
    pub expires_at: Option<Timestamp>,
}

/// The requirements of sources for clicks, by owner of the source: decoration and session parameters.
#[derive(Debug, Default)]
pub struct ClickRequirements {
    operators: OwnerRequirements,
    own: HashMap<AffiliateId, OwnerRequirements>,
    /// The affiliates whose first source was configured, disabled or deleted. The others' first sources add the session of
    /// a click to its landing URL, so only the exceptions are in memory.
    changed_firsts: HashSet<AffiliateId>,
}

#[derive(Debug, Default)]
struct OwnerRequirements {
    decorating: Vec<Source>,
    /// Parameters of links that carry session ids.
    sessions: Vec<String>,
}

impl ClickRequirements {
    fn new(
        decorating: Vec<Source>,
        sessions: Vec<(Option<AffiliateId>, String)>,
        changed_firsts: HashSet<AffiliateId>,
    ) -> Self {
        let mut all = Self { changed_firsts, ..Self::default() };
        for source in decorating {
            all.of_owner(source.affiliate_id).decorating.push(source);
        }
        for (owner, parameter) in sessions {
            all.of_owner(owner).sessions.push(parameter);
        }
        all
    }

    fn of_owner(&mut self, owner: Option<AffiliateId>) -> &mut OwnerRequirements {
        match owner {
            Some(id) => self.own.entry(id).or_default(),
            None => &mut self.operators,
        }
    }

    /// The sources that decorate an affiliate's clicks: the operator's and the affiliate's.
    pub(crate) fn decorating(&self, affiliate: AffiliateId) -> impl Iterator<Item = &Source> {
        let own = self.own.get(&affiliate).into_iter().flat_map(|it| &it.decorating);
        self.operators.decorating.iter().chain(own)
    }

    /// The parameter in which the first source of an affiliate adds the session of a click, if it is as it was made.
    pub(crate) fn first_session(&self, affiliate: AffiliateId) -> Option<&'static str> {
        (!self.changed_firsts.contains(&affiliate)).then_some(AFFRANK_SESSION)
    }

    /// The parameters in which an affiliate's links carry session ids: those of its own sources, of the operator's
    /// sources and of AffRank.
    pub(crate) fn session_parameters(&self, affiliate: AffiliateId) -> impl Iterator<Item = &str> {
        let own = self.own.get(&affiliate).into_iter().flat_map(|it| &it.sessions);
        own.chain(&self.operators.sessions).map(String::as_str).chain([AFFRANK_SESSION])
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
    /// Creates empty caches. `fresh` is the maximum age of an entry that another process may have changed.
    pub fn new(db: Database, fresh: Duration) -> Self {
        Self {
            db,
            affiliates: cache(20_000, fresh),
            codes: cache(20_000, fresh),
            offers: cache(5_000, fresh),
            links: cache(20_000, fresh),
            payout_overrides: cache(5_000, fresh),
            admitted: cache(20_000, fresh),
            default_offer: cache(1, fresh),
            minimum_currencies: cache(1, fresh),
            click_subscriptions: cache(1, SUBSCRIPTIONS_MAX_AGE),
            event_subscriptions: cache(1, SUBSCRIPTIONS_MAX_AGE),
            sub_affiliate_settings: cache(1, fresh),
            buyer_visibility: cache(1, fresh),
            order_scope: cache(1, fresh),
            click_requirements: cache(1, fresh),
            key_holders: cache(10_000, fresh),
            key_uses: cache(10_000, USED_EVERY * 60),
            sessions: cache(10_000, fresh),
            people_changes: Arc::default(),
        }
    }

    /// Finds an affiliate.
    pub async fn affiliate(&self, id: AffiliateId) -> Result<Option<Arc<Affiliate>>, DbErr> {
        if let Some(found) = self.affiliates.get(&id) {
            return Ok(Some(found));
        }
        let found = storage::program::affiliates::find(self.db.reader(), id).await?.map(Arc::new);
        if let Some(found) = &found {
            self.affiliates.insert(id, found.clone());
        }
        Ok(found)
    }

    /// Finds an affiliate by its referral code. `code` must be normalised.
    pub(crate) async fn affiliate_by_code(&self, code: &str) -> Result<Option<Arc<Affiliate>>, DbErr> {
        if let Some(id) = self.codes.get(code) {
            return self.affiliate(id).await;
        }
        let found = storage::program::affiliates::find_by_code(self.db.reader(), code).await?.map(Arc::new);
        if let Some(found) = &found {
            self.codes.insert(code.to_owned(), found.id);
            self.affiliates.insert(found.id, found.clone());
        }
        Ok(found)
    }

    /// Finds an offer.
    pub async fn offer(&self, id: OfferId) -> Result<Option<Arc<Offer>>, DbErr> {
        if let Some(found) = self.offers.get(&id) {
            return Ok(Some(found));
        }
        let found = storage::program::offers::find(self.db.reader(), id).await?.map(Arc::new);
        if let Some(found) = &found {
            self.offers.insert(id, found.clone());
        }
        Ok(found)
    }

    /// Finds the default offer.
    pub async fn default_offer(&self) -> Result<Option<Arc<Offer>>, DbErr> {
        if let Some(id) = self.default_offer.get(&()) {
            return self.offer(id).await;
        }
        let found = storage::program::offers::find_default(self.db.reader()).await?.map(Arc::new);
        if let Some(found) = &found {
            self.default_offer.insert((), found.id);
            self.offers.insert(found.id, found.clone());
        }
        Ok(found)
    }

    /// Whether any offer has a minimum for withdrawals in this currency.
    pub(crate) async fn has_minimums(&self, currency: Currency) -> Result<bool, DbErr> {
        if let Some(found) = self.minimum_currencies.get(&()) {
            return Ok(found.contains(&currency));
        }
        let found = Arc::new(storage::program::offers::list_currencies_with_minimum(self.db.reader()).await?);
        self.minimum_currencies.insert((), found.clone());
        Ok(found.contains(&currency))
    }

    /// Finds a link.
    pub async fn link(&self, id: LinkId) -> Result<Option<Arc<Link>>, DbErr> {
        if let Some(found) = self.links.get(&id) {
            return Ok(Some(found));
        }
        let found = storage::tracking::links::find(self.db.reader(), id).await?.map(Arc::new);
        if let Some(found) = &found {
            self.links.insert(id, found.clone());
        }
        Ok(found)
    }

    /// The payout overrides of an offer.
    pub async fn payout_overrides(&self, offer: OfferId) -> Result<Arc<PayoutOverrides>, DbErr> {
        if let Some(found) = self.payout_overrides.get(&offer) {
            return Ok(found);
        }
        let found = storage::program::payout_overrides::list_of(self.db.reader(), [offer], None).await?;
        let found = Arc::new(PayoutOverrides::new(found));
        self.payout_overrides.insert(offer, found.clone());
        Ok(found)
    }

    /// Whether this affiliate may promote this offer.
    pub async fn admits(&self, offer: &Offer, affiliate: AffiliateId) -> Result<bool, DbErr> {
        if offer.visibility == Visibility::Public {
            return Ok(true);
        }
        let key = (offer.id, affiliate);
        if let Some(found) = self.admitted.get(&key) {
            return Ok(found);
        }
        let found = storage::program::applications::find_of(self.db.reader(), offer.id, affiliate).await?;
        let found = found.is_some_and(|application| application.admits());
        self.admitted.insert(key, found);
        Ok(found)
    }

    /// The rules of live postbacks that subscribe to clicks and impressions.
    pub(crate) async fn click_subscriptions(&self) -> Result<Arc<Vec<Rule>>, DbErr> {
        if let Some(found) = self.click_subscriptions.get(&()) {
            return Ok(found);
        }
        let actions = [Action::Click, Action::Impression];
        let found = Arc::new(storage::delivery::postbacks::list_rules(self.db.reader(), &actions).await?);
        self.click_subscriptions.insert((), found.clone());
        Ok(found)
    }

    /// The rules of live postbacks that subscribe to events after a conversion.
    pub(crate) async fn event_subscriptions(&self) -> Result<Arc<Vec<Rule>>, DbErr> {
        if let Some(found) = self.event_subscriptions.get(&()) {
            return Ok(found);
        }
        let found = Arc::new(storage::delivery::postbacks::list_rules(self.db.reader(), &[Action::Event]).await?);
        self.event_subscriptions.insert((), found.clone());
        Ok(found)
    }

    /// The requirements of sources for clicks.
    pub(crate) async fn click_requirements(&self) -> Result<Arc<ClickRequirements>, DbErr> {
        if let Some(found) = self.click_requirements.get(&()) {
            return Ok(found);
        }
        let decorating = storage::inbound::sources::list_decorating(self.db.reader()).await?;
        let sessions = storage::inbound::sources::list_session_parameters(self.db.reader()).await?;
        let changed = storage::inbound::sources::list_changed_firsts(self.db.reader()).await?;
        let found = Arc::new(ClickRequirements::new(decorating, sessions, changed.into_iter().collect()));
        self.click_requirements.insert((), found.clone());
        Ok(found)
    }

    /// The settings of second-tier commissions.
    pub(crate) async fn sub_affiliate_settings(&self) -> Result<Arc<SubAffiliateSettings>, DbErr> {
        if let Some(found) = self.sub_affiliate_settings.get(&()) {
            return Ok(found);
        }
        let found = Arc::new(storage::program::program_settings::find_sub_affiliates(self.db.reader()).await?);
        self.sub_affiliate_settings.insert((), found.clone());
        Ok(found)
    }

    /// What affiliates see of buyers.
    pub async fn buyer_visibility(&self) -> Result<BuyerVisibility, DbErr> {
        if let Some(found) = self.buyer_visibility.get(&()) {
            return Ok(found);
        }
        let found = storage::program::program_settings::find_buyer_visibility(self.db.reader()).await?;
        self.buyer_visibility.insert((), found);
        Ok(found)
    }

    /// How often one order may count.
    pub(crate) async fn order_scope(&self) -> Result<OrderScope, DbErr> {
        if let Some(found) = self.order_scope.get(&()) {
            return Ok(found);
        }
        let found = storage::program::program_settings::find_order_scope(self.db.reader()).await?;
        self.order_scope.insert((), found);
        Ok(found)
    }

    /// The holder of the API key with this hash, with the person's current role and status.
    pub(crate) async fn key_holder(&self, hash: &str) -> Result<Option<Holder>, DbErr> {
        if let Some(found) = self.key_holders.get(hash) {
            return Ok(Some(found));
        }
        let changes = self.people_changes.load(Ordering::SeqCst);
        let Some(key) = storage::people::api_keys::find_by_hash(self.db.reader(), hash).await? else { return Ok(None) };
        let user = match key.user_id {
            Some(id) => storage::people::users::find(self.db.reader(), id).await?,
            None => None,
        };
        let Some(actor) = key.actor(user.as_ref()) else { return Ok(None) };
        let found = Holder {
            key: key.id,
            actor: live_session::with_present_restriction(self.db.reader(), actor).await?,
            expires_at: key.expires_at,
        };
        self.key_holders.insert(hash.to_owned(), found);
        if self.people_changes.load(Ordering::SeqCst) != changes {
            self.key_holders.invalidate(hash);
        }
        Ok(Some(found))
    }

    /// Whether the use of a key must be recorded now: the last record is older than [`USED_EVERY`]. The answer `true`
    /// counts as the record.
    pub(crate) fn must_record_use(&self, key: KeyId, now: Timestamp) -> bool {
        if self.key_uses.get(&key).is_some_and(|recorded| now.since(recorded) < USED_EVERY) {
            return false;
        }
        self.key_uses.insert(key, now);
        true
    }

    /// The session with this hash, with the person's current role and status.
    pub async fn session(&self, hash: &str, now: Timestamp) -> Result<Option<Arc<LiveSession>>, DbErr> {
        if let Some(found) = self.sessions.get(hash) {
            return Ok(Some(found));
        }
        let changes = self.people_changes.load(Ordering::SeqCst);
        let Some(session) = storage::people::sessions::find_by_hash(self.db.reader(), hash).await? else {
            return Ok(None);
        };
        let user = match session.user_id {
            Some(id) => storage::people::users::find(self.db.reader(), id).await?,
            None => None,
        };
        let Some(actor) = live_session::actor(&session, user.as_ref()) else { return Ok(None) };
        let full = session.opened_by.is_none();
        if !live_session::may_still_open(self.db.reader(), session.opener, full, now).await? {
            return Ok(None);
        }
        let actor = live_session::with_present_restriction(self.db.reader(), actor).await?;
        let found = Arc::new(LiveSession { session, actor });
        self.sessions.insert(hash.to_owned(), found.clone());
        if self.people_changes.load(Ordering::SeqCst) != changes {
            self.sessions.invalidate(hash);
        }
        Ok(Some(found))
    }

    /// Sets the time at which a cached session was last seen.
    pub(crate) fn session_seen(&self, found: &LiveSession, now: Timestamp) {
        // A session that is not in the cache any more was removed by `people_changed`, and must not be added again.
        self.sessions.entry_by_ref(&found.session.hash).and_compute_with(|known| match known {
            Some(known) => {
                let mut seen = LiveSession::clone(known.value());
                seen.session.last_seen_at = now;
                Op::Put(Arc::new(seen))
            }
            None => Op::Nop,
        });
    }

    /// Removes all keys and sessions from the cache, because the role, status or session of a person changed. This is
    /// rare.
    pub(crate) fn people_changed(&self) {
        self.people_changes.fetch_add(1, Ordering::SeqCst);
        self.key_holders.invalidate_all();
        self.sessions.invalidate_all();
    }

    /// The facts of the affiliate and the offer for an event.
    ///
    /// # Errors
    ///
    /// `RecordNotFound` if one of them does not exist.
    pub async fn parties(&self, affiliate: AffiliateId, offer: OfferId) -> Result<Parties, DbErr> {
        let missing = |what| DbErr::RecordNotFound(format!("{what} of a click or conversion does not exist"));
        let affiliate = self.affiliate(affiliate).await?.ok_or_else(|| missing("the affiliate"))?;
        let offer = self.offer(offer).await?.ok_or_else(|| missing("the offer"))?;
        Ok(Parties { affiliate: affiliate.facts(), offer: offer.facts() })
    }

    /// Removes all affiliates from the cache, because another process changed some.
    pub(crate) fn affiliates_changed(&self) {
        self.affiliates.invalidate_all();
    }

    /// Removes a changed affiliate from the cache.
    pub(crate) fn affiliate_changed(&self, id: AffiliateId) {
        self.affiliates.invalidate(&id);
    }

    /// Removes a changed offer from the cache.
    pub(crate) fn offer_changed(&self, id: OfferId) {
        self.offers.invalidate(&id);
        self.default_offer.invalidate(&());
        self.minimum_currencies.invalidate(&());
    }

    /// Removes the changed payout overrides of an offer from the cache.
    pub(crate) fn payout_overrides_changed(&self, offer: OfferId) {
        self.payout_overrides.invalidate(&offer);
    }

    /// Removes the answer of [`Self::admits`] for an offer and an affiliate, because an application was decided.
    pub(crate) fn application_decided(&self, offer: OfferId, affiliate: AffiliateId) {
        self.admitted.invalidate(&(offer, affiliate));
    }

    /// Removes a changed link from the cache.
    pub(crate) fn link_changed(&self, id: LinkId) {
        self.links.invalidate(&id);
    }

    /// Removes the requirements for clicks, because a source changed.
    pub(crate) fn sources_changed(&self) {
        self.click_requirements.invalidate(&());
    }

    /// Removes the changed settings of second-tier commissions.
    pub(crate) fn sub_affiliate_settings_changed(&self) {
        self.sub_affiliate_settings.invalidate(&());
    }

    /// Removes how often one order may count, because it changed.
    pub(crate) fn order_scope_changed(&self) {
        self.order_scope.invalidate(&());
    }

    /// Removes what affiliates see of buyers, because it changed.
    pub(crate) fn buyer_visibility_changed(&self) {
        self.buyer_visibility.invalidate(&());
    }

    /// Removes the rules of postbacks that subscribe to clicks and events, because a postback changed.
    pub(crate) fn postbacks_changed(&self) {
        self.click_subscriptions.invalidate(&());
        self.event_subscriptions.invalidate(&());
    }
}
