//! The worker "retries": runs retry jobs, one batch at a time.

use std::sync::Arc;
use std::time::Duration;

use sea_orm::DbErr;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_util::sync::CancellationToken;

use crate::app::App;
use crate::delivery::retry_jobs;
use domain::delivery::lease::Leased;
use domain::delivery::retry_job::RetryJob;

use super::work::{self, Fetched, Worker};

/// Maximum time between two polls of the table. Jobs of other processes are not announced.
const IDLE: Duration = Duration::from_secs(1);

const WORKER: Worker = Worker { name: "retries", concurrency: 1, parallel: false };

/// A claimed job. It is claimed only with the turn, so that its batch runs immediately.
struct Due {
    job: Leased<RetryJob>,
    _turn: OwnedSemaphorePermit,
}

/// Starts the worker.
pub fn run(app: App, stopping: CancellationToken) -> work::Running {
    let (clock, wake) = (app.clock.clone(), app.waiting_retry_jobs.clone());
    let fetch = {
        let (app, turn) = (app.clone(), Arc::new(Semaphore::new(WORKER.concurrency)));
        move || fetch(app.clone(), turn.clone())
    };
    work::worker(&WORKER, work::backend(clock, wake, fetch), stopping, move |due| run_batch(app.clone(), due))
}

async fn fetch(app: App, turn: Arc<Semaphore>) -> Result<Fetched<Due>, DbErr> {
    let turn = turn.acquire_owned().await.expect("the semaphore is never closed");
    let next = storage::delivery::retry_jobs::find_next_due(app.db.reader()).await?;
    let wait = next.map_or(IDLE, |at| at.since(app.clock.now()));
    if !wait.is_zero() {
        return Ok(Fetched { tasks: Vec::new(), idle: wait.min(IDLE) });
    }
    let due = retry_jobs::claim_due(&app).await?;
    Ok(Fetched { tasks: due.map(|job| Due { job, _turn: turn }).into_iter().collect(), idle: IDLE })
}

async fn run_batch(app: App, due: Due) {
    let id = due.job.it.id;
    if let Err(error) = retry_jobs::run_batch(&app, due.job).await {
        tracing::error!(job.id = %id, %error, "A batch of a retry job failed; it is tried again when its lease ends");
    }
}
