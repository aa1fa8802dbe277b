//! Background work: apalis workers over our own tables.
//!
//! The tables `events`, `deliveries`, `inbound_requests` and `mails` are the queues. What a worker takes it leases; what it loses comes
//! back when the lease ends. apalis runs the tasks, bounds how many run at once and drains them at a stop.

mod clock;
mod inbound;
pub mod jobs;
mod mail;
mod presence;
mod release;
mod reports;
mod route;
mod send;
mod wake;
mod work;

use std::time::Duration;

use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::app::App;

/// The workers of this process.
pub struct Pipeline {
    stopping: CancellationToken,
    workers: TaskTracker,
    app: App,
}

impl Pipeline {
    /// Starts what this process's role asks for.
    pub async fn start(app: &App) -> anyhow::Result<Self> {
        let stopping = CancellationToken::new();
        let workers = TaskTracker::new();
        if !app.db.is_postgres() {
            // The data folder is locked, so whoever held these is dead.
            storage::tracking::events::QUEUE.release_all(app.db.writer()).await?;
            storage::delivery::deliveries::QUEUE.release_all(app.db.writer()).await?;
            storage::inbound::inbound_requests::QUEUE.release_all(app.db.writer()).await?;
            storage::people::mails::QUEUE.release_all(app.db.writer()).await?;
        }
        if app.settings.role.runs_workers() {
            app.inboxes.set_open(true);
            workers.spawn(forever("route", stopping.clone(), {
                let (app, stopping) = (app.clone(), stopping.clone());
                move || route::run(app.clone(), stopping.clone())
            }));
            workers.spawn(forever("send", stopping.clone(), {
                let (app, stopping) = (app.clone(), stopping.clone());
                move || send::run(app.clone(), stopping.clone())
            }));
            workers.spawn(forever("inbound", stopping.clone(), {
                let (app, stopping) = (app.clone(), stopping.clone());
                move || inbound::run(app.clone(), stopping.clone())
            }));
            workers.spawn(forever("release", stopping.clone(), {
                let (app, stopping) = (app.clone(), stopping.clone());
                move || release::run(app.clone(), stopping.clone())
            }));
            workers.spawn(forever("mail", stopping.clone(), {
                let (app, stopping) = (app.clone(), stopping.clone());
                move || mail::run(app.clone(), stopping.clone())
            }));
            workers.spawn(forever("jobs", stopping.clone(), {
                let (app, stopping) = (app.clone(), stopping.clone());
                move || jobs::run(app.clone(), stopping.clone())
            }));
            if app.db.is_postgres() {
                workers.spawn(forever("partitions", stopping.clone(), {
                    let (app, stopping) = (app.clone(), stopping.clone());
                    move || jobs::run_partitions(app.clone(), stopping.clone())
                }));
            }
            workers.spawn(forever("reports", stopping.clone(), {
                let (app, stopping) = (app.clone(), stopping.clone());
                move || reports::run(app.clone(), stopping.clone())
            }));
        }
        wake::start(app, &workers, &stopping);
        clock::start(app, &workers, &stopping);
        presence::start(app, &workers, &stopping);
        workers.close();
        Ok(Self { stopping, workers, app: app.clone() })
    }

    /// Takes nothing new, waits for what is in flight, and frees what was not begun.
    pub async fn stop(self) {
        self.app.inboxes.set_open(false);
        self.stopping.cancel();
        let limit = self.app.settings.drain_timeout();
        if tokio::time::timeout(limit, self.workers.wait()).await.is_err() {
            // Which of the claims are still in flight can't be told, and those must not be sent twice at once.
            tracing::warn!(
                "Postbacks are in flight at the end of the drain; they are sent again when their leases end"
            );
            return;
        }
        // What is leased now was not begun.
        let claims = self.app.inboxes.leases.claims();
        let releasing = async {
            storage::tracking::events::QUEUE.release(self.app.db.writer(), &claims).await?;
            storage::delivery::deliveries::QUEUE.release(self.app.db.writer(), &claims).await?;
            storage::inbound::inbound_requests::QUEUE.release(self.app.db.writer(), &claims).await
        };
        if !matches!(tokio::time::timeout(limit, releasing).await, Ok(Ok(()))) {
            tracing::warn!("Claims could not be freed; their leases will end by themselves");
        }
    }
}

/// A worker that ends without being told to is started again, not in a hot loop.
async fn forever(name: &'static str, stopping: CancellationToken, run: impl Fn() -> work::Running + Send) {
    while !stopping.is_cancelled() {
        // A task of its own, so that a panic ends the worker and not whoever would start it again.
        match tokio::spawn(run()).await {
            Ok(Ok(())) if stopping.is_cancelled() => return,
            Ok(Ok(())) => tracing::error!(worker = name, "A worker ended; starting it again"),
            Ok(Err(error)) => tracing::error!(worker = name, %error, "A worker failed; starting it again"),
            Err(error) => tracing::error!(worker = name, %error, "A worker broke off; starting it again"),
        }
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
}
