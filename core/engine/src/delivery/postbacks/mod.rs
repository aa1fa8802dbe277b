//! Postbacks: setting one up, which includes trying it, and taking pasted URLs apart.

mod rules;
mod trial;

use std::sync::Arc;

use rules::check;
use serde_json::Value;

use crate::app::App;
use crate::delivery::adapters::key_of;
use crate::program::quota;
use crate::{Error, FieldIssue};
use domain::delivery::adapter::AdapterVersion;
use domain::delivery::pasted::{self, Pasted};
use domain::delivery::postback::{Ordering, Postback};
use domain::delivery::rules::Scope;
use domain::delivery::rules::{Delay, FiringStatus, Rule};
use domain::delivery::verification::Verification;
use domain::ids::{AffiliateId, PostbackId};
use domain::people::actor::Actor;
use domain::people::changes::{Changed, of_secrets};
use domain::tracking::action::Action;
use host::Adapter;
use storage::base::page::{Page, PageRequest};

use super::destinations;
use super::secrets;
use super::templates::{self, MadeOf};
pub(crate) use rules::issues;
pub(crate) use trial::bind_secrets;
use trial::{refuse_unbound, require_accepted, trial, verify};

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
    check(app, &adapter, &postback, &postback.config).await?;
    app.vault.seal_config(adapter.schema(), &mut postback.config, &postback.id.to_string());
    let test_it = postback.enabled || !actor.is_staff();
    bind_secrets(app, &adapter, &mut postback, test_it).await?;
    if test_it {
        require_accepted(app, actor, &adapter, &mut postback).await?;
    }
    let tx = app.db.begin().await?;
    quota::postback(app, &tx, actor, postback.owner).await?;
    storage::delivery::postbacks::insert(&tx, &postback).await?;
    tx.commit().await?;
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
    pub scope: Option<Scope>,
    pub firing_status: Option<FiringStatus>,
    pub rejection_reasons: Option<Vec<String>>,
    pub delay: Option<Option<Delay>>,
}

/// Changes a postback. A new configuration is tried first, as a new postback is.
pub async fn change(app: &App, actor: Actor, id: PostbackId, changes: Changes) -> Result<Changed<Postback>, Error> {
    let mut postback = find(app, actor, id).await?;
    let before = postback.clone();
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
        Ok(plain) => check(app, &adapter, &postback, &plain).await?,
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
    if !storage::delivery::postbacks::save(app.db.writer(), &postback, seen).await? {
        return Err(Error::ChangedMeanwhile { what: "postback", id: id.to_string() });
    }
    if reconfigured {
        // What its adapter stumbled over may be gone.
        app.adapters.faults().resume(&key_of(&postback), postback.owner);
        destinations::forget(app, id).await;
    }
    app.catalog.postbacks_changed();
    let config = |it: &Postback| opened(app, &it.config, &id.to_string());
    let unseen = of_secrets("config", &config(&before), &config(&postback));
    Ok(Changed::new(before, postback).map(|it| shown(app, it)).with_unseen(unseen))
}

/// A configuration to compare, or as it is stored while the key is not at hand.
pub(crate) fn opened(app: &App, config: &Value, holder: &str) -> Value {
    app.vault.open_config(config, holder).unwrap_or_else(|_| config.clone())
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
    quota::test(app, actor)?;
    Ok(verify(app, &adapter, &postback).await?.shown_to(actor))
}

/// Takes a postback away; its log stays. Returns what it was.
pub async fn archive(app: &App, actor: Actor, id: PostbackId) -> Result<Postback, Error> {
    let mut postback = find(app, actor, id).await?;
    let before = postback.clone();
    let (seen, now) = (postback.updated_at, app.clock.now());
    postback.enabled = false;
    postback.archived_at = Some(now);
    postback.updated_at = now;
    if !storage::delivery::postbacks::save(app.db.writer(), &postback, seen).await? {
        return Err(Error::ChangedMeanwhile { what: "postback", id: id.to_string() });
    }
    app.catalog.postbacks_changed();
    Ok(shown(app, before))
}

/// A postback as people may see it: its secrets are masked.
pub async fn get(app: &App, actor: Actor, id: PostbackId) -> Result<Postback, Error> {
    Ok(shown(app, find(app, actor, id).await?))
}

async fn find(app: &App, actor: Actor, id: PostbackId) -> Result<Postback, Error> {
    let found = storage::delivery::postbacks::find(app.db.reader(), id).await?.filter(|it| it.archived_at.is_none());
    let visible = found.filter(|it| actor.confined_to().is_none_or(|own| it.owner == Some(own)));
    visible.ok_or_else(|| Error::not_found("postback", id))
}

fn shown(app: &App, mut postback: Postback) -> Postback {
    postback.config = app.vault.mask_config(&postback.config, &postback.id.to_string());
    postback
}

pub async fn list(app: &App, actor: Actor, page: PageRequest) -> Result<Page<Postback>, Error> {
    let page = storage::delivery::postbacks::list(app.db.lists(), actor.confined_to(), page).await?;
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
pub(crate) async fn newest(app: &App, id: &str) -> Result<Arc<Adapter>, Error> {
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
pub(crate) fn refuse_seals(config: &Value) -> Result<(), Error> {
    if secrets::names_seal(config) {
        let message = "\"$sealed\" marks secrets that the server has stored; send the secret itself, as text";
        return Err(Error::Invalid(vec![FieldIssue::new("/config", "invalid_config", message)]));
    }
    Ok(())
}
