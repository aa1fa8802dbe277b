//! Queries of breakers and of the destinations of postbacks. The key of a breaker is the text of its lane.

use sea_orm::{ConnectionTrait, DbBackend, DbErr, QueryResult, Statement, Value};

use crate::base::bulk::{Rows, Type};
use crate::{corrupt, readable};
use domain::delivery::delivery::Reason;
use domain::delivery::lane::breaker::{Breaker, BreakerState};
use domain::delivery::lane::{LaneId, Owner};
use domain::ids::{AffiliateId, PostbackId};
use domain::timestamp::Timestamp;

/// The number of breakers that one query reads. The breaker of a lane without a row is closed.
const PAGE: usize = 1_000;

fn read(row: &QueryResult) -> Result<Breaker, DbErr> {
    let state: String = row.try_get("", "state")?;
    let failures: i32 = row.try_get("", "failures")?;
    let failed_probes: i32 = row.try_get("", "failed_probes")?;
    Ok(Breaker {
        lane: lane(row)?,
        state: BreakerState::from_word(&state).ok_or_else(|| corrupt("breakers", format_args!("state {state}")))?,
        since: row.try_get("", "since")?,
        opened_at: row.try_get("", "opened_at")?,
        failures: failures.cast_unsigned(),
        failed_probes: failed_probes.cast_unsigned(),
        probe_at: row.try_get("", "probe_at")?,
        probe_until: row.try_get("", "probe_until")?,
        reason: Reason { code: row.try_get("", "reason_code")?, sentence: row.try_get("", "reason")? },
        open_notified_at: row.try_get("", "open_notified_at")?,
        day_notified: row.try_get("", "day_notified")?,
    })
}

fn lane(row: &QueryResult) -> Result<LaneId, DbErr> {
    let text: String = row.try_get("", "lane")?;
    Ok(LaneId::read(&text))
}

async fn run(db: &impl ConnectionTrait, sql: &str, values: Vec<Value>) -> Result<u64, DbErr> {
    let statement = Statement::from_sql_and_values(db.get_database_backend(), sql, values);
    Ok(db.execute_raw(statement).await?.rows_affected())
}

async fn query(db: &impl ConnectionTrait, sql: &str, values: Vec<Value>) -> Result<Vec<QueryResult>, DbErr> {
    db.query_all_raw(Statement::from_sql_and_values(db.get_database_backend(), sql, values)).await
}

/// Saves a breaker that opened. Returns false if another node opened it first; that breaker stays as it is.
pub async fn open(tx: &impl ConnectionTrait, breaker: &Breaker) -> Result<bool, DbErr> {
    let sql = "INSERT INTO breakers (lane, state, since, opened_at, failures, failed_probes, probe_at, probe_until,
             reason_code, reason, open_notified_at, day_notified, owner_affiliate_id)
         VALUES ($1, $2, $3, $4, $5, $6, $7, NULL, $8, $9, $10, $11, $12)
         ON CONFLICT (lane) DO UPDATE SET state = excluded.state, since = excluded.since,
             opened_at = excluded.opened_at, failures = excluded.failures, failed_probes = excluded.failed_probes,
             probe_at = excluded.probe_at, probe_until = NULL, reason_code = excluded.reason_code,
             reason = excluded.reason, open_notified_at = excluded.open_notified_at,
             day_notified = excluded.day_notified
         WHERE breakers.state = 'closed'";
    let values = vec![
        breaker.lane.to_string().into(),
        breaker.state.as_str().into(),
        breaker.since.into(),
        breaker.opened_at.into(),
        breaker.failures.cast_signed().into(),
        breaker.failed_probes.cast_signed().into(),
        breaker.probe_at.into(),
        breaker.reason.code.clone().into(),
        breaker.reason.sentence.clone().into(),
        breaker.open_notified_at.into(),
        breaker.day_notified.into(),
        breaker.lane.owner.into(),
    ];
    Ok(run(tx, sql, values).await? == 1)
}

/// Claims the probes of these lanes that are due and not claimed, until `until`. Returns the lanes whose probe was
/// claimed.
pub async fn claim_probes(
    db: &impl ConnectionTrait,
    lanes: &[LaneId],
    now: Timestamp,
    until: Timestamp,
) -> Result<Vec<LaneId>, DbErr> {
    let sql = "WITH wanted (lane) AS ({rows})
         UPDATE breakers SET state = 'half_open', since = {1}, probe_until = {2}
         FROM wanted WHERE breakers.lane = wanted.lane
             AND (state = 'open' AND probe_at <= {1}
                  OR state = 'half_open' AND (probe_until IS NULL OR probe_until <= {1}))
         RETURNING breakers.lane AS lane";
    rows_of(lanes).query(db, sql, vec![now.into(), until.into()]).await?.iter().map(lane).collect()
}

fn rows_of(lanes: &[LaneId]) -> Rows {
    let mut rows = Rows::new(&[Type::Text]);
    for lane in lanes {
        rows.push([lane.to_string().into()]);
    }
    rows
}

/// Saves the result of a probe that this node has claimed until `until`. Returns false if the claim is no longer valid.
pub async fn save_probe(tx: &impl ConnectionTrait, breaker: &Breaker, until: Option<Timestamp>) -> Result<bool, DbErr> {
    let sql = "UPDATE breakers SET state = $2, since = $3, failures = $4, failed_probes = $5, probe_at = $6,
             probe_until = NULL, reason_code = $7, reason = $8
         WHERE lane = $1 AND state = 'half_open' AND probe_until = $9";
    let values = vec![
        breaker.lane.to_string().into(),
        breaker.state.as_str().into(),
        breaker.since.into(),
        breaker.failures.cast_signed().into(),
        breaker.failed_probes.cast_signed().into(),
        breaker.probe_at.into(),
        breaker.reason.code.clone().into(),
        breaker.reason.sentence.clone().into(),
        until.into(),
    ];
    Ok(run(tx, sql, values).await? == 1)
}

/// Closes a breaker. Returns false if it was closed.
pub async fn close(tx: &impl ConnectionTrait, lane: &LaneId, now: Timestamp) -> Result<bool, DbErr> {
    let sql = "UPDATE breakers SET state = 'closed', since = $2, probe_until = NULL
         WHERE lane = $1 AND state <> 'closed'";
    Ok(run(tx, sql, vec![lane.to_string().into(), now.into()]).await? == 1)
}

/// Makes the probe of an open breaker due now.
pub async fn probe_now(tx: &impl ConnectionTrait, lane: &LaneId, now: Timestamp) -> Result<(), DbErr> {
    let sql = "UPDATE breakers SET probe_at = $2 WHERE lane = $1 AND state = 'open' AND probe_at > $2";
    run(tx, sql, vec![lane.to_string().into(), now.into()]).await.map(drop)
}

/// Marks that the owners were notified of the opening.
pub async fn mark_open_notified(tx: &impl ConnectionTrait, lane: &LaneId, now: Timestamp) -> Result<(), DbErr> {
    let sql = "UPDATE breakers SET open_notified_at = $2 WHERE lane = $1";
    run(tx, sql, vec![lane.to_string().into(), now.into()]).await.map(drop)
}

/// Marks that the owners are notified that the breaker has been open for a day. Returns false if another node did so
/// first.
pub async fn mark_day_notified(tx: &impl ConnectionTrait, lane: &LaneId) -> Result<bool, DbErr> {
    let sql = "UPDATE breakers SET day_notified = $2 WHERE lane = $1 AND day_notified = $3 AND state <> 'closed'";
    Ok(run(tx, sql, vec![lane.to_string().into(), true.into(), false.into()]).await? == 1)
}

/// All breakers that are not closed or were closed after `closed_after`.
pub async fn list_current(db: &impl ConnectionTrait, closed_after: Timestamp) -> Result<Vec<Breaker>, DbErr> {
    let sql = format!(
        "SELECT * FROM breakers WHERE lane > $1 AND (state <> 'closed' OR since > $2)
         ORDER BY lane LIMIT {PAGE}"
    );
    let (mut found, mut last) = (Vec::new(), String::new());
    loop {
        let rows = query(db, &sql, vec![last.into(), closed_after.into()]).await?;
        found.extend(readable("breakers", &rows, read));
        match rows.last() {
            Some(row) if rows.len() == PAGE => last = row.try_get("", "lane")?,
            _ => return Ok(found),
        }
    }
}

/// Up to `limit` breakers of an owner's lanes or of all lanes. Breakers that are not closed come first.
pub async fn list(db: &impl ConnectionTrait, owner: Option<AffiliateId>, limit: usize) -> Result<Vec<Breaker>, DbErr> {
    let (own, values): (_, Vec<Value>) = match owner {
        Some(owner) => ("WHERE owner_affiliate_id = $1", vec![owner.into()]),
        None => ("", vec![]),
    };
    let sql = format!(
        "SELECT * FROM breakers {own} ORDER BY CASE WHEN state = 'closed' THEN 1 ELSE 0 END, lane LIMIT {limit}"
    );
    let rows = query(db, &sql, values).await?;
    Ok(readable("breakers", &rows, read))
}

pub async fn find(db: &impl ConnectionTrait, lane: &LaneId) -> Result<Option<Breaker>, DbErr> {
    let rows = query(db, "SELECT * FROM breakers WHERE lane = $1", vec![lane.to_string().into()]).await?;
    rows.first().map(read).transpose()
}

/// The breaker of the latest lane of this postback whose breaker is not closed.
pub async fn find_of_postback(db: &impl ConnectionTrait, id: PostbackId) -> Result<Option<Breaker>, DbErr> {
    let sql = "SELECT it.destination, postbacks.owner_affiliate_id AS owner
         FROM postback_destinations AS it JOIN postbacks ON postbacks.id = it.postback_id
         WHERE it.postback_id = $1 ORDER BY it.seen_at DESC LIMIT 10";
    for row in query(db, sql, vec![id.into()]).await? {
        let (destination, owner): (String, Owner) = (row.try_get("", "destination")?, row.try_get("", "owner")?);
        let breaker = find(db, &LaneId::new(&destination, owner)).await?;
        if breaker.as_ref().is_some_and(|it| !it.is_closed()) {
            return Ok(breaker);
        }
    }
    Ok(None)
}

/// The query of the ids of postbacks of which one destination is paused. Few breakers are not closed.
pub(super) fn paused_postbacks(backend: DbBackend) -> String {
    let position = if backend == DbBackend::Postgres { "strpos" } else { "instr" };
    // A lane is its destination, followed by a space and the owner unless that is the program.
    format!(
        "SELECT seen.postback_id FROM breakers
         JOIN postback_destinations AS seen
             ON seen.destination = substr(breakers.lane, 1, {position}(breakers.lane || ' ', ' ') - 1)
         JOIN postbacks AS sender ON sender.id = seen.postback_id
             AND sender.owner_affiliate_id IS NOT DISTINCT FROM breakers.owner_affiliate_id
         WHERE breakers.state <> 'closed'"
    )
}

/// The number of breakers in each state except closed.
pub async fn count(db: &impl ConnectionTrait) -> Result<Vec<(String, i64)>, DbErr> {
    let sql = "SELECT state, count(*) AS number FROM breakers WHERE state <> 'closed' GROUP BY state";
    let rows = query(db, sql, vec![]).await?;
    rows.iter().map(|row| Ok((row.try_get("", "state")?, row.try_get("", "number")?))).collect()
}

/// Deletes breakers that were closed before `before`.
pub async fn delete_closed_older_than(db: &impl ConnectionTrait, before: Timestamp) -> Result<(), DbErr> {
    run(db, "DELETE FROM breakers WHERE state = 'closed' AND since < $1", vec![before.into()]).await.map(drop)
}

/// Saves the destinations to which postbacks were sent. The caller limits the number of destinations of a postback: see
/// `engine/delivery/lanes/postback_lane.rs`.
pub async fn save_destinations(
    db: &impl ConnectionTrait,
    seen: &[(PostbackId, String)],
    now: Timestamp,
) -> Result<(), DbErr> {
    let mut rows = Rows::new(&[Type::Id, Type::Text, Type::Big]);
    for (postback, destination) in seen {
        rows.push([(*postback).into(), destination.clone().into(), now.into()]);
    }
    let sql = "INSERT INTO postback_destinations (postback_id, destination, seen_at) {rows}
         ON CONFLICT (postback_id, destination) DO UPDATE SET seen_at = excluded.seen_at";
    rows.execute(db, sql, vec![]).await.map(drop)
}

/// Deletes the destinations of a postback that was changed.
pub async fn delete_destinations(db: &impl ConnectionTrait, id: PostbackId) -> Result<(), DbErr> {
    run(db, "DELETE FROM postback_destinations WHERE postback_id = $1", vec![id.into()]).await.map(drop)
}

/// The clauses `FROM` and `WHERE` for the postbacks that send in a lane, with their parameters.
fn from_lane(lane: &LaneId) -> (String, Vec<Value>) {
    let (own, values) = match lane.owner {
        Some(owner) => ("= $2", vec![lane.destination.to_string().into(), owner.into()]),
        None => ("IS NULL", vec![lane.destination.to_string().into()]),
    };
    let sql = format!(
        "FROM postback_destinations AS it JOIN postbacks ON postbacks.id = it.postback_id
         WHERE it.destination = $1 AND postbacks.owner_affiliate_id {own} AND postbacks.archived_at IS NULL"
    );
    (sql, values)
}

/// Whether a live postback sends in a lane.
pub async fn is_in_use(db: &impl ConnectionTrait, lane: &LaneId) -> Result<bool, DbErr> {
    let (postbacks, values) = from_lane(lane);
    let found = query(db, &format!("SELECT 1 {postbacks} AND postbacks.enabled LIMIT 1"), values).await?;
    Ok(!found.is_empty())
}

/// Up to 100 postbacks that send in a lane.
pub async fn list_postbacks(db: &impl ConnectionTrait, lane: &LaneId) -> Result<Vec<PostbackId>, DbErr> {
    let (postbacks, values) = from_lane(lane);
    let sql = format!("SELECT it.postback_id AS id {postbacks} ORDER BY it.postback_id LIMIT 100");
    query(db, &sql, values).await?.iter().map(|row| row.try_get("", "id")).collect()
}
