//! Settings of the program that people change while it runs: one JSON text a key.

use sea_orm::{ConnectionTrait, DbErr, Statement};

use crate::clock::Timestamp;
use crate::domain::recruiting::Recruiting;

use super::database::for_update;
use super::{from_json, json};

const RECRUITING: &str = "recruiting";

pub async fn find_recruiting(db: &impl ConnectionTrait) -> Result<Recruiting, DbErr> {
    read(db, "").await
}

/// Held until `tx` ends; also what takes turns in changing who recruited whom.
pub async fn lock_recruiting(tx: &impl ConnectionTrait) -> Result<Recruiting, DbErr> {
    read(tx, for_update(tx)).await
}

async fn read(db: &impl ConnectionTrait, lock: &str) -> Result<Recruiting, DbErr> {
    let sql = format!("SELECT value FROM program_settings WHERE key = $1{lock}");
    let statement = Statement::from_sql_and_values(db.get_database_backend(), sql, [RECRUITING.into()]);
    let row = db.query_one_raw(statement).await?;
    let text: Option<String> = row.map(|row| row.try_get("", "value")).transpose()?;
    text.map_or(Ok(Recruiting::default()), |text| from_json("program_settings", &text))
}

pub async fn save_recruiting(tx: &impl ConnectionTrait, it: &Recruiting, at: Timestamp) -> Result<(), DbErr> {
    let sql = "UPDATE program_settings SET value = $1, updated_at = $2 WHERE key = $3";
    let values = [json(it).into(), at.into(), RECRUITING.into()];
    tx.execute_raw(Statement::from_sql_and_values(tx.get_database_backend(), sql, values)).await.map(drop)
}
