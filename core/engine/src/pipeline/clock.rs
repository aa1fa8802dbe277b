//! The task that keeps the clock of this process at the database's time.

use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::app::App;
use crate::timekeeping::EVERY;

/// Starts the task in every process on PostgreSQL, in any role. SQLite has only one process and therefore one clock.
pub fn start(app: &App, tasks: &TaskTracker, stopping: &CancellationToken) {
    if app.db.is_postgres() && app.clock.machine_time().is_some() {
        tasks.spawn(stopping.clone().run_until_cancelled_owned(keep(app.clone())));
    }
}

async fn keep(app: App) {
    loop {
        // Real time, because the clock may be wrong.
        tokio::time::sleep(EVERY).await;
        if let Err(error) = app.timekeeping.keep(&app.db, &app.clock).await {
            tracing::warn!(%error, "The database's clock can't be read; the last reading stays in use");
        }
    }
}
