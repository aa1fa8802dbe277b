//! The worker "inbound": processes inbound requests again that wait for a click, a conversion, a meaning of their
//! status, an adapter or a key.

use std::time::Duration;

use sea_orm::DbErr;
use tokio_util::sync::CancellationToken;

use crate::app::App;
use crate::inbound::receive;
use domain::delivery::lease::Leased;
use domain::inbound::inbound_request::InboundRequest;

use super::work::{self, Fetched, Worker};

/// Maximum number of requests that one fetch claims.
const BATCH: usize = 64;
const IDLE: Duration = Duration::from_secs(2);

const WORKER: Worker = Worker { name: "inbound", concurrency: 8, parallel: false };

/// Starts the worker.
pub fn run(app: App, stopping: CancellationToken) -> work::Running {
    let (clock, wake) = (app.clock.clone(), app.waiting_inbound_requests.clone());
    let fetch = {
        let app = app.clone();
        move || fetch(app.clone())
    };
    work::worker(&WORKER, work::backend(clock, wake, fetch), stopping, move |due| retry(app.clone(), due))
}

async fn fetch(app: App) -> Result<Fetched<Leased<InboundRequest>>, DbErr> {
    Ok(Fetched { tasks: receive::claim_due(&app, BATCH).await?, idle: IDLE })
}

async fn retry(app: App, due: Leased<InboundRequest>) {
    receive::retry(&app, due).await;
}
