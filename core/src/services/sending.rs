//! Sending: a due delivery is prepared, sent and concluded.
//!
//! The stages are types: `Delivery` (claimed) → [`Prepared`] → [`Sent`] → a row of the attempt log and a new
//! state. Preparing and concluding work on batches, since databases and adapters like those; only the
//! request between them is made one by one. No transaction is open during HTTP.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use sea_orm::DbErr;

use crate::adapters::{AdapterError, Session, wire as contract};
use crate::app::App;
use crate::clock::Timestamp;
use crate::domain::adapter::WAITING;
use crate::domain::conversion::Status;
use crate::domain::delivery::{AdapterLine, Attempt, AttemptOutcome, Delivery, DeliveryState, Reason};
use crate::domain::event::{Action, Event};
use crate::domain::lease::{Lease, Leased};
use crate::domain::postback::{Ordering, Postback};
use crate::domain::retry::{self, Next};
use crate::egress::{Answer, EgressError};
use crate::ids::{ConversionId, DeliveryId, PostbackId};
use crate::storage;
use crate::storage::deliveries::{Finish, Sibling};

use super::adapters::{Call, Faults, Standing as AdapterStanding, blocking, key_of};
use super::plan::Plan;
use super::routing::{self, Owed};
use super::secrets::SecretError;
use super::wire;

/// What the log keeps of a body.
pub const BODY_LOG_BYTES: usize = 16 * 1024;

/// How long a delivery waits for an older one of its conversion that is being sent right now.
const WAIT_FOR_ELDER: Duration = Duration::from_secs(1);

/// How long a delivery waits for an adapter that is out of service, before it looks again.
const WAIT_FOR_ADAPTER: Duration = Duration::from_secs(60);

/// Ready to be sent.
pub struct Prepared {
    delivery: Delivery,
    lease: Lease,
    event: Arc<Event>,
    plan: Arc<Plan>,
    request: contract::Request,
    log: Vec<AdapterLine>,
}

/// Sent, with what came back. An adapter that could not render has no request.
pub struct Sent {
    delivery: Delivery,
    claim: i64,
    event: Arc<Event>,
    plan: Arc<Plan>,
    /// As rendered: with the placeholders of secrets.
    request: Option<contract::Request>,
    log: Vec<AdapterLine>,
    result: Result<Answer, Trouble>,
    at: Timestamp,
    duration: Duration,
}

/// Why no answer came.
enum Trouble {
    Adapter(AdapterError),
    Secret(SecretError),
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
            Standpoint::Wait(until) => preparation.finished.push(wait_for_elder(&delivery, claim, until)),
            Standpoint::End(state, reason) => {
                preparation.finished.push(ended(&delivery, claim, state, reason, now));
            }
        }
    }
    let faults = app.adapters.faults().clone();
    let rendering = blocking(move || render_all(&faults, to_render, now));
    let Preparation { ready, troubled, finished } = rendering.await;
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

/// One adapter instance a plan, for as long as a batch takes.
#[derive(Default)]
struct Sessions(HashMap<*const Plan, Session>);

impl Sessions {
    /// The plans of a batch outlive it, so their addresses tell them apart.
    fn of(&mut self, plan: &Arc<Plan>) -> &mut Session {
        self.0.entry(Arc::as_ptr(plan)).or_insert_with(|| plan.adapter.session())
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
    let Prepared { delivery, lease, event, plan, request, log } = prepared;
    let at = app.clock.now();
    let started = tokio::time::Instant::now();
    let result = match plan.reveal(&request, &delivery.id.to_string(), at) {
        Ok(outgoing) => {
            let result = app.egress.send(outgoing, app.settings.request_timeout()).await;
            metrics::histogram!("postrider_delivery_seconds").record(started.elapsed());
            result.map_err(Trouble::Egress)
        }
        Err(error) => Err(Trouble::Secret(error)),
    };
    let duration = started.elapsed();
    Sent { delivery, claim: lease.claim, event, plan, request: Some(request), log, result, at, duration }
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
    let (faults, now) = (app.adapters.faults().clone(), app.clock.now());
    let judging = blocking(move || {
        // Made before the sessions, so that no plan goes while its address is a key.
        let plans: Vec<_> = sent.iter().map(|sent| sent.plan.clone()).collect();
        let mut sessions = Sessions::default();
        let mut concluded = Concluded::default();
        for mut sent in sent {
            if let Ok(answer) = &mut sent.result {
                sent.plan.secrets.mask_answer(answer);
            }
            let verdict = Verdict::of(&mut sessions, &faults, &mut sent, now);
            let finish = verdict.finish(&sent, now);
            if finish.state == DeliveryState::Success && finish.attempts == 1 {
                let delay = sent.delivery.due_at.since(sent.delivery.created_at);
                concluded.pipeline.push(now.since(sent.event.occurred_at).saturating_sub(delay));
            }
            concluded.finished.push(finish);
            concluded.attempts.push(verdict.attempt(sent));
        }
        drop((sessions, plans));
        concluded
    });
    let concluded = judging.await;
    app.adapters.settle_faults().await;
    concluded
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
    fn of(sessions: &mut Sessions, faults: &Faults, sent: &mut Sent, now: Timestamp) -> Self {
        let plan = &sent.plan;
        let (answer, request) = match (&sent.result, &sent.request) {
            (Ok(answer), Some(request)) => (answer, request),
            (Err(trouble), _) => return Self::of_trouble(trouble).hiding(plan),
            (Ok(_), None) => unreachable!("an answer has a request"),
        };
        let context =
            wire::context(now, number_of(&sent.delivery).cast_unsigned(), false, sent.delivery.id.to_string());
        let session = sessions.of(plan);
        let classified = session.classify(&context, &plan.binding, request, &wire::response(answer));
        faults.count(Call::Classify, &plan.postback, &classified);
        sent.log.extend(wire::log_lines(session.log(), &plan.secrets));
        Self::of_outcome(classified, answer, now).hiding(plan)
    }

    /// Adapters quote what they know.
    fn hiding(self, plan: &Plan) -> Self {
        let hide = |sentence: String| plan.secrets.mask(&sentence).into_owned();
        match self {
            Self::Accepted => Self::Accepted,
            Self::Retry { code, sentence, after } => Self::Retry { code, sentence: hide(sentence), after },
            Self::Refused { code, sentence } => Self::Refused { code: hide(code), sentence: hide(sentence) },
        }
    }

    /// What the adapter makes of the answer to a test request.
    pub fn of_answer(
        plan: &Plan,
        context: &contract::Context,
        request: &contract::Request,
        answer: &Answer,
        now: Timestamp,
    ) -> Self {
        let classified = plan.adapter.session().classify(context, &plan.binding, request, &wire::response(answer));
        Self::of_outcome(classified, answer, now).hiding(plan)
    }

    fn of_outcome(outcome: Result<contract::Outcome, AdapterError>, answer: &Answer, now: Timestamp) -> Self {
        let status = answer.status;
        match outcome {
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
            Trouble::Secret(error) => (error.code().to_owned(), error.to_string(), false),
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
        let request = sent.request.as_ref().map(|request| Logged::of(request, &sent.plan)).unwrap_or_default();
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
            adapter_log: sent.log,
        }
    }
}

/// A request as the log shows it: as it was rendered, without its secrets.
#[derive(Default)]
pub struct Logged {
    pub method: String,
    pub url: String,
    pub headers: Vec<(String, String)>,
    pub body: Option<String>,
}

impl Logged {
    pub fn of(request: &contract::Request, plan: &Plan) -> Self {
        let outgoing = wire::request(request);
        let hide = |text: &str| plan.secrets.mask(text).into_owned();
        let mut headers: Vec<_> = outgoing.headers.into_iter().map(|(name, value)| (name, hide(&value))).collect();
        // Masked before it is cut, so that no half of a placeholder is left at the end.
        let body = outgoing.body.map(|(content_type, bytes)| {
            headers.push(("content-type".to_owned(), content_type));
            let whole = hide(&text(&bytes));
            whole[..whole.floor_char_boundary(BODY_LOG_BYTES)].to_owned()
        });
        Self { method: outgoing.method.to_string(), url: hide(&outgoing.url), headers, body }
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
