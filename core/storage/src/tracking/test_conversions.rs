//! Deletes test conversions with everything that they caused. Real conversions are never deleted.

use std::collections::BTreeSet;

use sea_orm::{ConnectionTrait, DbErr, Statement};

use crate::base::bulk::Rows;
use domain::ids::{ConversionId, DeliveryId};
use domain::timestamp::Timestamp;

/// Up to `limit` test conversions that have not changed since `before` and have no delivery that waits to be sent.
pub async fn list_older_than(
    db: &impl ConnectionTrait,
    before: Timestamp,
    limit: u64,
) -> Result<BTreeSet<ConversionId>, DbErr> {
    let sql = "SELECT id FROM conversions WHERE test AND updated_at < $1 AND NOT EXISTS (
                   SELECT 1 FROM deliveries
                   WHERE deliveries.conversion_id = conversions.id AND deliveries.state = 'pending')
               ORDER BY id LIMIT $2";
    let values = [before.into(), (limit as i64).into()];
    let statement = Statement::from_sql_and_values(db.get_database_backend(), sql, values);
    db.query_all_raw(statement).await?.iter().map(|row| row.try_get("", "id")).collect()
}

/// Deletes these test conversions, which the caller has locked, with their events, deliveries and attempts. Ids of real
/// conversions are ignored.
pub async fn delete(tx: &impl ConnectionTrait, ids: &BTreeSet<ConversionId>) -> Result<(), DbErr> {
    let of_tests = |statement: &str| {
        format!(
            "WITH wanted (id) AS ({{rows}}), tests AS (
                 SELECT conversions.id FROM wanted JOIN conversions ON conversions.id = wanted.id WHERE conversions.test)
             {statement}"
        )
    };
    let wanted = || Rows::ids(ids.iter().copied());
    // First the pending events: the router deletes them, too, so its deliveries are there or will never be.
    let pending = "DELETE FROM pending_events WHERE id IN (
                       SELECT events.id FROM tests JOIN events ON events.conversion_id = tests.id)";
    wanted().execute(tx, &of_tests(pending), vec![]).await?;
    // Then the deliveries: the sender changes them before it inserts their attempts.
    let deliveries = "DELETE FROM deliveries WHERE conversion_id IN (SELECT id FROM tests) RETURNING id";
    let deleted = wanted().query(tx, &of_tests(deliveries), vec![]).await?;
    let deleted: Vec<DeliveryId> = deleted.iter().map(|row| row.try_get("", "id")).collect::<Result<_, _>>()?;
    let attempts = "WITH wanted (id) AS ({rows}) DELETE FROM attempts WHERE delivery_id IN (SELECT id FROM wanted)";
    Rows::ids(deleted).execute(tx, attempts, vec![]).await?;
    for statement in [
        "DELETE FROM events WHERE conversion_id IN (SELECT id FROM tests)",
        "DELETE FROM conversions WHERE id IN (SELECT id FROM tests)",
    ] {
        wanted().execute(tx, &of_tests(statement), vec![]).await?;
    }
    Ok(())
}
