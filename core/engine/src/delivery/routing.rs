//! Routing: finds the postbacks that an event is sent to. Rules first, then the adapter's `decide`. The parent
//! function is `route` in `pipeline/route.rs`.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use crate::Error;
use crate::app::App;
use crate::work_queue::Item;
use domain::delivery::adapter::busy;
use domain::delivery::adapter::fair_queue::Urgency;
use domain::delivery::delivery::{Delivery, DeliveryState, EventDelivery, Reason};
use domain::delivery::postback::Postback;
use domain::ids::EventId;
use domain::timestamp::Timestamp;
use domain::tracking::event::Event;
use host::Session;

use super::adapters::fault_review::review_faults_soon;
use super::adapters::{Call, Calls, Faults, Group, Speed, key_of};
use super::plan::Plan;
use super::wire;

/// Makes the deliveries of the events: one per postback whose rule matches and whose adapter accepts the event. A new
/// instance of the adapter serves one postback. Events that a slow adapter does not decide soon become undecided
/// deliveries: the batch continues without them, and the worker "send" has the adapter decide later.
pub async fn decide(app: &App, events: &[Arc<Event>], now: Timestamp) -> Result<Vec<EventDelivery>, Error> {
    let postbacks = storage::delivery::postbacks::list_candidates(app.db.reader(), events).await?;
    if postbacks.is_empty() {
        return Ok(Vec::new());
    }
    let versions = app.adapters.versions(postbacks.iter().map(key_of).collect()).await?;
    let buyers = app.catalog.buyer_visibility().await?;
    let (pool, mut deliveries) = (app.adapters.pool(), Vec::new());
    let (mut calls, mut asked) = (Calls::new(), Vec::new());
    for postback in postbacks {
        let admitted: Vec<_> = events.iter().filter(|event| postback.admits(event)).cloned().collect();
        if admitted.is_empty() {
            continue;
        }
        let postback = Arc::new(postback);
        match Plan::if_available(&app.vault, buyers, postback.clone(), versions.of(&postback)) {
            Ok(plan)
                if pool.speed(&plan.line()) == Speed::Slow
                    || pool.room(&plan.line()) < admitted.len()
                    || app.adapters.faults().suspended_until(&postback, now).is_some() =>
            {
                deliveries.extend(admitted.iter().map(|event| undecided(event, &postback, &busy(), now)));
            }
            Ok(plan) => {
                let group = Group::for_plan(&plan, Urgency::Queued, admitted.clone());
                let faults = app.adapters.faults().clone();
                calls.add(pool, group, move |session, event| decide_one(session, &plan, &faults, &event, now));
                asked.push((postback, admitted));
            }
            Err(reason) => deliveries.extend(admitted.iter().map(|event| undecided(event, &postback, &reason, now))),
        }
    }
    let mut decided = calls.gather(pool).await;
    decided.extend(calls.close());
    let mut answered = vec![0; asked.len()];
    for (group, delivery) in decided {
        answered[group] += 1;
        deliveries.extend(delivery);
    }
    for ((postback, admitted), answered) in asked.iter().zip(answered) {
        // Events are decided in order, so the last ones are undecided.
        deliveries.extend(admitted[answered..].iter().map(|event| undecided(event, postback, &busy(), now)));
    }
    review_faults_soon(app);
    Ok(deliveries)
}

/// Deletes the pending events and inserts their deliveries, in one transaction. Deliveries that are due now go to the
/// work queue of the worker "send". Storing the deliveries of an event again has no effect.
pub async fn store(
    app: &App,
    claims: Vec<(EventId, i64)>,
    deliveries: Vec<EventDelivery>,
    now: Timestamp,
) -> Result<(), Error> {
    let queue = &app.work_queues.deliveries;
    let lease = queue.lease(now);
    let tx = app.db.begin_queue().await?;
    let finished: HashSet<_> = storage::tracking::events::finish(&tx, claims).await?;
    let mut deliveries: Vec<_> = deliveries.into_iter().filter(|it| finished.contains(&it.delivery.event_id)).collect();
    let is_pending = |it: &EventDelivery| it.delivery.state == DeliveryState::Pending;
    let is_due = |it: &EventDelivery| is_pending(it) && it.delivery.due_at <= now && queue.has_room(&it.key());
    for it in deliveries.iter_mut().filter(|it| is_due(it)) {
        it.delivery.lease_until = lease.map(|lease| lease.until);
    }
    let rows = deliveries.iter().map(|it| &it.delivery);
    let added = storage::delivery::deliveries::insert(&tx, rows, lease.map(|lease| lease.claim)).await?;
    tx.commit().await?;
    let all_added = added == deliveries.len() as u64;
    let (leased, others): (Vec<_>, Vec<_>) = deliveries.into_iter().partition(|it| it.delivery.lease_until.is_some());
    if all_added {
        queue.put(lease, leased);
    } else {
        tracing::warn!("Events had been routed before; their unsent deliveries are sent when the leases end");
    }
    if others.iter().any(is_pending) {
        queue.announce();
    }
    Ok(())
}

/// A delivery whose adapter is not available now and decides later.
fn undecided(event: &Arc<Event>, postback: &Postback, reason: &Reason, now: Timestamp) -> EventDelivery {
    let delay = postback.rule.delay.map_or(Duration::ZERO, |delay| delay.span());
    let mut delivery = Delivery::pending(event, postback.id, now.plus(delay), now);
    delivery.reason = Some(reason.clone());
    EventDelivery { delivery, event: Some(Arc::clone(event)) }
}

/// The delivery of one event: pending, or cancelled because a value is missing. `None` if the adapter skips the event.
fn decide_one(
    session: &mut Session,
    plan: &Plan,
    faults: &Faults,
    event: &Arc<Event>,
    now: Timestamp,
) -> Option<EventDelivery> {
    let postback = &plan.postback;
    let context = wire::context(now, 0, false, event.id.to_string());
    let decided = session.decide(&context, &plan.binding, &plan.event(event));
    faults.count(Call::Decide, postback, &decided);
    let wait = match decided {
        Ok(decision) => match plan.delay(&decision) {
            Some(wait) => wait,
            None => return plan.missing_value(decision).map(|reason| cancelled(event, postback, reason, now)),
        },
        Err(error) => {
            tracing::warn!(postback.id = %postback.id, event.id = %event.id, code = error.code(), "The adapter could not decide; its delivery will show the error");
            plan.rule_delay()
        }
    };
    let delivery = Delivery::pending(event, postback.id, now.plus(wait), now);
    Some(EventDelivery { delivery, event: Some(Arc::clone(event)) })
}

/// A cancelled delivery, stored so that people see why nothing was sent.
fn cancelled(event: &Arc<Event>, postback: &Postback, reason: Reason, now: Timestamp) -> EventDelivery {
    let delivery = Delivery::pending(event, postback.id, now, now).cancelled(reason, now);
    EventDelivery { delivery, event: None }
}
