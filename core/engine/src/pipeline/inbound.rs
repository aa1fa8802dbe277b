//! The worker "inbound": processes inbound requests that wait for a click, a conversion or a meaning of their status.

use std::time::Duration;

use sea_orm::DbErr;
use tokio_util::sync::CancellationToken;

use crate::app::App;
use crate::inbound;
use domain::delivery::lease::Leased;
use domain::inbound::inbound_request::InboundRequest;

use super::work::{self, Fetched, Worker};

/// Maximum number of requests that one fetch claims.
const BATCH: usize = 64;
const IDLE: Duration = Duration::from_secs(2);

const WORKER: Worker = Worker { name: "inbound", concurrency: 8, parallel: false };

pub fn run(app: App, stopping: CancellationToken) -> work::Running {
    let (clock, wake) = (app.clock.clone(), app.waiting_reports.clone());
    let fetch = {
        let app = app.clone();
        move || fetch(app.clone())
    };
    work::worker(&WORKER, work::queue(clock, wake, fetch), stopping, move |due| judge(app.clone(), due))
}

async fn fetch(app: App) -> Result<Fetched<Leased<InboundRequest>>, DbErr> {
    Ok(Fetched { tasks: inbound::take_due(&app, BATCH).await?, idle: IDLE })
}

async fn judge(app: App, due: Leased<InboundRequest>) {
    inbound::judge_again(&app, due).await;
}
