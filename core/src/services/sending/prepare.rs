//! Preparing: the rules once more, then the adapters' requests.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use sea_orm::DbErr;

use crate::adapters::{AdapterError, Session, wire as contract};
use crate::app::App;
use crate::clock::Timestamp;
use crate::domain::adapter::WAITING;
use crate::domain::delivery::{AdapterLine, Delivery, DeliveryState, Reason};
use crate::domain::event::Event;
use crate::domain::lease::{Lease, Leased};
use crate::domain::postback::Postback;
use crate::ids::PostbackId;
use crate::services::adapters::{Call, Faults, Standing as AdapterStanding, blocking, key_of};
use crate::services::plan::Plan;
use crate::services::routing::{self, Owed};
use crate::services::wire;
use crate::storage;
use crate::storage::deliveries::Finish;
use crate::storage::waiting_deliveries::Parked;

use super::standing::{Standing, Standpoint};
use super::{Prepared, Sent, Sessions, Trouble, number_of};

/// How long a delivery waits for an adapter that is out of service, before it looks again.
const WAIT_FOR_ADAPTER: Duration = Duration::from_secs(60);

/// Claimed deliveries, told apart.
#[derive(Default)]
pub struct Preparation {
    pub ready: Vec<Prepared>,
    /// To be concluded without a request.
    pub troubled: Vec<Sent>,
    /// Ended or put off by the rules.
    pub finished: Vec<Finish>,
    /// To wait for the destination that an older state of their conversion waits for.
    pub parked: Vec<Parked>,
}

/// Finds the events of deliveries that were claimed from the table.
pub async fn with_events(app: &App, deliveries: Vec<Delivery>, lease: Lease) -> Result<Vec<Leased<Owed>>, DbErr> {
    let events = storage::events::find_many(app.db.reader(), deliveries.iter().map(|it| it.event_id)).await?;
    let events: HashMap<_, _> = events.into_iter().map(|(id, event)| (id, Arc::new(event))).collect();
    let owed = deliveries.into_iter().map(|delivery| {
        let event = events.get(&delivery.event_id).cloned();
        Leased { it: Owed { delivery, event }, lease }
    });
    Ok(owed.collect())
}

/// Judges the rules again on the conversions as they are now, and has the adapters render the rest.
pub async fn prepare(app: &App, due: Vec<Leased<Owed>>) -> Result<Preparation, DbErr> {
    let now = app.clock.now();
    let postbacks = due.iter().map(|due| due.it.delivery.postback_id).collect::<HashSet<_>>();
    let postbacks = storage::postbacks::find_many(app.db.reader(), postbacks).await?;
    let postbacks: HashMap<_, _> = postbacks.into_iter().map(|(id, postback)| (id, Arc::new(postback))).collect();
    let standing = Standing::load(app, &due).await?;
    let plans = plan_all(app, &postbacks).await?;

    let mut preparation = Preparation::default();
    let mut to_render = Vec::with_capacity(due.len());
    for Leased { it: Owed { delivery, event }, lease } in due {
        let claim = lease.claim;
        let (Some(event), Some(postback)) = (event, postbacks.get(&delivery.postback_id)) else {
            let reason = Reason::new("event_pruned", "its event is older than the retention and was deleted");
            preparation.finished.push(ended(&delivery, claim, DeliveryState::Failed, reason, now));
            continue;
        };
        match standing.judge(&delivery, &event, postback, now) {
            Standpoint::Send => match &plans[&postback.id] {
                Ok(plan) => to_render.push(ToRender { delivery, lease, event, plan: plan.clone() }),
                Err(reason) => preparation.finished.push(wait_for_adapter(&delivery, claim, reason.clone(), now)),
            },
            Standpoint::WaitFor(destination) => preparation.parked.push(wait_with_elder(&delivery, claim, destination)),
            Standpoint::Wait(until) => preparation.finished.push(wait_for_elder(&delivery, claim, until)),
            Standpoint::End(state, reason) => {
                preparation.finished.push(ended(&delivery, claim, state, reason, now));
            }
        }
    }
    let faults = app.adapters.faults().clone();
    let rendering = blocking(move || render_all(&faults, to_render, now));
    let Preparation { ready, troubled, finished, .. } = rendering.await;
    preparation.ready = ready;
    preparation.troubled = troubled;
    preparation.finished.extend(finished);
    app.adapters.settle_faults().await;
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

/// What the rules let through.
struct ToRender {
    delivery: Delivery,
    lease: Lease,
    event: Arc<Event>,
    plan: Arc<Plan>,
}

fn render_all(faults: &Faults, to_render: Vec<ToRender>, now: Timestamp) -> Preparation {
    let mut preparation = Preparation::default();
    let mut sessions = Sessions::default();
    for it in to_render {
        if faults.too_many(&it.plan.postback) {
            let sentence = "its adapter has just failed too often in a row";
            let reason = Reason::new("adapter_out_of_service", sentence);
            preparation.finished.push(wait_for_adapter(&it.delivery, it.lease.claim, reason, now));
            continue;
        }
        match render(sessions.of(&it.plan), faults, &it, now) {
            Rendered::Request(request, log) => {
                let ToRender { delivery, lease, event, plan } = it;
                preparation.ready.push(Prepared { delivery, lease, event, plan, request, log });
            }
            Rendered::Skipped(reason) => {
                let state = DeliveryState::Cancelled;
                preparation.finished.push(ended(&it.delivery, it.lease.claim, state, reason, now));
            }
            Rendered::Failed(error, log) => preparation.troubled.push(Sent {
                delivery: it.delivery,
                claim: it.lease.claim,
                event: it.event,
                plan: it.plan,
                request: None,
                log,
                result: Err(Trouble::Adapter(error)),
                at: now,
                duration: Duration::ZERO,
            }),
        }
    }
    preparation
}

enum Rendered {
    Request(contract::Request, Vec<AdapterLine>),
    Skipped(Reason),
    Failed(AdapterError, Vec<AdapterLine>),
}

fn render(session: &mut Session, faults: &Faults, it: &ToRender, now: Timestamp) -> Rendered {
    let ToRender { delivery, event, plan, .. } = it;
    let context = wire::context(now, number_of(delivery).cast_unsigned(), false, delivery.id.to_string());
    let event = wire::event(event, &plan.postback);
    let mut log = Vec::new();
    // While it waited for its adapter nobody could ask whether it should be sent at all.
    let undecided = delivery.reason.as_ref().is_some_and(|it| WAITING.contains(&it.code.as_str()));
    if undecided && delivery.attempts == 0 {
        let decided = session.decide(&context, &plan.binding, &event);
        faults.count(Call::Decide, &plan.postback, &decided);
        log.extend(wire::log_lines(session.log(), &plan.secrets));
        match decided {
            Ok(decision) if decision.verdict == contract::Verdict::Skip => {
                if let Some(reason) = routing::missing(plan, decision.clone()) {
                    return Rendered::Skipped(reason);
                }
                let why = decision.checks.into_iter().find(|check| !check.passed).map(|check| check.detail);
                let why = why.unwrap_or_else(|| "it does not want this event".to_owned());
                let sentence = format!("the adapter skipped it: {}", plan.secrets.mask(&why));
                return Rendered::Skipped(Reason::new("adapter_skipped", sentence));
            }
            Ok(_) => {}
            Err(error) => return Rendered::Failed(error, log),
        }
    }
    let rendered = session.render(&context, &plan.binding, &event);
    faults.count(Call::Render, &plan.postback, &rendered);
    log.extend(wire::log_lines(session.log(), &plan.secrets));
    match rendered {
        Ok(request) => Rendered::Request(request, log),
        Err(error) => Rendered::Failed(error, log),
    }
}

fn ended(delivery: &Delivery, claim: i64, state: DeliveryState, reason: Reason, now: Timestamp) -> Finish {
    Finish {
        id: delivery.id,
        state,
        reason: Some(reason),
        due_at: delivery.due_at,
        attempts: delivery.attempts,
        settled_at: Some(now),
        claim,
    }
}

fn wait_with_elder(delivery: &Delivery, claim: i64, destination: String) -> Parked {
    let sentence = "waits for an older state of the same conversion, which waits for its destination";
    Parked { id: delivery.id, claim, destination, reason: Reason::new("waits_for_older", sentence) }
}

fn wait_for_elder(delivery: &Delivery, claim: i64, until: Timestamp) -> Finish {
    let reason = Reason::new("waits_for_older", "waits for an older state of the same conversion");
    put_off(delivery, claim, reason, until)
}

fn wait_for_adapter(delivery: &Delivery, claim: i64, reason: Reason, now: Timestamp) -> Finish {
    put_off(delivery, claim, reason, now.plus(WAIT_FOR_ADAPTER))
}

/// Waiting uses up no attempt.
fn put_off(delivery: &Delivery, claim: i64, reason: Reason, until: Timestamp) -> Finish {
    Finish {
        id: delivery.id,
        state: DeliveryState::Pending,
        reason: Some(reason),
        due_at: until,
        attempts: delivery.attempts,
        settled_at: None,
        claim,
    }
}
