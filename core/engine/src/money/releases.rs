//! Releases: an earning becomes available when its hold ends. A debt of the affiliate is settled from it first. Several
//! processes can release at the same time; each earning is released once. An earning is deferred if it would exceed the
//! limit of the balance.

use std::collections::BTreeSet;

use sea_orm::DbErr;

use crate::app::App;
use crate::error::is_outage;
use domain::amounts::{ACCOUNT_MAX, SignedAmount};
use domain::ids::AffiliateId;
use domain::money::earning::Earning;
use domain::money::{release, settlement};

use super::release_events;

/// The maximum number of earnings in one transaction.
pub const CHUNK: usize = 500;

/// Releases due earnings, one chunk at most. Returns how many earnings it released or deferred. If the chunk fails,
/// each affiliate is released separately, so that an error affects one affiliate only.
pub async fn release_due(app: &App) -> Result<usize, DbErr> {
    match release_chunk(app, None).await {
        Err(error) if !is_outage(&error) => {
            tracing::warn!(%error, "Releasing a chunk of earnings failed; releasing each affiliate separately");
            release_by_affiliate(app).await
        }
        done => done,
    }
}

async fn release_by_affiliate(app: &App) -> Result<usize, DbErr> {
    let now = app.clock.now();
    let mut done = 0;
    for affiliate in storage::money::earnings::list_due_affiliates(app.db.reader(), CHUNK, now).await? {
        match release_chunk(app, Some(affiliate)).await {
            Ok(count) => done += count,
            Err(error) if is_outage(&error) => return Err(error),
            Err(error) => {
                let count = storage::money::earnings::defer_due(app.db.writer(), affiliate, now).await?;
                count_deferred(count);
                if app.deferred_releases.insert(affiliate, None) {
                    tracing::error!(
                        affiliate.id = %affiliate, %error, earnings = count,
                        "The earnings of an affiliate cannot be released; check its balances and earnings. They are retried after a minute, then less often, up to an hour. Other affiliates are not affected"
                    );
                }
            }
        }
    }
    Ok(done)
}

async fn release_chunk(app: &App, affiliate: Option<AffiliateId>) -> Result<usize, DbErr> {
    let now = app.clock.now();
    // PostgreSQL does not write this commit to disk before it answers. If a crash undoes the release, the next release
    // creates the events with the same ids.
    let tx = app.db.begin_queue().await?;
    let mut due = storage::money::earnings::lock_due(&tx, affiliate, CHUNK, now).await?;
    if due.is_empty() {
        tx.rollback().await?;
        return Ok(0);
    }
    let found = due.len();
    let keys: BTreeSet<_> = due.iter().map(|it| (it.affiliate_id, it.earned.currency)).collect();
    let mut balances = storage::money::ledger::lock_balances(&tx, &keys).await?;
    let deferred = release::defer_without_room(&mut due, &balances, now);
    let postings = settlement::release(&mut due, &mut balances, now);
    storage::money::earnings::save(&tx, &due.iter().chain(&deferred).collect::<Vec<_>>()).await?;
    if storage::money::ledger::post(&tx, &app.clock, &balances, &postings).await? < postings.len() {
        return Err(DbErr::Custom("a pending earning has a posting of its release already".into()));
    }
    let events = release_events::events(&tx, &app.catalog, &due, now).await?;
    let queue = &app.work_queues.events;
    let lease = queue.lease(now);
    storage::tracking::events::append(&tx, &events, lease).await?;
    tx.commit().await?;
    if !events.is_empty() {
        queue.put(lease, events);
    }
    release_events::count(due.len());
    app.deferred_releases.remove(&due);
    log_deferred(app, &deferred);
    Ok(found)
}

/// Logs the affiliates whose balances have reached their limit, each once.
fn log_deferred(app: &App, deferred: &[Earning]) {
    count_deferred(deferred.len() as u64);
    for it in deferred {
        let currency = it.earned.currency;
        if app.deferred_releases.insert(it.affiliate_id, Some(currency)) {
            tracing::error!(
                affiliate.id = %it.affiliate_id, %currency, limit = %SignedAmount::from(ACCOUNT_MAX),
                "The balance of an affiliate has reached its limit, so earnings stay pending; check their amounts, and pay out or correct the balance. They are retried after a minute, then less often, up to an hour. Other affiliates are not affected"
            );
        }
    }
}

fn count_deferred(earnings: u64) {
    if earnings > 0 {
        metrics::counter!("postrider_releases_deferred_total").increment(earnings);
    }
}
