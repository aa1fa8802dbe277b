//! Sending: a due delivery is prepared, sent and concluded.
//!
//! The stages are types: `Delivery` (claimed) → [`Prepared`] → [`Sent`] → a row of the attempt log and a new
//! state. Preparing and concluding work on batches, since databases and adapters like those; only the
//! request between them is made one by one. No transaction is open during HTTP.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use sea_orm::DbErr;

use crate::adapters::{AdapterError, Host, Session, wire as contract};
use crate::app::App;
use crate::clock::Timestamp;
use crate::domain::conversion::Status;
use crate::domain::delivery::{Attempt, AttemptOutcome, Delivery, DeliveryState, Reason};
use crate::domain::event::{Action, Event};
use crate::domain::lease::{Lease, Leased};
use crate::domain::postback::{Ordering, Postback};
use crate::domain::retry::{self, Next};
use crate::egress::{Answer, EgressError};
use crate::ids::{ConversionId, DeliveryId};
use crate::storage;
use crate::storage::deliveries::{Finish, Sibling};

use super::routing::Owed;
use super::wire;

/// What the log keeps of a body.
pub const BODY_LOG_BYTES: usize = 16 * 1024;

/// How long a delivery waits for an older one of its conversion that is being sent right now.
const WAIT_FOR_ELDER: Duration = Duration::from_secs(1);

/// Ready to be sent.
pub struct Prepared {
    delivery: Delivery,
    lease: Lease,
    event: Arc<Event>,
    postback: Arc<Postback>,
    request: contract::Request,
}

/// Sent, with what came back. An adapter that could not render has no request.
pub struct Sent {
    delivery: Delivery,
    claim: i64,
    event: Arc<Event>,
    postback: Arc<Postback>,
    request: Option<contract::Request>,
    result: Result<Answer, Trouble>,
    at: Timestamp,
    duration: Duration,
}

/// Why no answer came.
enum Trouble {
    Adapter(AdapterError),
    AdapterGone(String),
    Egress(EgressError),
}

/// Claimed deliveries, told apart.
#[derive(Default)]
pub struct Preparation {
    pub ready: Vec<Prepared>,
    /// To be concluded without a request.
    pub troubled: Vec<Sent>,
    /// Ended or put off by the rules.
    pub finished: Vec<Finish>,
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
            Standpoint::Send => to_render.push(ToRender { delivery, lease, event, postback: postback.clone() }),
            Standpoint::Wait(until) => preparation.finished.push(put_off(&delivery, claim, until)),
            Standpoint::End(state, reason) => {
                preparation.finished.push(ended(&delivery, claim, state, reason, now));
            }
        }
    }
    let adapters = app.adapters.clone();
    let rendering = tokio::task::spawn_blocking(move || render_all(&adapters, to_render, now));
    let (ready, troubled) = rendering.await.expect("rendering does not panic: adapters are contained");
    preparation.ready = ready;
    preparation.troubled = troubled;
    Ok(preparation)
}

/// Where the conversions of a batch stand now.
struct Standing {
    conversions: HashMap<ConversionId, (i32, Status)>,
    siblings: HashMap<ConversionId, Vec<Sibling>>,
    /// The oldest revision of which an event waits to be routed.
    unrouted: HashMap<ConversionId, i32>,
    /// What is being prepared together.
    batch: HashSet<DeliveryId>,
}

enum Standpoint {
    Send,
    Wait(Timestamp),
    End(DeliveryState, Reason),
}

impl Standing {
    async fn load(app: &App, due: &[Leased<Owed>]) -> Result<Self, DbErr> {
        let ids: HashSet<_> = due.iter().filter_map(|due| due.it.delivery.conversion_id).collect();
        let conversions = storage::conversions::find_standing(app.db.reader(), ids).await?;
        // A conversion that never changed has no other deliveries to mind.
        let changed: HashSet<_> =
            conversions.iter().filter(|(_, (revision, _))| *revision > 1).map(|(id, _)| *id).collect();
        let mut siblings: HashMap<_, Vec<_>> = HashMap::new();
        for sibling in storage::deliveries::list_siblings(app.db.reader(), &changed).await? {
            siblings.entry(sibling.conversion_id).or_default().push(sibling);
        }
        let unrouted = storage::events::list_unrouted(app.db.reader(), &changed).await?;
        Ok(Self { conversions, siblings, unrouted, batch: due.iter().map(|due| due.it.delivery.id).collect() })
    }

    fn judge(&self, delivery: &Delivery, event: &Event, postback: &Postback, now: Timestamp) -> Standpoint {
        if !postback.is_live() {
            let what = if postback.archived_at.is_some() { "deleted" } else { "disabled" };
            let sentence = format!("the postback \"{}\" was {what} before this was sent", postback.name);
            return Standpoint::End(DeliveryState::Cancelled, Reason::new(format!("postback_{what}"), sentence));
        }
        match postback.ordering {
            Ordering::Latest => self.judge_latest(delivery, event, postback, now),
            Ordering::All => self.judge_in_order(delivery, event, postback, now),
        }
    }

    /// The conversion as it is now decides, and only its newest delivery counts.
    fn judge_latest(&self, delivery: &Delivery, event: &Event, postback: &Postback, now: Timestamp) -> Standpoint {
        if let Some(newer) =
            self.others(delivery, event).filter(|it| it.revision > delivery.revision).max_by_key(|it| it.revision)
        {
            let sentence = format!("a newer state of the conversion took its place, see delivery {}", newer.id);
            return Standpoint::End(DeliveryState::Superseded, Reason::new("newer_state", sentence));
        }
        let standing = delivery.conversion_id.and_then(|id| self.conversions.get(&id));
        let judgement = postback.rule.judge(event, standing.map(|(_, status)| status));
        if let Some(objection) = judgement.objection() {
            let reason = cancelled_because(event, postback, standing, &objection.detail);
            return Standpoint::End(DeliveryState::Cancelled, reason);
        }
        // An older one of this batch is about to be superseded; any other that is leased is on its way right now.
        let on_its_way = |it: &Sibling| {
            it.state == DeliveryState::Pending
                && it.lease_until.is_some_and(|until| until > now)
                && !self.batch.contains(&it.id)
        };
        if self.others(delivery, event).any(on_its_way) {
            return Standpoint::Wait(now.plus(WAIT_FOR_ELDER));
        }
        Standpoint::Send
    }

    /// The event as it was decides, after every older delivery has ended.
    fn judge_in_order(&self, delivery: &Delivery, event: &Event, postback: &Postback, now: Timestamp) -> Standpoint {
        let status = event.facts.conversion.as_ref().map(|it| &it.status);
        if let Some(objection) = postback.rule.judge(event, status).objection() {
            let reason = Reason::new("rules_changed", format!("the rules were changed: {}", objection.detail));
            return Standpoint::End(DeliveryState::Cancelled, reason);
        }
        let elder = self
            .others(delivery, event)
            .filter(|it| it.revision < delivery.revision && it.state == DeliveryState::Pending)
            .min_by_key(|it| it.revision);
        let unrouted = delivery.conversion_id.and_then(|id| self.unrouted.get(&id));
        match elder {
            Some(elder) => Standpoint::Wait(elder.due_at.max(now).plus(WAIT_FOR_ELDER)),
            // An older state may not have become a delivery yet.
            None if unrouted.is_some_and(|oldest| *oldest < delivery.revision) => {
                Standpoint::Wait(now.plus(WAIT_FOR_ELDER))
            }
            None => Standpoint::Send,
        }
    }

    /// Deliveries of other states of the same conversion to the same postback. What happens after a conversion
    /// is a fact of its own: it neither replaces a state nor waits for one.
    fn others<'a>(&'a self, delivery: &'a Delivery, event: &Event) -> impl Iterator<Item = &'a Sibling> {
        let conversion = delivery.conversion_id.filter(|_| event.action == Action::Conversion);
        let siblings = conversion.and_then(|id| self.siblings.get(&id));
        siblings.into_iter().flatten().filter(|it| it.postback_id == delivery.postback_id && it.id != delivery.id)
    }
}

/// The conversion changed while its delivery waited; say so rather than only naming the rule.
fn cancelled_because(event: &Event, postback: &Postback, standing: Option<&(i32, Status)>, objection: &str) -> Reason {
    let then = event.facts.conversion.as_ref().map(|it| &it.status);
    match (then, standing) {
        (Some(then), Some((_, now))) if then != now => {
            let why = now.reason().map(|reason| format!(" ({reason})")).unwrap_or_default();
            let (code, when) = match postback.rule.delay {
                Some(_) => ("during_delay", "during delay"),
                None => ("before_sent", "before this was sent"),
            };
            Reason::new(format!("{}_{code}", now.word()), format!("{} {when}{why}: {objection}", now.word()))
        }
        _ => Reason::new("rules_changed", format!("the rules were changed: {objection}")),
    }
}

/// What the rules let through.
struct ToRender {
    delivery: Delivery,
    lease: Lease,
    event: Arc<Event>,
    postback: Arc<Postback>,
}

fn render_all(adapters: &Host, to_render: Vec<ToRender>, now: Timestamp) -> (Vec<Prepared>, Vec<Sent>) {
    let (mut ready, mut troubled) = (Vec::with_capacity(to_render.len()), Vec::new());
    let mut sessions = Sessions::new(adapters);
    for ToRender { delivery, lease, event, postback } in to_render {
        let context = wire::context(now, number_of(&delivery).cast_unsigned(), false, delivery.id.to_string());
        let rendered = match sessions.of(&postback) {
            Some((session, binding)) => {
                session.render(&context, binding, &wire::event(&event, &postback)).map_err(Trouble::Adapter)
            }
            None => Err(Trouble::AdapterGone(postback.adapter.clone())),
        };
        match rendered {
            Ok(request) => ready.push(Prepared { delivery, lease, event, postback, request }),
            Err(trouble) => troubled.push(Sent {
                delivery,
                claim: lease.claim,
                event,
                postback,
                request: None,
                result: Err(trouble),
                at: now,
                duration: Duration::ZERO,
            }),
        }
    }
    (ready, troubled)
}

/// One adapter instance a postback, for as long as a batch takes.
struct Sessions<'a> {
    adapters: &'a Host,
    open: HashMap<crate::ids::PostbackId, Option<(Session, contract::Binding)>>,
}

impl<'a> Sessions<'a> {
    fn new(adapters: &'a Host) -> Self {
        Self { adapters, open: HashMap::new() }
    }

    /// `None`: there is no such adapter any more.
    fn of(&mut self, postback: &Postback) -> Option<(&mut Session, &contract::Binding)> {
        let adapters = self.adapters;
        let open = self.open.entry(postback.id).or_insert_with(|| {
            let adapter = adapters.adapter(&postback.adapter)?;
            Some((adapter.session(), wire::binding(postback)))
        });
        open.as_mut().map(|(session, binding)| (session, &*binding))
    }
}

impl Prepared {
    /// Whether its answer would come while it is still ours. Somebody else may send it after that.
    pub fn can_be_sent(&self, app: &App) -> bool {
        app.clock.now().plus(app.settings.request_timeout()) <= self.lease.until
    }
}

/// Makes the request. Comes back with an answer or a reason, never later than the deadline.
pub async fn send(app: &App, prepared: Prepared) -> Sent {
    let Prepared { delivery, lease, event, postback, request } = prepared;
    let at = app.clock.now();
    let started = tokio::time::Instant::now();
    let result = app.egress.send(wire::request(&request), app.settings.request_timeout()).await;
    let duration = started.elapsed();
    metrics::histogram!("postrider_delivery_seconds").record(duration);
    let result = result.map_err(Trouble::Egress);
    Sent { delivery, claim: lease.claim, event, postback, request: Some(request), result, at, duration }
}

/// What came of attempts: how each is logged, and what becomes of its delivery.
#[derive(Default)]
pub struct Concluded {
    pub attempts: Vec<Attempt>,
    pub finished: Vec<Finish>,
    /// From its event to now, less the delay that was asked for: of those that were accepted at once.
    pipeline: Vec<Duration>,
}

/// Has the adapters read the answers and decides what follows. Stores nothing.
pub async fn conclude(app: &App, sent: Vec<Sent>) -> Concluded {
    let (adapters, now) = (app.adapters.clone(), app.clock.now());
    let judging = tokio::task::spawn_blocking(move || {
        let mut sessions = Sessions::new(&adapters);
        let mut concluded = Concluded::default();
        for sent in sent {
            let verdict = Verdict::of(&mut sessions, &sent, now);
            let finish = verdict.finish(&sent, now);
            if finish.state == DeliveryState::Success && finish.attempts == 1 {
                let delay = sent.delivery.due_at.since(sent.delivery.created_at);
                concluded.pipeline.push(now.since(sent.event.occurred_at).saturating_sub(delay));
            }
            concluded.finished.push(finish);
            concluded.attempts.push(verdict.attempt(sent));
        }
        concluded
    });
    judging.await.expect("judging does not panic: adapters are contained")
}

impl Concluded {
    /// Without requests: ended or put off by the rules.
    pub fn by_rules(finished: Vec<Finish>) -> Self {
        Self { finished, ..Self::default() }
    }

    /// One transaction for all of it.
    pub async fn store(&self, app: &App) -> Result<(), DbErr> {
        store(app, &self.attempts, &self.finished).await?;
        for span in &self.pipeline {
            metrics::histogram!("postrider_pipeline_seconds").record(*span);
        }
        Ok(())
    }

    /// One transaction each, so that one that the database refuses does not hold up the others.
    pub async fn store_one_by_one(&self, app: &App) {
        for (attempt, finish) in self.attempts.iter().zip(&self.finished) {
            if let Err(error) = store(app, std::slice::from_ref(attempt), std::slice::from_ref(finish)).await {
                tracing::error!(delivery.id = %finish.id, %error, "A result could not be stored; its postback will be sent again");
            }
        }
    }
}

async fn store(app: &App, attempts: &[Attempt], finished: &[Finish]) -> Result<(), DbErr> {
    let tx = app.db.begin().await?;
    let stored = storage::deliveries::finish(&tx, finished).await?;
    storage::attempts::insert(&tx, attempts).await?;
    tx.commit().await?;
    for finish in finished.iter().filter(|finish| stored.contains(&finish.id)) {
        metrics::counter!("postrider_deliveries_total", "outcome" => finish.state.as_str()).increment(1);
    }
    Ok(())
}

/// What an attempt came to.
pub enum Verdict {
    Accepted,
    Retry { code: String, sentence: String, after: Option<Duration> },
    Refused { code: String, sentence: String },
}

impl Verdict {
    fn of(sessions: &mut Sessions<'_>, sent: &Sent, now: Timestamp) -> Self {
        let answer = match (&sent.result, &sent.request) {
            (Ok(answer), Some(request)) => (answer, request),
            (Err(trouble), _) => return Self::of_trouble(trouble),
            (Ok(_), None) => unreachable!("an answer has a request"),
        };
        let context =
            wire::context(now, number_of(&sent.delivery).cast_unsigned(), false, sent.delivery.id.to_string());
        match sessions.of(&sent.postback) {
            Some((session, binding)) => Self::of_answer(session, &context, binding, answer.1, answer.0, now),
            None => Self::of_trouble(&Trouble::AdapterGone(sent.postback.adapter.clone())),
        }
    }

    /// What the adapter makes of an answer.
    pub fn of_answer(
        session: &mut Session,
        context: &contract::Context,
        binding: &contract::Binding,
        request: &contract::Request,
        answer: &Answer,
        now: Timestamp,
    ) -> Self {
        let status = answer.status;
        match session.classify(context, binding, request, &wire::response(answer)) {
            Ok(contract::Outcome::Accepted(_)) => Self::Accepted,
            Ok(contract::Outcome::Retry(after)) => Self::Retry {
                code: format!("http_{status}"),
                sentence: format!("the destination answered {status}"),
                after: after.map(Duration::from_millis).or_else(|| retry_after(answer, now)),
            },
            Ok(contract::Outcome::Refused(refusal)) => Self::Refused { code: refusal.code, sentence: refusal.message },
            Err(error) => Self::of_trouble(&Trouble::Adapter(error)),
        }
    }

    fn of_trouble(trouble: &Trouble) -> Self {
        let (code, sentence, may_pass) = match trouble {
            Trouble::Egress(error) => (error.code().to_owned(), error.to_string(), error.retryable()),
            Trouble::Adapter(error) => (error.code().to_owned(), error.to_string(), error.is_transient()),
            Trouble::AdapterGone(id) => (
                "adapter_missing".to_owned(),
                format!("the adapter \"{id}\" is not installed; install it and retry"),
                true,
            ),
        };
        if may_pass { Self::Retry { code, sentence, after: None } } else { Self::Refused { code, sentence } }
    }

    /// The delivery's next state: only [`retry`] knows when.
    fn finish(&self, sent: &Sent, now: Timestamp) -> Finish {
        let delivery = &sent.delivery;
        let attempts = number_of(delivery);
        let settled = |state, reason| Finish {
            id: delivery.id,
            state,
            reason,
            due_at: delivery.due_at,
            attempts,
            settled_at: Some(now),
            claim: sent.claim,
        };
        match self {
            Self::Accepted => settled(DeliveryState::Success, None),
            Self::Refused { code, sentence } => {
                tracing::warn!(delivery.id = %delivery.id, attempt = attempts, code, "Delivery failed");
                settled(DeliveryState::Failed, Some(Reason::new(code.clone(), sentence.clone())))
            }
            Self::Retry { code, sentence, after } => {
                let made = (attempts - delivery.attempts_before_retry).max(1).cast_unsigned();
                match retry::after_attempt(made, *after, rand::random()) {
                    Next::After(wait) => {
                        tracing::info!(delivery.id = %delivery.id, attempt = attempts, code, wait_ms = wait.as_millis() as u64, "Delivery will retry");
                        Finish {
                            state: DeliveryState::Pending,
                            reason: Some(Reason::new(code.clone(), format!("{sentence}; it will be tried again"))),
                            due_at: now.plus(wait),
                            settled_at: None,
                            ..settled(DeliveryState::Pending, None)
                        }
                    }
                    Next::GiveUp => {
                        tracing::warn!(delivery.id = %delivery.id, attempt = attempts, code, "Delivery failed after its last attempt");
                        let sentence = format!("{sentence}; given up after {made} attempts");
                        settled(DeliveryState::Failed, Some(Reason::new(code.clone(), sentence)))
                    }
                }
            }
        }
    }

    fn attempt(self, sent: Sent) -> Attempt {
        let (outcome, error) = match self {
            Self::Accepted => (AttemptOutcome::Accepted, None),
            Self::Retry { code, sentence, .. } => (AttemptOutcome::Retry, Some((code, sentence))),
            Self::Refused { code, sentence } => (AttemptOutcome::Refused, Some((code, sentence))),
        };
        let (error_code, error) = error.unzip();
        let request = sent.request.as_ref().map(Logged::of).unwrap_or_default();
        let answer = sent.result.ok();
        let body = answer.as_ref().map(|answer| &answer.body[..answer.body.len().min(BODY_LOG_BYTES)]);
        Attempt {
            number: number_of(&sent.delivery),
            delivery_id: sent.delivery.id,
            at: sent.at,
            duration_ms: i32::try_from(sent.duration.as_millis()).unwrap_or(i32::MAX),
            method: request.method,
            url: request.url,
            request_headers: request.headers,
            request_body: request.body,
            status: answer.as_ref().map(|answer| i32::from(answer.status)),
            response_body: body.map(text),
            truncated: answer.as_ref().is_some_and(|answer| answer.truncated || answer.body.len() > BODY_LOG_BYTES),
            response_headers: answer.map(|answer| answer.headers).unwrap_or_default(),
            outcome,
            error_code,
            error,
        }
    }
}

/// A request as the log shows it.
#[derive(Default)]
pub struct Logged {
    pub method: String,
    pub url: String,
    pub headers: Vec<(String, String)>,
    pub body: Option<String>,
}

impl Logged {
    pub fn of(request: &contract::Request) -> Self {
        let outgoing = wire::request(request);
        let body =
            outgoing.body.map(|(content_type, bytes)| (content_type, text(&bytes[..bytes.len().min(BODY_LOG_BYTES)])));
        let mut headers = outgoing.headers;
        headers.extend(body.iter().map(|(content_type, _)| ("content-type".to_owned(), content_type.clone())));
        Self { method: outgoing.method.to_string(), url: outgoing.url, headers, body: body.map(|(_, text)| text) }
    }
}

/// Bytes of a stranger as text that any database keeps: PostgreSQL has no NUL.
pub fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).replace('\0', "\u{fffd}")
}

fn number_of(delivery: &Delivery) -> i32 {
    delivery.attempts + 1
}

/// `Retry-After` in seconds or as a date (RFC 9110, section 10.2.3).
fn retry_after(answer: &Answer, now: Timestamp) -> Option<Duration> {
    let value = &answer.headers.iter().find(|(name, _)| name.eq_ignore_ascii_case("retry-after"))?.1;
    if let Ok(seconds) = value.trim().parse::<u64>() {
        return Some(Duration::from_secs(seconds));
    }
    let date = chrono::DateTime::parse_from_rfc2822(value.trim()).ok()?;
    Some(Timestamp::from_millis(date.timestamp_millis()).since(now))
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

fn put_off(delivery: &Delivery, claim: i64, until: Timestamp) -> Finish {
    Finish {
        id: delivery.id,
        state: DeliveryState::Pending,
        reason: Some(Reason::new("waits_for_older", "waits for an older state of the same conversion")),
        due_at: until,
        attempts: delivery.attempts,
        settled_at: None,
        claim,
    }
}
