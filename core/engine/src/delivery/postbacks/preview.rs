//! Previews: the request that an unsaved configuration would send for an event, rendered by the adapter itself. On
//! request it is sent as a test, so that people see the real answer. Nothing is saved.

use std::sync::Arc;

use crate::Error;
use crate::app::App;
use crate::delivery::explanations::adapter_decision;
use crate::delivery::sending::Logged;
use crate::program::quota;
use crate::tracking::events;
use domain::delivery::postback::Postback;
use domain::delivery::rules::check::Check;
use domain::delivery::rules::explanation::decision_checks;
use domain::delivery::verification::Verification;
use domain::ids::{EventId, PostbackId};
use domain::people::actor::Actor;
use domain::tracking::event::Event;
use host::{Adapter, AdapterError};

use super::draft::{ConfigChange, NewPostback, PostbackData, Revision, bind_changed, draft, revise};
use super::test_request::{TestClick, event_of_test, render, verify};

/// The choices of a preview.
#[derive(Clone, Debug, Default)]
pub struct PreviewOptions {
    /// A past event; without one, a sample that matches the rule.
    pub event_id: Option<EventId>,
    /// The click id of the sample.
    pub click: TestClick,
    /// Whether the request is sent.
    pub send: bool,
}

/// What a configuration would send.
pub struct Preview {
    /// The past event; `None` for a sample.
    pub event_id: Option<EventId>,
    /// The request, with masked secrets; or the reason why the adapter makes none.
    pub request: Result<Logged, AdapterError>,
    /// Whether the postback would be fired for the event. `None` if the adapter cannot be asked.
    pub fires: Option<bool>,
    /// The checks of the rule and the adapter.
    pub checks: Vec<Check>,
    /// The rule as one sentence.
    pub summary: String,
    /// The destination's answer, if the request was sent.
    pub answer: Option<Verification>,
}

/// Previews a new postback.
pub async fn preview_new(app: &App, actor: Actor, new: NewPostback, options: PreviewOptions) -> Result<Preview, Error> {
    let (adapter, postback) = draft(app, actor, new).await?;
    preview(app, actor, &adapter, postback, ConfigChange::Full, options).await
}

/// Previews a change of a postback.
pub async fn preview_change(
    app: &App,
    actor: Actor,
    id: PostbackId,
    edit: impl Fn(&Postback) -> Result<PostbackData, Error>,
    options: PreviewOptions,
) -> Result<Preview, Error> {
    let Revision { adapter, postback, config_change, .. } = revise(app, actor, id, &edit).await?;
    preview(app, actor, &adapter, postback, config_change, options).await
}

async fn preview(
    app: &App,
    actor: Actor,
    adapter: &Arc<Adapter>,
    mut postback: Postback,
    config_change: ConfigChange,
    options: PreviewOptions,
) -> Result<Preview, Error> {
    let event = match options.event_id {
        Some(id) => past_event(app, actor, &postback, id).await?,
        None => event_of_test(app, actor, &postback, &options.click).await?,
    };
    if options.send {
        bind_changed(app, adapter, &mut postback, config_change, true).await?;
    }
    let shared = Arc::new(postback.clone());
    let decision = adapter_decision(app, actor, &event, &shared, app.clock.now()).await?;
    let (checks, fires) = decision_checks(&postback, &event, &decision);
    let personal = event.personal_values();
    let hide = |text: &str| personal.clean(text, actor.buyers());
    let request = match render(app, adapter, &postback, &event).await {
        Ok(rendered) => Ok(rendered.logged().masked(hide)),
        Err(Error::Adapter(error)) => Err(error),
        Err(error) => return Err(error),
    };
    let answer = match options.send && request.is_ok() {
        true => Some(send(app, actor, adapter, &postback, &event).await?.masked(hide)),
        false => None,
    };
    Ok(Preview { event_id: options.event_id, request, fires, checks, summary: postback.rule.sentence(), answer })
}

/// An event that the caller and the owner of the postback may see.
async fn past_event(app: &App, actor: Actor, postback: &Postback, id: EventId) -> Result<Event, Error> {
    let event = events::get(app, actor, id).await?;
    match postback.owner.is_none_or(|owner| owner == event.affiliate_id) {
        true => Ok(event),
        false => Err(Error::not_found("event", id)),
    }
}

async fn send(
    app: &App,
    actor: Actor,
    adapter: &Arc<Adapter>,
    postback: &Postback,
    event: &Event,
) -> Result<Verification, Error> {
    if let Some(reason) = app.adapters.waits(postback).await? {
        return Err(Error::AdapterWaits(reason));
    }
    quota::test(app, actor)?;
    Ok(verify(app, adapter, postback, event).await?.shown_to(actor))
}
