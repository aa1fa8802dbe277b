//! Keeps this process on the database's time, for as long as it runs.

use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::app::App;
use crate::timekeeping::EVERY;

/// Every process of one PostgreSQL does so, whatever its role. SQLite has one process and so one clock.
pub fn start(app: &App, tasks: &TaskTracker, stopping: &CancellationToken) {
    if app.db.is_postgres() && app.clock.of_machine().is_some() {
        tasks.spawn(stopping.clone().run_until_cancelled_owned(keep(app.clone())));
    }
}

async fn keep(app: App) {
    loop {
        // In real time, whatever the clock shows.
        tokio::time::sleep(EVERY).await;
        if let Err(error) = app.timekeeping.keep(&app.db, &app.clock).await {
            tracing::warn!(%error, "The database's clock can't be read; going on from its last reading");
        }
    }
}
