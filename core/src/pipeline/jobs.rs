//! The worker "jobs": housekeeping on a schedule. Every run may be repeated or left out without harm, so
//! nothing of it is stored.

use std::time::Duration;

use apalis::prelude::*;
use sea_orm::DbErr;
use tokio_util::sync::CancellationToken;

use crate::app::App;
use crate::domain::report::SECOND_TRY;
use crate::services::reports;
use crate::storage;

use super::work;

const EVERY: Duration = Duration::from_secs(3_600);
/// How long an `Idempotency-Key` is remembered.
const IDEMPOTENCY: Duration = Duration::from_secs(24 * 3_600);

/// How long the counter of a past day or month is kept; no period is longer.
const CAPS: Duration = Duration::from_secs(40 * 86_400);
/// How long what is left of signing in stays to be looked at.
const SIGN_IN: Duration = Duration::from_secs(24 * 3_600);

/// How long a breaker that closed stays to be looked at.
const BREAKERS: Duration = Duration::from_secs(24 * 3_600);

struct Housekeeping;

pub fn run(app: App, stopping: CancellationToken) -> work::Running {
    let queue = work::schedule(&app.clock, EVERY, || Housekeeping);
    let worker = WorkerBuilder::new(format!("jobs-{:016x}", rand::random::<u64>()))
        .backend(queue)
        .concurrency(1)
        .data(app)
        .build(keep_house);
    Box::pin(worker.run_until(work::told_to_stop(stopping)))
}

async fn keep_house(_: Housekeeping, app: Data<App>) -> Result<(), BoxDynError> {
    if let Err(error) = upkeep(&app).await {
        tracing::error!(%error, "Housekeeping failed; it is tried again in an hour");
    }
    Ok(())
}

/// Everything that is to be done once in a while, once.
pub async fn upkeep(app: &App) -> Result<(), DbErr> {
    let now = app.clock.now();
    storage::upkeep::ensure_partitions(&app.db, now).await?;
    storage::idempotency::forget_before(app.db.writer(), now.minus(IDEMPOTENCY)).await?;
    storage::caps::forget_before(app.db.writer(), now.minus(CAPS)).await?;
    storage::sessions::forget_before(app.db.writer(), now.minus(SIGN_IN)).await?;
    storage::tokens::forget_before(app.db.writer(), now.minus(SIGN_IN)).await?;
    storage::throttles::forget_before(app.db.writer(), now.minus(SIGN_IN)).await?;
    storage::breakers::forget_closed_before(app.db.writer(), now.minus(BREAKERS)).await?;
    let repaired = reports::audit(app).await?;
    if repaired > 0 {
        tracing::warn!(repaired, "Quarters of an hour were packed anew for reports");
    }
    storage::inbound_requests::forget_firsts_before(app.db.writer(), now.minus(SECOND_TRY)).await?;
    let days = u64::from(app.settings.retention_days);
    if days > 0 {
        // What no report has packed stays until it is, and so do the clicks that it counts by.
        reports::fold(app).await?;
        let before = now.minus(Duration::from_secs(days * 86_400)).min(reports::needed_from(app).await?);
        storage::inbound_requests::forget_reports_before(app.db.writer(), before).await?;
        let pruned = storage::upkeep::prune(&app.db, before).await?;
        tracing::info!(pruned, days, "Deleted what is out of retention");
    }
    Ok(())
}
