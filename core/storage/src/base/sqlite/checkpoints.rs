//! Moves the content of SQLite's WAL into the database file on a connection beside the writer, so that no click waits.
//!
//! SQLite itself would do this in the commit that finds the WAL too large. After a backup or another long read, the WAL
//! has everything that was written meanwhile, and the clicks of that commit would wait for seconds. So automatic
//! checkpoints are off. A separate connection moves nearly all pages. The writer then moves the few pages that were
//! written meanwhile, because the WAL can restart from its beginning only while nothing is written.

use std::path::PathBuf;
use std::time::Duration;

use sqlx::{Sqlite, SqlitePool};
use tokio_util::sync::CancellationToken;

/// The size of the WAL in bytes from which it is moved, and to which SQLite truncates its file.
pub const WAL_BYTES: u64 = 16 << 20;

/// How often the size of the WAL is checked.
const CHECK_INTERVAL: Duration = Duration::from_millis(250);

/// The pause after a failure, such as a full disk.
const RETRY_PAUSE: Duration = Duration::from_secs(10);

/// The maximum number of pages that the writer moves. If more are left, the separate connection moves them.
const WRITER_PAGES_MAX: i64 = 2_000;

/// The WAL and the connections that move it.
pub(crate) struct Checkpoints {
    pub(crate) wal: PathBuf,
    /// The separate connection.
    pub(crate) mover: SqlitePool,
    pub(crate) writer: SqlitePool,
}

impl Checkpoints {
    /// Runs until `stop` is cancelled.
    pub(crate) async fn run(self, stop: CancellationToken) {
        while stop.run_until_cancelled(tokio::time::sleep(CHECK_INTERVAL)).await.is_some() {
            if !std::fs::metadata(&self.wal).is_ok_and(|it| it.len() > WAL_BYTES) {
                continue;
            }
            if let Err(error) = self.run_once().await {
                tracing::warn!(%error, "The WAL can't be moved into the database file; it is tried again in 10 s");
                let _ = stop.run_until_cancelled(tokio::time::sleep(RETRY_PAUSE)).await;
            }
        }
    }

    async fn run_once(&self) -> Result<(), sqlx::Error> {
        // A long read keeps pages in the WAL. The writer must not move many pages, because clicks wait meanwhile.
        if move_pages(&self.mover).await? <= WRITER_PAGES_MAX {
            move_pages(&self.writer).await?;
        }
        Ok(())
    }
}

/// Moves the pages that no reader needs in the WAL, without waiting for a lock. Returns the number of pages that are
/// left.
async fn move_pages(pool: &SqlitePool) -> Result<i64, sqlx::Error> {
    let row = sqlx::query_as::<Sqlite, (i64, i64, i64)>("PRAGMA wal_checkpoint(PASSIVE)");
    let (_, pages, moved) = row.fetch_one(pool).await?;
    Ok(pages - moved)
}
