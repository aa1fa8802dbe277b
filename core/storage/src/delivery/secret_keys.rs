//! Queries of the secret keys of this database. Each key has a canary: a sealed word that only this key opens.

use sea_orm::{ConnectionTrait, DbErr, Statement};

use domain::timestamp::Timestamp;

/// The advisory lock of a node that checks the keys. The number is arbitrary.
const CHECK_LOCK: i64 = 0x706f_7374_6b65_7973;

/// The name and the canary of a key, by which it is recognized.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KnownKey {
    pub id: String,
    /// Empty if the key was given up.
    pub canary: String,
}

impl KnownKey {
    /// Whether the key is lost and servers start without it.
    pub fn is_given_up(&self) -> bool {
        self.canary.is_empty()
    }
}

/// Locks the table until `tx` ends, because several nodes can start at the same time. On SQLite the transaction is the
/// lock.
pub async fn lock(tx: &impl ConnectionTrait) -> Result<(), DbErr> {
    if tx.get_database_backend() == sea_orm::DbBackend::Postgres {
        tx.execute_unprepared(&format!("SELECT pg_advisory_xact_lock({CHECK_LOCK})")).await?;
    }
    Ok(())
}

/// All keys, oldest first.
pub async fn list(db: &impl ConnectionTrait) -> Result<Vec<KnownKey>, DbErr> {
    let sql = "SELECT id, canary FROM secret_keys ORDER BY created_at, id";
    let rows = db.query_all_raw(Statement::from_string(db.get_database_backend(), sql)).await?;
    rows.iter().map(|row| Ok(KnownKey { id: row.try_get("", "id")?, canary: row.try_get("", "canary")? })).collect()
}

/// Inserts a key unless it exists. A key that was given up gets its canary again.
pub async fn insert_missing(tx: &impl ConnectionTrait, key: &KnownKey, now: Timestamp) -> Result<(), DbErr> {
    let sql = "INSERT INTO secret_keys (id, canary, created_at) VALUES ($1, $2, $3)
        ON CONFLICT (id) DO UPDATE SET canary = excluded.canary WHERE secret_keys.canary = ''";
    let values = [key.id.clone().into(), key.canary.clone().into(), now.into()];
    tx.execute_raw(Statement::from_sql_and_values(tx.get_database_backend(), sql, values)).await.map(drop)
}

/// Gives a key up, so that servers start without it. Returns false if it does not exist or was given up before.
pub async fn give_up(db: &impl ConnectionTrait, id: &str) -> Result<bool, DbErr> {
    let sql = "UPDATE secret_keys SET canary = '' WHERE id = $1 AND canary <> ''";
    let done = db.execute_raw(Statement::from_sql_and_values(db.get_database_backend(), sql, [id.into()])).await?;
    Ok(done.rows_affected() > 0)
}

/// Deletes a key. Returns false if it does not exist.
pub async fn delete(db: &impl ConnectionTrait, id: &str) -> Result<bool, DbErr> {
    let sql = "DELETE FROM secret_keys WHERE id = $1";
    let done = db.execute_raw(Statement::from_sql_and_values(db.get_database_backend(), sql, [id.into()])).await?;
    Ok(done.rows_affected() > 0)
}
