//! Releases: earnings whose hold is over become available, and what settles a debt first. Several processes may release
//! at once; each earning is released by one of them, once, or stays pending. What a balance has no room for is put off.

use std::collections::BTreeSet;

use sea_orm::DbErr;

use crate::app::App;
use crate::error::is_outage;
use domain::amounts::{ACCOUNT_MAX, SignedAmount};
use domain::ids::AffiliateId;
use domain::money::earning::Earning;
use domain::money::{release, settlement};

use super::release_events;

/// Earnings that are released in one transaction at most.
pub const CHUNK: usize = 500;

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
    let events = release_events::events(&tx, &app.catalog, &due, now).await?;
    let inbox = &app.work_queues.events;
    let lease = inbox.lease(now);
    storage::tracking::events::append(&tx, &events, lease).await?;
    tx.commit().await?;
    if !events.is_empty() {
        inbox.put(lease, events);
    }
    release_events::count(due.len());
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
