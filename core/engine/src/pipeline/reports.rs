//! The worker "reports": rolls up clicks and conversions, and loads a new version of the country database. Several
//! processes may run it, and late runs do no harm: reports count rows that are not rolled up yet directly.

use std::time::Duration;

use tokio_util::sync::CancellationToken;

use crate::app::App;
use crate::reports;

use super::work::{self, First, Worker};

const EVERY: Duration = Duration::from_secs(30);

const WORKER: Worker = Worker { name: "reports", concurrency: 1, parallel: false };

/// Starts the worker.
pub fn run(app: App, stopping: CancellationToken) -> work::Running {
    let backend = work::schedule(&app.clock, EVERY, First::AfterInterval);
    work::worker(&WORKER, backend, stopping, move |()| roll_up(app.clone()))
}

async fn roll_up(app: App) {
    if let Err(error) = reports::roll_up(&app).await {
        tracing::error!(%error, "The roll-up for reports failed; the roll-up is tried again in 30 seconds");
    }
    let geoip = app.geoip.clone();
    if tokio::task::spawn_blocking(move || geoip.refresh()).await.is_err() {
        tracing::error!("The country database could not be loaded because of a bug");
    }
}
