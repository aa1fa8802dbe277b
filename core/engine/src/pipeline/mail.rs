//! The worker "mail": sends the mails of the outbox.

use std::sync::Arc;
use std::time::Duration;

use sea_orm::DbErr;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_util::sync::CancellationToken;

use crate::app::App;
use crate::people::outbox;
use domain::delivery::lease::Leased;
use storage::people::mails::StoredMail;

use super::work::{self, Fetched, Worker};

/// Maximum time between two polls of the table. Mails of other processes are not announced.
const IDLE: Duration = Duration::from_secs(1);

/// The concurrency is the number of connections to the mail server.
const WORKER: Worker = Worker { name: "mail", concurrency: 4, parallel: false };

/// A claimed mail. A mail is claimed only with a permit, so that it can be sent immediately.
struct Due {
    mail: Leased<StoredMail>,
    _permit: OwnedSemaphorePermit,
}

/// Starts the worker.
pub fn run(app: App, stopping: CancellationToken) -> work::Running {
    let (clock, wake) = (app.clock.clone(), app.waiting_mails.clone());
    let fetch = {
        let (app, permits) = (app.clone(), Arc::new(Semaphore::new(WORKER.concurrency)));
        move || fetch(app.clone(), permits.clone())
    };
    work::worker(&WORKER, work::backend(clock, wake, fetch), stopping, move |due| send(app.clone(), due))
}

async fn fetch(app: App, permits: Arc<Semaphore>) -> Result<Fetched<Due>, DbErr> {
    let permit = permits.acquire_owned().await.expect("the semaphore is never closed");
    let due = outbox::claim_due(&app, 1).await?.pop();
    Ok(Fetched { tasks: due.map(|mail| Due { mail, _permit: permit }).into_iter().collect(), idle: IDLE })
}

async fn send(app: App, due: Due) {
    let id = due.mail.it.id;
    if let Err(error) = outbox::send(&app, due.mail).await {
        tracing::error!(mail.id = %id, %error, "A mail could not be sent; it is sent again when its lease ends");
    }
}
