//! Seals secrets at the start that an older version stored in plain text, because its schemas and templates did not
//! mark them as secret. If a postback could not be delivered after sealing, its secret stays as it is and a warning is
//! logged.

use std::sync::Arc;

use crate::Error;
use crate::app::App;
use domain::delivery::postback::Postback;
use domain::inbound::source::Source;
use host::Adapter;
use storage::base::page::PageRequest;

use crate::delivery::adapters::config_issues;
use crate::delivery::{postbacks, templates};

/// Number of rows that are read together.
const CHUNK: u64 = 500;

/// The number of rows that a pass found.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
struct Found {
    sealed: usize,
    /// Rows whose secrets stay in plain text until the row is saved again, or whose adapter does not work on this
    /// server.
    left: usize,
}

/// Checks every postback and source, including archived ones, unless an earlier pass with the same rules found nothing
/// to seal.
pub async fn seal_stored(app: &App) -> Result<(), Error> {
    let rules = rules(app).await?;
    if storage::program::program_settings::find_sealed_by(app.db.reader()).await? == Some(rules.clone()) {
        return Ok(());
    }
    let Found { sealed, left } = check_all(app).await?;
    if sealed == 0 && left == 0 {
        storage::program::program_settings::save_sealed_by(app.db.writer(), &rules, app.clock.now()).await?;
    } else {
        tracing::info!(sealed, left, "Sealed secrets that were stored in plain text");
    }
    Ok(())
}

/// A digest of everything that determines which values are secrets: this release, its catalogue, and the adapters with
/// their schemas.
async fn rules(app: &App) -> Result<String, Error> {
    let mut text = format!("{} {}", env!("CARGO_PKG_VERSION"), templates::digest());
    for it in app.adapters.list(None).await? {
        text += &format!("\n{} {} {} {}", it.id, it.version, it.digest, it.state);
    }
    Ok(host::digest(text.as_bytes()))
}

async fn check_all(app: &App) -> Result<Found, Error> {
    let mut found = Found::default();
    for table in [Table::Postbacks, Table::Sources] {
        let mut page = PageRequest::first(CHUNK);
        loop {
            let chunk = match table {
                Table::Postbacks => storage::delivery::postbacks::list_all(app.db.reader(), page)
                    .await?
                    .map(|postback| Stored::Postback(Box::new(postback))),
                Table::Sources => storage::inbound::sources::list_configured(app.db.reader(), page)
                    .await?
                    .map(|source| Stored::Source(Box::new(source))),
            };
            for row in chunk.items {
                match seal(app, row).await? {
                    Outcome::Nothing => {}
                    Outcome::Sealed => found.sealed += 1,
                    Outcome::Left => found.left += 1,
                }
            }
            page.before = chunk.next;
            if page.before.is_none() {
                break;
            }
        }
    }
    Ok(found)
}

enum Table {
    Postbacks,
    Sources,
}

enum Stored {
    Postback(Box<Postback>),
    Source(Box<Source>),
}

/// The result for one row.
enum Outcome {
    Nothing,
    Sealed,
    Left,
}

async fn seal(app: &App, row: Stored) -> Result<Outcome, Error> {
    match row {
        Stored::Postback(postback) => seal_postback(app, *postback).await,
        Stored::Source(source) => seal_source(app, *source).await,
    }
}

async fn seal_postback(app: &App, mut postback: Postback) -> Result<Outcome, Error> {
    let (seen, stored, id) = (postback.updated_at, postback.config.clone(), postback.id);
    // A version that is missing or can't be loaded sends nothing, and its schema is not available.
    let adapter = match app.adapters.load(&postback.adapter, &postback.adapter_version).await {
        Ok(Some(adapter)) => adapter,
        Ok(None) => return Ok(Outcome::Nothing),
        Err(_) => return Ok(Outcome::Left),
    };
    let is_checked = separate_keys(app, &adapter, &mut postback).await;
    app.vault.seal_config(adapter.schema(), &mut postback.config, &id.to_string());
    if postback.config == stored {
        return Ok(if is_checked { Outcome::Nothing } else { Outcome::Left });
    }
    if postback.secret_origins.is_empty() {
        let must_render = postback.enabled;
        if let Err(error) = postbacks::bind_secrets(app, &adapter, &mut postback, must_render).await {
            tracing::warn!(postback.id = %id, %error, "A secret stays in plain text until this postback is saved again");
            return Ok(Outcome::Left);
        }
    }
    postback.updated_at = app.clock.now();
    // If the postback was saved meanwhile, its secrets are sealed, unless an older server saved it. The next start
    // checks again.
    let saved = storage::delivery::postbacks::save(app.db.writer(), &postback, seen).await?;
    app.catalog.postbacks_changed();
    Ok(if saved { Outcome::Sealed } else { Outcome::Left })
}

/// Converts a configuration that was made from an older form of its template to the current form, in which keys are
/// separate values, if the adapter accepts the result. Returns `false` if this cannot be checked now.
async fn separate_keys(app: &App, adapter: &Arc<Adapter>, postback: &mut Postback) -> bool {
    let template = postback.template.as_deref().and_then(|id| templates::get(id).ok());
    let template = template.filter(|it| it.adapter == postback.adapter);
    let Some(separate) = template.and_then(|it| it.with_keys_apart(&postback.config)) else { return true };
    let Ok(plain) = app.vault.open_config(&separate, &postback.id.to_string()) else { return false };
    let Ok(issues) = config_issues(app.adapters.pool(), postback.owner, adapter, &plain).await else { return false };
    if issues.is_empty() {
        postback.config = separate;
    }
    true
}

async fn seal_source(app: &App, mut source: Source) -> Result<Outcome, Error> {
    let (seen, holder) = (source.updated_at, source.id.to_string());
    let (config, guards) = (source.config.clone(), source.settings.guards.clone());
    app.vault.seal_guards(&mut source.settings.guards, &holder);
    let adapter = match source.adapter_version.as_str() {
        "" => Ok(app.adapters.latest(&source.adapter).await?),
        version => app.adapters.load(&source.adapter, version).await,
    };
    if let Ok(Some(adapter)) = &adapter {
        app.vault.seal_config(adapter.schema(), &mut source.config, &holder);
    }
    if source.config == config && source.settings.guards == guards {
        return Ok(if adapter.is_ok() { Outcome::Nothing } else { Outcome::Left });
    }
    source.updated_at = app.clock.now();
    let saved = storage::inbound::sources::save(app.db.writer(), &source, seen).await?;
    app.catalog.sources_changed();
    Ok(if saved { Outcome::Sealed } else { Outcome::Left })
}
