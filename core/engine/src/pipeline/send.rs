//! The worker "send": takes due deliveries, sends them as places allow, and stores what came of it in groups.
//!
//! A fetch prepares a batch and queues it by destination (`services/delivery/lanes.rs`); a task has a place, and goes
//! on with whatever may leave next.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use apalis::prelude::*;
use sea_orm::DbErr;
use tokio_util::sync::CancellationToken;
use tracing::Instrument;

use crate::app::App;
use crate::delivery::lanes::{Admission, Placed};
use crate::delivery::prepared;
use crate::delivery::sending::{self, Concluded, Late, Later, Sent};
use crate::error::is_outage;
use crate::inbox::{Item, Taken};
use domain::delivery::delivery::DeliveryState;
use domain::delivery::delivery::Owed;
use domain::delivery::lease::Leased;
use domain::timestamp::Timestamp;
use storage::base::writer::Writer;
use storage::delivery::waiting_deliveries::Parked;

use super::work::{self, Fetched};

/// Deliveries that are taken from the inbox, and from the table, at a time.
const BATCH: usize = 128;
/// Results that are stored together at most.
const GROUP: usize = 256;
/// Waits between tries to store results, while the leases last.
const STORE_AGAIN: Duration = Duration::from_millis(250);

type Concluder = Writer<Sent, Option<Later>>;

pub fn run(app: App, stopping: CancellationToken) -> work::Running {
    let behind = Arc::new(AtomicBool::new(false));
    let (concluder, concluding) = {
        let (app, behind) = (app.clone(), behind.clone());
        Concluder::spawn(GROUP, move |sent| conclude(app.clone(), behind.clone(), sent))
    };
    let fetch = {
        let (app, concluder) = (app.clone(), concluder.clone());
        let late = Late::new(app.inboxes.deliveries.wake().clone());
        move || fetch(app.clone(), late.clone(), concluder.clone(), behind.clone())
    };
    let queue = work::queue(app.clock.clone(), app.inboxes.deliveries.wake().clone(), fetch);
    // One more than there are places, so that deliveries are taken and put aside also while all places are taken.
    let concurrency = app.settings.send_concurrency + 1;
    let worker = WorkerBuilder::new(format!("send-{:016x}", rand::random::<u64>()))
        .backend(queue)
        .concurrency(concurrency)
        .data(app)
        .data(concluder)
        .data(stopping.clone())
        .parallelize(tokio::spawn)
        .build(send);
    let running: work::Running = Box::pin(worker.run_until(work::told_to_stop(stopping)));
    Box::pin(async move {
        let result = running.await;
        // The worker is gone and with it the last clone of the concluder: it stores its last group and ends.
        let _ = concluding.await;
        result
    })
}

/// Takes a batch, prepares and queues it. What the rules end, what adapters can't render and what is to wait for its
/// destination is stored right away.
async fn fetch(app: App, late: Late, concluder: Concluder, behind: Arc<AtomicBool>) -> Result<Fetched<Placed>, DbErr> {
    if behind.load(Ordering::SeqCst) {
        return Ok(Fetched { tasks: Vec::new(), idle: STORE_AGAIN });
    }
    if let Err(error) = sending::settle_breakers(&app).await {
        tracing::error!(%error, "Breakers could not be stored or read; trying again soon");
    }
    let now = app.clock.now();
    let Due { mut due, mut parked, are_more } = take(&app, now).await?;
    let to_prepare = !due.is_empty() || !late.is_empty();
    let found_nothing = !to_prepare && parked.is_empty() && !are_more;
    if to_prepare {
        let preparation = match sending::prepare(&app, &late, &mut due).await {
            Ok(preparation) => preparation,
            Err(error) => {
                give_back(&app, due);
                return Err(error);
            }
        };
        for troubled in preparation.troubled {
            let concluder = concluder.clone();
            app.destinations.unsent([(troubled.delivery_id(), false)]);
            tokio::spawn(async move { settle(&concluder, troubled).await });
        }
        parked.extend(preparation.parked);
        let refused = app.destinations.enqueue(preparation.ready, now);
        parked.extend(refused.into_iter().map(|(prepared, waiting)| prepared.park(waiting)));
        if !preparation.finished.is_empty() {
            let put_off = |state| state == DeliveryState::Pending;
            app.destinations.unsent(preparation.finished.iter().map(|it| (it.id, put_off(it.state))));
            let finished = Concluded::by_rules(preparation.finished).store(&app).await;
            or_log(finished, "What the rules ended could not be stored; it is judged again when its lease ends");
        }
    }
    parked.extend(app.destinations.take_paused().into_iter().map(|(prepared, waiting)| prepared.park(waiting)));
    let stored = park(&app, parked, now).await;
    or_log(stored, "What is to wait for its destination could not be stored; it is judged again when its lease ends");
    let rest = app.inboxes.deliveries.rest_until_look(now).min(app.destinations.rest(now));
    Ok(Fetched { tasks: app.destinations.start(now), idle: if found_nothing { rest } else { Duration::ZERO } })
}

/// What else was fetched goes on.
fn or_log(stored: Result<(), DbErr>, what: &str) {
    if let Err(error) = stored {
        tracing::error!(%error, "{what}");
    }
}

/// What is due, told apart.
#[derive(Default)]
struct Due {
    due: Vec<Leased<Owed>>,
    /// To wait for a destination.
    parked: Vec<Parked>,
    /// Not all lanes were looked at whose waiting deliveries may leave.
    are_more: bool,
}

/// From the inbox, from the table, and of those that wait for a destination as many as may leave. What was taken from the inbox is not
/// lost when the database fails.
async fn take(app: &App, now: Timestamp) -> Result<Due, DbErr> {
    let inbox = &app.inboxes.deliveries;
    let mut taken = Due::default();
    let look = {
        let mut admissions = app.destinations.admissions(now);
        let mut admitted = Vec::new();
        let Taken { items, look } = inbox.take_admitted(BATCH, now, |owed| {
            let admission = admissions.admit(owed.key());
            let is_admitted = admission.is_some();
            admitted.extend(admission);
            is_admitted
        });
        for (item, admission) in items.into_iter().zip(admitted) {
            taken.add(item, admission);
        }
        look
    };
    if look {
        let found = take_from_table(app, now, &mut taken).await;
        work::found_beside(found, inbox, now, !taken.is_empty())?;
    }
    let drained = drain(app, now, &mut taken).await;
    work::found_beside(drained, inbox, now, !taken.is_empty())?;
    Ok(taken)
}

async fn take_from_table(app: &App, now: Timestamp, taken: &mut Due) -> Result<(), DbErr> {
    let inbox = &app.inboxes.deliveries;
    let lease = inbox.leases().grant(now);
    let found = storage::delivery::deliveries::claim(app.db.queue(), BATCH, now, lease).await?;
    let is_full = found.len() == BATCH;
    let (mut admitted, mut crowds) = (Vec::new(), HashMap::new());
    {
        let mut admissions = app.destinations.admissions(now);
        for delivery in found {
            match admissions.admit_claimed(delivery.postback_id) {
                Admission::Take => admitted.push(delivery),
                Admission::Busy(waiting) | Admission::Paused(waiting) => {
                    taken.parked.push(prepared::parked(delivery.id, lease, waiting.clone()));
                    crowds.insert(delivery.postback_id, waiting);
                }
            }
        }
    }
    taken.due.extend(sending::with_events(app, admitted, lease).await?);
    if is_full {
        inbox.look_by(now);
    } else if let Some(next) = storage::delivery::deliveries::next_due(app.db.reader()).await? {
        inbox.look_by(next.max(now.plus(Duration::from_millis(1))));
    }
    if !crowds.is_empty() {
        // What stands behind them in the table would wait for each of theirs in turn.
        storage::delivery::waiting_deliveries::park_due(app.db.queue(), &crowds, now).await?;
    }
    Ok(())
}

async fn drain(app: &App, now: Timestamp, taken: &mut Due) -> Result<(), DbErr> {
    let (drainable, are_more) = app.destinations.drainable(now);
    taken.are_more = are_more;
    for asked in drainable {
        if taken.due.len() >= 2 * BATCH {
            break;
        }
        let lease = app.inboxes.deliveries.leases().grant(now);
        let found = storage::delivery::waiting_deliveries::claim(
            app.db.queue(),
            &asked.lane,
            asked.limit,
            asked.but,
            now,
            lease,
        );
        let found = found.await?;
        let ids: Vec<_> = found.iter().map(|it| it.id).collect();
        app.destinations.drained(&asked, &ids, now);
        match sending::with_events(app, found, lease).await {
            Ok(found) => taken.due.extend(found),
            Err(error) => {
                app.destinations.unsent(ids.into_iter().map(|id| (id, true)));
                return Err(error);
            }
        }
    }
    Ok(())
}

/// Still leased, for the next fetch.
fn give_back(app: &App, due: Vec<Leased<Owed>>) {
    app.destinations.unsent(due.iter().map(|it| (it.it.delivery.id, true)));
    app.inboxes.deliveries.give_back(due);
}

impl Due {
    fn add(&mut self, item: Leased<Owed>, admission: Admission) {
        match admission {
            Admission::Take => self.due.push(item),
            Admission::Busy(waiting) | Admission::Paused(waiting) => {
                self.parked.push(prepared::parked(item.it.delivery.id, item.lease, waiting));
            }
        }
    }

    fn is_empty(&self) -> bool {
        self.due.is_empty() && self.parked.is_empty()
    }
}

/// Stores that these wait for their destinations. That they waited uses up no attempt.
async fn park(app: &App, parked: Vec<Parked>, now: Timestamp) -> Result<(), DbErr> {
    if parked.is_empty() {
        return Ok(());
    }
    app.destinations.unsent(parked.iter().map(|it| (it.id, true)));
    storage::delivery::waiting_deliveries::park(app.db.queue(), &parked, now).await?;
    app.destinations.waits_in_table(parked.iter().map(|it| &it.lane), now);
    Ok(())
}

/// Sends one delivery after another, as long as there is one that may leave. Each keeps its place until its result is
/// durable, so that a drain leaves nothing half-done and a crash can repeat no more than there are places.
async fn send(
    placed: Placed,
    app: Data<App>,
    concluder: Data<Concluder>,
    stopping: Data<CancellationToken>,
) -> Result<(), BoxDynError> {
    let mut next = Some(placed);
    while let Some(Placed { prepared, place }) = next {
        // Else it waited too long for its turn: somebody else may hold it by the time it would be answered.
        if prepared.is_ours_until(app.clock.now().plus(app.settings.request_timeout())) {
            let span = prepared.span();
            let sending = async {
                let sent = sending::send(&app, prepared).await;
                let now = app.clock.now();
                app.destinations.record(place.lane(), sent.outcome(now), sent.took(), now);
                settle(&concluder, sent).await;
            };
            sending.instrument(span).await;
        }
        drop(place);
        next = if stopping.is_cancelled() { None } else { app.destinations.start_one(app.clock.now()) };
    }
    Ok(())
}

/// Until the result is durable, also if a slow adapter still judges the answer when its group is stored.
async fn settle(concluder: &Concluder, sent: Sent) {
    if let Ok(Some(later)) = concluder.submit(sent).await
        && let Ok(judged) = later.await
    {
        let _ = concluder.submit(judged).await;
    }
}

/// Stores a group of results. A database that is away for a moment must not cost a second postback: while
/// results wait to be stored nothing new is claimed, and nothing that another claim could take up is forgotten.
async fn conclude(app: App, behind: Arc<AtomicBool>, sent: Vec<Sent>) -> Vec<Option<Later>> {
    let count = sent.len();
    let mut concluded = sending::conclude(&app, sent).await;
    let give_up = tokio::time::Instant::now() + app.settings.lease();
    loop {
        let stored = match concluded.store(&app).await {
            Err(error) if !is_outage(&error) => {
                tracing::warn!(%error, results = count, "Results could not be stored together; storing them one by one");
                concluded.store_one_by_one(&app).await
            }
            stored => stored,
        };
        match stored {
            Ok(()) => break,
            Err(error) if tokio::time::Instant::now() < give_up => {
                behind.store(true, Ordering::SeqCst);
                tracing::warn!(%error, results = count, "The database is away; results wait to be stored");
                tokio::time::sleep(STORE_AGAIN).await;
            }
            Err(error) => {
                tracing::error!(%error, results = count, "Results could not be stored; these postbacks will be sent again");
                break;
            }
        }
    }
    behind.store(false, Ordering::SeqCst);
    std::mem::take(&mut concluded.later)
}
