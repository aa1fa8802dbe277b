//! Postbacks that are checked but not saved: new ones, and changes.

use std::sync::Arc;

use serde_json::Value;

use crate::app::App;
use crate::program::offers;
use crate::{Error, FieldIssue};
use domain::delivery::adapter::AdapterVersion;
use domain::delivery::approval::Approval;
use domain::delivery::postback::{Ordering, Postback};
use domain::delivery::rules::{Rule, Scope};
use domain::ids::{AffiliateId, PostbackId};
use domain::people::actor::Actor;
use host::Adapter;

use super::rules::check;
use super::test_request::{bind_secrets, refuse_unbound, render_test_request};
use crate::delivery::secrets;
use crate::delivery::templates::{self, AdapterChoice};

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

/// A new postback that is checked but not saved, with sealed secrets, and its adapter.
pub(super) async fn draft(app: &App, actor: Actor, new: NewPostback) -> Result<(Arc<Adapter>, Postback), Error> {
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
        approval: Approval::NotRequired,
        refusal_reason: None,
        verified_at: None,
        created_at: now,
        updated_at: now,
        version: 1,
        saved_by: None,
        archived_at: None,
    };
    confine(actor, &mut postback)?;
    check_references(app, actor, postback.rule.scope).await?;
    refuse_seals(&postback.config)?;
    check(app, &adapter, &postback, &postback.config).await?;
    app.vault.seal_config(adapter.schema(), &mut postback.config, &postback.id.to_string());
    Ok((adapter, postback))
}

/// The longest name of a postback, in characters.
const NAME_MAX_CHARS: usize = 200;

/// A disabled copy, with the secrets of the original and bound to the same origins.
pub(super) fn copy(app: &App, adapter: &Adapter, original: Postback) -> Result<Postback, Error> {
    const SUFFIX: &str = " (copy)";
    let now = app.clock.now();
    let id = PostbackId::new(now);
    let mut config = app.vault.open_config(&original.config, &original.id.to_string())?;
    app.vault.seal_config(adapter.schema(), &mut config, &id.to_string());
    let name: String = original.name.chars().take(NAME_MAX_CHARS - SUFFIX.len()).collect();
    Ok(Postback {
        id,
        name: name + SUFFIX,
        config,
        enabled: false,
        approval: Approval::NotRequired,
        refusal_reason: None,
        verified_at: None,
        created_at: now,
        updated_at: now,
        version: 1,
        saved_by: None,
        ..original
    })
}

/// A change that is checked but not saved.
pub(super) struct Revision {
    pub adapter: Arc<Adapter>,
    /// The stored postback.
    pub before: Postback,
    /// The changed postback, with sealed secrets.
    pub postback: Postback,
    pub config_change: ConfigChange,
}

/// Applies `edit` to a postback and checks the result.
pub(super) async fn revise(
    app: &App,
    actor: Actor,
    id: PostbackId,
    edit: &impl Fn(&Postback) -> Result<PostbackData, Error>,
) -> Result<Revision, Error> {
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
    Ok(Revision { adapter, before, postback, config_change })
}

/// How a request changes the configuration.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum ConfigChange {
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

/// Binds the secrets of a changed configuration to its origin, or checks that it still leads to theirs.
pub(super) async fn bind_changed(
    app: &App,
    adapter: &Arc<Adapter>,
    postback: &mut Postback,
    config_change: ConfigChange,
    test_it: bool,
) -> Result<(), Error> {
    match config_change {
        // The secrets stay bound to the origins for which they were entered.
        ConfigChange::SecretsKept if !postback.secret_origins.is_empty() => {
            render_test_request(app, adapter, postback).await?.check_destination(postback)
        }
        ConfigChange::SecretsKept => refuse_unbound(render_test_request(app, adapter, postback).await?),
        ConfigChange::Full => {
            postback.secret_origins.clear();
            bind_secrets(app, adapter, postback, test_it).await
        }
        ConfigChange::None if test_it && postback.secret_origins.is_empty() => {
            bind_secrets(app, adapter, postback, test_it).await
        }
        ConfigChange::None => Ok(()),
    }
}

pub(super) async fn find(app: &App, actor: Actor, id: PostbackId) -> Result<Postback, Error> {
    let found = storage::delivery::postbacks::find(app.db.reader(), id).await?.filter(|it| it.archived_at.is_none());
    let visible = found.filter(|it| actor.confined_to().is_none_or(|own| it.owner == Some(own)));
    visible.ok_or_else(|| Error::not_found("postback", id))
}

pub(super) fn shown(app: &App, mut postback: Postback) -> Postback {
    postback.config = app.vault.mask_config(&postback.config, &postback.id.to_string());
    postback
}

/// Sets the owner and the scope to the actor's affiliate. A postback of an affiliate fires for its own events only.
fn confine(actor: Actor, postback: &mut Postback) -> Result<(), Error> {
    let scope = &mut postback.rule.scope;
    confine_scope(actor, scope)?;
    if let Some(own) = actor.confined_to() {
        if let Some(other) = postback.owner.filter(|asked| *asked != own) {
            return Err(Error::not_found("affiliate", other));
        }
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

/// Sets the scope to the actor's affiliate.
///
/// # Errors
/// The scope names another affiliate.
pub(crate) fn confine_scope(actor: Actor, scope: &mut Scope) -> Result<(), Error> {
    let Some(own) = actor.confined_to() else { return Ok(()) };
    if let Some(other) = scope.affiliate_id.filter(|asked| *asked != own) {
        return Err(Error::not_found("affiliate", other));
    }
    scope.affiliate_id = Some(own);
    Ok(())
}

/// # Errors
/// The affiliate or the offer does not exist, or the caller may not see it.
pub(crate) async fn check_references(app: &App, actor: Actor, scope: Scope) -> Result<(), Error> {
    if let Some(id) = scope.affiliate_id {
        app.catalog.affiliate(id).await?.ok_or_else(|| Error::not_found("affiliate", id))?;
    }
    if let Some(id) = scope.offer_id {
        offers::get(app, actor, id).await?;
    }
    Ok(())
}

/// The newest working version of an adapter, which a new postback or source pins.
pub async fn newest(app: &App, id: &str) -> Result<Arc<Adapter>, Error> {
    if let Some(adapter) = app.adapters.latest(id).await? {
        return Ok(adapter);
    }
    let mut known: Vec<_> = app.adapters.list(None).await?.into_iter().map(|it| it.id).collect();
    known.dedup();
    Err(Error::UnknownAdapter { given: id.to_owned(), known: known.join(", ") })
}

/// The version that a saved postback pins.
pub(super) async fn pinned(app: &App, postback: &Postback) -> Result<Arc<Adapter>, Error> {
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
