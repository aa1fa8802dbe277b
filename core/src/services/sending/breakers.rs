//! Breakers in the table: what this node found out is stored for all nodes, what others found out is taken over, and the
//! owners are told - once, whichever node it was.

use std::collections::HashMap;
use std::time::Duration;

use sea_orm::{ConnectionTrait, DbErr};

use crate::app::App;
use crate::clock::Timestamp;
use crate::domain::breaker::{Breaker, DAY};
use crate::services::mail::Letter;
use crate::services::{Error, outbox};
use crate::storage;

use super::destinations::Change;

/// How old the knowledge of what other nodes stored may be.
const REFRESH: Duration = Duration::from_secs(5);
/// People who are told at most of one destination: a destination of a network may have thousands of affiliates.
const TOLD_AT_MOST: u64 = 1_000;

/// Stores and takes over what there is, and takes the probes that are due.
pub async fn settle(app: &App) -> Result<(), Error> {
    let now = app.clock.now();
    note_destinations(app, now).await?;
    while let Some(change) = app.destinations.next_change() {
        let instead = store(app, &change, now).await?;
        app.destinations.change_stored(instead);
    }
    if app.destinations.should_refresh(now, REFRESH)
        && let Err(error) = refresh(app, now).await
    {
        app.destinations.refresh_soon();
        return Err(error);
    }
    for destination in app.destinations.to_be_probed(now) {
        // Long enough for a request, and for what comes before and after it.
        let until = now.plus(app.settings.lease());
        if storage::breakers::claim_probe(app.db.writer(), &destination, now, until).await? {
            app.destinations.probe(&destination, now, until);
        } else {
            app.destinations.refresh_soon();
        }
    }
    Ok(())
}

async fn note_destinations(app: &App, now: Timestamp) -> Result<(), DbErr> {
    let seen = app.destinations.take_seen();
    if seen.is_empty() {
        return Ok(());
    }
    let unique: HashMap<_, _> = seen.iter().cloned().map(|it| (it, ())).collect();
    let unique: Vec<_> = unique.into_keys().collect();
    let noted = storage::breakers::note_destinations(app.db.writer(), &unique, now).await;
    if noted.is_err() {
        app.destinations.put_back_seen(seen);
    }
    noted
}

/// The breaker as it is then: another node may have been first.
async fn store(app: &App, change: &Change, now: Timestamp) -> Result<Option<Breaker>, Error> {
    let destination = &change.breaker().destination;
    let tx = app.db.begin().await?;
    let ours = match change {
        Change::Opened(breaker) => {
            let first = storage::breakers::open(&tx, breaker).await?;
            if first && breaker.told_open_at.is_none() {
                tell(app, &tx, Letter::DestinationPaused, destination).await?;
                storage::breakers::told_open(&tx, destination, now).await?;
            }
            first
        }
        Change::Probed(breaker, until) => storage::breakers::save_probe(&tx, breaker, *until).await?,
        Change::Closed(_) => {
            let told = storage::breakers::find(&tx, destination).await?;
            let first = storage::breakers::close(&tx, destination, now).await?;
            // A relapse that nobody was told of closes without a word, too.
            if first && told.is_some_and(|it| it.told_day || it.told_open_at.is_some_and(|at| at >= it.opened_at)) {
                tell(app, &tx, Letter::DestinationResumed, destination).await?;
            }
            first
        }
    };
    let stored = storage::breakers::find(&tx, destination).await?;
    tx.commit().await?;
    outbox::hurry(app);
    if ours {
        log(change);
    }
    Ok(stored)
}

fn log(change: &Change) {
    let it = change.breaker();
    let (destination, failures, code) = (&it.destination, it.failures, &it.reason.code);
    match change {
        Change::Opened(_) => {
            tracing::warn!(destination, failures, code, probe_at = %it.probe_at, "A destination is paused; its deliveries wait");
        }
        Change::Probed(..) => {
            tracing::info!(destination, failures, code, probe_at = %it.probe_at, "A destination stays paused after a probe");
        }
        Change::Closed(_) => {
            tracing::info!(destination, "A destination answers again; what waits for it is sent");
        }
    }
}

async fn refresh(app: &App, now: Timestamp) -> Result<(), Error> {
    let breakers = storage::breakers::list(app.db.reader()).await?;
    let waiting = storage::waiting_deliveries::list_destinations(app.db.reader()).await?;
    for breaker in &breakers {
        if !breaker.is_closed() && !breaker.told_day && breaker.opened_at.plus(DAY) <= now {
            let tx = app.db.begin().await?;
            if storage::breakers::told_day(&tx, &breaker.destination).await? {
                tell(app, &tx, Letter::DestinationStillPaused, &breaker.destination).await?;
            }
            tx.commit().await?;
            outbox::hurry(app);
        }
    }
    app.destinations.take_over(breakers, &waiting, now);
    Ok(())
}

/// Writes to the people of everybody whose postbacks go there: an affiliate's, or the owners and admins of the program.
async fn tell(app: &App, tx: &impl ConnectionTrait, letter: Letter, destination: &str) -> Result<(), Error> {
    let owners = storage::breakers::list_owners(tx, destination).await?;
    for user in storage::users::list_of_owners(tx, &owners, TOLD_AT_MOST).await? {
        outbox::post(app, tx, letter, &user.email, &user.name, destination).await?;
    }
    Ok(())
}
