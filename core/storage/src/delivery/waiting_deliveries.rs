//! Queries of waiting deliveries: pending deliveries of a lane that is paused.
//!
//! `waiting_for` is the text of the lane, `waiting_rank` the order in which the deliveries leave it. At `due_at` a
//! delivery is due again even if the breaker of its lane is lost, so none waits for ever. The index has only waiting
//! deliveries.

use std::collections::HashMap;
use std::time::Duration;

use sea_orm::{ConnectionTrait, DatabaseConnection, DbErr, Statement, Value};

use crate::base::bulk::{Rows, Type};
use crate::base::database::{is_one_of, skip_locked};
use crate::{model, readable};
use domain::delivery::delivery::{Delivery, Reason};
use domain::delivery::lane::LaneId;
use domain::delivery::lease::Lease;
use domain::ids::{AffiliateId, DeliveryId, PostbackId};
use domain::timestamp::Timestamp;

use super::deliveries::row::Entity;

/// The time after which a waiting delivery is due again in any case.
const WAIT_MAX: Duration = Duration::from_secs(3_600);
/// The number of due deliveries that one statement checks.
const CHUNK: u64 = 1_000;
/// The rank of a manual retry: before all others.
const FIRST: i64 = i64::MIN;
/// Subtracted from the rank of postbacks that send every state in order, so that they come before the others. It is
/// larger than any rank.
const IN_ORDER: i64 = 4_000_000_000_000_000_000;
/// The number of lanes that one query reads.
const PAGE: usize = 1_000;

/// The SQL of a rank: the newest state first, but the oldest first if the postback sends every state in order. States
/// of the same millisecond are ordered by their revision.
fn rank() -> String {
    format!(
        "CASE WHEN waiting_rank = {FIRST} THEN waiting_rank
             WHEN (SELECT ordering FROM postbacks WHERE postbacks.id = deliveries.postback_id) = 'all'
                 THEN created_at * 1000 + CASE WHEN revision < 999 THEN revision ELSE 999 END - {IN_ORDER}
             ELSE -created_at END"
    )
}

/// A claimed delivery that has to wait for its lane.
#[derive(Clone, Debug)]
pub struct Parked {
    pub id: DeliveryId,
    pub claim: i64,
    pub lane: LaneId,
    /// The rank of the delivery that must be sent first. Without it, the delivery gets its own rank.
    pub behind: Option<i64>,
    pub reason: Reason,
}

/// Makes claimed deliveries wait, without counting an attempt. Rows whose claim has changed are left alone.
pub async fn park(db: &impl ConnectionTrait, parked: &[Parked], now: Timestamp) -> Result<(), DbErr> {
    let mut rows = Rows::new(&[Type::Id, Type::Big, Type::Text, Type::Big, Type::Text, Type::Text]);
    for delivery in parked {
        rows.push([
            delivery.id.into(),
            delivery.claim.into(),
            delivery.lane.to_string().into(),
            delivery.behind.map(|rank| rank.saturating_add(1)).into(),
            delivery.reason.code.clone().into(),
            delivery.reason.sentence.clone().into(),
        ]);
    }
    let sql = format!(
        "WITH parked (id, claim, lane, behind, reason_code, reason) AS ({{rows}})
         UPDATE deliveries SET waiting_for = parked.lane, waiting_rank = COALESCE(parked.behind, {}), due_at = {{1}},
             reason_code = parked.reason_code, reason = parked.reason, lease_until = NULL, claim = NULL
         FROM parked WHERE deliveries.id = parked.id AND deliveries.claim = parked.claim",
        rank()
    );
    rows.execute(db, &sql, vec![now.plus(WAIT_MAX).into()]).await.map(drop)
}

/// The lane and the reason for which the deliveries of a postback wait.
#[derive(Clone, Debug)]
pub struct Waiting {
    pub lane: LaneId,
    pub reason: Reason,
}

/// Makes due, unclaimed deliveries of these postbacks wait, because they would delay those of other postbacks. Checks
/// the `CHUNK` longest due deliveries. Returns the number of deliveries that wait now.
pub async fn park_due(
    db: &DatabaseConnection,
    postbacks: &HashMap<PostbackId, Waiting>,
    now: Timestamp,
) -> Result<u64, DbErr> {
    let mut rows = Rows::new(&[Type::Id, Type::Text, Type::Text, Type::Text]);
    for (id, waiting) in postbacks {
        rows.push([
            (*id).into(),
            waiting.lane.to_string().into(),
            waiting.reason.code.clone().into(),
            waiting.reason.sentence.clone().into(),
        ]);
    }
    // The limit is applied before the postbacks, so that no plan searches all deliveries of a postback.
    let due = format!(
        "SELECT id FROM deliveries WHERE state = 'pending' AND due_at <= {{1}} AND claim IS NULL
             ORDER BY due_at LIMIT {CHUNK}{}",
        skip_locked(db)
    );
    let sql = format!(
        "WITH parked (postback_id, lane, reason_code, reason) AS ({{rows}})
         UPDATE deliveries SET waiting_for = parked.lane, waiting_rank = {}, due_at = {{2}},
             reason_code = parked.reason_code, reason = parked.reason
         FROM parked WHERE deliveries.postback_id = parked.postback_id AND {}",
        rank(),
        is_one_of(db, "deliveries.id", &due)
    );
    rows.execute(db, &sql, vec![now.into(), now.plus(WAIT_MAX).into()]).await
}

/// Claims up to `limit` waiting deliveries of a lane in the order of their ranks, except `except`.
pub async fn claim(
    db: &DatabaseConnection,
    lane: &LaneId,
    limit: usize,
    except: Option<DeliveryId>,
    now: Timestamp,
    lease: Lease,
) -> Result<Vec<Delivery>, DbErr> {
    let free = format!(
        "SELECT id FROM deliveries WHERE waiting_for = $4 AND state = 'pending'
             AND (lease_until IS NULL OR lease_until <= $3) AND id <> $6
         ORDER BY waiting_rank, id DESC LIMIT $5{}",
        skip_locked(db)
    );
    let sql = format!(
        "UPDATE deliveries SET lease_until = $1, claim = $2, waiting_for = NULL,
             due_at = CASE WHEN due_at > $3 THEN $3 ELSE due_at END
         WHERE {} RETURNING *",
        is_one_of(db, "id", &free)
    );
    let values: [Value; 6] = [
        lease.until.into(),
        lease.claim.into(),
        now.into(),
        lane.to_string().into(),
        (limit as i64).into(),
        except.map_or(uuid::Uuid::nil(), |it| it.0).into(),
    ];
    let rows = db.query_all_raw(Statement::from_sql_and_values(db.get_database_backend(), sql, values)).await?;
    Ok(readable("deliveries", &rows, |row| model::<Entity>(row)?.try_into()))
}

/// Saves a manual retry of a delivery whose lane is paused: it is the next one to be sent in the lane.
pub async fn park_first(
    tx: &impl ConnectionTrait,
    delivery: &Delivery,
    lane: &LaneId,
    now: Timestamp,
) -> Result<(), DbErr> {
    let sql = format!(
        "UPDATE deliveries SET state = $2, settled_at = NULL, attempts_before_retry = $3, reason_code = $4, reason = $5,
             waiting_for = $6, waiting_rank = {FIRST}, due_at = $7 WHERE id = $1"
    );
    let (code, sentence) = delivery.reason.clone().map(|it| (it.code, it.sentence)).unzip();
    let values: [Value; 7] = [
        delivery.id.into(),
        delivery.state.as_str().into(),
        delivery.attempts_before_retry.into(),
        code.into(),
        sentence.into(),
        lane.to_string().into(),
        now.plus(WAIT_MAX).into(),
    ];
    tx.execute_raw(Statement::from_sql_and_values(tx.get_database_backend(), sql, values)).await.map(drop)
}

/// Makes up to 10,000 waiting deliveries of a changed postback due now. The others follow when their lane is probed.
pub async fn release(db: &DatabaseConnection, id: PostbackId, now: Timestamp) -> Result<u64, DbErr> {
    let waiting = format!(
        "SELECT id FROM deliveries WHERE waiting_for IS NOT NULL AND postback_id = $2 AND state = 'pending'
         LIMIT 10000{}",
        skip_locked(db)
    );
    let sql = format!(
        "UPDATE deliveries SET waiting_for = NULL, waiting_rank = NULL, due_at = $1 WHERE {}",
        is_one_of(db, "id", &waiting)
    );
    let values: [Value; 2] = [now.into(), id.into()];
    let statement = Statement::from_sql_and_values(db.get_database_backend(), sql, values);
    Ok(db.execute_raw(statement).await?.rows_affected())
}

/// The lanes with waiting deliveries. The recursion reads one index entry for each lane.
pub async fn list_lanes(db: &impl ConnectionTrait) -> Result<Vec<LaneId>, DbErr> {
    let sql = format!(
        "WITH RECURSIVE found (lane) AS (
             SELECT min(waiting_for) FROM deliveries WHERE waiting_for > $1
             UNION ALL
             SELECT (SELECT min(waiting_for) FROM deliveries WHERE waiting_for > found.lane)
             FROM found WHERE found.lane IS NOT NULL)
         SELECT lane FROM found WHERE lane IS NOT NULL LIMIT {PAGE}"
    );
    let (mut found, mut last) = (Vec::new(), String::new());
    loop {
        let statement = Statement::from_sql_and_values(db.get_database_backend(), &sql, [last.into()]);
        let rows = db.query_all_raw(statement).await?;
        let lanes = rows.iter().map(|row| row.try_get("", "lane")).collect::<Result<Vec<String>, _>>()?;
        found.extend(lanes.iter().map(|lane| LaneId::read(lane)));
        match lanes.last() {
            Some(lane) if lanes.len() == PAGE => last = lane.clone(),
            _ => return Ok(found),
        }
    }
}

/// The number of waiting deliveries by lane and reason code, of an owner's postbacks or of all.
pub async fn count(db: &impl ConnectionTrait, owner: Option<AffiliateId>) -> Result<Vec<(LaneId, String, i64)>, DbErr> {
    let (own, values): (_, Vec<Value>) = match owner {
        Some(owner) => {
            ("AND postback_id IN (SELECT id FROM postbacks WHERE owner_affiliate_id = $1)", vec![owner.into()])
        }
        None => ("", vec![]),
    };
    let sql = format!(
        "SELECT waiting_for, reason_code, count(*) AS number FROM deliveries
         WHERE waiting_for IS NOT NULL AND state = 'pending' {own} GROUP BY waiting_for, reason_code"
    );
    let rows = db.query_all_raw(Statement::from_sql_and_values(db.get_database_backend(), sql, values)).await?;
    let code = |row: &sea_orm::QueryResult| row.try_get::<Option<String>>("", "reason_code");
    let lane = |row: &sea_orm::QueryResult| row.try_get::<String>("", "waiting_for");
    rows.iter()
        .map(|row| Ok((LaneId::read(&lane(row)?), code(row)?.unwrap_or_default(), row.try_get("", "number")?)))
        .collect()
}
