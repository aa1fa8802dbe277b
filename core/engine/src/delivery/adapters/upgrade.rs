//! Moves postbacks to another version of their adapter, after a comparison of both versions.

use std::sync::Arc;
use std::time::Duration;

use crate::app::App;
use crate::delivery::plan::Plan;
use crate::delivery::postbacks::{self, bind_secrets, issues};
use crate::delivery::wire;
use crate::{Error, FieldIssue};
use domain::delivery::adapter::fair_queue::Urgency;
use domain::delivery::postback::Postback;
use domain::ids::{AffiliateId, EventId, PostbackId};
use domain::people::actor::Actor;
use domain::timestamp::Timestamp;
use domain::tracking::action::Action;
use domain::tracking::event::Event;
use host::{Adapter, Session, wire as contract};
use storage::base::page::PageRequest;

use super::{Calls, Group, Pool};

/// Maximum number of postbacks that one call checks.
const POSTBACKS: u64 = 500;
/// Maximum number of events that both versions render for a postback.
const EVENTS: usize = 100;
/// Time limit for the comparison of one postback. Slow versions are compared with fewer events.
const COMPARE_FOR: Duration = Duration::from_secs(5);
/// Number of recent events that are searched for matching ones.
const SEARCHED_EVENTS: u64 = 2_000;
/// Maximum number of characters that are shown of a text that differs.
const SHOWN_CHARS: usize = 2_000;

/// The result of an upgrade or of a dry run.
#[derive(Debug)]
pub struct Upgrade {
    pub postbacks: Vec<PostbackCheck>,
    /// Whether there are more postbacks than one call checks.
    pub more: bool,
}

/// The check of one postback with the new version.
#[derive(Debug)]
pub struct PostbackCheck {
    pub id: PostbackId,
    pub name: String,
    pub from: String,
    /// Why it can't be moved: the issues that the new version found.
    pub issues: Vec<FieldIssue>,
    /// Number of recent events that were rendered with both versions.
    pub compared: usize,
    /// Number of these events with different results.
    pub different: usize,
    pub first_difference: Option<Difference>,
    pub moved: bool,
}

/// The first difference between the results of two versions for an event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Difference {
    pub event_id: EventId,
    /// "method", "url", "headers", "body", "signature" or "outcome".
    pub what: &'static str,
    pub before: String,
    pub after: String,
}

/// Checks the postbacks of other versions with version `to`: those in `only`, or all. Moves those without issues,
/// unless this is a dry run.
pub async fn upgrade(
    app: &App,
    actor: Actor,
    id: &str,
    to: &str,
    only: Option<&[PostbackId]>,
    dry_run: bool,
) -> Result<Upgrade, Error> {
    let Some(new) = app.adapters.get(id, to).await? else { return Err(unknown_version(app, id, to).await?) };
    let mut behind = match only {
        Some(ids) => {
            let found = storage::delivery::postbacks::find_many(app.db.reader(), ids.iter().copied()).await?;
            let mut found: Vec<_> = found.into_values().collect();
            found.retain(|it| it.archived_at.is_none() && it.adapter == id && it.adapter_version != to);
            found.sort_by_key(|it| it.id);
            found
        }
        None => storage::delivery::postbacks::list_with_other_version(app.db.reader(), id, to, POSTBACKS + 1).await?,
    };
    let more = behind.len() as u64 > POSTBACKS;
    behind.truncate(POSTBACKS as usize);
    // Postbacks of one scope are compared with the same events, which are then read once.
    behind.sort_by_key(|it| (it.rule.scope.affiliate_id, it.rule.action.as_str(), it.id));
    let mut recent = Recent::default();
    let mut checks = Vec::with_capacity(behind.len());
    for postback in behind {
        let events = recent.events(app, &postback).await?;
        let mut it = check(app, &new, &postback, events).await?;
        if !dry_run && it.issues.is_empty() {
            move_to(app, actor, &new, postback).await?;
            it.moved = true;
        }
        checks.push(it);
    }
    if checks.iter().any(|it| it.moved) {
        app.catalog.postbacks_changed();
    }
    checks.sort_by_key(|it| it.id);
    Ok(Upgrade { postbacks: checks, more })
}

async fn unknown_version(app: &App, id: &str, given: &str) -> Result<Error, Error> {
    let versions = app.adapters.list(Some(id)).await?;
    let working = versions.iter().filter(|it| it.waits_because().is_none()).map(|it| it.version.as_str());
    let known = match working.collect::<Vec<_>>() {
        none if none.is_empty() => "install one first".to_owned(),
        known => format!("use one of: {}", known.join(", ")),
    };
    Ok(Error::UnknownAdapterVersion { id: id.to_owned(), given: given.to_owned(), known })
}

/// The recent events of one affiliate, or of all, that were read last.
#[derive(Default)]
struct Recent {
    of: Option<(Option<AffiliateId>, Action)>,
    events: Vec<Arc<Event>>,
}

impl Recent {
    async fn events(&mut self, app: &App, postback: &Postback) -> Result<Vec<Arc<Event>>, Error> {
        let wanted = (postback.rule.scope.affiliate_id, postback.rule.action);
        if self.of != Some(wanted) {
            let filter = storage::tracking::events::Filter {
                affiliate_id: wanted.0,
                action: Some(wanted.1),
                ..Default::default()
            };
            let page = PageRequest::first(SEARCHED_EVENTS);
            let found = storage::tracking::events::list(app.db.reports(), filter, page).await?;
            self.events = found.items.into_iter().map(Arc::new).collect();
            self.of = Some(wanted);
        }
        let matching = self.events.iter().filter(|event| postback.rule.admits(event, event.status()));
        Ok(matching.take(EVENTS).cloned().collect())
    }
}

async fn check(
    app: &App,
    new: &Arc<Adapter>,
    postback: &Postback,
    events: Vec<Arc<Event>>,
) -> Result<PostbackCheck, Error> {
    let mut checked = PostbackCheck {
        id: postback.id,
        name: postback.name.clone(),
        from: postback.adapter_version.clone(),
        issues: Vec::new(),
        compared: 0,
        different: 0,
        first_difference: None,
        moved: false,
    };
    match app.vault.open_config(&postback.config, &postback.id.to_string()) {
        Ok(plain) => checked.issues = issues(app, new, postback, &plain).await?,
        Err(error) => checked.issues = vec![FieldIssue::new("/config", error.code(), error.to_string())],
    }
    // Without the old version there is nothing to compare.
    let Some(old) = app.adapters.load(&postback.adapter, &postback.adapter_version).await? else { return Ok(checked) };
    if !checked.issues.is_empty() {
        return Ok(checked);
    }
    let mut moved = postback.clone();
    app.vault.seal_config(new.schema(), &mut moved.config, &postback.id.to_string());
    let buyers = app.catalog.buyer_visibility().await?;
    let plans = [(postback.clone(), old), (moved, new.clone())]
        .map(|(postback, adapter)| Plan::new(&app.vault, buyers, Arc::new(postback), adapter));
    let [before, after] = plans;
    let compared = compare(app, before?, after?, events).await;
    checked.compared = compared.len();
    let mut differences = compared.into_iter().flatten();
    checked.first_difference = differences.next();
    checked.different = differences.count() + usize::from(checked.first_difference.is_some());
    Ok(checked)
}

/// The difference for each event. Fewer events than given if the versions are slow.
async fn compare(app: &App, before: Plan, after: Plan, events: Vec<Arc<Event>>) -> Vec<Option<Difference>> {
    let (pool, now) = (app.adapters.pool(), app.clock.now());
    let [old, new] = [before, after].map(|plan| outcomes(pool, plan, &events, now));
    let (old, new) = tokio::join!(within(old), within(new));
    let difference = |(event, (old, new)): (&Arc<Event>, (Outcome, Outcome))| {
        let different = old.into_iter().zip(new).find(|(old, new)| old != new);
        different.map(|((what, before), (_, after))| Difference {
            event_id: event.id,
            what,
            before: short(&before),
            after: short(&after),
        })
    };
    events.iter().zip(old.into_iter().zip(new)).map(difference).collect()
}

/// The result of a version for an event: named parts.
type Outcome = [(&'static str, String); 6];

fn outcomes(pool: &Pool, plan: Plan, events: &[Arc<Event>], now: Timestamp) -> Calls<Outcome> {
    let mut calls = Calls::new();
    let group = Group::for_plan(&plan, Urgency::Asked, events.to_vec());
    calls.add(pool, group, move |session, event: Arc<Event>| outcome(&plan, session, &event, now));
    calls.begin(pool);
    calls
}

/// The results within [`COMPARE_FOR`], in the order of the events.
async fn within(mut calls: Calls<Outcome>) -> Vec<Outcome> {
    let mut outcomes = Vec::new();
    let all = async {
        while let Some((_, outcome)) = calls.next().await {
            outcomes.push(outcome);
        }
    };
    let _ = tokio::time::timeout(COMPARE_FOR, all).await;
    outcomes
}

/// The result of a version for an event, part by part, with masked secrets.
fn outcome(plan: &Plan, session: &mut Session, event: &Event, now: Timestamp) -> Outcome {
    let context = wire::context(now, 1, true, event.id.to_string());
    let seen = plan.event(event);
    let hide = |text: &str| plan.secrets.mask(text).into_owned();
    let mut parts = ["outcome", "method", "url", "headers", "body", "signature"].map(|name| (name, String::new()));
    match session.decide(&context, &plan.binding, &seen).map(|it| it.verdict) {
        Ok(contract::Verdict::Fire) => parts[0].1 = "sent".to_owned(),
        Ok(contract::Verdict::FireAfter(ms)) => parts[0].1 = format!("sent after {ms} ms"),
        Ok(contract::Verdict::Skip) => {
            parts[0].1 = "skipped".to_owned();
            return parts;
        }
        Err(error) => {
            parts[0].1 = format!("{}: {}", error.code(), hide(&error.to_string()));
            return parts;
        }
    }
    match session.render(&context, &plan.binding, &seen) {
        Err(error) => parts[0].1 = format!("{}: {}", error.code(), hide(&error.to_string())),
        Ok(request) => {
            let outgoing = wire::request(&request);
            parts[1].1 = outgoing.method.to_string();
            parts[2].1 = hide(&outgoing.url);
            let headers = outgoing.headers.iter().map(|(name, value)| format!("{name}: {}", hide(value)));
            parts[3].1 = headers.collect::<Vec<_>>().join("\n");
            if let Some((content_type, bytes)) = outgoing.body {
                parts[4].1 = format!("{content_type}\n{}", hide(&String::from_utf8_lossy(&bytes)));
            }
            parts[5].1 = format!("{} signatures", request.sign_with.len());
        }
    }
    parts
}

fn short(text: &str) -> String {
    text.chars().take(SHOWN_CHARS).collect()
}

async fn move_to(app: &App, actor: Actor, new: &Arc<Adapter>, mut postback: Postback) -> Result<(), Error> {
    let (before, id) = (postback.clone(), postback.id);
    postback.adapter_version = new.descriptor().version.clone();
    // The schema of the new version may mark more values as secret.
    app.vault.seal_config(new.schema(), &mut postback.config, &id.to_string());
    if postback.secret_origins.is_empty() {
        bind_secrets(app, new, &mut postback, false).await?;
    }
    postback.updated_at = app.clock.now().after(before.updated_at);
    postbacks::save(app, actor, &before, &mut postback).await
}
