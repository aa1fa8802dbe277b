//! Sources: creation, changes and queries. `source_settings` validates them, and `visible_source` masks them for
//! callers.

use serde_json::Value;

use crate::Error;
use crate::app::App;
use crate::concurrent_change::with_attempts;
use crate::delivery::postbacks;
use crate::delivery::templates::{self, AdapterChoice};
use crate::program::quota;
use domain::ids::{AffiliateId, SourceId};
use domain::inbound::guards::Guards;
use domain::inbound::source::{Source, SourceSettings, new_key};
use domain::people::actor::Actor;
use domain::people::changes::{Changed, of_secrets};
use domain::search::Search;
use domain::timestamp::Timestamp;
use storage::base::page::{Page, PageRequest};

use super::source_keys::stored_key;
use super::source_settings::{inbound_adapter, refuse_sealed_guards, validate};
use super::visible_source::{VisibleSource, visible_to};

/// The data of a new source.
#[derive(Clone, Debug)]
pub struct NewSource {
    pub name: String,
    pub adapter_choice: AdapterChoice,
    pub affiliate_id: Option<AffiliateId>,
    /// `None`: the settings of the template, or the defaults.
    pub settings: Option<SourceSettings>,
    pub enabled: bool,
}

/// What can be changed about a source. Secrets that are sent as their masks are kept.
#[derive(Clone, Debug)]
pub struct SourceData {
    pub name: String,
    /// `None` if it is unchanged. A configuration that is sent is read by the latest version of the adapter.
    pub config: Option<Value>,
    pub settings: SourceSettings,
    pub enabled: bool,
}

/// Creates a source. Returns it with its key. Only the key of an affiliate's source can be read again later.
pub async fn create(app: &App, actor: Actor, new: NewSource) -> Result<VisibleSource, Error> {
    let now = app.clock.now();
    let affiliate_id = owner(actor, new.affiliate_id)?;
    if let Some(id) = affiliate_id {
        app.catalog.affiliate(id).await?.ok_or_else(|| Error::not_found("affiliate", id))?;
    }
    let (adapter, config, template, template_settings) = match new.adapter_choice {
        AdapterChoice::Adapter { adapter, config } => (adapter, config, None, None),
        AdapterChoice::Template { id, fields } => {
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
        name: new.name,
        adapter,
        adapter_version: String::new(),
        config,
        template,
        affiliate_id,
        settings: new.settings.or(template_settings).unwrap_or_default(),
        decorates: false,
        enabled: new.enabled,
        created_at: now,
        updated_at: now,
        archived_at: None,
    };
    refuse_sealed_guards(&source.settings.guards, &Guards::default())?;
    let adapter = inbound_adapter(app, &source.adapter).await?;
    validate(app, &mut source, Some(adapter)).await?;
    let tx = app.db.begin().await?;
    quota::source(app, &tx, actor, affiliate_id).await?;
    storage::inbound::sources::insert(&tx, &source).await?;
    tx.commit().await?;
    app.catalog.sources_changed();
    Ok(VisibleSource { key: Some(key), ..visible_to(app, actor, source) })
}

/// Changes a source. Its waiting requests are processed again at once, because the new settings may accept them. If the
/// source was changed in the meantime, `edit` gets it again as it is then.
pub async fn change(
    app: &App,
    actor: Actor,
    id: SourceId,
    edit: impl Fn(&Source) -> Result<SourceData, Error>,
) -> Result<Changed<VisibleSource>, Error> {
    with_attempts(|| try_change(app, actor, id, &edit)).await
}

async fn try_change(
    app: &App,
    actor: Actor,
    id: SourceId,
    edit: &impl Fn(&Source) -> Result<SourceData, Error>,
) -> Result<Changed<VisibleSource>, Error> {
    let mut source = find(app, actor, id).await?;
    let before = source.clone();
    let seen = source.updated_at;
    let visible = visible_to(app, actor, before.clone()).source;
    let data = edit(&Source { settings: visible.settings.clone().masked(), ..visible })?;
    let adapter = match data.config {
        Some(mut config) => {
            let adapter = inbound_adapter(app, &source.adapter).await?;
            postbacks::refuse_seals(&config)?;
            let kept = app.vault.keep(adapter.schema(), &source.config, &mut config, &id.to_string());
            kept.map_err(Error::Invalid)?;
            source.config = config;
            Some(adapter)
        }
        None => None,
    };
    source.name = data.name;
    source.enabled = data.enabled;
    source.settings = data.settings;
    source.settings.guards.unmask(&before.settings.guards);
    refuse_sealed_guards(&source.settings.guards, &before.settings.guards)?;
    validate(app, &mut source, adapter).await?;
    save(app, &mut source, seen).await?;
    if storage::inbound::inbound_requests::make_due(app.db.writer(), id, app.clock.now()).await? > 0 {
        app.waiting_inbound_requests.notify_one();
    }
    Ok(changed(app, actor, before, source))
}

/// The change of a source for the audit log, with marks for changed secrets.
fn changed(app: &App, actor: Actor, before: Source, now: Source) -> Changed<VisibleSource> {
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
    Changed::new(before, now).map(|it| visible_to(app, actor, it)).with_unseen(unseen)
}

/// Replaces the key of a source. The former address no longer works. The new key is returned as by [`create`].
pub async fn rotate_key(app: &App, actor: Actor, id: SourceId) -> Result<Changed<VisibleSource>, Error> {
    let mut source = find(app, actor, id).await?;
    let before = source.clone();
    let seen = source.updated_at;
    let key = new_key(rand::random());
    source.key = stored_key(app, id, source.affiliate_id, &key);
    source.updated_at = app.clock.now().after(seen);
    let saved = storage::inbound::sources::save_rotated(app.db.writer(), &source, seen).await?;
    check_saved(app, id, saved)?;
    let mut changed = changed(app, actor, before, source);
    changed.now.key = Some(key);
    Ok(changed)
}

/// Archives a source. Its log of inbound requests is kept. Returns the source before it was archived.
pub async fn archive(app: &App, actor: Actor, id: SourceId) -> Result<VisibleSource, Error> {
    let mut source = find(app, actor, id).await?;
    let before = source.clone();
    let seen = source.updated_at;
    source.enabled = false;
    source.archived_at = Some(app.clock.now());
    save(app, &mut source, seen).await?;
    Ok(visible_to(app, actor, before))
}

async fn save(app: &App, source: &mut Source, seen: Timestamp) -> Result<(), Error> {
    source.updated_at = app.clock.now().after(seen);
    let saved = storage::inbound::sources::save(app.db.writer(), source, seen).await?;
    check_saved(app, source.id, saved)
}

fn check_saved(app: &App, id: SourceId, saved: bool) -> Result<(), Error> {
    if !saved {
        return Err(Error::ChangedMeanwhile { what: "source", id: id.to_string() });
    }
    app.catalog.sources_changed();
    Ok(())
}

/// Reads a source that the caller may see.
pub async fn get(app: &App, actor: Actor, id: SourceId) -> Result<VisibleSource, Error> {
    Ok(visible_to(app, actor, find(app, actor, id).await?))
}

/// Finds a source that the caller may see, in its stored form.
pub(crate) async fn find(app: &App, actor: Actor, id: SourceId) -> Result<Source, Error> {
    let found = storage::inbound::sources::find(app.db.reader(), id).await?.filter(|it| it.archived_at.is_none());
    let visible = found.filter(|it| actor.confined_to().is_none_or(|own| it.affiliate_id == Some(own)));
    visible.ok_or_else(|| Error::not_found("source", id))
}

/// Lists the sources that the caller may see. If the sources of one affiliate are listed and its first source is
/// missing, the first source is created: an affiliate of an older release has none.
pub async fn list(
    app: &App,
    actor: Actor,
    affiliate_id: Option<AffiliateId>,
    search: Option<Search>,
    page: PageRequest,
) -> Result<Page<VisibleSource>, Error> {
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
    let page = storage::inbound::sources::list(app.db.lists(), owner, search.as_ref(), page).await?;
    Ok(page.map(|source| visible_to(app, actor, source)))
}

/// The first source of an affiliate, which every affiliate has.
pub fn first(app: &App, affiliate_id: AffiliateId) -> Source {
    let key = stored_key(app, SourceId::first_of(affiliate_id), Some(affiliate_id), &new_key(rand::random()));
    Source::first(affiliate_id, key, app.clock.now())
}

/// The owner of a new source. An affiliate creates sources only for itself.
fn owner(actor: Actor, requested: Option<AffiliateId>) -> Result<Option<AffiliateId>, Error> {
    match (actor.confined_to(), requested) {
        (Some(own), Some(other)) if own != other => Err(Error::not_found("affiliate", other)),
        (Some(own), _) => Ok(Some(own)),
        (None, requested) => Ok(requested),
    }
}
