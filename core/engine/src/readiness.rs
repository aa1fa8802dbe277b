//! Whether this server can do its work now: the database commits a row. One answer serves all who ask within a second, so
//! that probes load nothing.

use std::time::{Duration, Instant};

use tokio::sync::Mutex;

use domain::timestamp::Timestamp;
use storage::Database;
use storage::base::servers::Server;
use storage::base::write_probe;

/// How long an answer holds.
const HOLDS: Duration = Duration::from_secs(1);

/// When it was tried last and what came of it. Held while it is tried: who asks meanwhile gets the same answer.
#[derive(Debug, Default)]
pub struct Readiness(Mutex<Option<(Instant, Result<(), String>)>>);

impl Readiness {
    /// Whether the database stores something for this server, or why not.
    pub async fn stores(&self, db: &Database, server: &Server, now: Timestamp) -> Result<(), String> {
        let mut last = self.0.lock().await;
        if let Some((tried, found)) = &*last
            && tried.elapsed() < HOLDS
        {
            return found.clone();
        }
        let found = write_probe::write(db, server, now).await.map_err(|error| error.to_string());
        *last = Some((Instant::now(), found.clone()));
        found
    }
}
