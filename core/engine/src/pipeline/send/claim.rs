//! Claims deliveries: from the work queue, from due rows of the table, and parked ones whose destinations have room
//! again.

use std::collections::HashMap;
use std::time::Duration;

use sea_orm::DbErr;

use crate::app::App;
use crate::delivery::lanes::Admission;
use crate::delivery::prepared::{self, Prepared};
use crate::delivery::sending;
use crate::work_queue::{Item, Taken};
use domain::delivery::delivery::EventDelivery;
use domain::delivery::lease::Leased;
use domain::timestamp::Timestamp;
use storage::delivery::waiting_deliveries::{Parked, Waiting};

use super::super::work;

/// Maximum number of deliveries that one batch takes from the work queue, and again from the table.
const BATCH: usize = 128;

/// Claimed deliveries by their next step.
#[derive(Default)]
pub(super) struct Claimed {
    pub due: Vec<Leased<EventDelivery>>,
    /// To be parked: their destinations are paused or have no room.
    pub parked: Vec<Parked>,
    /// Whether there are more lanes with parked deliveries that may be sent.
    pub are_more: bool,
}

impl Claimed {
    pub(super) fn is_empty(&self) -> bool {
        self.due.is_empty() && self.parked.is_empty()
    }

    /// Adds prepared deliveries to those that are parked.
    pub(super) fn park(&mut self, prepared: Vec<(Prepared, Waiting)>) {
        self.parked.extend(prepared.into_iter().map(|(prepared, waiting)| prepared.park(waiting)));
    }

    fn add(&mut self, item: Leased<EventDelivery>, admission: Admission) {
        match admission {
            Admission::Take => self.due.push(item),
            Admission::Busy(waiting) | Admission::Paused(waiting) => {
                self.parked.push(prepared::parked(item.it.delivery.id, item.lease, waiting));
            }
        }
    }
}

/// Claims a batch. An error of the database does not lose deliveries that were taken from the work queue.
pub(super) async fn claim(app: &App, now: Timestamp) -> Result<Claimed, DbErr> {
    let mut claimed = Claimed::default();
    let queue = &app.work_queues.deliveries;
    if take_from_queue(app, now, &mut claimed) {
        let found = claim_due(app, now, &mut claimed).await;
        work::after_poll(found, queue, now, !claimed.is_empty())?;
    }
    let found = claim_parked(app, now, &mut claimed).await;
    work::after_poll(found, queue, now, !claimed.is_empty())?;
    Ok(claimed)
}

/// Takes the deliveries whose destinations have room, and returns whether the table must be polled.
fn take_from_queue(app: &App, now: Timestamp, claimed: &mut Claimed) -> bool {
    let mut admissions = app.lanes.admissions(now);
    let mut admitted = Vec::new();
    let Taken { items, poll } = app.work_queues.deliveries.take_admitted(BATCH, now, |item| {
        let admission = admissions.admit(item.key());
        let is_admitted = admission.is_some();
        admitted.extend(admission);
        is_admitted
    });
    for (item, admission) in items.into_iter().zip(admitted) {
        claimed.add(item, admission);
    }
    poll
}

async fn claim_due(app: &App, now: Timestamp, claimed: &mut Claimed) -> Result<(), DbErr> {
    let queue = &app.work_queues.deliveries;
    let lease = queue.leases().grant(now);
    let found = storage::delivery::deliveries::claim(app.db.queue(), BATCH, now, lease).await?;
    let is_full = found.len() == BATCH;
    let (mut admitted, mut refused) = (Vec::new(), HashMap::new());
    {
        let mut admissions = app.lanes.admissions(now);
        for delivery in found {
            match admissions.admit_claimed(delivery.postback_id) {
                Admission::Take => admitted.push(delivery),
                Admission::Busy(waiting) | Admission::Paused(waiting) => {
                    claimed.parked.push(prepared::parked(delivery.id, lease, waiting.clone()));
                    refused.insert(delivery.postback_id, waiting);
                }
            }
        }
    }
    claimed.due.extend(sending::with_events(app, admitted, lease).await?);
    if is_full {
        queue.poll_at(now);
    } else if let Some(next) = storage::delivery::deliveries::find_next_due(app.db.reader()).await? {
        queue.poll_at(next.max(now.plus(Duration::from_millis(1))));
    }
    if !refused.is_empty() {
        // Otherwise each due delivery of these postbacks would be claimed before those of other postbacks.
        storage::delivery::waiting_deliveries::park_due(app.db.queue(), &refused, now).await?;
    }
    Ok(())
}

async fn claim_parked(app: &App, now: Timestamp, claimed: &mut Claimed) -> Result<(), DbErr> {
    let (drainable, are_more) = app.lanes.drainable(now);
    claimed.are_more = are_more;
    for asked in drainable {
        if claimed.due.len() >= 2 * BATCH {
            break;
        }
        let lease = app.work_queues.deliveries.leases().grant(now);
        let found = storage::delivery::waiting_deliveries::claim(
            app.db.queue(),
            &asked.lane,
            asked.limit,
            asked.except,
            now,
            lease,
        );
        let found = found.await?;
        let ids: Vec<_> = found.iter().map(|it| it.id).collect();
        app.lanes.record_drained(&asked, &ids, now);
        match sending::with_events(app, found, lease).await {
            Ok(found) => claimed.due.extend(found),
            Err(error) => {
                app.lanes.record_unsent(ids.into_iter().map(|id| (id, true)));
                return Err(error);
            }
        }
    }
    Ok(())
}

/// Returns deliveries, still leased, to the work queue.
pub(super) fn give_back(app: &App, due: Vec<Leased<EventDelivery>>) {
    app.lanes.record_unsent(due.iter().map(|it| (it.it.delivery.id, true)));
    app.work_queues.deliveries.give_back(due);
}
