//! Postbacks: setting one up, which includes trying it, and taking pasted URLs apart.

use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;
use url::Url;

use crate::adapters::{Adapter, wire as contract};
use crate::app::App;
use crate::domain::actor::Actor;
use crate::domain::adapter::AdapterVersion;
use crate::domain::event::Action;
use crate::domain::masking::hide_address;
use crate::domain::pasted::{self, Pasted};
use crate::domain::postback::{Ordering, Postback};
use crate::domain::rules::{Delay, FiringStatus, Rule};
use crate::ids::{AffiliateId, PostbackId};
use crate::storage;
use crate::storage::page::{Page, PageRequest};

use super::adapters::{blocking, config_issues};
use super::plan::Plan;
use super::secrets::{self, SecretError};
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
        if !actor.is_staff() {
            self.error = hide_address(self.error_code.as_deref(), self.error.take());
        }
        self
    }

    pub fn sentence(&self) -> String {
        let what = match (self.status, &self.error) {
            // An answer may be a 200 and say in its body that it is none.
            (Some(status), Some(error)) if (200..300).contains(&status) => format!("{error} (it answered {status})"),
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
    let (template, adapter_id, config) = match wanted.made_of {
        MadeOf::Adapter { adapter, config } => (None, adapter, config),
        MadeOf::Template { id, fields } => {
            let (adapter, config) = templates::postback_of(&id, &fields)?;
            (Some(id), adapter, config)
        }
    };
    let adapter = newest(app, &adapter_id).await?;
    let mut postback = Postback {
        id: PostbackId::new(now),
        name: wanted.name,
        template,
        adapter: adapter_id,
        adapter_version: adapter.descriptor().version.clone(),
        config,
        secret_origins: Vec::new(),
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
    refuse_seals(&postback.config)?;
    check(&adapter, &postback.rule, &postback.config).await?;
    app.vault.seal_config(adapter.schema(), &mut postback.config, &postback.id.to_string());
    let test_it = postback.enabled || !actor.is_staff();
    bind_secrets(app, &adapter, &mut postback, test_it).await?;
    if test_it {
        require_accepted(app, actor, &adapter, &mut postback).await?;
    }
    storage::postbacks::insert(app.db.writer(), &postback).await?;
    app.catalog.postbacks_changed();
    Ok(shown(app, postback))
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
    let mut postback = find(app, actor, id).await?;
    let adapter = pinned(app, &postback).await?;
    let seen = postback.updated_at;
    let entered = match changes.config {
        Some(config) => reconfigure(app, &adapter, &mut postback, config)?,
        None => Entered::Nothing,
    };
    let rule = changes.rule;
    postback.name = changes.name.unwrap_or(postback.name);
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
    let plain = app.vault.open_config(&postback.config, &id.to_string());
    // Whoever only renames or disables it need not have the key at hand.
    match plain {
        Ok(plain) => check(&adapter, &postback.rule, &plain).await?,
        Err(error) if postback.enabled || entered != Entered::Nothing => return Err(error.into()),
        Err(_) => {}
    }
    app.vault.seal_config(adapter.schema(), &mut postback.config, &id.to_string());
    if entered != Entered::Nothing {
        postback.verified_at = None;
    }
    let reconfigured = entered != Entered::Nothing;
    let test_it = postback.verified_at.is_none() && (postback.enabled || (reconfigured && !actor.is_staff()));
    match entered {
        // They stay bound to where they were entered for.
        Entered::KeepingSecrets if !postback.secret_origins.is_empty() => {
            trial(app, &adapter, &postback).await?.check_destination(&postback)?;
        }
        Entered::KeepingSecrets => refuse_unbound(trial(app, &adapter, &postback).await?)?,
        Entered::Anew => {
            postback.secret_origins.clear();
            bind_secrets(app, &adapter, &mut postback, test_it).await?;
        }
        Entered::Nothing if test_it && postback.secret_origins.is_empty() => {
            bind_secrets(app, &adapter, &mut postback, test_it).await?;
        }
        Entered::Nothing => {}
    }
    if test_it {
        if let Some(reason) = app.adapters.waits(&postback).await? {
            return Err(Error::AdapterWaits(reason));
        }
        require_accepted(app, actor, &adapter, &mut postback).await?;
    }
    // The test took its time: whoever changed or deleted the postback meanwhile has not seen this change.
    if !storage::postbacks::save(app.db.writer(), &postback, seen).await? {
        return Err(Error::ChangedMeanwhile { what: "postback", id: id.to_string() });
    }
    app.catalog.postbacks_changed();
    Ok(shown(app, postback))
}

/// What somebody entered who sent a configuration.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Entered {
    /// The configuration is what it was.
    Nothing,
    /// Some secrets came as their masks.
    KeepingSecrets,
    Anew,
}

/// Takes over a configuration that was sent, with the secrets that came as their masks.
fn reconfigure(app: &App, adapter: &Adapter, postback: &mut Postback, config: Value) -> Result<Entered, Error> {
    let holder = postback.id.to_string();
    refuse_seals(&config)?;
    let mut sent = config;
    let kept = app.vault.keep(adapter.schema(), &postback.config, &mut sent, &holder).map_err(Error::Invalid)?;
    let before = app.vault.open_config(&postback.config, &holder);
    if before.is_ok_and(|before| app.vault.open_config(&sent, &holder).is_ok_and(|sent| sent == before)) {
        return Ok(Entered::Nothing);
    }
    postback.config = sent;
    Ok(if kept { Entered::KeepingSecrets } else { Entered::Anew })
}

/// Sends the test request of a saved postback and tells what came back. Changes nothing.
pub async fn test(app: &App, actor: Actor, id: PostbackId) -> Result<Verification, Error> {
    let postback = find(app, actor, id).await?;
    let adapter = pinned(app, &postback).await?;
    if let Some(reason) = app.adapters.waits(&postback).await? {
        return Err(Error::AdapterWaits(reason));
    }
    Ok(verify(app, &adapter, &postback).await?.shown_to(actor))
}

/// Takes a postback away; its log stays.
pub async fn archive(app: &App, actor: Actor, id: PostbackId) -> Result<(), Error> {
    let mut postback = find(app, actor, id).await?;
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

/// A postback as people may see it: its secrets are masked.
pub async fn get(app: &App, actor: Actor, id: PostbackId) -> Result<Postback, Error> {
    Ok(shown(app, find(app, actor, id).await?))
}

async fn find(app: &App, actor: Actor, id: PostbackId) -> Result<Postback, Error> {
    let found = storage::postbacks::find(app.db.reader(), id).await?.filter(|it| it.archived_at.is_none());
    let visible = found.filter(|it| actor.confined_to().is_none_or(|own| it.owner == Some(own)));
    visible.ok_or_else(|| Error::not_found("postback", id))
}

fn shown(app: &App, mut postback: Postback) -> Postback {
    postback.config = app.vault.mask_config(&postback.config, &postback.id.to_string());
    postback
}

pub async fn list(app: &App, actor: Actor, page: PageRequest) -> Result<Page<Postback>, Error> {
    let page = storage::postbacks::list(app.db.reader(), actor.confined_to(), page).await?;
    Ok(page.map(|postback| shown(app, postback)))
}

/// Takes a pasted URL apart and recognises the macros of the generic adapter in it. Told to, it makes secrets of the fixed
/// values that look like keys.
pub async fn parse(app: &App, url: &str, seal_keys: bool) -> Result<Pasted, Error> {
    let adapter = newest(app, "macro-url").await?;
    let macros = &adapter.descriptor().macros;
    let is_macro = |name: &str| macros.iter().any(|it| it.token.trim_matches(['{', '}']) == name);
    let mut pasted = pasted::split(url, is_macro).map_err(|error| Error::invalid("/url", error.to_string()))?;
    if seal_keys {
        pasted.seal_keys();
    }
    Ok(pasted)
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

/// What a new postback or source pins.
pub(super) async fn newest(app: &App, id: &str) -> Result<Arc<Adapter>, Error> {
    if let Some(adapter) = app.adapters.latest(id).await? {
        return Ok(adapter);
    }
    let mut known: Vec<_> = app.adapters.list(None).await?.into_iter().map(|it| it.id).collect();
    known.dedup();
    Err(Error::UnknownAdapter { given: id.to_owned(), known: known.join(", ") })
}

/// What a saved postback pins.
async fn pinned(app: &App, postback: &Postback) -> Result<Arc<Adapter>, Error> {
    let (id, version) = (&postback.adapter, &postback.adapter_version);
    let found = app.adapters.load(id, version).await?;
    found.ok_or_else(|| Error::AdapterWaits(AdapterVersion::missing(id, version)))
}

/// Only the server itself marks what it has sealed.
pub(super) fn refuse_seals(config: &Value) -> Result<(), Error> {
    if secrets::names_seal(config) {
        let message = "\"$sealed\" marks secrets that the server has stored; send the secret itself, as text";
        return Err(Error::Invalid(vec![FieldIssue::new("/config", "invalid_config", message)]));
    }
    Ok(())
}

/// Judges rule and configuration, as it was entered, against what the adapter allows.
async fn check(adapter: &Arc<Adapter>, rule: &Rule, config: &Value) -> Result<(), Error> {
    let issues = issues(adapter, rule, config).await?;
    if issues.is_empty() { Ok(()) } else { Err(Error::Invalid(issues)) }
}

/// The rule's issues, or else the configuration's.
pub(super) async fn issues(adapter: &Arc<Adapter>, rule: &Rule, config: &Value) -> Result<Vec<FieldIssue>, Error> {
    let issues = rule_issues(rule, &adapter.descriptor().rules);
    if !issues.is_empty() {
        return Ok(issues);
    }
    Ok(config_issues(adapter, config).await?)
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
        let (least, most) = (Duration::from_millis(policy.min_delay), Duration::from_millis(policy.max_delay));
        if most.is_zero() {
            issues.push(invalid_rule("/delay", "this adapter takes no delay; leave it out"));
        } else if delay.span() < least {
            let least = in_words(least);
            let message = format!("this adapter waits at least {least}; send a delay of {least} or more");
            issues.push(invalid_rule("/delay", message));
        } else if delay.span() > most {
            let most = in_words(most);
            let message = format!("this adapter waits at most {most}; send a delay of {most} or less");
            issues.push(invalid_rule("/delay", message));
        }
    }
    issues
}

/// "2 minutes", in the largest unit that fits.
fn in_words(span: Duration) -> String {
    let seconds = span.as_secs();
    let (count, unit) = match seconds {
        _ if seconds > 0 && seconds.is_multiple_of(3_600) => (seconds / 3_600, "hour"),
        _ if seconds > 0 && seconds.is_multiple_of(60) => (seconds / 60, "minute"),
        _ => (seconds, "second"),
    };
    format!("{count} {unit}{}", if count == 1 { "" } else { "s" })
}

/// The test request of a postback, rendered and not yet sent.
struct Trial {
    plan: Plan,
    context: contract::Context,
    request: contract::Request,
}

async fn trial(app: &App, adapter: &Arc<Adapter>, postback: &Postback) -> Result<Trial, Error> {
    let now = app.clock.now();
    let event = wire::event(&samples::event_for(&postback.rule, now), postback);
    let context = wire::context(now, 1, true, format!("test-{}", postback.id));
    let plan = Plan::new(&app.vault, Arc::new(postback.clone()), adapter.clone())?;
    let (mut session, binding) = (adapter.session(), plan.binding.clone());
    let (rendered, context) = blocking(move || (session.render(&context, &binding, &event), context)).await;
    let request = rendered.map_err(|error| plan.hiding(error))?;
    Ok(Trial { plan, context, request })
}

impl Trial {
    /// Where the secrets of the request go, if the adapter leaves that to the configuration.
    fn chosen_origin(&self) -> Option<String> {
        let chosen = self.plan.adapter.descriptor().hosts.iter().any(|host| host == "*");
        let url = Url::parse(&self.request.url).ok().filter(|_| chosen && self.plan.secrets.concerns(&self.request))?;
        Some(url.origin().ascii_serialization())
    }

    fn check_destination(&self, postback: &Postback) -> Result<(), Error> {
        match self.chosen_origin() {
            Some(origin) if !postback.secret_origins.contains(&origin) => {
                Err(SecretError::OriginRefused { origin, allowed: postback.secret_origins.join(", ") }.into())
            }
            _ => Ok(()),
        }
    }
}

/// Secrets that were never bound to a place, in a configuration that is no longer the one they came with.
fn refuse_unbound(trial: Trial) -> Result<(), Error> {
    match trial.chosen_origin() {
        Some(origin) => Err(SecretError::OriginRefused { origin, allowed: "nowhere yet".to_owned() }.into()),
        None => Ok(()),
    }
}

/// Secrets may go where the configuration that they came with sends them, and nowhere else later.
pub(super) async fn bind_secrets(
    app: &App,
    adapter: &Arc<Adapter>,
    postback: &mut Postback,
    must_render: bool,
) -> Result<(), Error> {
    match trial(app, adapter, postback).await {
        Ok(trial) => postback.secret_origins.extend(trial.chosen_origin()),
        // A disabled one may be unfinished; it is bound when it is enabled.
        Err(error) if must_render => return Err(error),
        Err(_) => {}
    }
    Ok(())
}

async fn require_accepted(
    app: &App,
    actor: Actor,
    adapter: &Arc<Adapter>,
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
async fn verify(app: &App, adapter: &Arc<Adapter>, postback: &Postback) -> Result<Verification, Error> {
    let now = app.clock.now();
    let Trial { plan, context, request } = trial(app, adapter, postback).await?;
    let logged = Logged::of(&request, &plan);
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
    let outgoing = plan.reveal(&request, &context.idempotency_key, now)?;
    let started = tokio::time::Instant::now();
    let answer = app.egress.send(outgoing, app.settings.request_timeout()).await;
    verification.duration = started.elapsed();
    let mut answer = match answer {
        Ok(answer) => answer,
        Err(error) => {
            verification.error_code = Some(error.code().to_owned());
            verification.error = Some(plan.secrets.mask(&error.to_string()).into_owned());
            return Ok(verification);
        }
    };
    plan.secrets.mask_answer(&mut answer);
    verification.status = Some(answer.status);
    verification.body = Some(text(&answer.body[..answer.body.len().min(BODY_LOG_BYTES)]));
    let verdict = blocking(move || Verdict::of_answer(&plan, &context, &request, &answer, now)).await;
    match verdict {
        Verdict::Accepted => verification.accepted = true,
        Verdict::Retry { code, sentence, .. } | Verdict::Refused { code, sentence } => {
            verification.error_code = Some(code);
            verification.error = Some(sentence);
        }
    }
    Ok(verification)
}
