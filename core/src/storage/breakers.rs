//! Queries of breakers, and of which postback goes to which destination.

use std::collections::HashSet;

use sea_orm::{ConnectionTrait, DbErr, QueryResult, Statement, Value};

use crate::clock::Timestamp;
use crate::domain::breaker::{Breaker, BreakerState};
use crate::domain::delivery::Reason;
use crate::ids::{AffiliateId, PostbackId};

use super::bulk::{Rows, Type};
use super::corrupt;

/// Breakers that are read at once; a destination without a row is closed.
const MOST: usize = 10_000;

fn read(row: &QueryResult) -> Result<Breaker, DbErr> {
    let state: String = row.try_get("", "state")?;
    let failures: i32 = row.try_get("", "failures")?;
    let failed_probes: i32 = row.try_get("", "failed_probes")?;
    Ok(Breaker {
        destination: row.try_get("", "destination")?,
        state: BreakerState::from_word(&state).ok_or_else(|| corrupt("breakers", format_args!("state {state}")))?,
        since: row.try_get("", "since")?,
        opened_at: row.try_get("", "opened_at")?,
        failures: failures.cast_unsigned(),
        failed_probes: failed_probes.cast_unsigned(),
        probe_at: row.try_get("", "probe_at")?,
        probe_until: row.try_get("", "probe_until")?,
        reason: Reason { code: row.try_get("", "reason_code")?, sentence: row.try_get("", "reason")? },
        told_open_at: row.try_get("", "told_open_at")?,
        told_day: row.try_get("", "told_day")?,
    })
}

async fn run(db: &impl ConnectionTrait, sql: &str, values: Vec<Value>) -> Result<u64, DbErr> {
    let statement = Statement::from_sql_and_values(db.get_database_backend(), sql, values);
    Ok(db.execute_raw(statement).await?.rows_affected())
}

async fn query(db: &impl ConnectionTrait, sql: &str, values: Vec<Value>) -> Result<Vec<QueryResult>, DbErr> {
    db.query_all_raw(Statement::from_sql_and_values(db.get_database_backend(), sql, values)).await
}

/// Stores one that opened. `false`: another node was first, and its breaker stays as it is.
pub async fn open(tx: &impl ConnectionTrait, it: &Breaker) -> Result<bool, DbErr> {
    let sql =
        "INSERT INTO breakers (destination, state, since, opened_at, failures, failed_probes, probe_at, probe_until,
             reason_code, reason, told_open_at, told_day)
         VALUES ($1, $2, $3, $4, $5, $6, $7, NULL, $8, $9, $10, $11)
         ON CONFLICT (destination) DO UPDATE SET state = excluded.state, since = excluded.since,
             opened_at = excluded.opened_at, failures = excluded.failures, failed_probes = excluded.failed_probes,
             probe_at = excluded.probe_at, probe_until = NULL, reason_code = excluded.reason_code,
             reason = excluded.reason, told_open_at = excluded.told_open_at, told_day = excluded.told_day
         WHERE breakers.state = 'closed'";
    let values = vec![
        it.destination.clone().into(),
        it.state.as_str().into(),
        it.since.into(),
        it.opened_at.into(),
        it.failures.cast_signed().into(),
        it.failed_probes.cast_signed().into(),
        it.probe_at.into(),
        it.reason.code.clone().into(),
        it.reason.sentence.clone().into(),
        it.told_open_at.into(),
        it.told_day.into(),
    ];
    Ok(run(tx, sql, values).await? == 1)
}

/// Takes the right to the next probe, if it is due and nobody has it.
pub async fn claim_probe(
    db: &impl ConnectionTrait,
    destination: &str,
    now: Timestamp,
    until: Timestamp,
) -> Result<bool, DbErr> {
    let sql = "UPDATE breakers SET state = 'half_open', since = $2, probe_until = $3 WHERE destination = $1
             AND (state = 'open' AND probe_at <= $2 OR state = 'half_open' AND (probe_until IS NULL OR probe_until <= $2))";
    Ok(run(db, sql, vec![destination.into(), now.into(), until.into()]).await? == 1)
}

/// Stores what came of the probe that this node had the right to until `until`; `false`: it had lost it.
pub async fn save_probe(tx: &impl ConnectionTrait, it: &Breaker, until: Option<Timestamp>) -> Result<bool, DbErr> {
    let sql = "UPDATE breakers SET state = $2, since = $3, failures = $4, failed_probes = $5, probe_at = $6,
             probe_until = NULL, reason_code = $7, reason = $8
         WHERE destination = $1 AND state = 'half_open' AND probe_until = $9";
    let values = vec![
        it.destination.clone().into(),
        it.state.as_str().into(),
        it.since.into(),
        it.failures.cast_signed().into(),
        it.failed_probes.cast_signed().into(),
        it.probe_at.into(),
        it.reason.code.clone().into(),
        it.reason.sentence.clone().into(),
        until.into(),
    ];
    Ok(run(tx, sql, values).await? == 1)
}

/// Closes it; `false`: another node was first.
pub async fn close(tx: &impl ConnectionTrait, destination: &str, now: Timestamp) -> Result<bool, DbErr> {
    let sql = "UPDATE breakers SET state = 'closed', since = $2, probe_until = NULL
         WHERE destination = $1 AND state <> 'closed'";
    Ok(run(tx, sql, vec![destination.into(), now.into()]).await? == 1)
}

/// A person asks for a probe now.
pub async fn probe_now(tx: &impl ConnectionTrait, destination: &str, now: Timestamp) -> Result<(), DbErr> {
    let sql = "UPDATE breakers SET probe_at = $2 WHERE destination = $1 AND state = 'open' AND probe_at > $2";
    run(tx, sql, vec![destination.into(), now.into()]).await.map(drop)
}

/// Marks that the owners were told that it opened.
pub async fn told_open(tx: &impl ConnectionTrait, destination: &str, now: Timestamp) -> Result<(), DbErr> {
    let sql = "UPDATE breakers SET told_open_at = $2 WHERE destination = $1";
    run(tx, sql, vec![destination.into(), now.into()]).await.map(drop)
}

/// Marks that the owners were told that it has been open for a day; `false`: they were, by another node.
pub async fn told_day(tx: &impl ConnectionTrait, destination: &str) -> Result<bool, DbErr> {
    let sql = "UPDATE breakers SET told_day = $2 WHERE destination = $1 AND told_day = $3 AND state <> 'closed'";
    Ok(run(tx, sql, vec![destination.into(), true.into(), false.into()]).await? == 1)
}

pub async fn list(db: &impl ConnectionTrait) -> Result<Vec<Breaker>, DbErr> {
    let sql = format!("SELECT * FROM breakers ORDER BY destination LIMIT {MOST}");
    let rows = query(db, &sql, vec![]).await?;
    Ok(super::readable("breakers", &rows, read))
}

pub async fn find(db: &impl ConnectionTrait, destination: &str) -> Result<Option<Breaker>, DbErr> {
    let rows = query(db, "SELECT * FROM breakers WHERE destination = $1", vec![destination.into()]).await?;
    rows.first().map(read).transpose()
}

/// The breaker, not closed, of a destination to which this postback was seen to go.
pub async fn find_of_postback(db: &impl ConnectionTrait, id: PostbackId) -> Result<Option<Breaker>, DbErr> {
    let sql =
        "SELECT breakers.* FROM postback_destinations AS it JOIN breakers ON breakers.destination = it.destination
         WHERE it.postback_id = $1 AND breakers.state <> 'closed' ORDER BY it.seen_at DESC LIMIT 1";
    query(db, sql, vec![id.into()]).await?.first().map(read).transpose()
}

/// How many breakers are in each state but closed.
pub async fn count(db: &impl ConnectionTrait) -> Result<Vec<(String, i64)>, DbErr> {
    let sql = "SELECT state, count(*) AS number FROM breakers WHERE state <> 'closed' GROUP BY state";
    let rows = query(db, sql, vec![]).await?;
    rows.iter().map(|row| Ok((row.try_get("", "state")?, row.try_get("", "number")?))).collect()
}

/// Closed ones have told all that there is to tell.
pub async fn forget_closed_before(db: &impl ConnectionTrait, before: Timestamp) -> Result<(), DbErr> {
    run(db, "DELETE FROM breakers WHERE state = 'closed' AND since < $1", vec![before.into()]).await.map(drop)
}

/// Notes where postbacks were seen to go. One that goes to many destinations is kept with the first few: see
/// `services/sending/destinations.rs`.
pub async fn note_destinations(
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

/// Whose live postbacks go to a destination; `None` is the program.
pub async fn list_owners(db: &impl ConnectionTrait, destination: &str) -> Result<Vec<Option<AffiliateId>>, DbErr> {
    let sql = "SELECT DISTINCT postbacks.owner_affiliate_id AS owner
         FROM postback_destinations AS it JOIN postbacks ON postbacks.id = it.postback_id
         WHERE it.destination = $1 AND postbacks.enabled AND postbacks.archived_at IS NULL";
    let rows = query(db, sql, vec![destination.into()]).await?;
    rows.iter().map(|row| row.try_get("", "owner")).collect()
}

/// The postbacks that go to a destination, up to a hundred: of an owner, or of anybody.
pub async fn list_postbacks(
    db: &impl ConnectionTrait,
    destination: &str,
    owner: Option<AffiliateId>,
) -> Result<Vec<PostbackId>, DbErr> {
    let mut values: Vec<Value> = vec![destination.into()];
    let mut own = "";
    if let Some(owner) = owner {
        values.push(owner.into());
        own = "AND postbacks.owner_affiliate_id = $2";
    }
    let sql = format!(
        "SELECT it.postback_id AS id FROM postback_destinations AS it JOIN postbacks ON postbacks.id = it.postback_id
         WHERE it.destination = $1 AND postbacks.archived_at IS NULL {own} ORDER BY it.postback_id LIMIT 100"
    );
    query(db, &sql, values).await?.iter().map(|row| row.try_get("", "id")).collect()
}

/// Where the postbacks of an affiliate go.
pub async fn list_destinations_of(db: &impl ConnectionTrait, owner: AffiliateId) -> Result<HashSet<String>, DbErr> {
    let sql = "SELECT DISTINCT it.destination AS destination
         FROM postbacks JOIN postback_destinations AS it ON it.postback_id = postbacks.id
         WHERE postbacks.owner_affiliate_id = $1 AND postbacks.archived_at IS NULL";
    query(db, sql, vec![owner.into()]).await?.iter().map(|row| row.try_get("", "destination")).collect()
}
