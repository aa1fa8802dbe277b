//! The worker "route": claims owed events and turns them into deliveries.

use std::time::Duration;

use apalis::prelude::*;
use tokio_util::sync::CancellationToken;

use crate::app::App;
use crate::domain::event::Event;
use crate::services::routing;
use crate::storage;

use super::work::{self, Claims, Fetched};

/// Events that are routed together at most.
const BATCH: usize = 256;
/// Batches under way at once: one is decided while the next is claimed.
const CONCURRENCY: usize = 2;
/// How long an idle worker trusts its wake-up signals.
const IDLE: Duration = Duration::from_millis(500);

struct Batch {
    events: Vec<Event>,
    claim: i64,
}

pub fn run(app: App, claims: Claims, stopping: CancellationToken) -> work::Running {
    let fetch = {
        let app = app.clone();
        move || {
            let (app, claims) = (app.clone(), claims.clone());
            async move {
                let now = app.clock.now();
                let (claim, lease_until) = claims.take(now);
                let events = storage::events::claim(app.db.queue(), BATCH, now, lease_until, claim).await?;
                if events.is_empty() {
                    claims.give_back(claim);
                    return Ok(Fetched { tasks: Vec::new(), idle: IDLE });
                }
                Ok(Fetched { tasks: vec![Batch { events, claim }], idle: IDLE })
            }
        }
    };
    let queue = work::queue(app.clock.clone(), app.signals.events.clone(), fetch);
    let worker = WorkerBuilder::new(format!("route-{:016x}", rand::random::<u64>()))
        .backend(queue)
        .concurrency(CONCURRENCY)
        .data(app)
        .parallelize(tokio::spawn)
        .build(route);
    Box::pin(worker.run_until(work::told_to_stop(stopping)))
}

async fn route(batch: Batch, app: Data<App>) -> Result<(), BoxDynError> {
    if let Err(error) = routing::route(&app, batch.events, batch.claim).await {
        tracing::error!(%error, "Events could not be routed; they are taken up again when their lease ends");
    }
    Ok(())
}
