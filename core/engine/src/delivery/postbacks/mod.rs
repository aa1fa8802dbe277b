//! Postbacks: creates, changes and tests them, and parses pasted URLs.

mod rules;
mod test_request;

use std::sync::Arc;

use rules::check;
use serde_json::Value;

use crate::app::App;
use crate::concurrent_change::with_attempts;
use crate::delivery::adapters::key_of;
use crate::program::{offers, quota};
use crate::{Error, FieldIssue};
use domain::delivery::adapter::AdapterVersion;
use domain::delivery::pasted::{self, ClickIdMeaning, Pasted};
use domain::delivery::postback::{Ordering, Postback};
use domain::delivery::rules::{Rule, Scope};
use domain::delivery::verification::Verification;
use domain::ids::{AffiliateId, PostbackId};
use domain::people::actor::Actor;
use domain::people::changes::{Changed, of_secrets};
use domain::search::Search;
use host::Adapter;
use storage::base::page::{Page, PageRequest};

use super::destinations;
use super::secrets;
use super::templates::{self, AdapterChoice};
pub(crate) use rules::issues;
pub(crate) use test_request::bind_secrets;
use test_request::{refuse_unbound, render_test_request, require_accepted, verify};

/// The data of a new postback.
#[derive(Clone, Debug)]
pub struct NewPostback {
    pub name: String,
    pub adapter_choice: AdapterChoice,
    pub rule: Rule,
    pub ordering: Ordering,
    pub enabled: bool,
    pub owner: Option<AffiliateId>,
}

/// Saves a postback after its destination accepted a test request. An admin may save a disabled one untested.
pub async fn create(app: &App, actor: Actor, new: NewPostback) -> Result<Postback, Error> {
    let now = app.clock.now();
    let (template, adapter_id, config) = match new.adapter_choice {
        AdapterChoice::Adapter { adapter, config } => (None, adapter, config),
        AdapterChoice::Template { id, fields } => {
            let (adapter, config) = templates::postback_of(&id, &fields)?;
            (Some(id), adapter, config)
        }
    };
    let adapter = newest(app, &adapter_id).await?;
    let mut postback = Postback {
        id: PostbackId::new(now),
        name: new.name,
        template,
        adapter: adapter_id,
        adapter_version: adapter.descriptor().version.clone(),
        config,
        secret_origins: Vec::new(),
        rule: new.rule,
        ordering: new.ordering,
        enabled: new.enabled,
        owner: new.owner,
        verified_at: None,
        created_at: now,
        updated_at: now,
        archived_at: None,
    };
    confine(actor, &mut postback)?;
    check_references(app, actor, postback.rule.scope).await?;
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

/// What can be changed about a postback.
#[derive(Clone, Debug)]
pub struct PostbackData {
    pub name: String,
    /// The whole configuration. Secrets that are sent as their masks are kept.
    pub config: Value,
    pub rule: Rule,
    pub ordering: Ordering,
    pub enabled: bool,
}

/// Changes a postback. A new configuration is tested first, like a new postback. A transaction cannot be open while the
/// test request is sent; so if the postback was changed in the meantime, `edit` gets it again as it is then.
pub async fn change(
    app: &App,
    actor: Actor,
    id: PostbackId,
    edit: impl Fn(&Postback) -> Result<PostbackData, Error>,
) -> Result<Changed<Postback>, Error> {
    with_attempts(|| try_change(app, actor, id, &edit)).await
}

async fn try_change(
    app: &App,
    actor: Actor,
    id: PostbackId,
    edit: &impl Fn(&Postback) -> Result<PostbackData, Error>,
) -> Result<Changed<Postback>, Error> {
    let mut postback = find(app, actor, id).await?;
    let before = postback.clone();
    let adapter = pinned(app, &postback).await?;
    let seen = postback.updated_at;
    let data = edit(&shown(app, before.clone()))?;
    let config_change = reconfigure(app, &adapter, &mut postback, data.config)?;
    postback.name = data.name;
    postback.rule = data.rule;
    postback.ordering = data.ordering;
    postback.enabled = data.enabled;
    postback.updated_at = app.clock.now().after(seen);
    confine(actor, &mut postback)?;
    // An affiliate keeps its postback if it loses access to the offer.
    if postback.rule.scope != before.rule.scope {
        check_references(app, actor, postback.rule.scope).await?;
    }
    let plain = app.vault.open_config(&postback.config, &id.to_string());
    // Renaming or disabling a postback works without the key of its secrets.
    match plain {
        Ok(plain) => check(app, &adapter, &postback, &plain).await?,
        Err(error) if postback.enabled || config_change != ConfigChange::None => return Err(error.into()),
        Err(_) => {}
    }
    app.vault.seal_config(adapter.schema(), &mut postback.config, &id.to_string());
    let reconfigured = config_change != ConfigChange::None;
    if reconfigured {
        postback.verified_at = None;
    }
    let test_it = postback.verified_at.is_none() && (postback.enabled || (reconfigured && !actor.is_staff()));
    match config_change {
        // The secrets stay bound to the origins for which they were entered.
        ConfigChange::SecretsKept if !postback.secret_origins.is_empty() => {
            render_test_request(app, &adapter, &postback).await?.check_destination(&postback)?;
        }
        ConfigChange::SecretsKept => refuse_unbound(render_test_request(app, &adapter, &postback).await?)?,
        ConfigChange::Full => {
            postback.secret_origins.clear();
            bind_secrets(app, &adapter, &mut postback, test_it).await?;
        }
        ConfigChange::None if test_it && postback.secret_origins.is_empty() => {
            bind_secrets(app, &adapter, &mut postback, test_it).await?;
        }
        ConfigChange::None => {}
    }
    if test_it {
        if let Some(reason) = app.adapters.waits(&postback).await? {
            return Err(Error::AdapterWaits(reason));
        }
        require_accepted(app, actor, &adapter, &mut postback).await?;
    }
    // The postback may have been changed or deleted during the test.
    if !storage::delivery::postbacks::save(app.db.writer(), &postback, seen).await? {
        return Err(Error::ChangedMeanwhile { what: "postback", id: id.to_string() });
    }
    if reconfigured {
        // The former configuration may have caused the faults of the adapter.
        app.adapters.faults().resume(&key_of(&postback), postback.owner);
        destinations::forget(app, id).await;
    }
    app.catalog.postbacks_changed();
    let config = |it: &Postback| opened(app, &it.config, &id.to_string());
    let unseen = of_secrets("config", &config(&before), &config(&postback));
    Ok(Changed::new(before, postback).map(|it| shown(app, it)).with_unseen(unseen))
}

/// The opened configuration, for comparisons. If it cannot be opened, the stored one.
pub(crate) fn opened(app: &App, config: &Value, holder: &str) -> Value {
    app.vault.open_config(config, holder).unwrap_or_else(|_| config.clone())
}

/// How a request changes the configuration.
#[derive(Clone, Copy, PartialEq, Eq)]
enum ConfigChange {
    /// The configuration is the same.
    None,
    /// It changes, and some secrets are kept, because they were sent as their masks.
    SecretsKept,
    /// It changes, and all secrets were sent.
    Full,
}

/// Sets the configuration of a postback. Secrets that were sent as their masks are kept.
fn reconfigure(app: &App, adapter: &Adapter, postback: &mut Postback, config: Value) -> Result<ConfigChange, Error> {
    let holder = postback.id.to_string();
    refuse_seals(&config)?;
    let mut sent = config;
    let kept = app.vault.keep(adapter.schema(), &postback.config, &mut sent, &holder).map_err(Error::Invalid)?;
    if sent == postback.config {
        return Ok(ConfigChange::None);
    }
    let before = app.vault.open_config(&postback.config, &holder);
    if before.is_ok_and(|before| app.vault.open_config(&sent, &holder).is_ok_and(|sent| sent == before)) {
        return Ok(ConfigChange::None);
    }
    postback.config = sent;
    Ok(if kept { ConfigChange::SecretsKept } else { ConfigChange::Full })
}

/// Sends the test request of a saved postback and returns the result. Changes nothing.
pub async fn test(app: &App, actor: Actor, id: PostbackId) -> Result<Verification, Error> {
    let postback = find(app, actor, id).await?;
    let adapter = pinned(app, &postback).await?;
    if let Some(reason) = app.adapters.waits(&postback).await? {
        return Err(Error::AdapterWaits(reason));
    }
    quota::test(app, actor)?;
    Ok(verify(app, &adapter, &postback).await?.shown_to(actor))
}

/// Archives a postback; its log stays. Returns the postback before the change.
pub async fn archive(app: &App, actor: Actor, id: PostbackId) -> Result<Postback, Error> {
    let mut postback = find(app, actor, id).await?;
    let before = postback.clone();
    let (seen, now) = (postback.updated_at, app.clock.now());
    postback.enabled = false;
    postback.archived_at = Some(now);
    postback.updated_at = now.after(seen);
    if !storage::delivery::postbacks::save(app.db.writer(), &postback, seen).await? {
        return Err(Error::ChangedMeanwhile { what: "postback", id: id.to_string() });
    }
    app.catalog.postbacks_changed();
    Ok(shown(app, before))
}

/// A postback, with masked secrets.
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

/// A page of postbacks, with masked secrets.
pub async fn list(app: &App, actor: Actor, search: Option<Search>, page: PageRequest) -> Result<Page<Postback>, Error> {
    let page = storage::delivery::postbacks::list(app.db.lists(), actor.confined_to(), search.as_ref(), page).await?;
    Ok(page.map(|postback| shown(app, postback)))
}

/// Parses a pasted URL and recognises the macros of the generic adapter in it. If `seal_keys`, fixed values that look
/// like keys become secrets.
pub async fn parse(app: &App, url: &str, click_id: ClickIdMeaning, seal_keys: bool) -> Result<Pasted, Error> {
    let adapter = newest(app, "macro-url").await?;
    let macros = &adapter.descriptor().macros;
    let is_macro = |name: &str| macros.iter().any(|it| it.token.trim_matches(['{', '}']) == name);
    let mut pasted = pasted::split(url, is_macro).map_err(|error| Error::invalid("/url", error.to_string()))?;
    if click_id == ClickIdMeaning::Tracker {
        pasted.mean_tracker_click_ids();
    }
    if seal_keys {
        pasted.seal_keys();
    }
    Ok(pasted)
}

/// Sets the owner and the scope to the actor's affiliate. A postback of an affiliate fires for its own events only.
fn confine(actor: Actor, postback: &mut Postback) -> Result<(), Error> {
    let scope = &mut postback.rule.scope;
    if let Some(own) = actor.confined_to() {
        if let Some(other) = scope.affiliate_id.or(postback.owner).filter(|asked| *asked != own) {
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

/// # Errors
/// The affiliate or the offer does not exist, or the caller may not see it.
async fn check_references(app: &App, actor: Actor, scope: Scope) -> Result<(), Error> {
    if let Some(id) = scope.affiliate_id {
        app.catalog.affiliate(id).await?.ok_or_else(|| Error::not_found("affiliate", id))?;
    }
    if let Some(id) = scope.offer_id {
        offers::get(app, actor, id).await?;
    }
    Ok(())
}

/// The newest working version of an adapter, which a new postback or source pins.
pub(crate) async fn newest(app: &App, id: &str) -> Result<Arc<Adapter>, Error> {
    if let Some(adapter) = app.adapters.latest(id).await? {
        return Ok(adapter);
    }
    let mut known: Vec<_> = app.adapters.list(None).await?.into_iter().map(|it| it.id).collect();
    known.dedup();
    Err(Error::UnknownAdapter { given: id.to_owned(), known: known.join(", ") })
}

/// The version that a saved postback pins.
async fn pinned(app: &App, postback: &Postback) -> Result<Arc<Adapter>, Error> {
    let (id, version) = (&postback.adapter, &postback.adapter_version);
    let found = app.adapters.load(id, version).await?;
    found.ok_or_else(|| Error::AdapterWaits(AdapterVersion::missing(id, version)))
}

/// Refuses configurations that contain the marker of sealed secrets.
pub(crate) fn refuse_seals(config: &Value) -> Result<(), Error> {
    if secrets::names_seal(config) {
        let message = "\"$sealed\" marks secrets that the server has stored; send the secret itself, as text";
        return Err(Error::Invalid(vec![FieldIssue::new("/config", "invalid_config", message)]));
    }
    Ok(())
}
