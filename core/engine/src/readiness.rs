//! Readiness: whether the database commits a row of this server now. All requests within a second get the same answer,
//! so that health checks cause little load.

use std::time::{Duration, Instant};

use tokio::sync::Mutex;

use domain::timestamp::Timestamp;
use storage::Database;
use storage::base::servers::Server;
use storage::base::write_probe;

/// The maximum age of an answer.
const MAX_AGE: Duration = Duration::from_secs(1);

/// The time and the result of the last write. The lock is held during a write, so that concurrent requests get its
/// result.
#[derive(Debug, Default)]
pub struct Readiness(Mutex<Option<(Instant, Result<(), String>)>>);

impl Readiness {
    /// Writes a row to the database, unless the last result is less than a second old.
    ///
    /// # Errors
    ///
    /// The reason why the database stores nothing.
    pub async fn stores(&self, db: &Database, server: &Server, now: Timestamp) -> Result<(), String> {
        let mut last = self.0.lock().await;
        if let Some((written_at, found)) = &*last
            && written_at.elapsed() < MAX_AGE
        {
            return found.clone();
        }
        let found = write_probe::write(db, server, now).await.map_err(|error| error.to_string());
        *last = Some((Instant::now(), found.clone()));
        found
    }
}
