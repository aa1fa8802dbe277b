//! The worker "reports": packs what reports are counted from, and looks for a new file of countries. It may run in
//! several processes, and late: reports count what is not packed from raw rows.

use std::time::Duration;

use apalis::prelude::*;
use tokio_util::sync::CancellationToken;

use crate::app::App;
use crate::reports;

use super::work;

const EVERY: Duration = Duration::from_secs(30);

struct RollUp;

pub fn run(app: App, stopping: CancellationToken) -> work::Running {
    let queue = work::schedule(&app.clock, EVERY, || RollUp);
    let worker = WorkerBuilder::new(format!("reports-{:016x}", rand::random::<u64>()))
        .backend(queue)
        .concurrency(1)
        .data(app)
        .build(roll_up);
    Box::pin(worker.run_until(work::told_to_stop(stopping)))
}

async fn roll_up(_: RollUp, app: Data<App>) -> Result<(), BoxDynError> {
    if let Err(error) = reports::roll_up(&app).await {
        tracing::error!(%error, "Packing for reports failed; it is tried again in half a minute");
    }
    let geoip = app.geoip.clone();
    if tokio::task::spawn_blocking(move || geoip.refresh()).await.is_err() {
        tracing::error!("Reading the database of countries broke off");
    }
    Ok(())
}
