//! The worker "inbound": judges again what networks reported and what waits for its click, its conversion or a meaning.

use std::time::Duration;

use apalis::prelude::*;
use sea_orm::DbErr;
use tokio_util::sync::CancellationToken;

use crate::app::App;
use crate::inbound;
use domain::delivery::lease::Leased;
use domain::inbound::inbound_request::InboundRequest;

use super::work::{self, Fetched};

const BATCH: usize = 64;
const IDLE: Duration = Duration::from_secs(2);
/// Reports that are judged at once.
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
        .build(judge);
    Box::pin(worker.run_until(work::told_to_stop(stopping)))
}

async fn fetch(app: App) -> Result<Fetched<Leased<InboundRequest>>, DbErr> {
    Ok(Fetched { tasks: inbound::take_due(&app, BATCH).await?, idle: IDLE })
}

async fn judge(due: Leased<InboundRequest>, app: Data<App>) -> Result<(), BoxDynError> {
    inbound::judge_again(&app, due).await;
    Ok(())
}
