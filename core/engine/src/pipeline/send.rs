//! The worker "send": sends due deliveries and stores their results in groups.
//!
//! [`deliver`] is the parent function. Batches are claimed and prepared one after another, so that each batch is
//! claimed for the room that the previous one left. Their requests run concurrently, one for each place
//! (`delivery/lanes`).

mod claim;
mod conclude;

use std::sync::Arc;
use std::time::Duration;

use sea_orm::DbErr;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use tracing::Instrument;

use crate::app::App;
use crate::delivery::lanes::Placed;
use crate::delivery::sending::{self, Concluded, Late, Preparation};
use domain::delivery::delivery::DeliveryState;
use storage::delivery::waiting_deliveries::Parked;

use self::claim::Claimed;
use self::conclude::Results;
use super::work::{self, AFTER_ERROR, Fetched, Worker};

/// Starts the worker, and the task that stores results.
pub fn run(app: App, stopping: CancellationToken) -> work::Running {
    let (results, concluding) = conclude::spawn(app.clone());
    let (clock, wake) = (app.clock.clone(), app.work_queues.deliveries.wake().clone());
    let late = Late::new(wake.clone());
    // One task prepares; each other task has a request in flight, and each request has a place.
    let worker = Worker { name: "send", concurrency: app.settings.send_concurrency + 1, parallel: true };
    let sender = Sender { app, late, results, turn: Arc::new(Semaphore::new(1)), stopping: stopping.clone() };
    let fetch = {
        let sender = sender.clone();
        move || fetch(sender.clone())
    };
    let backend = work::backend(clock, wake, fetch);
    let running = work::worker(&worker, backend, stopping, move |batch| deliver(sender.clone(), batch));
    Box::pin(async move {
        let result = running.await;
        // The worker has dropped the last clone of `results`, so the last group is stored now.
        let _ = concluding.await;
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

/// A claimed batch, with queued deliveries that got places.
struct Batch {
    claimed: Claimed,
    placed: Vec<Placed>,
    turn: OwnedSemaphorePermit,
}

/// Claims a batch when the previous one is prepared. While results wait for the database, nothing is claimed.
async fn fetch(sender: Sender) -> Result<Fetched<Batch>, DbErr> {
    let Sender { app, late, results, turn, .. } = &sender;
    let turn = turn.clone().acquire_owned().await.expect("the semaphore is never closed");
    if results.are_behind() {
        return Ok(Fetched { tasks: Vec::new(), idle: conclude::STORE_AGAIN });
    }
    if let Err(error) = sending::settle_breakers(app).await {
        tracing::error!(%error, "Breakers could not be stored or read; the next batch tries again");
    }
    let now = app.clock.now();
    let mut claimed = claim::claim(app, now).await?;
    claimed.park(app.lanes.take_paused());
    let placed = app.lanes.start(now);
    if claimed.is_empty() && placed.is_empty() && late.is_empty() {
        let idle = app.work_queues.deliveries.idle_until_poll(now).min(app.lanes.idle_for(now));
        return Ok(Fetched { tasks: Vec::new(), idle: if claimed.are_more { Duration::ZERO } else { idle } });
    }
    Ok(Fetched { tasks: vec![Batch { claimed, placed, turn }], idle: Duration::ZERO })
}

/// Delivers one batch: prepares it, then sends every queued delivery that gets a place. The results are stored in
/// groups with those of other batches. A stop ends the preparation; requests in flight are completed.
async fn deliver(sender: Sender, Batch { claimed, placed, turn }: Batch) {
    let mut requests = JoinSet::new();
    send_each(&sender, placed, &mut requests);
    if let Some(parked) = sender.stopping.run_until_cancelled(prepare(&sender, claimed)).await {
        park(&sender.app, parked).await;
        send_each(&sender, sender.app.lanes.start(sender.app.clock.now()), &mut requests);
    }
    drop(turn);
    while let Some(ended) = requests.join_next().await {
        if let Err(error) = ended {
            tracing::error!(%error, "Sending a delivery panicked; it is sent again when its lease ends");
        }
    }
}

/// Checks the rules, renders the requests and queues the deliveries by lane. Stores deliveries that end without a
/// request. Returns the deliveries to be parked.
async fn prepare(sender: &Sender, Claimed { mut due, mut parked, .. }: Claimed) -> Vec<Parked> {
    let app = &sender.app;
    if due.is_empty() && sender.late.is_empty() {
        return parked;
    }
    match sending::prepare(app, &sender.late, &mut due).await {
        Ok(Preparation { ready, failed_to_render, finished, parked: behind_predecessors }) => {
            for sent in failed_to_render {
                app.lanes.record_unsent([(sent.delivery_id(), false)]);
                let results = sender.results.clone();
                tokio::spawn(async move { results.store(sent).await });
            }
            parked.extend(behind_predecessors);
            let refused = app.lanes.enqueue(ready, app.clock.now());
            parked.extend(refused.into_iter().map(|(prepared, waiting)| prepared.park(waiting)));
            if !finished.is_empty() {
                let waits_again = |state| state == DeliveryState::Pending;
                app.lanes.record_unsent(finished.iter().map(|it| (it.id, waits_again(it.change.state))));
                if let Err(error) = Concluded::by_rules(finished).store(app).await {
                    tracing::error!(%error, "Deliveries that end without a request could not be stored; they are prepared again when their leases end");
                }
            }
        }
        Err(error) => {
            claim::give_back(app, due);
            tracing::error!(%error, "Deliveries could not be prepared; the worker tries again in a second");
            tokio::time::sleep(AFTER_ERROR).await;
        }
    }
    let paused = app.lanes.take_paused();
    parked.extend(paused.into_iter().map(|(prepared, waiting)| prepared.park(waiting)));
    parked
}

/// Stores that deliveries wait for their destinations. This does not count as an attempt.
async fn park(app: &App, parked: Vec<Parked>) {
    if parked.is_empty() {
        return;
    }
    let now = app.clock.now();
    app.lanes.record_unsent(parked.iter().map(|it| (it.id, true)));
    match storage::delivery::waiting_deliveries::park(app.db.queue(), &parked, now).await {
        Ok(()) => app.lanes.set_waiting_in_table(parked.iter().map(|it| &it.lane), now),
        Err(error) => {
            tracing::error!(%error, "Parked deliveries could not be stored; they are prepared again when their leases end");
        }
    }
}

/// Starts a task for each delivery.
fn send_each(sender: &Sender, placed: Vec<Placed>, requests: &mut JoinSet<()>) {
    for it in placed {
        requests.spawn(send(sender.clone(), it));
    }
}

/// Sends one delivery, then the next one that gets a place, until there is none. A delivery keeps its place until its
/// result is durable, so a crash repeats at most as many requests as there are places.
async fn send(Sender { app, results, stopping, .. }: Sender, placed: Placed) {
    let mut next = Some(placed);
    while let Some(Placed { prepared, place }) = next {
        // If the lease ended before the deadline, another process could send it at the same time.
        if prepared.is_ours_until(app.clock.now().plus(app.settings.request_timeout())) {
            let span = prepared.span();
            let sending = async {
                let sent = sending::send(&app, prepared).await;
                let now = app.clock.now();
                app.lanes.record(place.lane(), sent.outcome(now), sent.took(), now);
                results.store(sent).await;
            };
            sending.instrument(span).await;
        }
        drop(place);
        next = if stopping.is_cancelled() { None } else { app.lanes.start_one(app.clock.now()) };
    }
}
