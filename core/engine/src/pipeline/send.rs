//! The worker "send": sends due deliveries and stores their results in groups.
//!
//! [`deliver`] is the parent function of a batch: claim → prepare → send → conclude. [`claim_batch`] claims, for the
//! workers' engine. Batches are claimed and prepared one after another, so that each batch is claimed for the room that
//! the previous one left. Their requests run concurrently, one for each place (`delivery/lanes`), and their results are
//! concluded in groups (`results`).

mod claim;
mod results;
mod unsent;

use std::sync::Arc;
use std::time::Duration;

use sea_orm::DbErr;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use tracing::Instrument;

use crate::app::App;
use crate::delivery::lanes::Placed;
use crate::delivery::prepared::Prepared;
use crate::delivery::sending::{self, Late, Preparation};
use storage::delivery::waiting_deliveries::Parked;

use self::claim::Claimed;
use self::results::Results;
use super::work::{self, AFTER_ERROR, Fetched, Worker};

/// Starts the worker, and the task that stores results.
pub fn run(app: App, stopping: CancellationToken) -> work::Running {
    let (results, storing) = results::spawn(app.clone());
    let (clock, wake) = (app.clock.clone(), app.work_queues.deliveries.wake().clone());
    let late = Late::new(wake.clone());
    // One task prepares; each other task has a request in flight, and each request has a place.
    let worker = Worker { name: "send", concurrency: app.settings.send_concurrency + 1, parallel: true };
    let sender = Sender { app, late, results, turn: Arc::new(Semaphore::new(1)), stopping: stopping.clone() };
    let claim_batch = {
        let sender = sender.clone();
        move || claim_batch(sender.clone())
    };
    let backend = work::backend(clock, wake, claim_batch);
    let running = work::worker(&worker, backend, stopping, move |batch| deliver(sender.clone(), batch));
    Box::pin(async move {
        let result = running.await;
        // The worker has dropped the last clone of `results`, so the last group is stored now.
        let _ = storing.await;
        result
    })
}

/// The state that the tasks of the worker share.
#[derive(Clone)]
struct Sender {
    app: App,
    late: Late,
    results: Results,
    /// Held while a batch is claimed and prepared.
    turn: Arc<Semaphore>,
    stopping: CancellationToken,
}

/// A claimed batch.
struct Batch {
    claimed: Claimed,
    /// Deliveries of earlier batches, which were prepared and queued, and have places now.
    of_earlier_batches: Vec<Placed>,
    turn: OwnedSemaphorePermit,
}

/// Claims a batch when the previous one is prepared. While results wait for the database, nothing is claimed.
async fn claim_batch(sender: Sender) -> Result<Fetched<Batch>, DbErr> {
    let Sender { app, late, results, turn, .. } = &sender;
    let turn = turn.clone().acquire_owned().await.expect("the semaphore is never closed");
    if results.are_behind() {
        return Ok(Fetched { tasks: Vec::new(), idle: results::STORE_AGAIN });
    }
    if let Err(error) = sending::synchronise_breakers(app).await {
        tracing::error!(%error, "Breakers could not be stored or read; the next batch tries again");
    }
    let now = app.clock.now();
    let mut claimed = claim::claim(app, now).await?;
    claimed.park(app.lanes.take_paused());
    let of_earlier_batches = app.lanes.all_with_places(now);
    if claimed.is_empty() && of_earlier_batches.is_empty() && late.is_empty() {
        let idle = app.work_queues.deliveries.idle_until_poll(now).min(app.lanes.idle_for(now));
        return Ok(Fetched { tasks: Vec::new(), idle: if claimed.are_more { Duration::ZERO } else { idle } });
    }
    Ok(Fetched { tasks: vec![Batch { claimed, of_earlier_batches, turn }], idle: Duration::ZERO })
}

/// Delivers one batch: claim → prepare → send → conclude. It comes claimed from [`claim_batch`]. Deliveries that the
/// rules or the adapters end are concluded at once, each other one after its request ([`send_and_conclude`]).
async fn deliver(sender: Sender, Batch { claimed, of_earlier_batches, turn }: Batch) {
    let (app, mut requests) = (&sender.app, JoinSet::new());
    // They are prepared and have places, so they do not wait for the preparation of this batch.
    send_all(&sender, of_earlier_batches, &mut requests);
    let preparing = async {
        let Preparation { ready, failed_to_render, finished, mut parked } = prepare(&sender, claimed).await;
        unsent::conclude_failed(app, &sender.results, failed_to_render);
        parked.extend(enqueue(app, ready));
        unsent::conclude_finished(app, finished).await;
        parked.extend(take_paused(app));
        parked
    };
    // A stop ends the preparation; requests in flight are completed.
    if let Some(parked) = sender.stopping.run_until_cancelled(preparing).await {
        unsent::park(app, parked).await;
        send_all(&sender, app.lanes.all_with_places(app.clock.now()), &mut requests);
    }
    // The next batch is claimed while the requests of this one are in flight.
    drop(turn);
    while let Some(ended) = requests.join_next().await {
        if let Err(error) = ended {
            tracing::error!(%error, "Sending a delivery panicked; it is sent again when its lease ends");
        }
    }
}

/// Checks the rules and has the adapters render the requests. The result includes the deliveries that were parked
/// when the batch was claimed.
async fn prepare(sender: &Sender, Claimed { mut due, mut parked, .. }: Claimed) -> Preparation {
    let Sender { app, late, .. } = sender;
    if due.is_empty() && late.is_empty() {
        return Preparation { parked, ..Preparation::default() };
    }
    match sending::prepare(app, late, &mut due).await {
        Ok(mut preparation) => {
            parked.append(&mut preparation.parked);
            Preparation { parked, ..preparation }
        }
        Err(error) => {
            claim::give_back(app, due);
            tracing::error!(%error, "Deliveries could not be prepared; the worker tries again in a second");
            tokio::time::sleep(AFTER_ERROR).await;
            Preparation { parked, ..Preparation::default() }
        }
    }
}

/// Queues prepared deliveries by lane. Returns those without room, to be parked.
fn enqueue(app: &App, ready: Vec<Prepared>) -> impl Iterator<Item = Parked> {
    app.lanes.enqueue(ready, app.clock.now()).into_iter().map(|(prepared, waiting)| prepared.park(waiting))
}

/// Takes queued deliveries whose lanes were paused meanwhile, to be parked.
fn take_paused(app: &App) -> impl Iterator<Item = Parked> {
    app.lanes.take_paused().into_iter().map(|(prepared, waiting)| prepared.park(waiting))
}

/// Starts a task for each delivery.
fn send_all(sender: &Sender, placed: Vec<Placed>, requests: &mut JoinSet<()>) {
    for it in placed {
        requests.spawn(send_and_conclude(sender.clone(), it));
    }
}

/// Sends one delivery and submits its result, then does the same for the next one that gets a place, until there is
/// none. A delivery keeps its place until its result is durable, so a crash repeats at most as many requests as there
/// are places.
async fn send_and_conclude(Sender { app, results, stopping, .. }: Sender, placed: Placed) {
    let mut next = Some(placed);
    while let Some(Placed { prepared, place }) = next {
        // If the lease ended before the deadline, another process could send it at the same time.
        if prepared.is_ours_until(app.clock.now().plus(app.settings.request_timeout())) {
            let span = prepared.span();
            let sending = async {
                let sent = sending::send(&app, prepared).await;
                let now = app.clock.now();
                app.lanes.record_outcome(place.lane(), sent.outcome(now), sent.took(), now);
                results.submit(sent).await;
            };
            sending.instrument(span).await;
        }
        drop(place);
        next = if stopping.is_cancelled() { None } else { app.lanes.next_with_place(app.clock.now()) };
    }
}
