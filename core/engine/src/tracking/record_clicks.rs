//! Records clicks in batches: one transaction stores many clicks and the events that postbacks subscribe to.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use sea_orm::DbErr;
use tokio::task::JoinHandle;

use crate::catalog::Catalog;
use crate::error::is_outage;
use crate::work_queue::WorkQueue;
use domain::tracking::click::Click;
use domain::tracking::event::Event;
use storage::Database;
use storage::base::writer::{BatchSizes, CommitBatch, Shards};
use storage::clock::Clock;

/// The writer of clicks. A click waits for at most one commit of other clicks.
pub type ClickWriter = Shards<Click, Result<(), Arc<DbErr>>>;

/// A batch of clicks needs only a few statements, so small batches are committed at once.
const BATCHES: BatchSizes = BatchSizes { max_batch: 512, min_batch: 1 };
/// The maximum time until a click is stored. A click that waits longer is refused: its visitor has left, and the
/// roll-up of reports assumes that a click is stored within this time after its id was created.
pub const WAIT_MAX: Duration = Duration::from_secs(30);

/// Starts the tasks that commit clicks in batches.
pub(crate) fn spawn_writer(
    db: Database,
    catalog: Catalog,
    work_queue: WorkQueue<Event>,
    clock: Clock,
) -> (ClickWriter, Vec<JoinHandle<()>>) {
    let shards = db.shards();
    Shards::spawn(shards, BATCHES, ClickRecorder { db, catalog, work_queue, clock })
}

/// Stores clicks, and the events that postbacks subscribe to.
struct ClickRecorder {
    db: Database,
    catalog: Catalog,
    work_queue: WorkQueue<Event>,
    clock: Clock,
}

impl CommitBatch for ClickRecorder {
    type Command = Click;
    type Answer = Result<(), Arc<DbErr>>;

    /// Stores the clicks that occurred at most [`WAIT_MAX`] ago, and refuses the others.
    async fn commit_batch(&self, clicks: Vec<Click>) -> Vec<Self::Answer> {
        let oldest = self.clock.now().minus(WAIT_MAX);
        if clicks.iter().all(|click| click.occurred_at >= oldest) {
            return self.commit_all(clicks).await;
        }
        let late: Vec<bool> = clicks.iter().map(|click| click.occurred_at < oldest).collect();
        tracing::error!(clicks = late.iter().filter(|late| **late).count(), "Clicks waited too long to be stored");
        let timely = clicks.into_iter().filter(|click| click.occurred_at >= oldest).collect();
        let mut answers = self.commit_all(timely).await.into_iter();
        let refused = || Err(Arc::new(DbErr::Custom("the click waited too long".into())));
        late.into_iter().map(|late| if late { refused() } else { answers.next().unwrap_or_else(refused) }).collect()
    }
}

impl ClickRecorder {
    /// Answers every click. If the batch fails and the database is reachable, each click is stored separately, so that
    /// one click that cannot be stored does not fail the others.
    async fn commit_all(&self, mut clicks: Vec<Click>) -> Vec<Result<(), Arc<DbErr>>> {
        let error = match self.commit(&mut clicks).await {
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
            answers.push(self.commit(std::slice::from_mut(click)).await.map_err(Arc::new));
        }
        answers
    }

    /// One transaction for a batch: the clicks, and the events that postbacks subscribe to.
    async fn commit(&self, clicks: &mut [Click]) -> Result<(), DbErr> {
        mark_first(clicks);
        let events = events(&self.catalog, clicks).await?;
        let Some(newest) = events.last() else {
            return storage::tracking::clicks::insert_alone(&self.db, clicks).await;
        };
        let lease = self.work_queue.lease(newest.occurred_at);
        let tx = self.db.begin().await?;
        storage::tracking::clicks::insert(&tx, clicks).await?;
        storage::tracking::events::append(&tx, &events, lease).await?;
        tx.commit().await?;
        self.work_queue.put(lease, events);
        Ok(())
    }
}

/// The events of clicks that match a rule of a postback.
async fn events(catalog: &Catalog, clicks: &[Click]) -> Result<Vec<Event>, DbErr> {
    let subscriptions = catalog.click_subscriptions().await?;
    let mut events = Vec::new();
    if !subscriptions.is_empty() {
        for click in clicks {
            let event = Event::clicked(click, catalog.parties(click.affiliate_id, click.offer_id).await?);
            if subscriptions.iter().any(|rule| rule.admits(&event, None)) {
                events.push(event);
            }
        }
    }
    Ok(events)
}

/// Marks the first click of each visitor in the batch. The insert also compares them with the stored clicks.
fn mark_first(clicks: &mut [Click]) {
    let mut seen = HashSet::with_capacity(clicks.len());
    for click in clicks {
        click.unique = seen.insert(click.visitor);
    }
}
