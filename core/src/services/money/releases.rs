//! Releases: earnings whose hold is over become available, and what settles a debt first. Several processes may release
//! at once; each earning is released by one of them, once, or stays pending. What a balance has no room for is put off.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::sync::Mutex;

use sea_orm::{ConnectionTrait, DbErr};

use crate::app::App;
use crate::clock::Timestamp;
use crate::domain::money::earning::{self, AVAILABLE_TO_PAY, Earning, EarningKind};
use crate::domain::money::{release, settlement};
use crate::domain::tracking::click::Click;
use crate::domain::tracking::conversion::Conversion;
use crate::domain::tracking::event::Event;
use crate::ids::{AffiliateId, ClickId, ConversionId, EventId};
use crate::money::{ACCOUNT_MAX, Currency, Money, SignedAmount};
use crate::storage;

use crate::services::catalog::Catalog;
use crate::services::error::is_outage;

/// Earnings that are released in one transaction at most.
pub const CHUNK: usize = 500;

/// Whose earnings are put off, so that each trouble is logged once and not at every try.
#[derive(Debug, Default)]
pub struct PutOff(Mutex<HashSet<(AffiliateId, Option<Currency>)>>);

impl PutOff {
    /// Whether this is news.
    fn begins(&self, affiliate: AffiliateId, currency: Option<Currency>) -> bool {
        self.0.lock().expect("nothing panics while it is held").insert((affiliate, currency))
    }

    fn ended(&self, released: &[Earning]) {
        let mut known = self.0.lock().expect("nothing panics while it is held");
        if !known.is_empty() {
            for it in released {
                known.remove(&(it.affiliate_id, Some(it.earned.currency)));
                known.remove(&(it.affiliate_id, None));
            }
        }
    }
}

/// Releases what is due, up to a chunk; returns how many that were, with those that had to be put off. If they fail as a
/// whole, each affiliate's are tried alone, so that one affiliate's trouble stops nobody else's money.
pub async fn release_due(app: &App) -> Result<usize, DbErr> {
    match release_chunk(app, None).await {
        Err(error) if !is_outage(&error) => {
            tracing::warn!(%error, "A chunk of releases failed; trying affiliate by affiliate");
            release_by_affiliate(app).await
        }
        done => done,
    }
}

async fn release_by_affiliate(app: &App) -> Result<usize, DbErr> {
    let now = app.clock.now();
    let mut done = 0;
    for affiliate in storage::money::earnings::due_affiliates(app.db.reader(), CHUNK, now).await? {
        match release_chunk(app, Some(affiliate)).await {
            Ok(count) => done += count,
            Err(error) if is_outage(&error) => return Err(error),
            Err(error) => {
                let count = storage::money::earnings::put_off_due(app.db.writer(), affiliate, now).await?;
                count_put_off(count);
                if app.put_off.begins(affiliate, None) {
                    tracing::error!(
                        affiliate.id = %affiliate, %error, earnings = count,
                        "The earnings of an affiliate can't be released; look at its balances and earnings. They are tried again, at first after a minute and in the end every hour; others are not affected"
                    );
                }
            }
        }
    }
    Ok(done)
}

async fn release_chunk(app: &App, affiliate: Option<AffiliateId>) -> Result<usize, DbErr> {
    let now = app.clock.now();
    // As claims do, it need not wait for PostgreSQL's disk: whatever is durable later takes it along, and what a crash takes back
    // is told of again under the same ids.
    let tx = app.db.begin_queue().await?;
    let mut due = storage::money::earnings::lock_due(&tx, affiliate, CHUNK, now).await?;
    if due.is_empty() {
        tx.rollback().await?;
        return Ok(0);
    }
    let found = due.len();
    let keys: BTreeSet<_> = due.iter().map(|it| (it.affiliate_id, it.earned.currency)).collect();
    let mut balances = storage::money::ledger::lock_balances(&tx, &keys).await?;
    let put_off = release::put_off(&mut due, &balances, now);
    let postings = settlement::release(&mut due, &mut balances, now);
    storage::money::earnings::save(&tx, &due.iter().chain(&put_off).collect::<Vec<_>>()).await?;
    if storage::money::ledger::post(&tx, &postings).await? < postings.len() {
        return Err(DbErr::Custom("a pending earning was posted as released before".into()));
    }
    let events = events(&tx, &app.catalog, &due, now).await?;
    let inbox = &app.inboxes.events;
    let lease = inbox.lease(now);
    storage::tracking::events::append(&tx, &events, lease).await?;
    tx.commit().await?;
    if !events.is_empty() {
        inbox.put(lease, events);
    }
    count(due.len());
    app.put_off.ended(&due);
    tell_put_off(app, &put_off);
    Ok(found)
}

/// What had no room in its balance.
fn tell_put_off(app: &App, put_off: &[Earning]) {
    count_put_off(put_off.len() as u64);
    for it in put_off {
        let currency = it.earned.currency;
        if app.put_off.begins(it.affiliate_id, Some(currency)) {
            tracing::error!(
                affiliate.id = %it.affiliate_id, %currency, most = %SignedAmount::from(ACCOUNT_MAX),
                "The balance of an affiliate is full, so its earnings stay pending; check their amounts, and pay out or correct what is there. They are tried again, at first after a minute and in the end every hour; others are not affected"
            );
        }
    }
}

fn count_put_off(earnings: u64) {
    if earnings > 0 {
        metrics::counter!("postrider_releases_put_off_total").increment(earnings);
    }
}

pub(crate) fn count(released: usize) {
    metrics::counter!("postrider_earnings_released_total").increment(released as u64);
}

/// One for each released payout that a live postback could listen for.
pub(crate) async fn events(
    tx: &impl ConnectionTrait,
    catalog: &Catalog,
    released: &[Earning],
    now: Timestamp,
) -> Result<Vec<Event>, DbErr> {
    if released.is_empty() {
        return Ok(Vec::new());
    }
    let listeners = catalog.event_listeners().await?;
    if listeners.is_empty() {
        return Ok(Vec::new());
    }
    let payouts = || released.iter().filter(|it| it.kind == EarningKind::Payout);
    let ids: BTreeSet<ConversionId> = payouts().filter_map(|it| it.conversion_id).collect();
    let conversions = storage::tracking::conversions::find_many(tx, &ids).await?;
    let conversions: HashMap<ConversionId, Conversion> = conversions.into_iter().map(|it| (it.id, it)).collect();
    let heard = |it: &&Earning| {
        let offer = it.conversion_id.and_then(|id| conversions.get(&id)).map(|it| it.offer_id);
        listeners.iter().any(|rule| {
            rule.scope.affiliate_id.is_none_or(|id| id == it.affiliate_id)
                && rule.scope.offer_id.is_none_or(|id| Some(id) == offer)
        })
    };
    let heard: Vec<_> = payouts().filter(heard).collect();
    let clicks: HashSet<ClickId> =
        heard.iter().filter_map(|it| conversions.get(&it.conversion_id?)?.click_id).collect();
    let clicks = storage::tracking::clicks::find_many(tx, clicks).await?;
    let mut events = Vec::with_capacity(heard.len());
    for earning in heard {
        let Some(conversion) = earning.conversion_id.and_then(|id| conversions.get(&id)) else { continue };
        let click = conversion.click_id.and_then(|id| clicks.get(&id)).map(Click::facts);
        let parties = catalog.parties(conversion.affiliate_id, conversion.offer_id).await?;
        let money = Money { micros: earning.left, currency: earning.earned.currency };
        let attributes = vec![
            ("earning_id".to_owned(), earning.id.to_string()),
            ("available".to_owned(), money.amount().to_string()),
            ("currency".to_owned(), money.currency.to_string()),
        ];
        let name = AVAILABLE_TO_PAY.to_owned();
        let event = Event::after_conversion(conversion, name, attributes, click, parties, now);
        events.push(Event { id: EventId::of_release(earning.id, earning.release_at), ..event });
    }
    Ok(events)
}
