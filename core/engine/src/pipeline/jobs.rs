//! The worker "jobs": housekeeping on a schedule. Every run may be repeated or left out without harm, so
//! nothing of it is stored.

use std::time::Duration;

use apalis::prelude::*;
use futures::future::{BoxFuture, TryFutureExt};
use sea_orm::DbErr;
use tokio_util::sync::CancellationToken;

use crate::app::App;
use crate::inbound::source_keys;
use crate::{partitions, reports};
use domain::inbound::notification::SECOND_TRY;
use domain::timestamp::Timestamp;

use super::work;

const EVERY: Duration = Duration::from_secs(3_600);
/// How long an `Idempotency-Key` is remembered.
const IDEMPOTENCY: Duration = Duration::from_secs(24 * 3_600);

/// How long the counter of a past day or month is kept; no period is longer.
const CAPS: Duration = Duration::from_secs(40 * 86_400);
/// How long what is left of signing in stays to be looked at.
const SIGN_IN: Duration = Duration::from_secs(24 * 3_600);

/// How often the months ahead are looked for: one that could not be made because of a backup is tried again soon.
const PARTITIONS_EVERY: Duration = Duration::from_secs(60);
/// How long a breaker that closed stays to be looked at.
const BREAKERS: Duration = Duration::from_secs(24 * 3_600);

struct Housekeeping;

struct LookAfterPartitions;

pub fn run(app: App, stopping: CancellationToken) -> work::Running {
    let queue = work::schedule(&app.clock, EVERY, || Housekeeping);
    let worker = WorkerBuilder::new(format!("jobs-{:016x}", rand::random::<u64>()))
        .backend(queue)
        .concurrency(1)
        .data(app)
        .build(keep_house);
    Box::pin(worker.run_until(work::told_to_stop(stopping)))
}

/// Also at the start, which does not wait for it.
pub fn run_partitions(app: App, stopping: CancellationToken) -> work::Running {
    let queue = work::schedule_at_once(&app.clock, PARTITIONS_EVERY, || LookAfterPartitions);
    let worker = WorkerBuilder::new(format!("partitions-{:016x}", rand::random::<u64>()))
        .backend(queue)
        .concurrency(1)
        .data(app)
        .build(look_after_partitions);
    Box::pin(worker.run_until(work::told_to_stop(stopping)))
}

async fn keep_house(_: Housekeeping, app: Data<App>) -> Result<(), BoxDynError> {
    // Each step that failed has been logged.
    let _ = upkeep(&app).await;
    Ok(())
}

async fn look_after_partitions(_: LookAfterPartitions, app: Data<App>) -> Result<(), BoxDynError> {
    if let Err(error) = partitions::look_after(&app.db, app.clock.now()).await {
        tracing::error!(%error, "Partitions could not be looked after; it is tried again in a minute");
    }
    Ok(())
}

/// Everything that is to be done once in a while, once. A step that fails does not stop the others; the first error is
/// returned when all are done.
pub async fn upkeep(app: &App) -> Result<(), DbErr> {
    let now = app.clock.now();
    let db = app.db.writer();
    let steps: [(&str, BoxFuture<'_, Result<(), DbErr>>); 11] = [
        ("partitions", Box::pin(partitions::look_after(&app.db, now))),
        (
            "idempotency_keys",
            Box::pin(storage::base::idempotency::forget_before(db, now.minus(IDEMPOTENCY)).map_ok(drop)),
        ),
        ("caps", Box::pin(storage::program::caps::forget_before(db, now.minus(CAPS)).map_ok(drop))),
        ("sessions", Box::pin(storage::people::sessions::forget_before(db, now.minus(SIGN_IN)).map_ok(drop))),
        ("tokens", Box::pin(storage::people::tokens::forget_before(db, now.minus(SIGN_IN)).map_ok(drop))),
        ("throttles", Box::pin(storage::people::throttles::forget_before(db, now.minus(SIGN_IN)).map_ok(drop))),
        ("breakers", Box::pin(storage::delivery::breakers::forget_closed_before(db, now.minus(BREAKERS)).map_ok(drop))),
        ("source_keys", Box::pin(source_keys::hash_stored(app).map_ok(drop))),
        ("reports", Box::pin(audit_reports(app))),
        (
            "inbound_firsts",
            Box::pin(storage::inbound::inbound_requests::delete_firsts_before(db, now.minus(SECOND_TRY)).map_ok(drop)),
        ),
        ("retention", Box::pin(prune(app, now))),
    ];
    let mut failed = Ok(());
    for (step, work) in steps {
        if let Err(error) = work.await {
            tracing::error!(%error, step, "A step of housekeeping failed; it is tried again in an hour");
            failed = failed.and(Err(error));
        }
    }
    failed
}

async fn audit_reports(app: &App) -> Result<(), DbErr> {
    let repaired = reports::audit(app).await?;
    if repaired > 0 {
        tracing::warn!(repaired, "Quarters of an hour were packed anew for reports");
    }
    Ok(())
}

/// Deletes what is out of retention.
async fn prune(app: &App, now: Timestamp) -> Result<(), DbErr> {
    let days = u64::from(app.settings.retention_days);
    if days > 0 {
        // What no report has packed stays until it is, and so do the clicks that it counts by.
        reports::fold(app).await?;
        let before = now.minus(Duration::from_secs(days * 86_400)).min(reports::needed_from(app).await?);
        storage::inbound::inbound_requests::delete_fingerprints_before(app.db.writer(), before).await?;
        let pruned = storage::base::upkeep::prune(&app.db, before).await?;
        tracing::info!(pruned, days, "Deleted what is out of retention");
    }
    Ok(())
}
