//! The worker "release": ends the hold of earnings, to the millisecond of the clock.

use std::sync::Arc;
use std::time::Duration;

use sea_orm::DbErr;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_util::sync::CancellationToken;

use crate::app::App;
use crate::money::releases;

use super::work::{self, AFTER_ERROR, Fetched, Worker};

/// Maximum time between two polls of the table.
const POLL_INTERVAL: Duration = Duration::from_secs(1);
/// Wait after a chunk that was not full, so that earnings that become due meanwhile are released together.
const LINGER: Duration = Duration::from_millis(100);

const WORKER: Worker = Worker { name: "release", concurrency: 1, parallel: false };

/// Holds the turn. The next fetch waits until this release has ended; otherwise it would find the same earnings.
struct Due(#[expect(dead_code, reason = "held, not read")] OwnedSemaphorePermit);

/// Starts the worker.
pub fn run(app: App, stopping: CancellationToken) -> work::Running {
    let clock = app.clock.clone();
    let fetch = {
        let (app, turn) = (app.clone(), Arc::new(Semaphore::new(1)));
        move || fetch(app.clone(), turn.clone())
    };
    work::worker(&WORKER, work::backend(clock, Arc::default(), fetch), stopping, move |due| release(app.clone(), due))
}

async fn fetch(app: App, turn: Arc<Semaphore>) -> Result<Fetched<Due>, DbErr> {
    let turn = turn.acquire_owned().await.expect("the semaphore is never closed");
    let next = storage::money::earnings::find_next_release(app.db.reader()).await?;
    let wait = next.map_or(POLL_INTERVAL, |at| at.since(app.clock.now()));
    let tasks = if wait.is_zero() { vec![Due(turn)] } else { Vec::new() };
    Ok(Fetched { tasks, idle: wait.min(POLL_INTERVAL) })
}

async fn release(app: App, _turn: Due) {
    let wait = match releases::release_due(&app).await {
        Ok(releases::CHUNK) => Duration::ZERO,
        Ok(_) => LINGER,
        Err(error) => {
            tracing::error!(%error, "Earnings could not be released; they stay due and are tried again in a second");
            AFTER_ERROR
        }
    };
    tokio::time::sleep(wait).await;
}
