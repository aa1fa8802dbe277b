//! Renders one delivery. If the adapter was not available during routing, it decides first.

use std::sync::Arc;
use std::time::Duration;

use crate::delivery::adapters::{Call, Faults};
use crate::delivery::plan::Plan;
use crate::delivery::prepared::Prepared;
use crate::delivery::wire;
use domain::delivery::adapter::WAITING;
use domain::delivery::delivery::{AdapterLine, Delivery, DeliveryState, Reason};
use domain::delivery::lease::Lease;
use domain::timestamp::Timestamp;
use domain::tracking::event::Event;
use host::{AdapterError, Session, wire as contract};
use storage::delivery::deliveries::Finish;

use super::finish::{ended, postponed};
use super::{SendError, Sent, number_of};

/// A delivery that passed the rules.
pub(super) struct ToRender {
    pub delivery: Delivery,
    pub lease: Lease,
    pub event: Arc<Event>,
}

/// The result of rendering one delivery.
pub(super) enum Rendered {
    Ready(Box<Prepared>),
    /// It is concluded without a request.
    Failed(Box<Sent>),
    /// It has ended or is postponed.
    Finished(Finish),
    /// The request could still be in flight at the end of its lease.
    TooLate,
}

/// Renders one delivery. `timeout`: the request timeout.
pub(super) fn render(
    session: &mut Session,
    plan: &Arc<Plan>,
    faults: &Faults,
    it: ToRender,
    now: Timestamp,
    timeout: Duration,
) -> Rendered {
    if now.plus(timeout) > it.lease.until {
        return Rendered::TooLate;
    }
    let mut log = Vec::new();
    match request(session, plan, faults, &it, &mut log, now) {
        Ok(request) => {
            let ToRender { delivery, lease, event } = it;
            Rendered::Ready(Box::new(Prepared { delivery, lease, event, plan: plan.clone(), request, log }))
        }
        Err(Unsent::Finished(finish)) => Rendered::Finished(finish),
        Err(Unsent::Failed(error)) => Rendered::Failed(Box::new(Sent {
            delivery: it.delivery,
            claim: it.lease.claim,
            event: it.event,
            plan: plan.clone(),
            request: None,
            log,
            result: Err(SendError::Adapter(error)),
            at: now,
            duration: Duration::ZERO,
            verdict: None,
        })),
    }
}

enum Unsent {
    Finished(Finish),
    Failed(AdapterError),
}

fn request(
    session: &mut Session,
    plan: &Plan,
    faults: &Faults,
    it: &ToRender,
    log: &mut Vec<AdapterLine>,
    now: Timestamp,
) -> Result<contract::Request, Unsent> {
    let delivery = &it.delivery;
    let context = wire::context(now, number_of(delivery).cast_unsigned(), false, delivery.id.to_string());
    let event = plan.event(&it.event);
    // The adapter was not available during routing.
    let undecided = delivery.reason.as_ref().is_some_and(|it| WAITING.contains(&it.code.as_str()));
    if undecided && delivery.attempts == 0 {
        let decided = session.decide(&context, &plan.binding, &event);
        faults.count(Call::Decide, &plan.postback, &decided);
        log.extend(wire::log_lines(session.log(), &plan.secrets));
        decide(plan, it, decided.map_err(Unsent::Failed)?, now)?;
    }
    let rendered = session.render(&context, &plan.binding, &event);
    faults.count(Call::Render, &plan.postback, &rendered);
    log.extend(wire::log_lines(session.log(), &plan.secrets));
    rendered.map_err(Unsent::Failed)
}

/// Ends the delivery if the adapter skips its event, or postpones it if the adapter requires a delay.
fn decide(plan: &Plan, it: &ToRender, decision: contract::Decision, now: Timestamp) -> Result<(), Unsent> {
    let (delivery, claim) = (&it.delivery, it.lease.claim);
    match plan.delay(&decision) {
        Some(delay) if delivery.created_at.plus(delay) > now => {
            Err(Unsent::Finished(postponed(delivery, claim, None, delivery.created_at.plus(delay))))
        }
        Some(_) => Ok(()),
        None => {
            let reason = plan.missing_value(decision.clone()).unwrap_or_else(|| skipped(plan, decision));
            Err(Unsent::Finished(ended(delivery, claim, DeliveryState::Cancelled, reason, now)))
        }
    }
}

fn skipped(plan: &Plan, decision: contract::Decision) -> Reason {
    let reason = decision.checks.into_iter().find(|check| !check.passed).map(|check| check.detail);
    let reason = reason.unwrap_or_else(|| "it does not accept this event".to_owned());
    Reason::new("adapter_skipped", format!("the adapter skipped the event: {}", plan.secrets.mask(&reason)))
}
