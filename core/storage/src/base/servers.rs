//! The servers that use this database. Each server inserts one row at its start, updates it while it runs and deletes
//! it when it stops. The row names the key with which the server seals, and each update proves that the database stores
//! data.

use std::collections::BTreeSet;

use sea_orm::{ConnectionTrait, DbErr, Statement};

use domain::timestamp::Timestamp;

use super::database::skip_locked;

/// One run of a server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Server {
    /// A random number, drawn at the start.
    pub id: i64,
    /// The name of the key with which the server seals.
    pub key: String,
}

/// Inserts or updates the row. An update always changes `seen_at`, because SQLite writes nothing if no value changes.
pub async fn save(db: &impl ConnectionTrait, server: &Server, now: Timestamp) -> Result<(), DbErr> {
    let sql = "INSERT INTO servers (id, key_id, seen_at) VALUES ($1, $2, $3)
        ON CONFLICT (id) DO UPDATE SET key_id = excluded.key_id, seen_at = CASE
            WHEN servers.seen_at < excluded.seen_at THEN excluded.seen_at
            ELSE servers.seen_at + 1 END";
    let values = [server.id.into(), server.key.clone().into(), now.into()];
    db.execute_raw(Statement::from_sql_and_values(db.get_database_backend(), sql, values)).await.map(drop)
}

/// Deletes the row of a server that stops.
pub async fn delete(db: &impl ConnectionTrait, id: i64) -> Result<(), DbErr> {
    let sql = "DELETE FROM servers WHERE id = $1";
    db.execute_raw(Statement::from_sql_and_values(db.get_database_backend(), sql, [id.into()])).await.map(drop)
}

/// Deletes all rows: for a database that only one server uses at a time.
pub async fn delete_all(db: &impl ConnectionTrait) -> Result<(), DbErr> {
    db.execute_unprepared("DELETE FROM servers").await.map(drop)
}

/// Deletes the rows of servers that crashed. Skips rows that a server has locked, so a hanging server blocks nothing.
pub async fn delete_unseen_since(db: &impl ConnectionTrait, before: Timestamp) -> Result<(), DbErr> {
    let skip_locked = skip_locked(db);
    let sql = format!("DELETE FROM servers WHERE id IN (SELECT id FROM servers WHERE seen_at < $1{skip_locked})");
    db.execute_raw(Statement::from_sql_and_values(db.get_database_backend(), sql, [before.into()])).await.map(drop)
}

/// The names of the keys with which servers seal that were seen at `since` or later.
pub async fn list_keys_since(db: &impl ConnectionTrait, since: Timestamp) -> Result<BTreeSet<String>, DbErr> {
    let sql = "SELECT DISTINCT key_id FROM servers WHERE seen_at >= $1";
    let rows = db.query_all_raw(Statement::from_sql_and_values(db.get_database_backend(), sql, [since.into()])).await?;
    rows.iter().map(|row| row.try_get("", "key_id")).collect()
}
