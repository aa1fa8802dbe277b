//! Waking workers in other processes: LISTEN and NOTIFY on PostgreSQL. Only a hint; polling finds everything.

use std::sync::Arc;
use std::time::Duration;

use sqlx::postgres::PgListener;
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::app::{App, Inboxes};
use crate::config::Role;

const EVENTS: &str = "postrider_events";
const DELIVERIES: &str = "postrider_deliveries";

/// Notifications are sent no faster than this: each of them takes a lock that all commits share.
const PACE: Duration = Duration::from_millis(10);

/// A process without workers notifies; one with workers listens.
pub fn start(app: &App, tasks: &TaskTracker, stopping: &CancellationToken) {
    let Some(pool) = app.db.postgres() else { return };
    if app.settings.role == Role::Web {
        for (channel, wake) in [(EVENTS, app.inboxes.events.wake()), (DELIVERIES, app.inboxes.deliveries.wake())] {
            tasks.spawn(stopping.clone().run_until_cancelled_owned(forward(pool.clone(), channel, wake.clone())));
        }
    } else {
        tasks.spawn(stopping.clone().run_until_cancelled_owned(listen(pool.clone(), app.inboxes.clone())));
    }
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

async fn listen(pool: sqlx::PgPool, inboxes: Inboxes) {
    loop {
        if let Err(error) = listen_once(&pool, &inboxes).await {
            tracing::debug!(%error, "The notification channel broke; polling until it is back");
        }
        tokio::time::sleep(Duration::from_secs(5)).await;
    }
}

async fn listen_once(pool: &sqlx::PgPool, inboxes: &Inboxes) -> Result<(), sqlx::Error> {
    let mut listener = PgListener::connect_with(pool).await?;
    listener.listen_all([EVENTS, DELIVERIES]).await?;
    loop {
        match listener.recv().await?.channel() {
            EVENTS => inboxes.events.announce(),
            _ => inboxes.deliveries.announce(),
        }
    }
}
