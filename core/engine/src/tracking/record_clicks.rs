//! Records clicks in groups: one transaction for many, with the events that somebody listens for.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use sea_orm::DbErr;
use tokio::task::JoinHandle;

use crate::catalog::Catalog;
use crate::error::is_outage;
use crate::work_queue::WorkQueue;
use domain::timestamp::Timestamp;
use domain::tracking::click::Click;
use domain::tracking::event::Event;
use storage::Database;
use storage::base::writer::{BatchSizes, Shards};
use storage::clock::Clock;

/// Clicks wait for each other for no longer than one commit.
pub type ClickWriter = Shards<Click, Result<(), Arc<DbErr>>>;

/// A group of clicks takes few statements: no lane waits for another.
const BATCHES: BatchSizes = BatchSizes { max_batch: 512, min_batch: 1 };
/// A click that waited longer than this is not stored any more: its visitor has left, and reports count on ids to be in
/// the table soon after they are made (`engine/src/reports/rollup.rs`).
pub const LATEST: Duration = Duration::from_secs(30);

/// Starts the tasks that commit clicks in groups.
pub fn spawn_writer(
    db: Database,
    catalog: Catalog,
    inbox: WorkQueue<Event>,
    clock: Clock,
) -> (ClickWriter, Vec<JoinHandle<()>>) {
    Shards::spawn(db.shards(), BATCHES, || {
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
    inbox: &WorkQueue<Event>,
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
    inbox: &WorkQueue<Event>,
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
async fn commit(db: &Database, catalog: &Catalog, inbox: &WorkQueue<Event>, clicks: &mut [Click]) -> Result<(), DbErr> {
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
