//! The worker "send": claims due deliveries, sends them, and stores what came of it in groups.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use apalis::prelude::*;
use sea_orm::DbErr;
use tokio_util::sync::CancellationToken;

use crate::app::App;
use crate::clock::Timestamp;
use crate::services::error::is_outage;
use crate::services::sending::{self, Concluded, Prepared, Sent};
use crate::storage;
use crate::storage::writer::Writer;

use super::work::{self, Claims, Fetched};

/// Deliveries that are claimed together at most.
const BATCH: usize = 128;
/// Results that are stored together at most.
const GROUP: usize = 256;
/// How long an idle worker trusts its wake-up signals.
const IDLE: Duration = Duration::from_millis(500);
/// Waits between tries to store results, while the leases last.
const STORE_AGAIN: Duration = Duration::from_millis(250);

type Concluder = Writer<Sent, ()>;

/// One delivery, to be sent before its lease runs out.
struct Due {
    prepared: Prepared,
    lease_until: Timestamp,
}

pub fn run(app: App, claims: Claims, stopping: CancellationToken) -> work::Running {
    let behind = Arc::new(AtomicBool::new(false));
    let (concluder, concluding) = {
        let (app, behind) = (app.clone(), behind.clone());
        Concluder::spawn(GROUP, move |sent| conclude(app.clone(), behind.clone(), sent))
    };
    let fetch = {
        let (app, concluder) = (app.clone(), concluder.clone());
        move || fetch(app.clone(), claims.clone(), concluder.clone(), behind.clone())
    };
    let queue = work::queue(app.clock.clone(), app.signals.deliveries.clone(), fetch);
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

/// Claims a batch and prepares it. What the rules end and what adapters can't render is stored right away.
async fn fetch(app: App, claims: Claims, concluder: Concluder, behind: Arc<AtomicBool>) -> Result<Fetched<Due>, DbErr> {
    if behind.load(Ordering::SeqCst) {
        return Ok(Fetched { tasks: Vec::new(), idle: STORE_AGAIN });
    }
    let now = app.clock.now();
    let (claim, lease_until) = claims.take(now);
    let deliveries = storage::deliveries::claim(app.db.queue(), BATCH, now, lease_until, claim).await?;
    if deliveries.is_empty() {
        claims.give_back(claim);
        let next = storage::deliveries::next_due(app.db.reader()).await?;
        let idle = next.map_or(IDLE, |due| due.since(now).clamp(Duration::from_millis(1), IDLE));
        return Ok(Fetched { tasks: Vec::new(), idle });
    }
    let preparation = sending::prepare(&app, deliveries, claim).await?;
    if !preparation.finished.is_empty() {
        Concluded::by_rules(preparation.finished).store(&app).await?;
    }
    for troubled in preparation.troubled {
        let concluder = concluder.clone();
        tokio::spawn(async move { concluder.submit(troubled).await });
    }
    let tasks = preparation.ready.into_iter().map(|prepared| Due { prepared, lease_until }).collect();
    Ok(Fetched { tasks, idle: Duration::ZERO })
}

async fn send(due: Due, app: Data<App>, concluder: Data<Concluder>) -> Result<(), BoxDynError> {
    if app.clock.now().plus(app.settings.request_timeout()) > due.lease_until {
        // It waited too long for its turn. Somebody else may hold it by the time it would be answered.
        return Ok(());
    }
    let sent = sending::send(&app, due.prepared).await;
    // Ends when the result is durable, so that a drain leaves nothing half-done.
    let _ = concluder.submit(sent).await;
    Ok(())
}

/// Stores a group of results. A database that is away for a moment must not cost a second postback: while
/// results wait to be stored nothing new is claimed, and nothing that another claim could take up is forgotten.
async fn conclude(app: App, behind: Arc<AtomicBool>, sent: Vec<Sent>) -> Vec<()> {
    let count = sent.len();
    let concluded = sending::conclude(&app, sent).await;
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
    vec![(); count]
}
