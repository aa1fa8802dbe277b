//! The worker "mail": sends what is in the outbox.

use std::sync::Arc;
use std::time::Duration;

use apalis::prelude::*;
use sea_orm::DbErr;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_util::sync::CancellationToken;

use crate::app::App;
use crate::people::outbox;
use domain::delivery::lease::Leased;
use storage::people::mails::StoredMail;

use super::work::{self, Fetched};

/// How long it trusts that no other process stored a message.
const IDLE: Duration = Duration::from_secs(1);
/// Conversations with the mail server at once.
const CONCURRENCY: usize = 4;

/// Holds a place: nothing is claimed that is not begun at once.
struct Due {
    mail: Leased<StoredMail>,
    _place: OwnedSemaphorePermit,
}

pub fn run(app: App, stopping: CancellationToken) -> work::Running {
    let fetch = {
        let (app, places) = (app.clone(), Arc::new(Semaphore::new(CONCURRENCY)));
        move || fetch(app.clone(), places.clone())
    };
    let queue = work::queue(app.clock.clone(), app.waiting_mails.clone(), fetch);
    let worker = WorkerBuilder::new(format!("mail-{:016x}", rand::random::<u64>()))
        .backend(queue)
        .concurrency(CONCURRENCY)
        .data(app)
        .build(send);
    Box::pin(worker.run_until(work::told_to_stop(stopping)))
}

async fn fetch(app: App, places: Arc<Semaphore>) -> Result<Fetched<Due>, DbErr> {
    let place = places.acquire_owned().await.expect("nobody closes it");
    let due = outbox::take_due(&app, 1).await?.pop();
    Ok(Fetched { tasks: due.map(|mail| Due { mail, _place: place }).into_iter().collect(), idle: IDLE })
}

async fn send(due: Due, app: Data<App>) -> Result<(), BoxDynError> {
    let id = due.mail.it.id;
    if let Err(error) = outbox::send(&app, due.mail).await {
        tracing::error!(mail.id = %id, %error, "A message could not be sent; it is tried again when its lease ends");
    }
    Ok(())
}
