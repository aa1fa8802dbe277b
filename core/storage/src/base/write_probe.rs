//! Proves that the database stores something.

use std::time::Duration;

use sea_orm::{ConnectionTrait, DbErr};

use crate::Database;
use domain::timestamp::Timestamp;

use super::servers::{self, Server};

/// A probe that takes longer finds a database that callers wait for in vain.
const PATIENCE: Duration = Duration::from_secs(5);

/// Commits a change of this server's own row: no other server that hangs holds it up.
///
/// # Errors
///
/// The database stores nothing now: its disk is full, it is read-only or it does not answer within seconds.
pub async fn write(db: &Database, server: &Server, now: Timestamp) -> Result<(), DbErr> {
    let late = |_| DbErr::Custom(format!("it did not commit a row within {} s", PATIENCE.as_secs()));
    tokio::time::timeout(PATIENCE, commit_row(db, server, now)).await.map_err(late)?
}

async fn commit_row(db: &Database, server: &Server, now: Timestamp) -> Result<(), DbErr> {
    let tx = db.begin().await?;
    servers::save(&tx, server, now).await?;
    if db.is_postgres() {
        need_room(&tx).await?;
    }
    tx.commit().await
}

/// PostgreSQL would find room for one row in pages that it has, also on a full disk, where the next click needs a new
/// page. A sort that does not fit into memory needs room in the same place and leaves nothing behind.
async fn need_room(tx: &impl ConnectionTrait) -> Result<(), DbErr> {
    tx.execute_unprepared("SET LOCAL work_mem = '64kB'").await?;
    tx.execute_unprepared("SET LOCAL temp_tablespaces = ''").await?;
    let sorted = "SELECT max(it) FROM (SELECT repeat(md5(i::text), 16) AS it FROM generate_series(1, 1000) AS i
        ORDER BY 1 DESC OFFSET 1) AS sorted";
    tx.execute_unprepared(sorted).await.map(drop)
}
