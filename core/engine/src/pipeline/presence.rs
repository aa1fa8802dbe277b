//! The heartbeat: the task that regularly stores that this process runs and which secret key it uses.

use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::app::App;
use crate::delivery::secrets::server_keys;

/// Starts the task in every process, in any role.
pub fn start(app: &App, tasks: &TaskTracker, stopping: &CancellationToken) {
    tasks.spawn(stopping.clone().run_until_cancelled_owned(keep(app.clone())));
}

async fn keep(app: App) {
    loop {
        // Real time, because tests move the clock of the process.
        tokio::time::sleep(server_keys::HEARTBEAT).await;
        if let Err(error) = server_keys::save_in_use(&app.db, &app.vault, app.server_id, app.clock.now()).await {
            tracing::warn!(%error, "The heartbeat of this server could not be stored; it is tried again");
        }
    }
}
