//! Postbacks: setting one up, which includes trying it, and taking pasted URLs apart.

use std::time::Duration;

use crate::adapters::{Adapter, wire as contract};
use crate::app::App;
use crate::domain::actor::Actor;
use crate::domain::event::Action;
use crate::domain::masking::hide_address;
use crate::domain::pasted::{self, Pasted};
use crate::domain::postback::{Ordering, Postback};
use crate::domain::rules::{Delay, FiringStatus, Rule};
use crate::ids::{AffiliateId, PostbackId};
use crate::storage;
use crate::storage::page::{Page, PageRequest};

use super::sending::{BODY_LOG_BYTES, Logged, Verdict, text};
use super::templates::{self, MadeOf};
use super::{Error, FieldIssue, samples, wire};

/// Reasons that one postback may be narrowed to.
const REASONS_MAX: usize = 50;

/// A postback as somebody wants it to be.
#[derive(Clone, Debug)]
pub struct Wanted {
    pub name: String,
    pub made_of: MadeOf,
    pub rule: Rule,
    pub ordering: Ordering,
    pub enabled: bool,
    pub owner: Option<AffiliateId>,
}

/// What the destination made of a test request.
#[derive(Clone, Debug)]
pub struct Verification {
    pub accepted: bool,
    pub method: String,
    pub url: String,
    pub status: Option<u16>,
    /// The first 16 KiB of the answer.
    pub body: Option<String>,
    pub error_code: Option<String>,
    pub error: Option<String>,
    pub duration: Duration,
}

impl Verification {
    /// Which inside address a name has is nobody's business but the operator's.
    fn shown_to(mut self, actor: Actor) -> Self {
        if !actor.is_admin() {
            self.error = hide_address(self.error_code.as_deref(), self.error.take());
        }
        self
    }

    pub fn sentence(&self) -> String {
        let what = match (self.status, &self.error) {
            (Some(status), _) => {
                let body = self.body.as_deref().unwrap_or_default().trim();
                let quote: String = body.chars().take(200).collect();
                if quote.is_empty() {
                    format!("it answered {status}")
                } else {
                    format!("it answered {status}: {quote}")
                }
            }
            (None, Some(error)) => error.clone(),
            (None, None) => "it did not answer".to_owned(),
        };
        format!("the destination did not accept a test request, so the postback was not saved: {what}")
    }
}

/// Saves a postback after its destination accepted a test request. An admin may save a disabled one untested.
pub async fn create(app: &App, actor: Actor, wanted: Wanted) -> Result<Postback, Error> {
    let now = app.clock.now();
    let (template, adapter, config) = match wanted.made_of {
        MadeOf::Adapter { adapter, config } => (None, adapter, config),
        MadeOf::Template { id, fields } => {
            let (adapter, config) = templates::postback_of(&id, &fields)?;
            (Some(id), adapter, config)
        }
    };
    let mut postback = Postback {
        id: PostbackId::new(now),
        name: wanted.name,
        template,
        adapter,
        adapter_version: String::new(),
        config,
        rule: wanted.rule,
        ordering: wanted.ordering,
        enabled: wanted.enabled,
        owner: wanted.owner,
        verified_at: None,
        created_at: now,
        updated_at: now,
        archived_at: None,
    };
    confine(actor, &mut postback)?;
    check_references(app, &postback).await?;
    let adapter = check(app, &mut postback)?;
    if postback.enabled || !actor.is_admin() {
        require_accepted(app, actor, &adapter, &mut postback).await?;
    }
    storage::postbacks::insert(app.db.writer(), &postback).await?;
    app.catalog.postbacks_changed();
    Ok(postback)
}

/// What may be changed; `None` stays.
#[derive(Clone, Debug, Default)]
pub struct Changes {
    pub name: Option<String>,
    pub config: Option<serde_json::Value>,
    pub rule: RuleChanges,
    pub ordering: Option<Ordering>,
    pub enabled: Option<bool>,
}

#[derive(Clone, Debug, Default)]
pub struct RuleChanges {
    pub action: Option<Action>,
    pub scope: Option<crate::domain::rules::Scope>,
    pub firing_status: Option<FiringStatus>,
    pub rejection_reasons: Option<Vec<String>>,
    pub delay: Option<Option<Delay>>,
}

/// Changes a postback. A new configuration is tried first, as a new postback is.
pub async fn change(app: &App, actor: Actor, id: PostbackId, changes: Changes) -> Result<Postback, Error> {
    let mut postback = get(app, actor, id).await?;
    let seen = postback.updated_at;
    let reconfigured = changes.config.as_ref().is_some_and(|config| *config != postback.config);
    let rule = changes.rule;
    postback.name = changes.name.unwrap_or(postback.name);
    postback.config = changes.config.unwrap_or(postback.config);
    postback.rule.action = rule.action.unwrap_or(postback.rule.action);
    postback.rule.scope = rule.scope.unwrap_or(postback.rule.scope);
    postback.rule.firing_status = rule.firing_status.unwrap_or(postback.rule.firing_status);
    postback.rule.rejection_reasons = rule.rejection_reasons.unwrap_or(postback.rule.rejection_reasons);
    postback.rule.delay = rule.delay.unwrap_or(postback.rule.delay);
    postback.ordering = changes.ordering.unwrap_or(postback.ordering);
    postback.enabled = changes.enabled.unwrap_or(postback.enabled);
    postback.updated_at = app.clock.now();
    confine(actor, &mut postback)?;
    check_references(app, &postback).await?;
    let adapter = check(app, &mut postback)?;
    if reconfigured {
        postback.verified_at = None;
    }
    let untested = postback.verified_at.is_none();
    if untested && (postback.enabled || (reconfigured && !actor.is_admin())) {
        require_accepted(app, actor, &adapter, &mut postback).await?;
    }
    // The test took its time: whoever changed or deleted the postback meanwhile has not seen this change.
    if !storage::postbacks::save(app.db.writer(), &postback, seen).await? {
        return Err(Error::ChangedMeanwhile { what: "postback", id: id.to_string() });
    }
    app.catalog.postbacks_changed();
    Ok(postback)
}

/// Sends the test request of a saved postback and tells what came back. Changes nothing.
pub async fn test(app: &App, actor: Actor, id: PostbackId) -> Result<Verification, Error> {
    let postback = get(app, actor, id).await?;
    let adapter = find_adapter(app, &postback.adapter)?;
    Ok(verify(app, &adapter, &postback).await?.shown_to(actor))
}

/// Takes a postback away; its log stays.
pub async fn archive(app: &App, actor: Actor, id: PostbackId) -> Result<(), Error> {
    let mut postback = get(app, actor, id).await?;
    let (seen, now) = (postback.updated_at, app.clock.now());
    postback.enabled = false;
    postback.archived_at = Some(now);
    postback.updated_at = now;
    if !storage::postbacks::save(app.db.writer(), &postback, seen).await? {
        return Err(Error::ChangedMeanwhile { what: "postback", id: id.to_string() });
    }
    app.catalog.postbacks_changed();
    Ok(())
}

pub async fn get(app: &App, actor: Actor, id: PostbackId) -> Result<Postback, Error> {
    let found = storage::postbacks::find(app.db.reader(), id).await?.filter(|it| it.archived_at.is_none());
    let visible = found.filter(|it| actor.confined_to().is_none_or(|own| it.owner == Some(own)));
    visible.ok_or_else(|| Error::not_found("postback", id))
}

pub async fn list(app: &App, actor: Actor, page: PageRequest) -> Result<Page<Postback>, Error> {
    Ok(storage::postbacks::list(app.db.reader(), actor.confined_to(), page).await?)
}

/// Takes a pasted URL apart and recognises the macros of the generic adapter in it.
pub fn parse(app: &App, url: &str) -> Result<Pasted, Error> {
    let adapter = find_adapter(app, "macro-url")?;
    let macros = &adapter.descriptor().macros;
    let is_macro = |name: &str| macros.iter().any(|it| it.token.trim_matches(['{', '}']) == name);
    pasted::split(url, is_macro).map_err(|error| Error::invalid("/url", error.to_string()))
}

/// An affiliate's postback is its own, and fires for nobody else.
fn confine(actor: Actor, postback: &mut Postback) -> Result<(), Error> {
    let scope = &mut postback.rule.scope;
    if let Some(own) = actor.confined_to() {
        if let Some(other) = scope.affiliate_id.filter(|asked| *asked != own) {
            return Err(Error::not_found("affiliate", other));
        }
        scope.affiliate_id = Some(own);
        postback.owner = Some(own);
    }
    match (postback.owner, scope.affiliate_id) {
        (Some(owner), Some(of)) if owner != of => Err(Error::invalid(
            "/owner_affiliate_id",
            "an affiliate's postback fires for its own events only; set scope.affiliate_id to the same affiliate",
        )),
        (Some(owner), None) => {
            scope.affiliate_id = Some(owner);
            Ok(())
        }
        _ => Ok(()),
    }
}

async fn check_references(app: &App, postback: &Postback) -> Result<(), Error> {
    let scope = postback.rule.scope;
    if let Some(id) = scope.affiliate_id {
        app.catalog.affiliate(id).await?.ok_or_else(|| Error::not_found("affiliate", id))?;
    }
    if let Some(id) = scope.offer_id {
        app.catalog.offer(id).await?.ok_or_else(|| Error::not_found("offer", id))?;
    }
    Ok(())
}

fn find_adapter(app: &App, id: &str) -> Result<std::sync::Arc<Adapter>, Error> {
    app.adapters.adapter(id).ok_or_else(|| {
        let known: Vec<_> = app.adapters.adapters().iter().map(|it| it.descriptor().id.clone()).collect();
        Error::UnknownAdapter { given: id.to_owned(), known: known.join(", ") }
    })
}

/// Judges configuration and rule against what the adapter allows, and pins the adapter's version.
fn check(app: &App, postback: &mut Postback) -> Result<std::sync::Arc<Adapter>, Error> {
    let adapter = find_adapter(app, &postback.adapter)?;
    postback.adapter_version = adapter.descriptor().version.clone();
    let issues = rule_issues(&postback.rule, &adapter.descriptor().rules);
    if !issues.is_empty() {
        return Err(Error::Invalid(issues));
    }
    let issues = adapter.check_config(&postback.config)?;
    if !issues.is_empty() {
        let at = |path: &str| format!("/config{path}");
        let issues = issues.into_iter().map(|it| FieldIssue::new(at(&it.path), "invalid_config", it.message));
        return Err(Error::Invalid(issues.collect()));
    }
    Ok(adapter)
}

fn invalid_rule(path: &str, message: impl Into<String>) -> FieldIssue {
    FieldIssue::new(path, "invalid_rule", message)
}

fn rule_issues(rule: &Rule, policy: &contract::RulePolicy) -> Vec<FieldIssue> {
    let mut issues = Vec::new();
    let action = match rule.action {
        Action::Impression => contract::Action::Impression,
        Action::Click => contract::Action::Click,
        Action::Conversion => contract::Action::Conversion,
        Action::Event => contract::Action::CustomEvent,
    };
    if !policy.actions.contains(&action) {
        issues.push(invalid_rule("/action", format!("this adapter does not fire on {}", rule.action)));
    }
    if rule.firing_status != FiringStatus::Any && !policy.statuses {
        issues.push(invalid_rule("/firing_status", "this adapter decides by itself; leave it \"any\""));
    }
    if !rule.rejection_reasons.is_empty() {
        if !policy.rejection_reasons {
            issues.push(invalid_rule("/rejection_reasons", "this adapter does not filter by reason; leave it empty"));
        } else if matches!(rule.firing_status, FiringStatus::Approved | FiringStatus::Pending) {
            let message =
                "reasons belong to rejected conversions; set firing_status to rejected or any, or leave it empty";
            issues.push(invalid_rule("/rejection_reasons", message));
        }
    }
    if rule.rejection_reasons.len() > REASONS_MAX {
        issues.push(invalid_rule("/rejection_reasons", format!("at most {REASONS_MAX} reasons")));
    }
    if let Some(delay) = rule.delay {
        let bounds = Duration::from_millis(policy.min_delay)..=Duration::from_millis(policy.max_delay);
        if !bounds.contains(&delay.span()) {
            let message = format!(
                "{delay} is out of bounds; this adapter allows {} to {} seconds",
                bounds.start().as_secs(),
                bounds.end().as_secs()
            );
            issues.push(invalid_rule("/delay", message));
        }
    } else if policy.min_delay > 0 {
        let message = format!("this adapter needs a delay of at least {} seconds", policy.min_delay / 1_000);
        issues.push(invalid_rule("/delay", message));
    }
    issues
}

async fn require_accepted(
    app: &App,
    actor: Actor,
    adapter: &std::sync::Arc<Adapter>,
    postback: &mut Postback,
) -> Result<(), Error> {
    let verification = verify(app, adapter, postback).await?;
    if !verification.accepted {
        return Err(Error::VerificationFailed(Box::new(verification.shown_to(actor))));
    }
    postback.verified_at = Some(app.clock.now());
    Ok(())
}

/// The real thing with sample values: rendered by the adapter, sent over the vetted client, judged by the adapter.
async fn verify(app: &App, adapter: &std::sync::Arc<Adapter>, postback: &Postback) -> Result<Verification, Error> {
    let now = app.clock.now();
    let event = wire::event(&samples::event_for(&postback.rule, now), postback);
    let context = wire::context(now, 1, true, format!("test-{}", postback.id));
    let binding = wire::binding(postback);
    let request = {
        let (mut session, context, binding) = (adapter.session(), context.clone(), binding.clone());
        blocking(move || session.render(&context, &binding, &event)).await?
    };
    let logged = Logged::of(&request);
    let mut verification = Verification {
        accepted: false,
        method: logged.method,
        url: logged.url,
        status: None,
        body: None,
        error_code: None,
        error: None,
        duration: Duration::ZERO,
    };
    let started = tokio::time::Instant::now();
    let answer = app.egress.send(wire::request(&request), app.settings.request_timeout()).await;
    verification.duration = started.elapsed();
    let answer = match answer {
        Ok(answer) => answer,
        Err(error) => {
            verification.error_code = Some(error.code().to_owned());
            verification.error = Some(error.to_string());
            return Ok(verification);
        }
    };
    verification.status = Some(answer.status);
    verification.body = Some(text(&answer.body[..answer.body.len().min(BODY_LOG_BYTES)]));
    let mut session = adapter.session();
    let verdict = blocking(move || Verdict::of_answer(&mut session, &context, &binding, &request, &answer, now)).await;
    match verdict {
        Verdict::Accepted => verification.accepted = true,
        Verdict::Retry { code, sentence, .. } | Verdict::Refused { code, sentence } => {
            verification.error_code = Some(code);
            verification.error = Some(sentence);
        }
    }
    Ok(verification)
}

async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    tokio::task::spawn_blocking(work).await.expect("adapters are contained and do not panic the host")
}
