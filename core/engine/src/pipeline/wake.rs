//! Waking workers in other processes, and forgetting whom they no longer let in: LISTEN and NOTIFY on PostgreSQL. Only
//! a hint; polling finds everything, and the catalog forgets by itself after five seconds.

use std::sync::Arc;
use std::time::Duration;

use sqlx::postgres::PgListener;
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::app::{App, Inboxes};
use crate::catalog::Catalog;
use crate::config::Role;

const EVENTS: &str = "postrider_events";
const DELIVERIES: &str = "postrider_deliveries";
/// Triggers of the tables say that somebody's role, state, session or key changed.
const PEOPLE: &str = "postrider_people";

const AGAIN: Duration = Duration::from_secs(1);

/// Notifications are sent no faster than this: each of them takes a lock that all commits share.
const PACE: Duration = Duration::from_millis(10);

/// A process without workers notifies; one with workers listens. Every process hears who is not let in any more.
pub fn start(app: &App, tasks: &TaskTracker, stopping: &CancellationToken) {
    let Some(pool) = app.db.postgres() else { return };
    let works = app.settings.role != Role::Web;
    if !works {
        for (channel, wake) in [(EVENTS, app.inboxes.events.wake()), (DELIVERIES, app.inboxes.deliveries.wake())] {
            tasks.spawn(stopping.clone().run_until_cancelled_owned(forward(pool.clone(), channel, wake.clone())));
        }
    }
    let listening = Listening { pool: pool.clone(), inboxes: app.inboxes.clone(), catalog: app.catalog.clone(), works };
    tasks.spawn(stopping.clone().run_until_cancelled_owned(listen(listening)));
}

async fn forward(pool: sqlx::PgPool, channel: &'static str, wake: Arc<Notify>) {
    loop {
        wake.notified().await;
        if let Err(error) = sqlx::query("SELECT pg_notify($1, '')").bind(channel).execute(&pool).await {
            tracing::debug!(%error, "Workers could not be notified; they will poll");
        }
        tokio::time::sleep(PACE).await;
    }
}

/// One connection for all channels.
struct Listening {
    pool: sqlx::PgPool,
    inboxes: Inboxes,
    catalog: Catalog,
    works: bool,
}

async fn listen(it: Listening) {
    loop {
        if let Err(error) = listen_once(&it).await {
            tracing::debug!(%error, "The notification channel broke; polling until it is back");
            tokio::time::sleep(AGAIN).await;
        }
    }
}

/// Ends when the connection does.
async fn listen_once(it: &Listening) -> Result<(), sqlx::Error> {
    let mut listener = PgListener::connect_with(&it.pool).await?;
    listener.listen(PEOPLE).await?;
    if it.works {
        listener.listen_all([EVENTS, DELIVERIES]).await?;
    }
    // Whatever changed while nobody listened.
    it.catalog.people_changed();
    it.catalog.affiliates_changed();
    while let Some(notification) = listener.try_recv().await? {
        match notification.channel() {
            EVENTS => it.inboxes.events.announce(),
            DELIVERIES => it.inboxes.deliveries.announce(),
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
