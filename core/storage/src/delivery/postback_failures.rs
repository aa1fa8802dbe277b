//! Counts of the deliveries of each postback that failed for good, for the messages about them.

use sea_orm::{ConnectionTrait, DbErr, QueryResult, Statement};

use domain::ids::PostbackId;
use domain::timestamp::Timestamp;

/// Counts failed deliveries of a postback. The count begins again with the first failure after `window`.
pub async fn add(
    tx: &impl ConnectionTrait,
    postback: PostbackId,
    failures: u32,
    now: Timestamp,
    window: Timestamp,
) -> Result<(), DbErr> {
    let sql = "INSERT INTO postback_failures (postback_id, failures, since) VALUES ($1, $2, $3)
         ON CONFLICT (postback_id) DO UPDATE SET
             failures = CASE WHEN postback_failures.since <= $4 THEN excluded.failures
                 ELSE postback_failures.failures + excluded.failures END,
             since = CASE WHEN postback_failures.since <= $4 THEN excluded.since ELSE postback_failures.since END";
    let values = [postback.into(), failures.cast_signed().into(), now.into(), window.into()];
    tx.execute_raw(Statement::from_sql_and_values(tx.get_database_backend(), sql, values)).await.map(drop)
}

/// Marks that the people of a postback are notified. Returns the number of failures and the time of the first; `None` if
/// there are fewer than `least`, or if the people were notified after `before`.
pub async fn mark_notified(
    tx: &impl ConnectionTrait,
    postback: PostbackId,
    least: u32,
    now: Timestamp,
    before: Timestamp,
) -> Result<Option<(u32, Timestamp)>, DbErr> {
    let sql = "UPDATE postback_failures SET notified_at = $2
         WHERE postback_id = $1 AND failures >= $3 AND (notified_at IS NULL OR notified_at <= $4)
         RETURNING failures, since";
    let values = [postback.into(), now.into(), least.cast_signed().into(), before.into()];
    let row = tx.query_one_raw(Statement::from_sql_and_values(tx.get_database_backend(), sql, values)).await?;
    let read = |row: QueryResult| Ok((row.try_get::<i32>("", "failures")?.cast_unsigned(), row.try_get("", "since")?));
    row.map(read).transpose()
}
