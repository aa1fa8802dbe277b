//! Proves that the database stores data, for the readiness check.

use std::time::Duration;

use sea_orm::{ConnectionTrait, DbErr};

use crate::Database;
use domain::timestamp::Timestamp;

use super::servers::{self, Server};

/// A database that takes longer is not ready.
const TIMEOUT: Duration = Duration::from_secs(5);

/// Commits a change of this server's own row, so that no other server's lock can delay it.
///
/// # Errors
///
/// The database stores no data: its disk is full, it is read-only, or it does not answer within 5 s.
pub async fn write(db: &Database, server: &Server, now: Timestamp) -> Result<(), DbErr> {
    let late = |_| DbErr::Custom(format!("it did not commit a row within {} s", TIMEOUT.as_secs()));
    tokio::time::timeout(TIMEOUT, commit_row(db, server, now)).await.map_err(late)?
}

async fn commit_row(db: &Database, server: &Server, now: Timestamp) -> Result<(), DbErr> {
    let tx = db.begin().await?;
    servers::save(&tx, server, now).await?;
    if db.is_postgres() {
        require_disk_space(&tx).await?;
    }
    tx.commit().await
}

/// On a full disk, PostgreSQL still finds space for one row in existing pages, but not for the next click, which needs
/// a new page. A sort that does not fit into memory needs space on the same disk and leaves nothing behind.
async fn require_disk_space(tx: &impl ConnectionTrait) -> Result<(), DbErr> {
    tx.execute_unprepared("SET LOCAL work_mem = '64kB'").await?;
    tx.execute_unprepared("SET LOCAL temp_tablespaces = ''").await?;
    let sorted = "SELECT max(it) FROM (SELECT repeat(md5(i::text), 16) AS it FROM generate_series(1, 1000) AS i
        ORDER BY 1 DESC OFFSET 1) AS sorted";
    tx.execute_unprepared(sorted).await.map(drop)
}
