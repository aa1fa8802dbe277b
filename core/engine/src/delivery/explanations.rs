//! Explanations: why an event was sent to a postback, or why not. Recomputed with the configuration as it was then;
//! nothing is stored, and no request is sent.

use std::sync::Arc;

use crate::Error;
use crate::app::App;
use crate::tracking::{clicks, conversions, events};
use domain::delivery::postback::Postback;
use domain::delivery::rules::explanation::{
    AdapterCheck, AdapterDecision, Circumstances, Configuration, Explanation, Stage,
};
use domain::ids::{ClickId, ConversionId, DeliveryId, EventId, PostbackId};
use domain::people::actor::Actor;
use domain::timestamp::Timestamp;
use domain::tracking::event::Event;
use storage::base::page::PageRequest;

use super::adapters::key_of;
use super::plan::Plan;
use super::{deliveries, wire};

/// Maximum number of events of one conversion that are explained, the newest first.
const EVENTS_MAX: u64 = 50;

/// What to explain.
#[derive(Clone, Copy, Debug)]
pub enum Subject {
    /// One event.
    Event(EventId),
    /// All events of a conversion: its states, and events after it.
    Conversion(ConversionId),
    /// A click or an impression, also if no event was recorded for it.
    Click(ClickId),
}

/// The explanation of one event at one postback.
#[derive(Clone, Debug)]
pub struct ExplainedEvent {
    pub event: Event,
    /// Whether an event was recorded. Clicks are recorded as events only while a postback is fired for them.
    pub is_recorded: bool,
    pub delivery_id: Option<DeliveryId>,
    /// When the explained configuration was saved.
    pub configured_at: Timestamp,
    pub explanation: Explanation,
}

/// Explains the events of `subject` at a postback, the newest first. Events that exceeded the retention are left out.
///
/// # Errors
/// The caller may not see the postback or the subject.
pub async fn explain(
    app: &App,
    actor: Actor,
    postback_id: PostbackId,
    subject: Subject,
) -> Result<Vec<ExplainedEvent>, Error> {
    let found = storage::delivery::postbacks::find(app.db.reader(), postback_id).await?;
    let visible = found.filter(|it| actor.confined_to().is_none_or(|own| it.owner == Some(own)));
    let postback = visible.ok_or_else(|| Error::not_found("postback", postback_id))?;
    let mut explained = Vec::new();
    for (event, is_recorded) in events_of(app, actor, subject).await? {
        explained.push(explain_event(app, actor, &postback, event, is_recorded).await?);
    }
    Ok(explained)
}

/// The events of the subject, and whether they are recorded.
async fn events_of(app: &App, actor: Actor, subject: Subject) -> Result<Vec<(Event, bool)>, Error> {
    match subject {
        Subject::Event(id) => Ok(vec![(events::get(app, actor, id).await?, true)]),
        Subject::Conversion(id) => {
            conversions::get(app, actor, id).await?;
            let filter = storage::tracking::events::Filter { conversion_id: Some(id), ..Default::default() };
            let found = events::list(app, actor, filter, PageRequest::first(EVENTS_MAX)).await?;
            Ok(found.items.into_iter().map(|event| (event, true)).collect())
        }
        Subject::Click(id) => {
            let click = clicks::get(app, actor, id).await?;
            if let Some(event) = storage::tracking::events::find_of_click(app.db.reader(), &click).await? {
                return Ok(vec![(event, true)]);
            }
            let parties = app.catalog.parties(click.affiliate_id, click.offer_id).await?;
            Ok(vec![(Event::clicked(&click, parties), false)])
        }
    }
}

async fn explain_event(
    app: &App,
    actor: Actor,
    present: &Postback,
    event: Event,
    is_recorded: bool,
) -> Result<ExplainedEvent, Error> {
    let (db, now) = (app.db.reader(), app.clock.now());
    // In this order: an event that is routed meanwhile has its delivery.
    let is_pending = is_recorded && storage::tracking::events::is_pending(db, event.id).await?;
    let delivery = storage::delivery::deliveries::find(db, DeliveryId::of(event.id, present.id)).await?;
    let delivery = delivery.map(|delivery| deliveries::hide_addresses(actor, delivery));
    // The time of routing is stored only with deliveries. Events are routed within moments of their occurrence.
    let routed_at = match &delivery {
        Some(delivery) => delivery.created_at,
        None if is_pending => now,
        None => event.occurred_at,
    };
    let (postback, configuration) = configuration_at(app, present, routed_at).await?;
    let adapter = adapter_decision(app, actor, &event, &postback, routed_at).await?;
    let breaker = storage::delivery::breakers::find_of_postback(db, present.id).await?;
    let stage = match &delivery {
        Some(delivery) => Stage::Routed(Some(delivery)),
        None if is_pending => Stage::Unrouted,
        None if !is_recorded => Stage::NoEvent,
        None => Stage::Routed(None),
    };
    let explanation = Explanation::of(&Circumstances {
        event: &event,
        postback: &postback,
        configuration,
        adapter,
        stage,
        breaker: breaker.as_ref(),
        now,
    });
    let delivery_id = delivery.map(|it| it.id);
    Ok(ExplainedEvent { event, is_recorded, delivery_id, configured_at: postback.updated_at, explanation })
}

/// The postback as it was at `at`, or as it is if that is not known.
async fn configuration_at(
    app: &App,
    present: &Postback,
    at: Timestamp,
) -> Result<(Arc<Postback>, Configuration), Error> {
    let (db, id) = (app.db.reader(), present.id);
    if let Some(former) = storage::delivery::postback_versions::find_replaced_after(db, id, at).await?
        && former.updated_at <= at
    {
        return Ok((Arc::new(former), Configuration::Known));
    }
    let replaced_at = storage::delivery::postback_versions::find_last_replaced(db, id).await?;
    let configuration = match replaced_at.unwrap_or(present.updated_at) {
        _ if present.created_at > at => Configuration::NotCreated,
        since if since <= at => Configuration::Known,
        _ => Configuration::ChangedSince,
    };
    Ok((Arc::new(present.clone()), configuration))
}

/// The answer of the adapter to the call that routing made.
pub(crate) async fn adapter_decision(
    app: &App,
    actor: Actor,
    event: &Event,
    postback: &Arc<Postback>,
    routed_at: Timestamp,
) -> Result<AdapterDecision, Error> {
    let buyers = app.catalog.buyer_visibility().await?;
    let availability = app.adapters.availability(&key_of(postback)).await?;
    let plan = match Plan::if_available(&app.vault, buyers, postback.clone(), &availability) {
        Ok(plan) => Arc::new(plan),
        Err(reason) => return Ok(AdapterDecision::Unavailable(reason.sentence)),
    };
    let context = wire::context(routed_at, 0, false, event.id.to_string());
    let (callee, seen) = (plan.clone(), plan.event(event));
    let decide = move || callee.adapter.session().decide(&context, &callee.binding, &seen);
    let decided = app.adapters.pool().ask(plan.line(), decide).await?;
    let personal = event.personal_values();
    let hide = |text: &str| personal.clean(&plan.secrets.mask(text), actor.buyers());
    Ok(match decided {
        Ok(decision) => AdapterDecision::Decided {
            delay: plan.delay(&decision),
            checks: decision
                .checks
                .iter()
                .map(|check| AdapterCheck {
                    is_required_value: Plan::is_required_value(check),
                    passed: check.passed,
                    detail: hide(&check.detail),
                })
                .collect(),
        },
        Err(error) => AdapterDecision::Failed(hide(&error.to_string())),
    })
}
