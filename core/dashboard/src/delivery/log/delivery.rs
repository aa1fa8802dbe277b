//! `/deliveries/{id}`: what happened to a delivery in one sentence, every rule, and each attempt with request and answer.

use axum::extract::State;
use axum::http::Uri;
use axum::response::{IntoResponse, Redirect, Response};
use domain::delivery::delivery::{AdapterLine, Attempt, DeliveryState};
use domain::ids::DeliveryId;
use domain::people::actor::Actor;
use domain::people::permission::Permission::ManagePostbacks;
use domain::timestamp::Timestamp;
use domain::tracking::event::Event;
use engine::Error;
use engine::app::App;
use engine::delivery::deliveries::{self, LoggedDelivery};
use engine::delivery::explanations::{ExplainedEvent, Subject as Explained};
use serde::Serialize;
use web::api::delivery::deliveries::audited;
use web::auth::Caller;
use web::errors::Problem;
use web::extract::PathId;

use super::request::as_curl;
use super::row::{Answer, Subject, count};
use crate::delivery::why_not::checks::Checks;
use crate::delivery::why_not::names;
use crate::parts::list::ListUrl;
use crate::parts::live::{reload, unchanged};
use crate::parts::status::ShownStatus;
use crate::shell::page::{Page, Reply};
use crate::shell::sentence::as_sentence;
use crate::shell::texts::{Text, plain, text};
use crate::shell::viewer::Viewer;
use crate::tracking::rows::PostbackNames;

#[derive(Debug, Serialize)]
pub struct DeliveryPage {
    id: String,
    status: ShownStatus,
    /// What happened, and why.
    answer: Text,
    detail: Option<Text>,
    postback_id: String,
    postback: String,
    subject: Subject,
    event_id: String,
    created_at: Timestamp,
    due_at: Timestamp,
    settled_at: Option<Timestamp>,
    /// Newest first.
    attempts: Vec<AttemptTab>,
    attempt: Option<AttemptView>,
    next_at: Option<Timestamp>,
    checks: Option<Checks>,
    can_retry: bool,
    /// While it is pending, the page asks whether it still is, with these attempts.
    ask: Option<String>,
}

#[derive(Debug, Serialize)]
struct AttemptTab {
    number: i32,
    answer: Answer,
    url: String,
    current: bool,
}

/// The attempt that is shown.
#[derive(Debug, Serialize)]
struct AttemptView {
    at: Timestamp,
    duration_ms: u64,
    outcome: Text,
    error: Option<String>,
    method: String,
    url: String,
    request_headers: Vec<Header>,
    request_body: Option<String>,
    answer: Option<Answer>,
    response_headers: Vec<Header>,
    response_body: Option<String>,
    truncated: bool,
    adapter_log: Vec<AdapterLine>,
    curl: Option<String>,
}

#[derive(Debug, Serialize)]
struct Header {
    name: String,
    value: String,
}

fn headers(pairs: &[(String, String)]) -> Vec<Header> {
    pairs.iter().map(|(name, value)| Header { name: name.clone(), value: value.clone() }).collect()
}

impl From<&Attempt> for AttemptView {
    fn from(attempt: &Attempt) -> Self {
        let answered = Answer::new(attempt.outcome, attempt.status, attempt.error_code.as_deref());
        Self {
            at: attempt.at,
            duration_ms: count(attempt.duration_ms),
            outcome: text(&format!("attempt.{}", attempt.outcome)),
            error: attempt.error.as_deref().map(as_sentence),
            method: attempt.method.clone(),
            url: attempt.url.clone(),
            request_headers: headers(&attempt.request_headers),
            request_body: attempt.request_body.clone(),
            answer: attempt.status.map(|_| answered),
            response_headers: headers(&attempt.response_headers),
            response_body: attempt.response_body.clone().filter(|body| !body.is_empty()),
            truncated: attempt.truncated,
            adapter_log: attempt.adapter_log.clone(),
            curl: as_curl(attempt),
        }
    }
}

/// What is known of a delivery.
struct Known {
    logged: LoggedDelivery,
    /// `None` if the event was deleted.
    explained: Option<ExplainedEvent>,
    postback: String,
    now: Timestamp,
    may_retry: bool,
}

impl Known {
    async fn load(app: &App, actor: Actor, id: DeliveryId) -> Result<Self, Error> {
        let logged = deliveries::get(app, actor, id).await?;
        let delivery = &logged.delivery;
        let about = Explained::Event(delivery.event_id);
        let explained = match names::explain(app, actor, delivery.postback_id, about).await {
            Ok(mut explained) => explained.pop(),
            Err(Error::NotFound { .. }) => None,
            Err(error) => return Err(error),
        };
        let postback = PostbackNames::load(app, actor).await?.of(delivery.postback_id);
        let may_retry = actor.may(ManagePostbacks);
        Ok(Self { logged, explained, postback, now: app.clock.now(), may_retry })
    }

    fn event(&self) -> Option<&Event> {
        self.explained.as_ref().map(|it| &it.event)
    }
}

impl DeliveryPage {
    /// With `attempt` in the URL, that attempt is shown, otherwise the last.
    fn of(known: &Known, url: &ListUrl) -> Self {
        let LoggedDelivery { delivery, attempts, .. } = &known.logged;
        let asked: Option<i32> = url.get("attempt").and_then(|number| number.parse().ok());
        let shown = attempts.iter().find(|it| Some(it.number) == asked).or(attempts.last());
        let tab = |attempt: &Attempt| AttemptTab {
            number: attempt.number,
            answer: Answer::new(attempt.outcome, attempt.status, attempt.error_code.as_deref()),
            url: format!("/deliveries/{}?attempt={}", delivery.id, attempt.number),
            current: shown.is_some_and(|it| it.number == attempt.number),
        };
        let in_flight = delivery.in_flight(known.now);
        let is_pending = delivery.state == DeliveryState::Pending;
        let is_retryable = match delivery.state {
            DeliveryState::Failed | DeliveryState::Cancelled => true,
            DeliveryState::Pending => !in_flight,
            DeliveryState::Success | DeliveryState::Superseded => false,
        };
        Self {
            id: delivery.id.to_string(),
            status: delivery.state.into(),
            answer: answer(known),
            detail: delivery.reason.as_ref().map(|reason| plain(as_sentence(&reason.sentence))),
            postback_id: delivery.postback_id.to_string(),
            postback: known.postback.clone(),
            subject: Subject::of(delivery, known.event()),
            event_id: delivery.event_id.to_string(),
            created_at: delivery.created_at,
            due_at: delivery.due_at,
            settled_at: delivery.settled_at,
            attempts: attempts.iter().rev().map(tab).collect(),
            attempt: shown.map(AttemptView::from),
            next_at: (is_pending && !in_flight).then_some(delivery.due_at),
            checks: known.explained.as_ref().map(|it| Checks::of(&it.explanation)),
            can_retry: known.may_retry && is_retryable,
            ask: is_pending.then(|| format!("/deliveries/{}?seen={}", delivery.id, delivery.attempts)),
        }
    }
}

/// The answer in one sentence.
fn answer(known: &Known) -> Text {
    let delivery = &known.logged.delivery;
    let tries = count(delivery.attempts);
    let sentence = |key: &str| text(key).with("postback", known.postback.as_str());
    match delivery.state {
        DeliveryState::Pending if delivery.in_flight(known.now) => sentence("delivery.in_flight"),
        DeliveryState::Pending if tries == 0 => sentence("delivery.waits").time("at", delivery.due_at),
        DeliveryState::Pending => sentence("delivery.tries_again").time("at", delivery.due_at).count("count", tries),
        DeliveryState::Success => sentence("delivery.accepted").count("count", tries),
        DeliveryState::Failed if tries == 0 => sentence("delivery.failed_unsent"),
        DeliveryState::Failed => sentence("delivery.failed").count("count", tries),
        DeliveryState::Cancelled => sentence("delivery.cancelled"),
        DeliveryState::Superseded => sentence("delivery.superseded"),
    }
}

impl Page for DeliveryPage {
    const TEMPLATE: &'static str = "delivery/delivery";

    #[cfg(test)]
    fn samples() -> Vec<Self> {
        use domain::delivery::delivery::AttemptOutcome;

        let at = Timestamp::from_millis(0);
        let header = || Header { name: "accept".into(), value: "<b>".into() };
        let view = |is_full: bool| AttemptView {
            at,
            duration_ms: 84,
            outcome: text(if is_full { "attempt.retry" } else { "attempt.refused" }),
            error: is_full.then(|| "answered <b>".into()),
            method: "POST".into(),
            url: "https://t.example/<b>".into(),
            request_headers: is_full.then(header).into_iter().collect(),
            request_body: is_full.then(|| "{\"a\": \"<b>\"}".into()),
            answer: is_full.then(|| Answer::new(AttemptOutcome::Retry, Some(503), None)),
            response_headers: is_full.then(header).into_iter().collect(),
            response_body: is_full.then(|| "<b>busy</b>".into()),
            truncated: is_full,
            adapter_log: is_full.then(|| AdapterLine::new("info", "<b>")).into_iter().collect(),
            curl: is_full.then(|| "curl 'https://t.example/<b>'".into()),
        };
        let tab = |number, current| AttemptTab {
            number,
            answer: Answer::new(AttemptOutcome::Retry, None, Some("timeout")),
            url: "/deliveries/dlv_1?attempt=1".into(),
            current,
        };
        let page = |state: DeliveryState, is_full: bool| Self {
            id: "dlv_06a5xk2m7q8r9stvwxyz012345".into(),
            status: state.into(),
            answer: text("delivery.tries_again").with("postback", "<b>").time("at", at).count("count", 3),
            detail: is_full.then(|| plain("answered <b>")),
            postback_id: "pbk_1".into(),
            postback: "Voluum <b>".into(),
            subject: Subject {
                name: plain("HM-<b>"),
                url: is_full.then(|| "/conversions/cnv_1".into()),
                detail: is_full.then(|| text("status.approved")),
                is_test: is_full,
            },
            event_id: "evt_1".into(),
            created_at: at,
            due_at: at,
            settled_at: (!is_full).then_some(at),
            attempts: if is_full { vec![tab(2, true), tab(1, false)] } else { Vec::new() },
            attempt: is_full.then(|| view(true)),
            next_at: is_full.then_some(at),
            checks: is_full.then(Checks::sample),
            can_retry: is_full,
            ask: is_full.then(|| "/deliveries/dlv_1?seen=2".into()),
        };
        let odd = Self { attempt: Some(view(false)), ..page(DeliveryState::Failed, false) };
        vec![page(DeliveryState::Pending, true), page(DeliveryState::Cancelled, false), odd]
    }
}

fn reply(viewer: &Viewer, known: &Known, url: &ListUrl) -> Reply<DeliveryPage> {
    let page = DeliveryPage::of(known, url);
    let title = text("delivery.title").inner("subject", page.subject.name.clone()).with("postback", &*known.postback);
    viewer.page(title, page).below("/deliveries", text("nav.deliveries"))
}

/// `GET /deliveries/{id}`: with `seen`, whether it is still pending with that number of attempts.
pub async fn show(
    State(app): State<App>,
    viewer: Viewer,
    Caller(actor): Caller,
    PathId(id): PathId<DeliveryId>,
    uri: Uri,
) -> Result<Response, Problem> {
    let url = ListUrl::of(&uri);
    if let Some(seen) = url.get("seen") {
        let delivery = deliveries::get(&app, actor, id).await?.delivery;
        let is_same = delivery.state == DeliveryState::Pending && delivery.attempts.to_string() == seen;
        return Ok(if is_same { unchanged() } else { reload() });
    }
    let known = Known::load(&app, actor, id).await?;
    Ok(reply(&viewer, &known, &url).into_response())
}

/// `POST /deliveries/{id}/retry`
pub async fn retry(
    State(app): State<App>,
    viewer: Viewer,
    Caller(actor): Caller,
    PathId(id): PathId<DeliveryId>,
    uri: Uri,
) -> Result<Response, Problem> {
    match deliveries::retry(&app, actor, id).await {
        Ok(changed) => {
            let (_, audited) = audited(app.clock.now(), changed);
            Ok((audited, Redirect::to(&format!("/deliveries/{id}"))).into_response())
        }
        Err(error) => {
            let known = Known::load(&app, actor, id).await?;
            Ok(reply(&viewer, &known, &ListUrl::of(&uri)).alert(&Problem::from(error)).into_response())
        }
    }
}
