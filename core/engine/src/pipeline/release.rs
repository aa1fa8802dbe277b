//! The worker "release": ends the hold of earnings, to the millisecond of the clock.

use std::sync::Arc;
use std::time::Duration;

use apalis::prelude::*;
use sea_orm::DbErr;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_util::sync::CancellationToken;

use crate::app::App;
use crate::money::releases;

use super::work::{self, Fetched};

/// How long it trusts that nothing else will be due.
const TRUST: Duration = Duration::from_secs(1);
/// After a chunk that was not full: what comes in meanwhile is released together.
const GATHER: Duration = Duration::from_millis(100);
const AFTER_ERROR: Duration = Duration::from_secs(1);

/// Holds the turn: the next look waits until this release is done, or it would find the same again.
struct Due(#[expect(dead_code, reason = "held, not read")] OwnedSemaphorePermit);

pub fn run(app: App, stopping: CancellationToken) -> work::Running {
    let fetch = {
        let (app, turn) = (app.clone(), Arc::new(Semaphore::new(1)));
        move || fetch(app.clone(), turn.clone())
    };
    let queue = work::queue(app.clock.clone(), Arc::default(), fetch);
    let worker = WorkerBuilder::new(format!("release-{:016x}", rand::random::<u64>()))
        .backend(queue)
        .concurrency(1)
        .data(app)
        .build(release);
    Box::pin(worker.run_until(work::told_to_stop(stopping)))
}

async fn fetch(app: App, turn: Arc<Semaphore>) -> Result<Fetched<Due>, DbErr> {
    let turn = turn.acquire_owned().await.expect("nobody closes it");
    let next = storage::money::earnings::next_release(app.db.reader()).await?;
    let wait = next.map_or(TRUST, |at| at.since(app.clock.now()));
    let tasks = if wait.is_zero() { vec![Due(turn)] } else { Vec::new() };
    Ok(Fetched { tasks, idle: wait.min(TRUST) })
}

async fn release(_turn: Due, app: Data<App>) -> Result<(), BoxDynError> {
    let rest = match releases::release_due(&app).await {
        Ok(releases::CHUNK) => Duration::ZERO,
        Ok(_) => GATHER,
        Err(error) => {
            tracing::error!(%error, "Earnings could not be released; they are due and tried again in a second");
            AFTER_ERROR
        }
    };
    tokio::time::sleep(rest).await;
    Ok(())
}
