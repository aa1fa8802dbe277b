//! Installs a version of an adapter, and disables and enables versions.

use crate::Error;
use crate::app::App;
use domain::delivery::adapter::{AdapterVersion, Origin};
use domain::people::changes::Changed;

/// Installs a component. `true` if it is new, `false` if it was installed before.
///
/// # Errors
///
/// The component is not a valid adapter, or the version is installed with other bytes.
pub async fn install(app: &App, wasm: Vec<u8>) -> Result<(AdapterVersion, bool), Error> {
    let registry = &app.adapters;
    let adapter = registry.compile(wasm.clone(), Origin::Installed).await?;
    let version = registry.describe(&adapter, Origin::Installed);
    let added = storage::delivery::adapters::insert(app.db.writer(), &version, &wasm).await?;
    if !added {
        let there = storage::delivery::adapters::find(app.db.writer(), &version.id, &version.version).await?;
        let there = there.ok_or_else(|| Error::not_found("adapter", &version.id))?;
        if there.digest != version.digest {
            return Err(Error::AdapterVersionTaken { id: version.id, version: version.version });
        }
        return Ok((there, false));
    }
    registry.loaded.insert(version.digest.clone(), adapter);
    registry.changed(&version.id, &version.version);
    tracing::info!(
        adapter = version.id,
        version = version.version,
        digest = version.digest,
        "An adapter was installed"
    );
    Ok((version, true))
}

/// Disables a version. Its deliveries wait until it is enabled again.
pub async fn disable(app: &App, id: &str, version: &str) -> Result<Changed<AdapterVersion>, Error> {
    let now = app.clock.now();
    set(app, id, version, |it| it.disable(now)).await
}

/// Enables a version that was disabled or taken out of service. Waiting deliveries continue within a minute.
pub async fn enable(app: &App, id: &str, version: &str) -> Result<Changed<AdapterVersion>, Error> {
    let now = app.clock.now();
    app.adapters.faults.forget(&(id.to_owned(), version.to_owned()));
    set(app, id, version, |it| it.enable(now)).await
}

async fn set(
    app: &App,
    id: &str,
    version: &str,
    change: impl FnOnce(&mut AdapterVersion),
) -> Result<Changed<AdapterVersion>, Error> {
    let tx = app.db.begin().await?;
    let found = storage::delivery::adapters::find(&tx, id, version).await?;
    let mut found = found.ok_or_else(|| Error::not_found("adapter", format!("{id} {version}")))?;
    let before = found.clone();
    change(&mut found);
    storage::delivery::adapters::save_state(&tx, &found).await?;
    tx.commit().await?;
    app.adapters.changed(id, version);
    Ok(Changed::new(before, found))
}
