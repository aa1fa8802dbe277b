//! The worker "route": takes owed events and turns them into deliveries.

use apalis::prelude::*;
use sea_orm::DbErr;
use tokio_util::sync::CancellationToken;
use tracing::Instrument;

use crate::app::App;
use crate::delivery::routing;
use crate::inbox::Taken;
use domain::delivery::lease::Leased;
use domain::tracking::event::Event;

use super::work::{self, Fetched};

/// Events that are taken from the inbox, and from the table, at a time.
const BATCH: usize = 256;
/// Batches under way at once: one is decided while the next is claimed.
const CONCURRENCY: usize = 2;

struct Batch(Vec<Leased<Event>>);

pub fn run(app: App, stopping: CancellationToken) -> work::Running {
    let fetch = {
        let app = app.clone();
        move || fetch(app.clone())
    };
    let queue = work::queue(app.clock.clone(), app.inboxes.events.wake().clone(), fetch);
    let worker = WorkerBuilder::new(format!("route-{:016x}", rand::random::<u64>()))
        .backend(queue)
        .concurrency(CONCURRENCY)
        .data(app)
        .parallelize(tokio::spawn)
        .build(route);
    Box::pin(worker.run_until(work::told_to_stop(stopping)))
}

async fn fetch(app: App) -> Result<Fetched<Batch>, DbErr> {
    let (now, inbox) = (app.clock.now(), &app.inboxes.events);
    let Taken { items: mut events, look } = inbox.take(BATCH, now);
    if look {
        let lease = inbox.leases().grant(now);
        let found = storage::tracking::events::claim(app.db.queue(), BATCH, now, lease).await;
        let found = work::found_beside(found, inbox, now, !events.is_empty())?;
        if found.len() == BATCH {
            inbox.look_by(now);
        }
        events.extend(found.into_iter().map(|it| Leased { it, lease }));
    }
    let tasks = if events.is_empty() { Vec::new() } else { vec![Batch(events)] };
    Ok(Fetched { tasks, idle: inbox.rest(now) })
}

async fn route(batch: Batch, app: Data<App>) -> Result<(), BoxDynError> {
    let span = tracing::error_span!("route", events = batch.0.len());
    if let Err(error) = routing::route(&app, batch.0).instrument(span).await {
        tracing::error!(%error, "Events could not be routed; they are taken up again when their lease ends");
    }
    Ok(())
}
