//! Whether this server can do its work now: the database commits a row. One answer serves all who ask within a second, so
//! that probes load nothing.

use std::time::{Duration, Instant};

use tokio::sync::Mutex;

use crate::app::App;
use crate::storage::base::write_probe;

use super::delivery::secret_keys;

/// How long an answer holds.
const HOLDS: Duration = Duration::from_secs(1);

/// When it was tried last and what came of it. Held while it is tried: who asks meanwhile gets the same answer.
#[derive(Debug, Default)]
pub struct Readiness(Mutex<Option<(Instant, Result<(), String>)>>);

/// Whether the database stores something, or why not.
pub async fn stores(app: &App) -> Result<(), String> {
    let mut last = app.readiness.0.lock().await;
    if let Some((tried, found)) = &*last
        && tried.elapsed() < HOLDS
    {
        return found.clone();
    }
    let server = secret_keys::server(&app.vault, app.server_id);
    let found = write_probe::write(&app.db, &server, app.clock.now()).await.map_err(|error| error.to_string());
    *last = Some((Instant::now(), found.clone()));
    found
}
