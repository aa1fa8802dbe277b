//! Breakers in the table: what this node found out is stored for all nodes, what others found out is taken over, and the
//! owner of the lane gets a message: once, whichever node it was.

use std::collections::HashSet;
use std::time::Duration;

use sea_orm::{ConnectionTrait, DbErr};

use crate::Error;
use crate::app::App;
use crate::delivery::lanes::Change;
use crate::people::mail::Letter;
use crate::people::outbox;
use domain::delivery::breaker::{Breaker, DAY, NOTIFIED_FOR};
use domain::delivery::lane::LaneId;
use domain::timestamp::Timestamp;

/// How old the knowledge of what other nodes stored may be.
const REFRESH: Duration = Duration::from_secs(5);
/// Changes that are stored, and probes that are claimed, in one round: the others' deliveries wait meanwhile.
const STORED_AT_ONCE: usize = 8;
const PROBED_AT_ONCE: usize = 64;
/// People of one owner who get a message at most.
const TOLD_AT_MOST: u64 = 100;

/// Stores and takes over what there is, and takes the probes that are due, as much as one round may.
pub async fn settle(app: &App) -> Result<(), Error> {
    let now = app.clock.now();
    note_destinations(app, now).await?;
    for _ in 0..STORED_AT_ONCE {
        let Some(change) = app.destinations.next_change() else { break };
        let instead = store(app, &change, now).await?;
        app.destinations.change_stored(instead);
    }
    if app.destinations.should_refresh(now, REFRESH)
        && let Err(error) = refresh(app, now).await
    {
        app.destinations.refresh_soon();
        return Err(error);
    }
    let due = app.destinations.to_be_probed(PROBED_AT_ONCE, now);
    if !due.is_empty() {
        // Long enough for a request, and for what comes before and after it.
        let until = now.plus(app.settings.lease());
        let claimed = storage::delivery::breakers::claim_probes(app.db.writer(), &due, now, until).await?;
        app.destinations.probe(&claimed, now, until);
        if claimed.len() < due.len() {
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
    let unique: HashSet<_> = seen.iter().map(|(postback, name)| (*postback, name.to_string())).collect();
    let unique: Vec<_> = unique.into_iter().collect();
    let noted = storage::delivery::breakers::note_destinations(app.db.writer(), &unique, now).await;
    if noted.is_err() {
        app.destinations.put_back_seen(seen);
    }
    noted
}

/// The breaker as it is then: another node may have been first.
async fn store(app: &App, change: &Change, now: Timestamp) -> Result<Option<Breaker>, Error> {
    let lane = &change.breaker().lane;
    let tx = app.db.begin().await?;
    let ours = match change {
        Change::Opened(breaker) => {
            let first = storage::delivery::breakers::open(&tx, breaker).await?;
            if first && breaker.open_notified_at.is_none() {
                tell(app, &tx, Letter::DestinationPaused, lane).await?;
                storage::delivery::breakers::mark_open_notified(&tx, lane, now).await?;
            }
            first
        }
        Change::Probed(breaker, until) => storage::delivery::breakers::save_probe(&tx, breaker, *until).await?,
        Change::Closed(_) => {
            let told = storage::delivery::breakers::find(&tx, lane).await?;
            let first = storage::delivery::breakers::close(&tx, lane, now).await?;
            // A relapse without a message closes without one, too.
            if first
                && told.is_some_and(|it| it.day_notified || it.open_notified_at.is_some_and(|at| at >= it.opened_at))
            {
                tell(app, &tx, Letter::DestinationResumed, lane).await?;
            }
            first
        }
    };
    let stored = storage::delivery::breakers::find(&tx, lane).await?;
    tx.commit().await?;
    outbox::hurry(app);
    if ours {
        log(change);
    }
    Ok(stored)
}

fn log(change: &Change) {
    let it = change.breaker();
    let (destination, failures, code) = (&*it.lane.destination, it.failures, &it.reason.code);
    let owner = it.lane.owner.map_or_else(|| "program".to_owned(), |owner| owner.to_string());
    match change {
        Change::Opened(_) => {
            tracing::warn!(destination, owner, failures, code, probe_at = %it.probe_at, "A destination is paused; its deliveries wait");
        }
        Change::Probed(..) => {
            tracing::info!(destination, owner, failures, code, probe_at = %it.probe_at, "A destination stays paused after a probe");
        }
        Change::Closed(_) => {
            tracing::info!(destination, owner, "A destination answers again; what waits for it is sent");
        }
    }
}

async fn refresh(app: &App, now: Timestamp) -> Result<(), Error> {
    let breakers = storage::delivery::breakers::list_current(app.db.reader(), now.minus(NOTIFIED_FOR)).await?;
    let waiting = storage::delivery::waiting_deliveries::list_lanes(app.db.reader()).await?;
    for breaker in &breakers {
        if !breaker.is_closed() && !breaker.day_notified && breaker.opened_at.plus(DAY) <= now {
            let tx = app.db.begin().await?;
            if storage::delivery::breakers::mark_day_notified(&tx, &breaker.lane).await? {
                tell(app, &tx, Letter::DestinationStillPaused, &breaker.lane).await?;
            }
            tx.commit().await?;
            outbox::hurry(app);
        }
    }
    app.destinations.take_over(breakers, &waiting, now);
    Ok(())
}

/// Writes to the people of the lane's owner, if a live postback sends there: an affiliate's, or the owners and admins of
/// the program.
async fn tell(app: &App, tx: &impl ConnectionTrait, letter: Letter, lane: &LaneId) -> Result<(), Error> {
    if !storage::delivery::breakers::is_in_use(tx, lane).await? {
        return Ok(());
    }
    for user in storage::people::users::list_of_owners(tx, &[lane.owner], TOLD_AT_MOST).await? {
        outbox::post(app, tx, letter, &user.email, &user.name, &lane.destination).await?;
    }
    Ok(())
}
