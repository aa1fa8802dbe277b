//! The worker "route": turns pending events into deliveries. [`route`] is the parent function of a batch.

use std::sync::Arc;

use sea_orm::DbErr;
use tokio_util::sync::CancellationToken;
use tracing::Instrument;

use crate::app::App;
use crate::delivery::routing;
use crate::work_queue::Taken;
use domain::delivery::lease::Leased;
use domain::tracking::event::Event;

use super::work::{self, Fetched, Worker};

/// Maximum number of events that one batch takes from the work queue, and again from the table.
const BATCH: usize = 256;

/// Two batches at once: one is routed while the next one is claimed.
const WORKER: Worker = Worker { name: "route", concurrency: 2, parallel: true };

/// A batch of claimed events.
struct Batch(Vec<Leased<Event>>);

/// Starts the worker.
pub fn run(app: App, stopping: CancellationToken) -> work::Running {
    let (clock, wake) = (app.clock.clone(), app.work_queues.events.wake().clone());
    let claim_batch = {
        let app = app.clone();
        move || claim_batch(app.clone())
    };
    work::worker(&WORKER, work::backend(clock, wake, claim_batch), stopping, move |batch| route(app.clone(), batch))
}

/// Claims a batch of events. `route` does the rest.
async fn claim_batch(app: App) -> Result<Fetched<Batch>, DbErr> {
    let (now, queue) = (app.clock.now(), &app.work_queues.events);
    let Taken { items: mut events, poll } = queue.take(BATCH, now);
    if poll {
        let lease = queue.leases().grant(now);
        let found = storage::tracking::events::claim(app.db.queue(), BATCH, now, lease).await;
        let found = work::after_poll(found, queue, now, !events.is_empty())?;
        if found.len() == BATCH {
            queue.poll_at(now);
        }
        events.extend(found.into_iter().map(|it| Leased { it, lease }));
    }
    let tasks = if events.is_empty() { Vec::new() } else { vec![Batch(events)] };
    Ok(Fetched { tasks, idle: queue.idle_for(now) })
}

/// Routes one batch. Rules and adapters decide; then one transaction replaces the pending events by deliveries.
async fn route(app: App, Batch(events): Batch) {
    let now = app.clock.now();
    let span = tracing::error_span!("route", events = events.len());
    let claims = events.iter().map(|event| (event.it.id, event.lease.claim)).collect();
    let events: Vec<_> = events.into_iter().map(|event| Arc::new(event.it)).collect();
    let routed = async {
        let deliveries = routing::decide(&app, &events, now).await?;
        routing::store(&app, claims, deliveries, now).await
    };
    if let Err(error) = routed.instrument(span).await {
        tracing::error!(%error, "Events could not be routed; they are routed again when their leases end");
    }
}
