//! Routing: which postbacks an event is owed to. Rules first, then the adapter's `decide`.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use crate::Error;
use crate::app::App;
use crate::inbox::Item;
use domain::delivery::adapter::ADAPTER_BUSY;
use domain::delivery::delivery::Owed;
use domain::delivery::delivery::{Delivery, DeliveryState, Reason};
use domain::delivery::fair_queue::Urgency;
use domain::delivery::lease::Leased;
use domain::delivery::postback::Postback;
use domain::timestamp::Timestamp;
use domain::tracking::event::Event;
use host::{Session, wire as contract};

use super::adapter_faults::settle_faults_soon;
use super::adapters::{Batch, Call, Faults, Group, Speed, Standing, Subject, key_of};
use super::plan::Plan;
use super::secrets::Vault;
use super::wire;

/// Turns leased events into deliveries. Routing an event twice adds nothing.
pub async fn route(app: &App, events: Vec<Leased<Event>>) -> Result<(), Error> {
    let now = app.clock.now();
    let claimed: Vec<_> = events.iter().map(|event| (event.it.id, event.lease.claim)).collect();
    let events: Vec<_> = events.into_iter().map(|event| Arc::new(event.it)).collect();
    let postbacks = storage::delivery::postbacks::list_candidates(app.db.reader(), &events).await?;
    let owed = if postbacks.is_empty() { Vec::new() } else { decide_all(app, events, postbacks, now).await? };

    let lease = app.inboxes.deliveries.lease(now);
    let tx = app.db.begin_queue().await?;
    let finished: HashSet<_> = storage::tracking::events::finish(&tx, claimed).await?;
    let mut owed: Vec<_> = owed.into_iter().filter(|owed| finished.contains(&owed.delivery.event_id)).collect();
    let is_owed = |it: &Owed| it.delivery.state == DeliveryState::Pending;
    let inbox = &app.inboxes.deliveries;
    let at_once = |owed: &Owed| is_owed(owed) && owed.delivery.due_at <= now && inbox.has_room(&owed.key());
    for owed in owed.iter_mut().filter(|owed| at_once(owed)) {
        owed.delivery.lease_until = lease.map(|lease| lease.until);
    }
    let deliveries = owed.iter().map(|owed| &owed.delivery);
    let added = storage::delivery::deliveries::insert(&tx, deliveries, lease.map(|lease| lease.claim)).await?;
    tx.commit().await?;
    let all_added = added == owed.len() as u64;
    let (at_once, later): (Vec<_>, Vec<_>) = owed.into_iter().partition(|owed| owed.delivery.lease_until.is_some());
    if all_added {
        app.inboxes.deliveries.put(lease, at_once);
    } else {
        tracing::warn!("Events had been routed before; what is left of their deliveries is sent when its lease ends");
    }
    if later.iter().any(is_owed) {
        app.inboxes.deliveries.announce();
    }
    Ok(())
}

/// One fresh instance a postback. What a slow adapter has not decided in a moment is owed undecided: the others go on, and
/// the sender asks it.
async fn decide_all(
    app: &App,
    events: Vec<Arc<Event>>,
    postbacks: Vec<Postback>,
    now: Timestamp,
) -> Result<Vec<Owed>, Error> {
    let versions = app.adapters.versions(postbacks.iter().map(key_of).collect()).await?;
    let (pool, mut owed) = (app.adapters.pool(), Vec::new());
    let (mut batch, mut asked) = (Batch::new(), Vec::new());
    for postback in postbacks {
        let admitted: Vec<_> = events
            .iter()
            .filter(|event| {
                let status = event.facts.conversion.as_ref().map(|it| &it.status);
                postback.rule.admits(event, status)
            })
            .cloned()
            .collect();
        if admitted.is_empty() {
            continue;
        }
        let postback = Arc::new(postback);
        match plan(&app.vault, versions.of(&postback), &postback) {
            Ok(plan)
                if pool.speed(&plan.line()) == Speed::Slow
                    || pool.room(&plan.line()) < admitted.len()
                    || app.adapters.faults().suspended_until(&postback, now).is_some() =>
            {
                owed.extend(admitted.iter().map(|event| undecided(event, &postback, &busy(), now)));
            }
            Ok(plan) => {
                let group = Group {
                    adapter: plan.adapter.clone(),
                    subject: Subject::Postback(postback.clone()),
                    urgency: Urgency::Queued,
                    items: admitted.clone(),
                };
                let faults = app.adapters.faults().clone();
                batch.add(pool, group, move |session, event| decide(session, &plan, &faults, &event, now));
                asked.push((postback, admitted));
            }
            Err(reason) => owed.extend(admitted.iter().map(|event| undecided(event, &postback, &reason, now))),
        }
    }
    let mut decided = batch.gather(pool).await;
    decided.extend(batch.close());
    let mut answered = vec![0; asked.len()];
    for (group, decision) in decided {
        answered[group] += 1;
        owed.extend(decision);
    }
    for ((postback, admitted), answered) in asked.iter().zip(answered) {
        // They are asked in order, so the last ones are missing.
        owed.extend(admitted[answered..].iter().map(|event| undecided(event, postback, &busy(), now)));
    }
    settle_faults_soon(app);
    Ok(owed)
}

/// Why a delivery waits although its adapter works.
pub(crate) fn busy() -> Reason {
    Reason::new(ADAPTER_BUSY, "its adapter is slow, so it waits for its turn")
}

fn plan(vault: &Vault, standing: &Standing, postback: &Arc<Postback>) -> Result<Plan, Reason> {
    match standing {
        Standing::Waits(reason) => Err(reason.clone()),
        Standing::Ready(adapter) => Plan::new(vault, postback.clone(), adapter.clone())
            .map_err(|error| Reason::new(error.code(), error.to_string())),
    }
}

/// Owed while its adapter can't be asked; the sender asks it when it can.
fn undecided(event: &Arc<Event>, postback: &Postback, reason: &Reason, now: Timestamp) -> Owed {
    let delay = postback.rule.delay.map_or(Duration::ZERO, |delay| delay.span());
    let mut delivery = Delivery::owed(event, postback.id, now.plus(delay), now);
    delivery.reason = Some(reason.clone());
    Owed { delivery, event: Some(Arc::clone(event)) }
}

/// What becomes of an event: a delivery, or a note of what it lacks, or nothing.
fn decide(session: &mut Session, plan: &Plan, faults: &Faults, event: &Arc<Event>, now: Timestamp) -> Option<Owed> {
    let postback = &plan.postback;
    let context = wire::context(now, 0, false, event.id.to_string());
    let decided = session.decide(&context, &plan.binding, &wire::event(event, postback));
    faults.count(Call::Decide, postback, &decided);
    let wait = match decided {
        Ok(decision) => match delay_of(plan, &decision) {
            Some(wait) => wait,
            None => return missing(plan, decision).map(|reason| noted(event, postback, reason, now)),
        },
        Err(error) => {
            tracing::warn!(postback.id = %postback.id, event.id = %event.id, code = error.code(), "The adapter could not decide; its delivery will say why");
            postback.rule.delay.map_or(Duration::ZERO, |delay| delay.span())
        }
    };
    let delivery = Delivery::owed(event, postback.id, now.plus(wait), now);
    Some(Owed { delivery, event: Some(Arc::clone(event)) })
}

/// How long after its event a delivery is due; `None` when the adapter does not want it.
pub(crate) fn delay_of(plan: &Plan, decision: &contract::Decision) -> Option<Duration> {
    let delay = plan.postback.rule.delay.map_or(Duration::ZERO, |delay| delay.span());
    let longest = Duration::from_millis(plan.adapter.descriptor().rules.max_delay);
    match decision.verdict {
        contract::Verdict::Skip => None,
        contract::Verdict::Fire => Some(delay),
        contract::Verdict::FireAfter(ms) => Some(delay.max(Duration::from_millis(ms).min(longest))),
    }
}

/// The name of an adapter's check by which it says that the event lacks what its destination insists on.
const MISSING: &str = "missing";

/// What a skipped event lacks. An adapter skips much that nobody waits for; this somebody does.
pub(crate) fn missing(plan: &Plan, decision: contract::Decision) -> Option<Reason> {
    let check = decision.checks.into_iter().find(|check| !check.passed && check.name == MISSING)?;
    Some(Reason::new("value_missing", plan.secrets.mask(&check.detail)))
}

/// Never owed, and kept in the log all the same, so that people find out why nothing was sent.
fn noted(event: &Arc<Event>, postback: &Postback, reason: Reason, now: Timestamp) -> Owed {
    let delivery = Delivery::owed(event, postback.id, now, now).cancelled(reason, now);
    Owed { delivery, event: None }
}
