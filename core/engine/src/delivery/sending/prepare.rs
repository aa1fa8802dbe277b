//! Preparing: the rules are checked again, then the adapters render the requests.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use sea_orm::DbErr;

use crate::app::App;
use crate::delivery::adapters::fault_review::review_faults_soon;
use crate::delivery::adapters::{Calls, Group, key_of};
use crate::delivery::plan::Plan;
use domain::delivery::adapter::busy;
use domain::delivery::adapter::fair_queue::Urgency;
use domain::delivery::adapter::return_line::RETURNS_PER_SECOND;
use domain::delivery::delivery::{Delivery, DeliveryState, EventDelivery, Reason};
use domain::delivery::lane::LaneId;
use domain::delivery::lease::{Lease, Leased};
use domain::delivery::postback::Postback;
use domain::delivery::sending::decision::Decision;
use domain::ids::PostbackId;
use domain::timestamp::Timestamp;
use storage::delivery::deliveries::Finish;
use storage::delivery::waiting_deliveries::Parked;

use super::context::Contexts;
use super::finish::{ended, postponed};
use super::late::Late;
use super::preparation::Preparation;
use super::render::{ToRender, render};

/// How long a delivery waits for an adapter that is out of service.
const WAIT_FOR_ADAPTER: Duration = Duration::from_secs(60);
/// Minimum wait for a slow adapter.
const WAIT_FOR_TURN: Duration = Duration::from_secs(1);
/// Maximum number of calls for a delivery: decide, render, classify.
const CALLS_OF_ONE: u32 = 3;

/// Adds the events to deliveries that were claimed from the table.
pub(crate) async fn with_events(
    app: &App,
    deliveries: Vec<Delivery>,
    lease: Lease,
) -> Result<Vec<Leased<EventDelivery>>, DbErr> {
    let events = storage::tracking::events::find_many(app.db.reader(), deliveries.iter().map(|it| it.event_id)).await?;
    let events: HashMap<_, _> = events.into_iter().map(|(id, event)| (id, Arc::new(event))).collect();
    let deliveries = deliveries.into_iter().map(|delivery| {
        let event = events.get(&delivery.event_id).cloned();
        Leased { it: EventDelivery { delivery, event }, lease }
    });
    Ok(deliveries.collect())
}

/// Checks the rules again and has the adapters render the requests. Deliveries of slow adapters are left to a later
/// batch, in `late`. The result includes those that earlier batches left.
///
/// # Errors
///
/// The database failed. `due` is unchanged.
pub async fn prepare(app: &App, late: &Late, due: &mut Vec<Leased<EventDelivery>>) -> Result<Preparation, DbErr> {
    let now = app.clock.now();
    let postbacks = due.iter().map(|due| due.it.delivery.postback_id).collect::<HashSet<_>>();
    let postbacks = storage::delivery::postbacks::find_many(app.db.reader(), postbacks).await?;
    let postbacks: HashMap<_, _> = postbacks.into_iter().map(|(id, postback)| (id, Arc::new(postback))).collect();
    let contexts = Contexts::load(app, due).await?;
    let plans = plan_all(app, &postbacks).await?;

    let mut preparation = Preparation::default();
    let mut groups: Vec<(Arc<Plan>, Vec<ToRender>)> = Vec::new();
    let mut group_of = HashMap::new();
    for Leased { it: EventDelivery { delivery, event }, lease } in due.drain(..) {
        let claim = lease.claim;
        let (Some(event), Some(postback)) = (event, postbacks.get(&delivery.postback_id)) else {
            let reason = Reason::new("event_pruned", "its event is older than the retention and was deleted");
            preparation.finished.push(ended(&delivery, claim, DeliveryState::Failed, reason, now));
            continue;
        };
        match contexts.of(&delivery).decide(&delivery, &event, postback, now) {
            Decision::Send => match &plans[&postback.id] {
                Ok(plan) => {
                    let group = *group_of.entry(postback.id).or_insert_with(|| {
                        groups.push((plan.clone(), Vec::new()));
                        groups.len() - 1
                    });
                    groups[group].1.push(ToRender { delivery, lease, event });
                }
                Err(reason) => {
                    let due_at = place_in_line(app, postback, now.plus(WAIT_FOR_ADAPTER), RETURNS_PER_SECOND, now);
                    preparation.finished.push(postponed(&delivery, claim, Some(reason.clone()), due_at));
                }
            },
            Decision::WaitIn(lane, behind) => {
                preparation.parked.push(wait_behind_predecessor(&delivery, claim, lane, behind))
            }
            Decision::Wait(until) => preparation.finished.push(wait_for_predecessor(&delivery, claim, until)),
            Decision::End(state, reason) => {
                preparation.finished.push(ended(&delivery, claim, state, reason, now));
            }
        }
    }
    render_all(app, late, groups, &mut preparation, now).await;
    let earlier = late.take();
    preparation.ready.extend(earlier.ready);
    preparation.failed_to_render.extend(earlier.failed_to_render);
    preparation.finished.extend(earlier.finished);
    Ok(preparation)
}

/// The plan of each postback, or the reason why its deliveries wait.
async fn plan_all(
    app: &App,
    postbacks: &HashMap<PostbackId, Arc<Postback>>,
) -> Result<HashMap<PostbackId, Result<Arc<Plan>, Reason>>, DbErr> {
    let versions = app.adapters.versions(postbacks.values().map(|it| key_of(it)).collect()).await?;
    let buyers = app.catalog.buyer_visibility().await?;
    let plan = |postback: &Arc<Postback>| {
        Plan::if_available(&app.vault, buyers, postback.clone(), versions.of(postback)).map(Arc::new)
    };
    Ok(postbacks.values().map(|postback| (postback.id, plan(postback))).collect())
}

/// Renders on the threads for adapters, one group per postback.
async fn render_all(
    app: &App,
    late: &Late,
    groups: Vec<(Arc<Plan>, Vec<ToRender>)>,
    preparation: &mut Preparation,
    now: Timestamp,
) {
    let (pool, mut calls) = (app.adapters.pool(), Calls::new());
    for (plan, mut items) in groups {
        let line = plan.line();
        if let Some(until) = app.adapters.faults().suspended_until(&plan.postback, now) {
            let reason = Reason::new("adapter_out_of_service", "its adapter has just failed too often in a row");
            for it in items {
                let due_at = place_in_line(app, &plan.postback, until, RETURNS_PER_SECOND, now);
                preparation.finished.push(postponed(&it.delivery, it.lease.claim, Some(reason.clone()), due_at));
            }
            continue;
        }
        let room = pool.room(&line);
        if items.len() > room {
            let per_second = per_second(pool.average(&line) * CALLS_OF_ONE);
            for it in items.drain(room..) {
                let due_at = place_in_line(app, &plan.postback, now.plus(WAIT_FOR_TURN), per_second, now);
                preparation.finished.push(postponed(&it.delivery, it.lease.claim, Some(busy()), due_at));
            }
        }
        let group = Group::for_plan(&plan, Urgency::Queued, items);
        let (faults, clock, timeout) =
            (app.adapters.faults().clone(), app.clock.clone(), app.settings.request_timeout());
        calls.add(pool, group, move |session, it| render(session, &plan, &faults, it, clock.now(), timeout));
    }
    for (_, rendered) in calls.gather(pool).await {
        preparation.add(rendered);
    }
    if !calls.is_complete() {
        late.wait_for(calls);
    }
    review_faults_soon(app);
}

/// How many deliveries one thread can process in a second, if one takes `span`.
fn per_second(span: Duration) -> u32 {
    let many = Duration::from_secs(1).as_millis().checked_div(span.as_millis()).unwrap_or(u128::MAX);
    u32::try_from(many).unwrap_or(u32::MAX).clamp(1, RETURNS_PER_SECOND)
}

/// When a delivery that waits for its adapter is due again; the rate of returns is bounded.
fn place_in_line(app: &App, postback: &Postback, earliest: Timestamp, per_second: u32, now: Timestamp) -> Timestamp {
    app.adapters.place_in_line(postback, earliest, per_second, now)
}

fn wait_behind_predecessor(delivery: &Delivery, claim: i64, lane: LaneId, behind: i64) -> Parked {
    let sentence = "waits for an older state of the same conversion, which waits for its destination";
    Parked { id: delivery.id, claim, lane, behind: Some(behind), reason: Reason::new("waits_for_older", sentence) }
}

fn wait_for_predecessor(delivery: &Delivery, claim: i64, until: Timestamp) -> Finish {
    let reason = Reason::new("waits_for_older", "waits for an older state of the same conversion");
    postponed(delivery, claim, Some(reason), until)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_rate_of_returns_is_that_of_the_adapter() {
        for (millis, expected) in [(0, 100), (1, 100), (10, 100), (20, 50), (300, 3), (5_000, 1)] {
            assert_eq!(per_second(Duration::from_millis(millis)), expected, "{millis}");
        }
    }
}
