//! The worker "inbound": processes again the requests that wait, for a click, a conversion, a meaning, an adapter or a key.

use std::time::Duration;

use apalis::prelude::*;
use sea_orm::DbErr;
use tokio_util::sync::CancellationToken;

use crate::app::App;
use crate::inbound::receive;
use domain::delivery::lease::Leased;
use domain::inbound::inbound_request::InboundRequest;

use super::work::{self, Fetched};

const BATCH: usize = 64;
const IDLE: Duration = Duration::from_secs(2);
/// Requests that are processed concurrently.
const CONCURRENCY: usize = 8;

pub fn run(app: App, stopping: CancellationToken) -> work::Running {
    let fetch = {
        let app = app.clone();
        move || fetch(app.clone())
    };
    let queue = work::queue(app.clock.clone(), app.waiting_reports.clone(), fetch);
    let worker = WorkerBuilder::new(format!("inbound-{:016x}", rand::random::<u64>()))
        .backend(queue)
        .concurrency(CONCURRENCY)
        .data(app)
        .build(retry);
    Box::pin(worker.run_until(work::told_to_stop(stopping)))
}

async fn fetch(app: App) -> Result<Fetched<Leased<InboundRequest>>, DbErr> {
    Ok(Fetched { tasks: receive::claim_due(&app, BATCH).await?, idle: IDLE })
}

async fn retry(due: Leased<InboundRequest>, app: Data<App>) -> Result<(), BoxDynError> {
    receive::retry(&app, due).await;
    Ok(())
}
