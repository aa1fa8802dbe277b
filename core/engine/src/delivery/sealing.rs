//! Secrets that an older version stored in the clear, because no schema or template called them secret yet, are sealed at
//! the start.
//! What would no longer be delivered if it were sealed stays as it is and is told of.

use std::sync::Arc;

use crate::Error;
use crate::app::App;
use domain::delivery::postback::Postback;
use domain::inbound::source::Source;
use host::Adapter;
use storage::base::page::PageRequest;

use super::adapters::config_issues;
use super::{postbacks, templates};

/// Rows that are looked at together.
const CHUNK: u64 = 500;

/// What a pass found.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
struct Found {
    sealed: usize,
    /// Rows whose secrets stay in the clear until somebody saves them again, or whose adapter does not work here.
    left: usize,
}

/// Looks at every postback and source, also at archived ones, unless a pass by the same rules found nothing to do.
pub async fn seal_stored(app: &App) -> Result<(), Error> {
    let rules = rules(app).await?;
    if storage::program::program_settings::find_sealed_by(app.db.reader()).await? == Some(rules.clone()) {
        return Ok(());
    }
    let Found { sealed, left } = look_at_all(app).await?;
    if sealed == 0 && left == 0 {
        storage::program::program_settings::save_sealed_by(app.db.writer(), &rules, app.clock.now()).await?;
    } else {
        tracing::info!(sealed, left, "Sealed secrets that were stored in the clear");
    }
    Ok(())
}

/// The name of all that says what is a secret: this release, its catalogue, and the adapters with their schemas.
async fn rules(app: &App) -> Result<String, Error> {
    let mut text = format!("{} {}", env!("CARGO_PKG_VERSION"), templates::digest());
    for it in app.adapters.list(None).await? {
        text += &format!("\n{} {} {} {}", it.id, it.version, it.digest, it.state);
    }
    Ok(host::digest(text.as_bytes()))
}

async fn look_at_all(app: &App) -> Result<Found, Error> {
    let mut found = Found::default();
    for table in [Table::Postbacks, Table::Sources] {
        let mut page = PageRequest { before: None, limit: CHUNK };
        loop {
            let chunk = match table {
                Table::Postbacks => {
                    storage::delivery::postbacks::list_stored(app.db.reader(), page).await?.map(Stored::Postback)
                }
                Table::Sources => {
                    storage::inbound::sources::list_configured(app.db.reader(), page).await?.map(Stored::Source)
                }
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

#[expect(clippy::large_enum_variant, reason = "there is one at a time, and it is taken apart at once")]
enum Stored {
    Postback(Postback),
    Source(Source),
}

/// What came of one row.
enum Outcome {
    Nothing,
    Sealed,
    Left,
}

async fn seal(app: &App, row: Stored) -> Result<Outcome, Error> {
    match row {
        Stored::Postback(postback) => seal_postback(app, postback).await,
        Stored::Source(source) => seal_source(app, source).await,
    }
}

async fn seal_postback(app: &App, mut postback: Postback) -> Result<Outcome, Error> {
    let (seen, stored, id) = (postback.updated_at, postback.config.clone(), postback.id);
    // A version that is gone or can't be loaded sends nothing, and says nothing about its secrets.
    let adapter = match app.adapters.load(&postback.adapter, &postback.adapter_version).await {
        Ok(Some(adapter)) => adapter,
        Ok(None) => return Ok(Outcome::Nothing),
        Err(_) => return Ok(Outcome::Left),
    };
    let is_judged = keep_keys_apart(app, &adapter, &mut postback).await;
    app.vault.seal_config(adapter.schema(), &mut postback.config, &id.to_string());
    if postback.config == stored {
        return Ok(if is_judged { Outcome::Nothing } else { Outcome::Left });
    }
    if postback.secret_origins.is_empty() {
        let must_render = postback.enabled;
        if let Err(error) = postbacks::bind_secrets(app, &adapter, &mut postback, must_render).await {
            tracing::warn!(postback.id = %id, %error, "A secret stays in the clear until this postback is saved again");
            return Ok(Outcome::Left);
        }
    }
    postback.updated_at = app.clock.now();
    // Whoever saved it meanwhile sealed it, unless that was an older node: the next start looks again.
    let saved = storage::delivery::postbacks::save(app.db.writer(), &postback, seen).await?;
    app.catalog.postbacks_changed();
    Ok(if saved { Outcome::Sealed } else { Outcome::Left })
}

/// Where the postback's template was another when it was made, and the adapter takes the configuration as it would be
/// made today. `false`: that can't be said now.
async fn keep_keys_apart(app: &App, adapter: &Arc<Adapter>, postback: &mut Postback) -> bool {
    let template = postback.template.as_deref().and_then(|id| templates::get(id).ok());
    let template = template.filter(|it| it.adapter == postback.adapter);
    let Some(apart) = template.and_then(|it| it.with_keys_apart(&postback.config)) else { return true };
    let Ok(plain) = app.vault.open_config(&apart, &postback.id.to_string()) else { return false };
    let Ok(issues) = config_issues(app.adapters.pool(), postback.owner, adapter, &plain).await else { return false };
    if issues.is_empty() {
        postback.config = apart;
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
