//! Sources: setting up where networks report, and what they mean by their words.

use std::sync::Arc;

use serde_json::Value;

use crate::app::App;
use crate::delivery::adapters::config_issues;
use crate::delivery::postbacks;
use crate::delivery::sealed;
use crate::delivery::templates::{self, MadeOf};
use crate::error;
use crate::program::quota;
use crate::{Error, FieldIssue};
use domain::ids::{AffiliateId, SourceId};
use domain::inbound::guards::{self, Guards};
use domain::inbound::source::{self, Source, SourceKey, SourceSettings, new_key};
use domain::people::actor::Actor;
use domain::people::changes::{Changed, of_secrets};
use domain::people::permission::Permission;
use domain::timestamp::Timestamp;
use host::{Adapter, wire as contract};
use storage::base::page::{Page, PageRequest};

use super::decoration;

/// A source as somebody wants it to be.
#[derive(Clone, Debug)]
pub struct Wanted {
    pub name: String,
    pub made_of: MadeOf,
    pub affiliate_id: Option<AffiliateId>,
    /// Absent, those of the template count.
    pub settings: Option<SourceSettings>,
    pub enabled: bool,
}

/// What may be changed; `None` stays.
#[derive(Clone, Debug, Default)]
pub struct Changes {
    pub name: Option<String>,
    pub config: Option<Value>,
    /// A merge patch of the settings.
    pub settings: Option<Value>,
    pub enabled: Option<bool>,
}

/// A source as somebody may see it: the secrets of its configuration are masked, and its key is there only for those
/// who may have it.
#[derive(Clone, Debug)]
pub struct Visible {
    pub source: Source,
    pub key: Option<String>,
}

/// The key is in the answer and, unless the source is an affiliate's, nowhere else.
pub async fn create(app: &App, actor: Actor, wanted: Wanted) -> Result<Visible, Error> {
    let now = app.clock.now();
    let affiliate_id = owner(actor, wanted.affiliate_id)?;
    if let Some(id) = affiliate_id {
        app.catalog.affiliate(id).await?.ok_or_else(|| Error::not_found("affiliate", id))?;
    }
    let (adapter, config, template, template_settings) = match wanted.made_of {
        MadeOf::Adapter { adapter, config } => (adapter, config, None, None),
        MadeOf::Template { id, fields } => {
            let (adapter, config, settings) = templates::source_of(&id, &fields)?;
            let settings = serde_json::from_value(settings).expect("a test reads the settings of every template");
            (adapter, config, Some(id), Some(settings))
        }
    };
    postbacks::refuse_seals(&config)?;
    let (id, key) = (SourceId::new(now), new_key(rand::random()));
    let mut source = Source {
        id,
        key: stored_key(app, id, affiliate_id, &key),
        name: wanted.name,
        adapter,
        adapter_version: String::new(),
        config,
        template,
        affiliate_id,
        settings: wanted.settings.or(template_settings).unwrap_or_default(),
        decorates: false,
        enabled: wanted.enabled,
        created_at: now,
        updated_at: now,
        archived_at: None,
    };
    refuse_sealed_guards(&source.settings.guards, &Guards::default())?;
    let adapter = reader(app, &source.adapter).await?;
    check(app, &mut source, Some(adapter)).await?;
    let tx = app.db.begin().await?;
    quota::source(app, &tx, actor, affiliate_id).await?;
    storage::inbound::sources::insert(&tx, &source).await?;
    tx.commit().await?;
    app.catalog.sources_changed();
    Ok(Visible { key: Some(key), ..shown(app, actor, source) })
}

/// Changes a source. What waits at it is judged again at once: it may have a meaning now.
pub async fn change(app: &App, actor: Actor, id: SourceId, changes: Changes) -> Result<Changed<Visible>, Error> {
    let mut source = find(app, actor, id).await?;
    let before = source.clone();
    let seen = source.updated_at;
    let reads_it = match changes.config {
        Some(mut config) => {
            let adapter = reader(app, &source.adapter).await?;
            postbacks::refuse_seals(&config)?;
            let kept = app.vault.keep(adapter.schema(), &source.config, &mut config, &id.to_string());
            kept.map_err(Error::Invalid)?;
            source.config = config;
            Some(adapter)
        }
        None => None,
    };
    source.name = changes.name.unwrap_or(source.name);
    source.enabled = changes.enabled.unwrap_or(source.enabled);
    if let Some(patch) = changes.settings {
        source.settings = patched(&source.settings, patch)?;
    }
    check(app, &mut source, reads_it).await?;
    save(app, &mut source, seen).await?;
    if storage::inbound::inbound_requests::make_due(app.db.writer(), id, app.clock.now()).await? > 0 {
        app.waiting_inbound_requests.notify_one();
    }
    Ok(changed(app, actor, before, source))
}

fn changed(app: &App, actor: Actor, before: Source, now: Source) -> Changed<Visible> {
    let holder = now.id.to_string();
    let config = |it: &Source| postbacks::opened(app, &it.config, &holder);
    let guards = |it: &Source| {
        let guards = &it.settings.guards;
        app.vault.open_guards(guards, &holder).unwrap_or_else(|_| guards.clone())
    };
    let mut unseen = of_secrets("config", &config(&before), &config(&now));
    unseen.extend(of_secrets("settings.guards", &guards(&before), &guards(&now)));
    if before.key != now.key {
        unseen.extend(of_secrets("url", &before.key.hash, &now.key.hash));
    }
    Changed::new(before, now).map(|it| shown(app, actor, it)).with_unseen(unseen)
}

/// Gives a source another address; the old one leads nowhere from now on. The new key is shown as at [`create`].
pub async fn rotate_key(app: &App, actor: Actor, id: SourceId) -> Result<Changed<Visible>, Error> {
    let mut source = find(app, actor, id).await?;
    let before = source.clone();
    let seen = source.updated_at;
    let key = new_key(rand::random());
    source.key = stored_key(app, id, source.affiliate_id, &key);
    source.updated_at = app.clock.now();
    let saved = storage::inbound::sources::save_rotated(app.db.writer(), &source, seen).await?;
    saved_or_changed(app, id, saved)?;
    let mut changed = changed(app, actor, before, source);
    changed.now.key = Some(key);
    Ok(changed)
}

/// Takes a source away; its log stays. Returns what it was.
pub async fn archive(app: &App, actor: Actor, id: SourceId) -> Result<Visible, Error> {
    let mut source = find(app, actor, id).await?;
    let before = source.clone();
    let seen = source.updated_at;
    source.enabled = false;
    source.archived_at = Some(app.clock.now());
    save(app, &mut source, seen).await?;
    Ok(shown(app, actor, before))
}

async fn save(app: &App, source: &mut Source, seen: Timestamp) -> Result<(), Error> {
    source.updated_at = app.clock.now();
    let saved = storage::inbound::sources::save(app.db.writer(), source, seen).await?;
    saved_or_changed(app, source.id, saved)
}

fn saved_or_changed(app: &App, id: SourceId, saved: bool) -> Result<(), Error> {
    if !saved {
        return Err(Error::ChangedMeanwhile { what: "source", id: id.to_string() });
    }
    app.catalog.sources_changed();
    Ok(())
}

pub async fn get(app: &App, actor: Actor, id: SourceId) -> Result<Visible, Error> {
    Ok(shown(app, actor, find(app, actor, id).await?))
}

/// An affiliate that may change its sources reads their addresses again; everybody else sees the end of them.
fn shown(app: &App, actor: Actor, mut source: Source) -> Visible {
    source.config = app.vault.mask_config(&source.config, &source.id.to_string());
    let reads =
        actor.may(Permission::ManageSources) && source.affiliate_id.is_some_and(|it| actor.confined_to() == Some(it));
    let sealed = source.key.sealed.as_ref().filter(|_| reads);
    let key = sealed.and_then(|sealed| app.vault.open(sealed, &sealed::source_key(source.id)).ok());
    Visible { source, key }
}

/// A key as it is stored: a hash, and for an affiliate's source a sealed copy.
pub(crate) fn stored_key(app: &App, id: SourceId, owner: Option<AffiliateId>, key: &str) -> SourceKey {
    SourceKey::new(key, owner.map(|_| app.vault.seal(key, &sealed::source_key(id))))
}

/// A source as it is stored.
pub(crate) async fn find(app: &App, actor: Actor, id: SourceId) -> Result<Source, Error> {
    let found = storage::inbound::sources::find(app.db.reader(), id).await?.filter(|it| it.archived_at.is_none());
    let visible = found.filter(|it| actor.confined_to().is_none_or(|own| it.affiliate_id == Some(own)));
    visible.ok_or_else(|| Error::not_found("source", id))
}

/// Whoever lists an affiliate's sources finds its first one there, also if the affiliate is older than sources are.
pub async fn list(
    app: &App,
    actor: Actor,
    affiliate_id: Option<AffiliateId>,
    page: PageRequest,
) -> Result<Page<Visible>, Error> {
    let mut owner = affiliate_id;
    if !actor.confine(&mut owner) {
        return Ok(Page { items: Vec::new(), next: None });
    }
    if let Some(id) = owner
        && storage::inbound::sources::find(app.db.reader(), SourceId::first_of(id)).await?.is_none()
        && app.catalog.affiliate(id).await?.is_some()
    {
        storage::inbound::sources::insert_missing(app.db.writer(), &first(app, id)).await?;
    }
    let page = storage::inbound::sources::list(app.db.lists(), owner, page).await?;
    Ok(page.map(|source| shown(app, actor, source)))
}

/// The source that an affiliate has from the start.
pub fn first(app: &App, affiliate_id: AffiliateId) -> Source {
    let key = stored_key(app, SourceId::first_of(affiliate_id), Some(affiliate_id), &new_key(rand::random()));
    Source::first(affiliate_id, key, app.clock.now())
}

/// Where a network reports, with a mask where the key is not shown.
pub fn address(app: &App, it: &Visible) -> String {
    let key = it.key.clone().unwrap_or_else(|| it.source.key.masked());
    format!("{}/in/{key}", app.public_url)
}

/// What a person pastes into the network: the source's address with the network's own tokens in place.
pub struct ToPaste {
    pub url: String,
    /// Further ones, for networks with one place for each status or event.
    pub also: Vec<(String, String)>,
}

/// As the source's template has it; `None` where nobody but the person knows the network's tokens.
pub fn to_paste(app: &App, it: &Visible) -> Option<ToPaste> {
    let template = templates::get(it.source.template.as_deref()?).ok()?;
    let address = address(app, it);
    let url = |text: &str| text.replace("{source_url}", &address);
    let also = template.also_paste.iter().map(|it| (it.r#where.clone(), url(&it.url))).collect();
    Some(ToPaste { url: url(template.paste.as_deref()?), also })
}

fn owner(actor: Actor, asked: Option<AffiliateId>) -> Result<Option<AffiliateId>, Error> {
    match (actor.confined_to(), asked) {
        (Some(own), Some(other)) if own != other => Err(Error::not_found("affiliate", other)),
        (Some(own), _) => Ok(Some(own)),
        (None, asked) => Ok(asked),
    }
}

/// The newest version of an adapter that reads reports.
async fn reader(app: &App, id: &str) -> Result<Arc<Adapter>, Error> {
    let adapter = postbacks::newest(app, id).await?;
    if !adapter.descriptor().capabilities.contains(contract::Capabilities::INBOUND) {
        let message = format!("the adapter \"{id}\" only sends; choose one that reads reports");
        return Err(Error::invalid("/adapter", message));
    }
    Ok(adapter)
}

/// What is not given stays, word by word; so does a secret that comes back masked.
fn patched(stored: &SourceSettings, patch: Value) -> Result<SourceSettings, Error> {
    let mut merged = serde_json::to_value(stored).expect("settings are JSON");
    source::merge_settings(&mut merged, patch);
    let mut settings: SourceSettings = error::read(merged, "/settings")?;
    settings.guards.unmask(&stored.guards);
    refuse_sealed_guards(&settings.guards, &stored.guards)?;
    Ok(settings)
}

/// Only the server itself marks what it has sealed.
fn refuse_sealed_guards(guards: &Guards, stored: &Guards) -> Result<(), Error> {
    let (mut guards, mut stored) = (guards.clone(), stored.clone());
    let stored: Vec<_> = stored.secrets().collect();
    let mut sealed = guards.secrets().filter(|(_, secret)| secret.starts_with(guards::SEALED));
    match sealed.find(|given| !stored.contains(given)) {
        Some((path, _)) => Err(Error::invalid(
            format!("/settings/guards{path}"),
            "\"$sealed:\" marks secrets that the server has stored; send the secret itself",
        )),
        None => Ok(()),
    }
}

/// Judges settings and, for an adapter that is to read it, the configuration; pins the adapter's version and seals.
async fn check(app: &App, source: &mut Source, adapter: Option<Arc<Adapter>>) -> Result<(), Error> {
    let issues = source.settings.issues().into_iter();
    let issues: Vec<_> =
        issues.map(|(path, message)| FieldIssue::new(format!("/settings{path}"), "invalid_field", message)).collect();
    if !issues.is_empty() {
        return Err(Error::Invalid(issues));
    }
    // Whoever reads it sees what holds.
    source.settings.commission_is = Some(source.commission_is());
    let holder = source.id.to_string();
    app.vault.seal_guards(&mut source.settings.guards, &holder);
    let Some(adapter) = adapter else { return Ok(()) };
    source.adapter_version = adapter.descriptor().version.clone();
    let plain = app.vault.open_config(&source.config, &holder)?;
    let issues = config_issues(app.adapters.pool(), source.affiliate_id, &adapter, &plain).await?;
    if !issues.is_empty() {
        return Err(Error::Invalid(issues));
    }
    app.vault.seal_config(adapter.schema(), &mut source.config, &holder);
    source.decorates = adapter.descriptor().capabilities.contains(contract::Capabilities::CLICK) && {
        let sample = decoration::sample_click(app.clock.now());
        decoration::call(app, adapter, source, &sample).await?.is_ok_and(|fields| !fields.is_empty())
    };
    Ok(())
}
