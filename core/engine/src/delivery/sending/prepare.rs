//! Preparing: the rules once more, then the adapters' requests.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use sea_orm::DbErr;

use crate::app::App;
use crate::delivery::adapter_faults::settle_faults_soon;
use crate::delivery::adapters::{Batch, Group, Standing as AdapterStanding, Subject, key_of};
use crate::delivery::plan::Plan;
use crate::delivery::routing;
use domain::delivery::delivery::Owed;
use domain::delivery::delivery::{Delivery, DeliveryState, Reason};
use domain::delivery::fair_queue::Urgency;
use domain::delivery::lane::LaneId;
use domain::delivery::lease::{Lease, Leased};
use domain::delivery::postback::Postback;
use domain::delivery::return_line::RETURNS_PER_SECOND;
use domain::ids::PostbackId;
use domain::timestamp::Timestamp;
use storage::delivery::deliveries::Finish;
use storage::delivery::waiting_deliveries::Parked;

use super::finish::{ended, put_off};
use super::late::Late;
use super::preparation::Preparation;
use super::render::{ToRender, render};
use super::standing::{Standing, Standpoint};

/// How long a delivery waits for an adapter that is out of service, before it looks again.
const WAIT_FOR_ADAPTER: Duration = Duration::from_secs(60);
/// And how long at least for its turn with a slow one.
const WAIT_FOR_TURN: Duration = Duration::from_secs(1);
/// Calls that a delivery needs: it is decided, rendered and judged.
const CALLS: u32 = 3;

/// Finds the events of deliveries that were claimed from the table.
pub async fn with_events(app: &App, deliveries: Vec<Delivery>, lease: Lease) -> Result<Vec<Leased<Owed>>, DbErr> {
    let events = storage::tracking::events::find_many(app.db.reader(), deliveries.iter().map(|it| it.event_id)).await?;
    let events: HashMap<_, _> = events.into_iter().map(|(id, event)| (id, Arc::new(event))).collect();
    let owed = deliveries.into_iter().map(|delivery| {
        let event = events.get(&delivery.event_id).cloned();
        Leased { it: Owed { delivery, event }, lease }
    });
    Ok(owed.collect())
}

/// Judges the rules again on the conversions as they are now, and has the adapters render the rest. Slow adapters go on
/// rendering after this; with what they render comes what earlier batches left to them.
///
/// # Errors
///
/// The database failed. Then `due` is as it was.
pub async fn prepare(app: &App, late: &Late, due: &mut Vec<Leased<Owed>>) -> Result<Preparation, DbErr> {
    let now = app.clock.now();
    let postbacks = due.iter().map(|due| due.it.delivery.postback_id).collect::<HashSet<_>>();
    let postbacks = storage::delivery::postbacks::find_many(app.db.reader(), postbacks).await?;
    let postbacks: HashMap<_, _> = postbacks.into_iter().map(|(id, postback)| (id, Arc::new(postback))).collect();
    let standing = Standing::load(app, due).await?;
    let plans = plan_all(app, &postbacks).await?;

    let mut preparation = Preparation::default();
    let mut groups: Vec<(Arc<Plan>, Vec<ToRender>)> = Vec::new();
    let mut group_of = HashMap::new();
    for Leased { it: Owed { delivery, event }, lease } in due.drain(..) {
        let claim = lease.claim;
        let (Some(event), Some(postback)) = (event, postbacks.get(&delivery.postback_id)) else {
            let reason = Reason::new("event_pruned", "its event is older than the retention and was deleted");
            preparation.finished.push(ended(&delivery, claim, DeliveryState::Failed, reason, now));
            continue;
        };
        match standing.judge(&delivery, &event, postback, now) {
            Standpoint::Send => match &plans[&postback.id] {
                Ok(plan) => {
                    let group = *group_of.entry(postback.id).or_insert_with(|| {
                        groups.push((plan.clone(), Vec::new()));
                        groups.len() - 1
                    });
                    groups[group].1.push(ToRender { delivery, lease, event });
                }
                Err(reason) => {
                    let due_at = place_in_line(app, postback, now.plus(WAIT_FOR_ADAPTER), RETURNS_PER_SECOND, now);
                    preparation.finished.push(put_off(&delivery, claim, Some(reason.clone()), due_at));
                }
            },
            Standpoint::WaitIn(lane, behind) => {
                preparation.parked.push(wait_with_elder(&delivery, claim, lane, behind))
            }
            Standpoint::Wait(until) => preparation.finished.push(wait_for_elder(&delivery, claim, until)),
            Standpoint::End(state, reason) => {
                preparation.finished.push(ended(&delivery, claim, state, reason, now));
            }
        }
    }
    render_all(app, late, groups, &mut preparation, now).await;
    let before = late.take();
    preparation.ready.extend(before.ready);
    preparation.troubled.extend(before.troubled);
    preparation.finished.extend(before.finished);
    Ok(preparation)
}

/// How the requests of each postback are made, or why its deliveries wait.
async fn plan_all(
    app: &App,
    postbacks: &HashMap<PostbackId, Arc<Postback>>,
) -> Result<HashMap<PostbackId, Result<Arc<Plan>, Reason>>, DbErr> {
    let versions = app.adapters.versions(postbacks.values().map(|it| key_of(it)).collect()).await?;
    let plan = |postback: &Arc<Postback>| match versions.of(postback) {
        AdapterStanding::Waits(reason) => Err(reason.clone()),
        AdapterStanding::Ready(adapter) => match Plan::new(&app.vault, postback.clone(), adapter.clone()) {
            Ok(plan) => Ok(Arc::new(plan)),
            Err(error) => Err(Reason::new(error.code(), error.to_string())),
        },
    };
    Ok(postbacks.values().map(|postback| (postback.id, plan(postback))).collect())
}

/// Hands what the rules let through to the threads of the adapters, a group for each postback.
async fn render_all(
    app: &App,
    late: &Late,
    groups: Vec<(Arc<Plan>, Vec<ToRender>)>,
    preparation: &mut Preparation,
    now: Timestamp,
) {
    let (pool, mut batch) = (app.adapters.pool(), Batch::new());
    for (plan, mut items) in groups {
        let line = plan.line();
        if let Some(until) = app.adapters.faults().suspended_until(&plan.postback, now) {
            let reason = Reason::new("adapter_out_of_service", "its adapter has just failed too often in a row");
            for it in items {
                let due_at = place_in_line(app, &plan.postback, until, RETURNS_PER_SECOND, now);
                preparation.finished.push(put_off(&it.delivery, it.lease.claim, Some(reason.clone()), due_at));
            }
            continue;
        }
        let room = pool.room(&line);
        if items.len() > room {
            let per_second = per_second(pool.average(&line) * CALLS);
            for it in items.drain(room..) {
                let due_at = place_in_line(app, &plan.postback, now.plus(WAIT_FOR_TURN), per_second, now);
                preparation.finished.push(put_off(&it.delivery, it.lease.claim, Some(routing::busy()), due_at));
            }
        }
        let group = Group {
            adapter: plan.adapter.clone(),
            subject: Subject::Postback(plan.postback.clone()),
            urgency: Urgency::Queued,
            items,
        };
        let (faults, clock, timeout) =
            (app.adapters.faults().clone(), app.clock.clone(), app.settings.request_timeout());
        batch.add(pool, group, move |session, it| render(session, &plan, &faults, it, clock.now(), timeout));
    }
    for (_, rendered) in batch.gather(pool).await {
        preparation.add(rendered);
    }
    if !batch.is_complete() {
        late.wait_for(batch);
    }
    settle_faults_soon(app);
}

/// How much of a slow adapter's work is done in a second, if it had a thread for itself.
fn per_second(span: Duration) -> u32 {
    let many = Duration::from_secs(1).as_millis().checked_div(span.as_millis()).unwrap_or(u128::MAX);
    u32::try_from(many).unwrap_or(u32::MAX).clamp(1, RETURNS_PER_SECOND)
}

/// What waits for an adapter comes back at a bounded rate.
fn place_in_line(app: &App, postback: &Postback, earliest: Timestamp, per_second: u32, now: Timestamp) -> Timestamp {
    app.adapters.place_in_line(postback, earliest, per_second, now)
}

fn wait_with_elder(delivery: &Delivery, claim: i64, lane: LaneId, behind: i64) -> Parked {
    let sentence = "waits for an older state of the same conversion, which waits for its destination";
    Parked { id: delivery.id, claim, lane, behind: Some(behind), reason: Reason::new("waits_for_older", sentence) }
}

fn wait_for_elder(delivery: &Delivery, claim: i64, until: Timestamp) -> Finish {
    let reason = Reason::new("waits_for_older", "waits for an older state of the same conversion");
    put_off(delivery, claim, Some(reason), until)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slow_adapters_deliveries_come_back_as_fast_as_it_can_take_them() {
        for (millis, expected) in [(0, 100), (1, 100), (10, 100), (20, 50), (300, 3), (5_000, 1)] {
            assert_eq!(per_second(Duration::from_millis(millis)), expected, "{millis}");
        }
    }
}
