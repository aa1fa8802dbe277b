//! Moves what was written from SQLite's WAL into its file, beside the writer, so that no click waits for it.
//!
//! SQLite itself would do so in the commit that finds the WAL too large. After a backup, or another long read, that is
//! all that was written meanwhile, and the clicks of that commit wait for seconds. So connections of the server
//! never do it by themselves. One of its own moves nearly all; what was written during that, which is little, the writer
//! moves in its turn, because only with nobody writing does the WAL become empty and begin from the front.

use std::path::PathBuf;
use std::time::Duration;

use sqlx::{Sqlite, SqlitePool};
use tokio_util::sync::CancellationToken;

/// To this size the WAL grows before anything is moved, and to this it shrinks afterwards.
pub const WAL_BYTES: u64 = 16 << 20;

/// How often its size is looked at.
const EVERY: Duration = Duration::from_millis(250);

/// How long it is left alone when it could not be moved: a disk stays full for longer than a moment.
const AFTER_FAILURE: Duration = Duration::from_secs(10);

/// So many pages the writer moves within its turn; more are left to the other connection.
const LITTLE: i64 = 2_000;

/// Who moves what.
pub(crate) struct Checkpoints {
    pub(crate) wal: PathBuf,
    /// A connection of its own.
    pub(crate) beside: SqlitePool,
    pub(crate) writer: SqlitePool,
}

impl Checkpoints {
    /// Goes on until it is told to end.
    pub(crate) async fn keep(self, ended: CancellationToken) {
        while ended.run_until_cancelled(tokio::time::sleep(EVERY)).await.is_some() {
            if !std::fs::metadata(&self.wal).is_ok_and(|it| it.len() > WAL_BYTES) {
                continue;
            }
            if let Err(error) = self.once().await {
                tracing::warn!(%error, "The WAL can't be moved into the database's file now; it is tried again");
                let _ = ended.run_until_cancelled(tokio::time::sleep(AFTER_FAILURE)).await;
            }
        }
    }

    async fn once(&self) -> Result<(), sqlx::Error> {
        // A long read keeps it from getting through, and the writer from what would be long.
        if left_by(&self.beside).await? <= LITTLE {
            left_by(&self.writer).await?;
        }
        Ok(())
    }
}

/// Moves what no reader is in the way of, and waits for nobody. Returns how many pages are left.
async fn left_by(pool: &SqlitePool) -> Result<i64, sqlx::Error> {
    let row = sqlx::query_as::<Sqlite, (i64, i64, i64)>("PRAGMA wal_checkpoint(PASSIVE)");
    let (_, pages, moved) = row.fetch_one(pool).await?;
    Ok(pages - moved)
}
