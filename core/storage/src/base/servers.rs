//! The servers that use this database: one row each, which a server writes again and again while it runs and takes away
//! when it stops. It says which key the server seals with, and proves by being written that the database stores something.

use std::collections::BTreeSet;

use sea_orm::{ConnectionTrait, DbErr, Statement};

use domain::timestamp::Timestamp;

use super::database::skip_locked;

/// One run of a server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Server {
    /// Drawn at its start.
    pub id: i64,
    /// The name of the key that it seals with.
    pub key: String,
}

/// Always changes the row: SQLite writes nothing for one that stays as it is.
pub async fn save(db: &impl ConnectionTrait, server: &Server, now: Timestamp) -> Result<(), DbErr> {
    let sql = "INSERT INTO servers (id, key_id, seen_at) VALUES ($1, $2, $3)
        ON CONFLICT (id) DO UPDATE SET key_id = excluded.key_id, seen_at = CASE
            WHEN servers.seen_at < excluded.seen_at THEN excluded.seen_at
            ELSE servers.seen_at + 1 END";
    let values = [server.id.into(), server.key.clone().into(), now.into()];
    db.execute_raw(Statement::from_sql_and_values(db.get_database_backend(), sql, values)).await.map(drop)
}

/// It has stopped.
pub async fn remove(db: &impl ConnectionTrait, id: i64) -> Result<(), DbErr> {
    let sql = "DELETE FROM servers WHERE id = $1";
    db.execute_raw(Statement::from_sql_and_values(db.get_database_backend(), sql, [id.into()])).await.map(drop)
}

/// For a database that one server uses at a time.
pub async fn remove_all(db: &impl ConnectionTrait) -> Result<(), DbErr> {
    db.execute_unprepared("DELETE FROM servers").await.map(drop)
}

/// Those that ended without a word. One that hangs in the middle of its own row is waited for by nobody.
pub async fn forget_unseen_since(db: &impl ConnectionTrait, before: Timestamp) -> Result<(), DbErr> {
    let skip_locked = skip_locked(db);
    let sql = format!("DELETE FROM servers WHERE id IN (SELECT id FROM servers WHERE seen_at < $1{skip_locked})");
    db.execute_raw(Statement::from_sql_and_values(db.get_database_backend(), sql, [before.into()])).await.map(drop)
}

/// The keys that servers seal with which have been seen since.
pub async fn list_keys_since(db: &impl ConnectionTrait, since: Timestamp) -> Result<BTreeSet<String>, DbErr> {
    let sql = "SELECT DISTINCT key_id FROM servers WHERE seen_at >= $1";
    let rows = db.query_all_raw(Statement::from_sql_and_values(db.get_database_backend(), sql, [since.into()])).await?;
    rows.iter().map(|row| row.try_get("", "key_id")).collect()
}
