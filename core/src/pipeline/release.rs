//! The worker "release": ends the hold of earnings, to the millisecond of the clock.

use std::time::Duration;

use apalis::prelude::*;
use sea_orm::DbErr;
use tokio_util::sync::CancellationToken;

use crate::app::App;
use crate::services::releases;
use crate::storage;

use super::work::{self, Fetched};

/// How long it trusts that nobody else made something due.
const TRUST: Duration = Duration::from_secs(1);
/// After a chunk that was not full: what comes in meanwhile is released together.
const GATHER: Duration = Duration::from_millis(20);
const AFTER_ERROR: Duration = Duration::from_secs(1);

struct Due;

pub fn run(app: App, stopping: CancellationToken) -> work::Running {
    let fetch = {
        let app = app.clone();
        move || fetch(app.clone())
    };
    let queue = work::queue(app.clock.clone(), app.releases.clone(), fetch);
    let worker = WorkerBuilder::new(format!("release-{:016x}", rand::random::<u64>()))
        .backend(queue)
        .concurrency(1)
        .data(app)
        .build(release);
    Box::pin(worker.run_until(work::told_to_stop(stopping)))
}

async fn fetch(app: App) -> Result<Fetched<Due>, DbErr> {
    let next = storage::earnings::next_release(app.db.reader()).await?;
    let wait = next.map_or(TRUST, |at| at.since(app.clock.now()));
    let tasks = if wait.is_zero() { vec![Due] } else { Vec::new() };
    Ok(Fetched { tasks, idle: wait.min(TRUST) })
}

async fn release(_: Due, app: Data<App>) -> Result<(), BoxDynError> {
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
