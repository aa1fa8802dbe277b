//! The workers "jobs" and "partitions": maintenance on a schedule. The schedule is not stored, because a repeated or
//! missing run does no harm.

use std::time::Duration;

use futures::future::{BoxFuture, TryFutureExt};
use sea_orm::DbErr;
use tokio_util::sync::CancellationToken;

use crate::app::App;
use crate::inbound::source_keys;
use crate::people::weekly_summaries;
use crate::tracking::conversions;
use crate::{partitions, reports};
use domain::inbound::notification::SECOND_TRY_OF_PAYMENT;
use domain::timestamp::Timestamp;

use super::work::{self, First, Worker};

/// Time between two runs of the maintenance.
const EVERY: Duration = Duration::from_secs(3_600);
/// How often missing partitions are created. Short, because a backup can make it fail.
const PARTITIONS_EVERY: Duration = Duration::from_secs(60);

/// How long an `Idempotency-Key` is kept.
const IDEMPOTENCY: Duration = Duration::from_secs(24 * 3_600);
/// How long the counter of a past day or month is kept. No period is longer than a month.
const CAPS: Duration = Duration::from_secs(40 * 86_400);
/// How long expired sessions, tokens and throttles are kept.
const SIGN_IN: Duration = Duration::from_secs(24 * 3_600);
/// How long a closed breaker is kept and shown.
const BREAKERS: Duration = Duration::from_secs(24 * 3_600);

/// How long a test conversion is kept after its last change: long enough to ask a tracker why it did not count it.
const TESTS: Duration = Duration::from_secs(7 * 86_400);

const JOBS: Worker = Worker { name: "jobs", concurrency: 1, parallel: false };

const PARTITIONS: Worker = Worker { name: "partitions", concurrency: 1, parallel: false };

/// Starts the worker "jobs".
pub fn run(app: App, stopping: CancellationToken) -> work::Running {
    let backend = work::schedule(&app.clock, EVERY, First::AfterInterval);
    work::worker(&JOBS, backend, stopping, move |()| maintenance(app.clone()))
}

/// Starts the worker "partitions". Its first run begins immediately; the start of the process does not wait for it.
pub(crate) fn run_partitions(app: App, stopping: CancellationToken) -> work::Running {
    let backend = work::schedule(&app.clock, PARTITIONS_EVERY, First::AtOnce);
    work::worker(&PARTITIONS, backend, stopping, move |()| create_partitions(app.clone()))
}

async fn maintenance(app: App) {
    // Each failed step has been logged.
    let _ = run_maintenance(&app).await;
}

async fn create_partitions(app: App) {
    if let Err(error) = partitions::maintain(&app.db, app.clock.now()).await {
        tracing::error!(%error, "Partitions could not be checked; the check is tried again in a minute");
    }
}

/// Runs every step of the maintenance once. A failed step does not stop the others.
///
/// # Errors
///
/// The first error of a step, after all steps have run.
pub async fn run_maintenance(app: &App) -> Result<(), DbErr> {
    let now = app.clock.now();
    let db = app.db.writer();
    let steps: [(&str, BoxFuture<'_, Result<(), DbErr>>); 14] = [
        ("partitions", Box::pin(partitions::maintain(&app.db, now))),
        (
            "idempotency_keys",
            Box::pin(storage::base::idempotency::delete_older_than(db, now.minus(IDEMPOTENCY)).map_ok(drop)),
        ),
        ("caps", Box::pin(storage::program::caps::delete_older_than(db, now.minus(CAPS)).map_ok(drop))),
        ("sessions", Box::pin(storage::people::sessions::delete_older_than(db, now.minus(SIGN_IN)).map_ok(drop))),
        ("tokens", Box::pin(storage::people::tokens::delete_older_than(db, now.minus(SIGN_IN)).map_ok(drop))),
        ("throttles", Box::pin(storage::people::throttles::delete_older_than(db, now.minus(SIGN_IN)).map_ok(drop))),
        (
            "breakers",
            Box::pin(storage::delivery::breakers::delete_closed_older_than(db, now.minus(BREAKERS)).map_ok(drop)),
        ),
        ("test_conversions", Box::pin(conversions::delete_tests_older_than(app, now.minus(TESTS)))),
        ("source_keys", Box::pin(source_keys::hash_stored(app).map_ok(drop))),
        ("customer_email_keys", Box::pin(add_email_keys(app))),
        ("reports", Box::pin(audit_reports(app))),
        ("weekly_summaries", Box::pin(weekly_summaries::send_due(app))),
        (
            "request_fingerprints",
            Box::pin(
                storage::inbound::fingerprints::delete_requests_older_than(db, now.minus(SECOND_TRY_OF_PAYMENT))
                    .map_ok(drop),
            ),
        ),
        ("retention", Box::pin(prune(app, now))),
    ];
    let mut failed = Ok(());
    for (step, work) in steps {
        if let Err(error) = work.await {
            tracing::error!(%error, step, "A step of the maintenance failed; the step is tried again in an hour");
            failed = failed.and(Err(error));
        }
    }
    failed
}

async fn audit_reports(app: &App) -> Result<(), DbErr> {
    let repaired = reports::verify(app).await?;
    if repaired > 0 {
        tracing::warn!(repaired, "Quarter-hours were rolled up again for reports");
    }
    Ok(())
}

/// The number of conversions that one statement changes.
const EMAIL_KEYS_AT_ONCE: u64 = 500;

/// Adds the keys by which conversions are found by e-mail address, to those that an earlier release inserted.
async fn add_email_keys(app: &App) -> Result<(), DbErr> {
    while storage::tracking::conversions::add_email_keys(app.db.writer(), EMAIL_KEYS_AT_ONCE).await? > 0 {}
    Ok(())
}

/// Deletes rows that are older than the retention.
async fn prune(app: &App, now: Timestamp) -> Result<(), DbErr> {
    let days = u64::from(app.settings.retention_days);
    if days > 0 {
        // Rows without a roll-up are kept, and so are the clicks that their roll-up needs.
        reports::roll_up(app).await?;
        let before = now.minus(Duration::from_secs(days * 86_400)).min(reports::needed_from(app).await?);
        storage::delivery::postback_versions::delete_older_than(app.db.writer(), before).await?;
        storage::delivery::retry_jobs::delete_older_than(app.db.writer(), before).await?;
        let deleted = storage::base::retention::delete_older_than(&app.db, before).await?;
        tracing::info!(deleted, days, "Deleted rows that were older than the retention");
    }
    Ok(())
}
