//! The worker "send": takes due deliveries, sends them, and stores what came of it in groups.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use apalis::prelude::*;
use sea_orm::DbErr;
use tokio_util::sync::CancellationToken;

use crate::app::App;
use crate::domain::lease::Leased;
use crate::services::error::is_outage;
use crate::services::inbox::Taken;
use crate::services::routing::Owed;
use crate::services::sending::{self, Concluded, Late, Later, Prepared, Sent};
use crate::storage;
use crate::storage::writer::Writer;

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
    let concurrency = app.settings.send_concurrency;
    let worker = WorkerBuilder::new(format!("send-{:016x}", rand::random::<u64>()))
        .backend(queue)
        .concurrency(concurrency)
        .data(app)
        .data(concluder)
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

/// Takes a batch and prepares it. What the rules end and what adapters can't render is stored right away.
async fn fetch(
    app: App,
    late: Late,
    concluder: Concluder,
    behind: Arc<AtomicBool>,
) -> Result<Fetched<Prepared>, DbErr> {
    if behind.load(Ordering::SeqCst) {
        return Ok(Fetched { tasks: Vec::new(), idle: STORE_AGAIN });
    }
    let due = take(&app).await?;
    if due.is_empty() && late.is_empty() {
        return Ok(Fetched { tasks: Vec::new(), idle: app.inboxes.deliveries.rest(app.clock.now()) });
    }
    let preparation = sending::prepare(&app, &late, due).await?;
    if !preparation.finished.is_empty() {
        Concluded::by_rules(preparation.finished).store(&app).await?;
    }
    for troubled in preparation.troubled {
        let concluder = concluder.clone();
        tokio::spawn(async move { settle(&concluder, troubled).await });
    }
    Ok(Fetched { tasks: preparation.ready, idle: Duration::ZERO })
}

async fn take(app: &App) -> Result<Vec<Leased<Owed>>, DbErr> {
    let (now, inbox) = (app.clock.now(), &app.inboxes.deliveries);
    let Taken { items: mut due, look } = inbox.take(BATCH, now);
    if look {
        let lease = inbox.leases().grant(now);
        let found = storage::deliveries::claim(app.db.queue(), BATCH, now, lease).await;
        let found = work::found_beside(found, inbox, now, !due.is_empty())?;
        if found.len() == BATCH {
            inbox.look_by(now);
        } else if let Some(next) = storage::deliveries::next_due(app.db.reader()).await? {
            inbox.look_by(next.max(now.plus(Duration::from_millis(1))));
        }
        due.extend(sending::with_events(app, found, lease).await?);
    }
    Ok(due)
}

async fn send(prepared: Prepared, app: Data<App>, concluder: Data<Concluder>) -> Result<(), BoxDynError> {
    if !prepared.can_be_sent(&app) {
        // It waited too long for its turn. Somebody else may hold it by the time it would be answered.
        return Ok(());
    }
    let sent = sending::send(&app, prepared).await;
    settle(&concluder, sent).await;
    Ok(())
}

/// Ends when the result is durable, so that a drain leaves nothing half-done, or when only a slow adapter is awaited: the place is
/// free for others then.
async fn settle(concluder: &Concluder, sent: Sent) {
    if let Ok(Some(later)) = concluder.submit(sent).await {
        let concluder = concluder.clone();
        tokio::spawn(async move {
            if let Ok(judged) = later.await {
                let _ = concluder.submit(judged).await;
            }
        });
    }
}

/// Stores a group of results. A database that is away for a moment must not cost a second postback: while
/// results wait to be stored nothing new is claimed, and nothing that another claim could take up is forgotten.
async fn conclude(app: App, behind: Arc<AtomicBool>, sent: Vec<Sent>) -> Vec<Option<Later>> {
    let count = sent.len();
    let mut concluded = sending::conclude(&app, sent).await;
    let give_up = tokio::time::Instant::now() + app.settings.lease();
    loop {
        match concluded.store(&app).await {
            Ok(()) => break,
            Err(error) if !is_outage(&error) => {
                tracing::warn!(%error, results = count, "Results could not be stored together; storing them one by one");
                concluded.store_one_by_one(&app).await;
                break;
            }
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
