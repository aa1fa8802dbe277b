//! Which keys this database's secrets are sealed with. Each has a canary, a sealed word that only it opens.

use sea_orm::{ConnectionTrait, DbErr, Statement};

use domain::timestamp::Timestamp;

/// Any number that no other program would choose.
const TURN: i64 = 0x706f_7374_6b65_7973;

/// A key by its name, and what it sealed to be known again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KnownKey {
    pub id: String,
    /// Empty for a key that was given up.
    pub canary: String,
}

impl KnownKey {
    /// It is lost, and servers start without it.
    pub fn is_given_up(&self) -> bool {
        self.canary.is_empty()
    }
}

/// Two nodes that start together look one after the other. On SQLite the transaction itself is a turn.
pub async fn take_turn(tx: &impl ConnectionTrait) -> Result<(), DbErr> {
    if tx.get_database_backend() == sea_orm::DbBackend::Postgres {
        tx.execute_unprepared(&format!("SELECT pg_advisory_xact_lock({TURN})")).await?;
    }
    Ok(())
}

/// Oldest first.
pub async fn list(db: &impl ConnectionTrait) -> Result<Vec<KnownKey>, DbErr> {
    let sql = "SELECT id, canary FROM secret_keys ORDER BY created_at, id";
    let rows = db.query_all_raw(Statement::from_string(db.get_database_backend(), sql)).await?;
    rows.iter().map(|row| Ok(KnownKey { id: row.try_get("", "id")?, canary: row.try_get("", "canary")? })).collect()
}

/// Adds it unless it is there. One that was given up and is found again is as it was.
pub async fn insert_missing(tx: &impl ConnectionTrait, key: &KnownKey, now: Timestamp) -> Result<(), DbErr> {
    let sql = "INSERT INTO secret_keys (id, canary, created_at) VALUES ($1, $2, $3)
        ON CONFLICT (id) DO UPDATE SET canary = excluded.canary WHERE secret_keys.canary = ''";
    let values = [key.id.clone().into(), key.canary.clone().into(), now.into()];
    tx.execute_raw(Statement::from_sql_and_values(tx.get_database_backend(), sql, values)).await.map(drop)
}

/// Servers start without it from here on. `false`: it is not there, or was given up before.
pub async fn give_up(db: &impl ConnectionTrait, id: &str) -> Result<bool, DbErr> {
    let sql = "UPDATE secret_keys SET canary = '' WHERE id = $1 AND canary <> ''";
    let done = db.execute_raw(Statement::from_sql_and_values(db.get_database_backend(), sql, [id.into()])).await?;
    Ok(done.rows_affected() > 0)
}

/// `false`: it was not there.
pub async fn remove(db: &impl ConnectionTrait, id: &str) -> Result<bool, DbErr> {
    let sql = "DELETE FROM secret_keys WHERE id = $1";
    let done = db.execute_raw(Statement::from_sql_and_values(db.get_database_backend(), sql, [id.into()])).await?;
    Ok(done.rows_affected() > 0)
}
