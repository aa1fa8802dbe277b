//! Breakers in the table: stores the changes of this process for all processes, loads those of others, and notifies
//! the owner of the lane by mail, once in all processes.

use std::collections::{BTreeMap, HashSet};
use std::time::Duration;

use sea_orm::{ConnectionTrait, DbErr};

use crate::Error;
use crate::app::App;
use crate::delivery::lanes::BreakerChange;
use crate::people::mail::MailKind;
use crate::people::outbox;
use domain::delivery::lane::LaneId;
use domain::delivery::lane::breaker::{Breaker, DAY, NOTIFIED_FOR};
use domain::timestamp::Timestamp;

/// Time between two loads of the stored breakers.
const REFRESH: Duration = Duration::from_secs(5);
/// Maximum number of changes that one round stores. Deliveries of other lanes wait meanwhile.
const CHANGES_PER_ROUND: usize = 8;
/// Maximum number of probes that one round claims.
const PROBES_PER_ROUND: usize = 64;
/// Maximum number of people of one owner who are notified.
const MAX_NOTIFIED: u64 = 100;

/// One round: stores destinations and changes of breakers, loads the stored breakers if it is time, and claims due
/// probes.
pub async fn synchronise(app: &App) -> Result<(), Error> {
    let now = app.clock.now();
    store_destinations(app, now).await?;
    for _ in 0..CHANGES_PER_ROUND {
        let Some(change) = app.lanes.next_change() else { break };
        let stored = store(app, &change, now).await?;
        app.lanes.change_stored(stored);
    }
    if app.lanes.should_refresh(now, REFRESH)
        && let Err(error) = refresh(app, now).await
    {
        app.lanes.refresh_soon();
        return Err(error);
    }
    let due = app.lanes.due_probes(PROBES_PER_ROUND, now);
    if !due.is_empty() {
        // A lease is long enough to prepare the delivery, send it and store the result.
        let until = now.plus(app.settings.lease());
        let claimed = storage::delivery::breakers::claim_probes(app.db.writer(), &due, now, until).await?;
        app.lanes.start_probes(&claimed, now, until);
        if claimed.len() < due.len() {
            app.lanes.refresh_soon();
        }
    }
    Ok(())
}

async fn store_destinations(app: &App, now: Timestamp) -> Result<(), DbErr> {
    let new = app.lanes.take_new_destinations();
    if new.is_empty() {
        return Ok(());
    }
    let unique: HashSet<_> = new.iter().map(|(postback, name)| (*postback, name.to_string())).collect();
    let unique: Vec<_> = unique.into_iter().collect();
    let stored = storage::delivery::breakers::save_destinations(app.db.writer(), &unique, now).await;
    if stored.is_err() {
        app.lanes.return_new_destinations(new);
    }
    stored
}

/// Stores a change, unless another process stored a change of this breaker first. Returns the stored breaker.
async fn store(app: &App, change: &BreakerChange, now: Timestamp) -> Result<Option<Breaker>, Error> {
    let lane = &change.breaker().lane;
    let tx = app.db.begin().await?;
    let ours = match change {
        BreakerChange::Opened(breaker) => {
            let first = storage::delivery::breakers::open(&tx, breaker).await?;
            if first && breaker.open_notified_at.is_none() {
                notify(app, &tx, MailKind::DestinationPaused, lane).await?;
                storage::delivery::breakers::mark_open_notified(&tx, lane, now).await?;
            }
            first
        }
        BreakerChange::Probed(breaker, until) => storage::delivery::breakers::save_probe(&tx, breaker, *until).await?,
        BreakerChange::Closed(_) => {
            let before = storage::delivery::breakers::find(&tx, lane).await?;
            let first = storage::delivery::breakers::close(&tx, lane, now).await?;
            // If the owner was not notified that the breaker opened, as after a relapse, no notification that it
            // closed is sent.
            if first
                && before.is_some_and(|it| it.day_notified || it.open_notified_at.is_some_and(|at| at >= it.opened_at))
            {
                notify(app, &tx, MailKind::DestinationResumed, lane).await?;
            }
            first
        }
    };
    let stored = storage::delivery::breakers::find(&tx, lane).await?;
    tx.commit().await?;
    outbox::wake_worker(app);
    if ours {
        log(change);
    }
    Ok(stored)
}

fn log(change: &BreakerChange) {
    let it = change.breaker();
    let (destination, failures, code) = (&*it.lane.destination, it.failures, &it.reason.code);
    let owner = it.lane.owner.map_or_else(|| "program".to_owned(), |owner| owner.to_string());
    match change {
        BreakerChange::Opened(_) => {
            tracing::warn!(destination, owner, failures, code, probe_at = %it.probe_at, "A destination is paused; its deliveries wait");
        }
        BreakerChange::Probed(..) => {
            tracing::info!(destination, owner, failures, code, probe_at = %it.probe_at, "A destination stays paused after a probe");
        }
        BreakerChange::Closed(_) => {
            tracing::info!(destination, owner, "A destination answers again; its waiting deliveries are sent");
        }
    }
}

/// Loads the stored breakers, and notifies the owners of those that have been open for a day.
async fn refresh(app: &App, now: Timestamp) -> Result<(), Error> {
    let breakers = storage::delivery::breakers::list_current(app.db.reader(), now.minus(NOTIFIED_FOR)).await?;
    let waiting = storage::delivery::waiting_deliveries::list_lanes(app.db.reader()).await?;
    for breaker in &breakers {
        if !breaker.is_closed() && !breaker.day_notified && breaker.opened_at.plus(DAY) <= now {
            let tx = app.db.begin().await?;
            if storage::delivery::breakers::mark_day_notified(&tx, &breaker.lane).await? {
                notify(app, &tx, MailKind::DestinationStillPaused, &breaker.lane).await?;
            }
            tx.commit().await?;
            outbox::wake_worker(app);
        }
    }
    app.lanes.load(breakers, &waiting, now);
    Ok(())
}

/// Sends a mail to those people of the lane's owner who want it, if a live postback sends there. The people are those of the
/// affiliate, or the owners and admins of the program.
async fn notify(app: &App, tx: &impl ConnectionTrait, kind: MailKind, lane: &LaneId) -> Result<(), Error> {
    if !storage::delivery::breakers::is_in_use(tx, lane).await? {
        return Ok(());
    }
    for user in storage::people::users::list_of_owners(tx, &[lane.owner], MAX_NOTIFIED).await? {
        if user.mails.failing_postbacks {
            outbox::add_to_user(app, tx, kind, &user, lane.destination.to_string(), BTreeMap::new()).await?;
        }
    }
    Ok(())
}
