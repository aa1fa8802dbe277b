//! Wakes the workers of other processes and expires their catalogs, with LISTEN and NOTIFY of PostgreSQL.
//! Notifications are only hints: polling finds every row, and entries of the catalog expire after
//! `catalog_max_age_secs`.

use std::sync::Arc;
use std::time::Duration;

use sqlx::postgres::PgListener;
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::app::{App, WorkQueues};
use crate::catalog::Catalog;
use crate::config::Role;

const EVENTS: &str = "postrider_events";
const DELIVERIES: &str = "postrider_deliveries";
/// Notified by triggers when the role, state, session or key of a person changes.
const PEOPLE: &str = "postrider_people";

const RECONNECT_AFTER: Duration = Duration::from_secs(1);

/// Minimum time between two notifications of a channel. Each one takes a lock that all commits share.
const MIN_INTERVAL: Duration = Duration::from_millis(10);

/// Processes without workers notify, processes with workers listen. All processes listen to changes of people.
pub fn start(app: &App, tasks: &TaskTracker, stopping: &CancellationToken) {
    let Some(pool) = app.db.postgres() else { return };
    let runs_workers = app.settings.role != Role::Web;
    if !runs_workers {
        for (channel, wake) in
            [(EVENTS, app.work_queues.events.wake()), (DELIVERIES, app.work_queues.deliveries.wake())]
        {
            tasks.spawn(stopping.clone().run_until_cancelled_owned(forward(pool.clone(), channel, wake.clone())));
        }
    }
    let listener = Listener {
        pool: pool.clone(),
        work_queues: app.work_queues.clone(),
        catalog: app.catalog.clone(),
        runs_workers,
    };
    tasks.spawn(stopping.clone().run_until_cancelled_owned(listen(listener)));
}

/// Sends a notification to other processes each time `wake` is notified.
async fn forward(pool: sqlx::PgPool, channel: &'static str, wake: Arc<Notify>) {
    loop {
        wake.notified().await;
        if let Err(error) = sqlx::query("SELECT pg_notify($1, '')").bind(channel).execute(&pool).await {
            tracing::debug!(%error, "Workers of other processes could not be notified; they poll");
        }
        tokio::time::sleep(MIN_INTERVAL).await;
    }
}

/// One connection for all channels.
struct Listener {
    pool: sqlx::PgPool,
    work_queues: WorkQueues,
    catalog: Catalog,
    runs_workers: bool,
}

async fn listen(it: Listener) {
    loop {
        if let Err(error) = listen_once(&it).await {
            tracing::debug!(%error, "The connection for notifications failed; workers poll until it is back");
            tokio::time::sleep(RECONNECT_AFTER).await;
        }
    }
}

/// Ends when the connection ends.
async fn listen_once(it: &Listener) -> Result<(), sqlx::Error> {
    let mut listener = PgListener::connect_with(&it.pool).await?;
    listener.listen(PEOPLE).await?;
    if it.runs_workers {
        listener.listen_all([EVENTS, DELIVERIES]).await?;
    }
    // Changes before this point were not notified.
    it.catalog.people_changed();
    it.catalog.affiliates_changed();
    while let Some(notification) = listener.try_recv().await? {
        match notification.channel() {
            EVENTS => it.work_queues.events.announce(),
            DELIVERIES => it.work_queues.deliveries.announce(),
            _ => {
                if notification.payload() == "affiliates" {
                    it.catalog.affiliates_changed();
                }
                it.catalog.people_changed();
            }
        }
    }
    Ok(())
}
