//! Background work: the workers of a process.
//!
//! The tables `pending_events`, `deliveries`, `inbound_requests`, `mails` and `retry_jobs` are the queues. A worker leases the rows
//! that it claims; if the process crashes, the rows are claimed again when the leases end. `work.rs` runs the tasks,
//! limits the number of tasks at once and waits for them at a stop.

mod clock;
mod inbound;
pub mod jobs;
mod mail;
mod presence;
mod release;
mod reports;
mod retries;
mod route;
mod send;
mod wake;
mod work;

use std::time::Duration;

use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::app::App;

/// Starts one worker. It is called again if the worker ends before the process stops.
type Run = fn(App, CancellationToken) -> work::Running;

const WORKERS: [(&str, Run); 8] = [
    ("route", route::run),
    ("send", send::run),
    ("inbound", inbound::run),
    ("release", release::run),
    ("mail", mail::run),
    ("retries", retries::run),
    ("jobs", jobs::run),
    ("reports", reports::run),
];

const POSTGRES_WORKERS: [(&str, Run); 1] = [("partitions", jobs::run_partitions)];

/// Wait before a worker that ended is started again.
const RESTART_AFTER: Duration = Duration::from_secs(1);

/// The workers of this process.
pub struct Pipeline {
    stopping: CancellationToken,
    workers: TaskTracker,
    app: App,
}

impl Pipeline {
    /// Starts the workers of this process's role, and the tasks that run in every process.
    pub async fn start(app: &App) -> anyhow::Result<Self> {
        let stopping = CancellationToken::new();
        let workers = TaskTracker::new();
        if !app.db.is_postgres() {
            // SQLite: the data folder is locked, so no other process holds a lease.
            storage::tracking::events::QUEUE.release_all(app.db.writer()).await?;
            storage::delivery::deliveries::QUEUE.release_all(app.db.writer()).await?;
            storage::inbound::inbound_requests::QUEUE.release_all(app.db.writer()).await?;
            storage::people::mails::QUEUE.release_all(app.db.writer()).await?;
            storage::delivery::retry_jobs::QUEUE.release_all(app.db.writer()).await?;
        }
        if app.settings.role.runs_workers() {
            app.work_queues.set_open(true);
            let of_database: &[_] = if app.db.is_postgres() { &POSTGRES_WORKERS } else { &[] };
            for (name, run) in WORKERS.iter().chain(of_database) {
                workers.spawn(run_forever(name, *run, app.clone(), stopping.clone()));
            }
        }
        wake::start(app, &workers, &stopping);
        clock::start(app, &workers, &stopping);
        presence::start(app, &workers, &stopping);
        workers.close();
        Ok(Self { stopping, workers, app: app.clone() })
    }

    /// Stops claiming, waits for the tasks in flight and releases claimed rows whose tasks have not started.
    pub async fn stop(self) {
        self.app.work_queues.set_open(false);
        self.stopping.cancel();
        let limit = self.app.settings.drain_timeout();
        if tokio::time::timeout(limit, self.workers.wait()).await.is_err() {
            // Claimed rows are not released, because some are in flight and would be sent twice at the same time.
            tracing::warn!(
                "Postbacks are still in flight after drain_timeout_ms; they are sent again when their leases end"
            );
            return;
        }
        // The tasks of rows that are still leased have not started.
        let claims = self.app.work_queues.leases.claims();
        let releasing = async {
            storage::tracking::events::QUEUE.release(self.app.db.writer(), &claims).await?;
            storage::delivery::deliveries::QUEUE.release(self.app.db.writer(), &claims).await?;
            storage::delivery::retry_jobs::QUEUE.release(self.app.db.writer(), &claims).await?;
            storage::inbound::inbound_requests::QUEUE.release(self.app.db.writer(), &claims).await
        };
        if !matches!(tokio::time::timeout(limit, releasing).await, Ok(Ok(()))) {
            tracing::warn!("Claimed rows could not be released; they are claimed again when the leases end");
        }
    }
}

/// Starts a worker again each time it ends before the process stops.
async fn run_forever(name: &'static str, run: Run, app: App, stopping: CancellationToken) {
    while !stopping.is_cancelled() {
        // The worker runs in its own task, so that a panic ends only the worker.
        match tokio::spawn(run(app.clone(), stopping.clone())).await {
            Ok(Ok(())) if stopping.is_cancelled() => return,
            Ok(Ok(())) => tracing::error!(worker = name, "A worker ended and is started again"),
            Ok(Err(error)) => tracing::error!(worker = name, %error, "A worker failed and is started again"),
            Err(error) => tracing::error!(worker = name, %error, "A worker panicked and is started again"),
        }
        tokio::time::sleep(RESTART_AFTER).await;
    }
}
