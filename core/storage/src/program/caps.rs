//! Counters of caps. A counter is locked until its transaction ends, so that two conversions never use the same place.

use std::collections::BTreeMap;

use sea_orm::{ConnectionTrait, DbErr};
use uuid::Uuid;

use crate::base::bulk::{Rows, Type};
use domain::amounts::ACCOUNT_MAX;
use domain::ids::AffiliateId;
use domain::program::cap::{Count, Counter};
use domain::timestamp::Timestamp;

/// Adds to counters and returns their new counts. The sum of payouts stops at [`ACCOUNT_MAX`] micros: no cap is as
/// high. No count is below zero: a place may be given back to a period whose counter was deleted. One statement in the order of the keys, so that two processes lock shared counters in the same order.
pub async fn add(
    tx: &impl ConnectionTrait,
    counts: &BTreeMap<Counter, Count>,
    now: Timestamp,
) -> Result<BTreeMap<Counter, Count>, DbErr> {
    use Type::{Big, Id, Text};
    let mut rows = Rows::new(&[Id, Id, Text, Text, Big, Big, Big]);
    for (counter, count) in counts {
        rows.push([
            counter.offer_id.into(),
            // A key has no NULL: counters of the whole offer have the nil id.
            counter.affiliate_id.map_or(Uuid::nil(), |id| id.0).into(),
            // Counters of all goals have the empty text.
            counter.goal.clone().unwrap_or_default().into(),
            counter.period.clone().into(),
            count.conversions.into(),
            count.payout_micros.into(),
            now.into(),
        ]);
    }
    let held = rows
        .query(
            tx,
            "INSERT INTO cap_counters (offer_id, affiliate_id, goal, period, conversions, payout_micros, updated_at) {rows}
             ON CONFLICT (offer_id, affiliate_id, goal, period) DO UPDATE
             SET conversions = CASE WHEN cap_counters.conversions + excluded.conversions < 0 THEN 0
                     ELSE cap_counters.conversions + excluded.conversions END,
                 payout_micros = CASE WHEN cap_counters.payout_micros + excluded.payout_micros > {1} THEN {1}
                     WHEN cap_counters.payout_micros + excluded.payout_micros < 0 THEN 0
                     ELSE cap_counters.payout_micros + excluded.payout_micros END,
                 updated_at = excluded.updated_at
             RETURNING offer_id, affiliate_id, goal, period, conversions, payout_micros",
            vec![ACCOUNT_MAX.into()],
        )
        .await?;
    held.iter()
        .map(|row| {
            let affiliate: Uuid = row.try_get("", "affiliate_id")?;
            let goal: String = row.try_get("", "goal")?;
            let counter = Counter {
                offer_id: row.try_get("", "offer_id")?,
                affiliate_id: (!affiliate.is_nil()).then_some(AffiliateId(affiliate)),
                goal: Some(goal).filter(|goal| !goal.is_empty()),
                period: row.try_get("", "period")?,
            };
            let count = Count {
                conversions: row.try_get("", "conversions")?,
                payout_micros: row.try_get("", "payout_micros")?,
            };
            Ok((counter, count))
        })
        .collect()
}

/// Deletes the counters of days and months that were last changed before `before`.
pub async fn delete_older_than(db: &impl ConnectionTrait, before: Timestamp) -> Result<u64, DbErr> {
    let statement = sea_orm::Statement::from_sql_and_values(
        db.get_database_backend(),
        "DELETE FROM cap_counters WHERE period <> 'total' AND updated_at < $1",
        [before.into()],
    );
    Ok(db.execute_raw(statement).await?.rows_affected())
}
