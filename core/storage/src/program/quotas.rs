//! Counts what an affiliate or a person owns. Each function locks the row of the holder until its transaction ends, so
//! that two concurrent requests do not both pass the limit.

use sea_orm::{ConnectionTrait, DbErr, Statement, Value};

use crate::base::database::for_update;
use domain::ids::{AffiliateId, UserId};
use domain::timestamp::Timestamp;

pub async fn count_postbacks(tx: &impl ConnectionTrait, affiliate: AffiliateId) -> Result<i64, DbErr> {
    lock(tx, "affiliates", affiliate.into()).await?;
    count(
        tx,
        "SELECT count(*) AS number FROM postbacks WHERE owner_affiliate_id = $1 AND archived_at IS NULL",
        vec![affiliate.into()],
    )
    .await
}

pub async fn count_sources(tx: &impl ConnectionTrait, affiliate: AffiliateId) -> Result<i64, DbErr> {
    lock(tx, "affiliates", affiliate.into()).await?;
    count(
        tx,
        "SELECT count(*) AS number FROM sources WHERE affiliate_id = $1 AND archived_at IS NULL",
        vec![affiliate.into()],
    )
    .await
}

pub async fn count_links(tx: &impl ConnectionTrait, affiliate: AffiliateId) -> Result<i64, DbErr> {
    lock(tx, "affiliates", affiliate.into()).await?;
    count(
        tx,
        "SELECT count(*) AS number FROM links WHERE affiliate_id = $1 AND archived_at IS NULL",
        vec![affiliate.into()],
    )
    .await
}

/// The holder of the counted keys.
#[derive(Clone, Copy, Debug)]
pub enum Holder {
    User(UserId),
    /// Keys of the affiliate that belong to no user.
    Affiliate(AffiliateId),
}

/// The number of keys that are neither revoked nor expired.
pub async fn count_api_keys(tx: &impl ConnectionTrait, holder: Holder, now: Timestamp) -> Result<i64, DbErr> {
    let (table, condition, id) = match holder {
        Holder::User(id) => ("users", "user_id = $1", Value::from(id)),
        Holder::Affiliate(id) => ("affiliates", "affiliate_id = $1 AND user_id IS NULL", Value::from(id)),
    };
    lock(tx, table, id.clone()).await?;
    let sql = format!(
        "SELECT count(*) AS number FROM api_keys
         WHERE {condition} AND revoked_at IS NULL AND (expires_at IS NULL OR expires_at > $2)"
    );
    count(tx, &sql, vec![id, now.into()]).await
}

async fn lock(tx: &impl ConnectionTrait, table: &str, id: Value) -> Result<(), DbErr> {
    let sql = format!("SELECT id FROM {table} WHERE id = $1{}", for_update(tx));
    tx.query_one_raw(Statement::from_sql_and_values(tx.get_database_backend(), sql, [id])).await.map(drop)
}

async fn count(tx: &impl ConnectionTrait, sql: &str, values: Vec<Value>) -> Result<i64, DbErr> {
    let row = tx.query_one_raw(Statement::from_sql_and_values(tx.get_database_backend(), sql, values)).await?;
    row.map_or(Ok(0), |row| row.try_get("", "number"))
}
