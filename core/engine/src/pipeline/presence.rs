//! Says again and again that this process is here and which key it seals with, for as long as it runs.

use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::app::App;
use crate::delivery::secret_keys;

/// Every process does so, whatever its role.
pub fn start(app: &App, tasks: &TaskTracker, stopping: &CancellationToken) {
    tasks.spawn(stopping.clone().run_until_cancelled_owned(keep(app.clone())));
}

async fn keep(app: App) {
    loop {
        // In real time, whatever the clock shows.
        tokio::time::sleep(secret_keys::SAYS_SO_EVERY).await;
        if let Err(error) = secret_keys::say_in_use(&app.db, &app.vault, app.server_id, app.clock.now()).await {
            tracing::warn!(%error, "The database can't be told that this server runs; it is tried again");
        }
    }
}
