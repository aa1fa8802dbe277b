//! Keeping big tables small: whole months leave on PostgreSQL, rows in chunks on SQLite and from default partitions.
//!
//! A range of UUIDv7 keys is a range of time, so a month of rows is one partition and leaves as one.

use sea_orm::{ConnectionTrait, DbErr, Statement};
use uuid::Uuid;

use crate::Database;
use domain::ids::{floor_uuid, time_of};
use domain::timestamp::Timestamp;

use super::partitions::{self, TABLES};

/// Held by the node that drops what is out of retention.
const PRUNING_LOCK: i64 = 0x706f_7374_7072_756e;

/// So many rows are deleted at a time, so that nobody waits long for SQLite's one writer.
const CHUNK: i64 = 2_000;

/// Deletes what is older than `before` and owed to nobody; says how many rows or partitions went.
pub async fn prune(db: &Database, before: Timestamp) -> Result<u64, DbErr> {
    if !db.is_postgres() {
        return delete_chunks(db, before, "").await;
    }
    // One node at a time: two would look into tables that the other one drops. The lock ends with the transaction.
    let turn = db.begin().await?;
    let pruned = if partitions::takes(&turn, PRUNING_LOCK).await? {
        let dropped = drop_partitions(db, before).await?;
        dropped + delete_chunks(db, before, "_default").await?
    } else {
        0
    };
    turn.rollback().await?;
    Ok(pruned)
}

/// Whole months only: a month goes when its last day is out of retention and it owes nothing.
async fn drop_partitions(db: &Database, before: Timestamp) -> Result<u64, DbErr> {
    let mut dropped = 0;
    for month in partitions::ended_before(db, before).await? {
        if owes(db, &month.suffix).await? {
            continue;
        }
        if partitions::drop(db, &month).await? {
            dropped += 1;
        } else {
            let partition = month.partition();
            tracing::info!(partition, "A month out of retention is in use, such as by a backup; it goes another time");
        }
    }
    Ok(dropped)
}

/// Whether a month still holds an event to route, a delivery to send or a report that waits.
async fn owes(db: &Database, month: &str) -> Result<bool, DbErr> {
    let owed = [
        ("deliveries", format!("deliveries{month} WHERE state = 'pending'")),
        ("events", format!("pending_events JOIN events{month} AS event ON event.id = pending_events.id")),
        ("inbound_requests", format!("inbound_requests{month} WHERE outcome = 'waiting'")),
    ];
    for (table, owed) in owed {
        let sql = format!("SELECT to_regclass('{table}{month}') IS NOT NULL AS there");
        let backend = db.writer().get_database_backend();
        let there = db.writer().query_one_raw(Statement::from_string(backend, sql)).await?;
        if !there.map_or(Ok(false), |row| row.try_get("", "there"))? {
            continue;
        }
        let sql = format!("SELECT 1 AS one FROM {owed} LIMIT 1");
        if db.writer().query_one_raw(Statement::from_string(backend, sql)).await?.is_some() {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Row by row, from the tables themselves or from their partitions with this suffix.
async fn delete_chunks(db: &Database, before: Timestamp, suffix: &str) -> Result<u64, DbErr> {
    let backend = db.writer().get_database_backend();
    let mut bound = before;
    for (owed, key) in [
        ("pending_events".to_owned(), "id"),
        (format!("deliveries{suffix} WHERE state = 'pending'"), "event_id"),
        (format!("inbound_requests{suffix} WHERE outcome = 'waiting'"), "id"),
    ] {
        // Not min(), which PostgreSQL has not for a uuid.
        let oldest = format!("SELECT {key} AS oldest FROM {owed} ORDER BY {key} LIMIT 1");
        let oldest = db.reader().query_one_raw(Statement::from_string(backend, oldest)).await?;
        // Nothing that is as old as what is still owed goes: its event and its click may be needed.
        if let Some(id) = oldest.map(|row| row.try_get::<Uuid>("", "oldest")).transpose()? {
            bound = bound.min(time_of(id));
        }
    }
    let place = if db.is_postgres() { "ctid" } else { "rowid" };
    let mut deleted = 0;
    for (table, key) in TABLES {
        let table = format!("{table}{suffix}");
        // An array, because PostgreSQL finds rows by their place only so.
        let chunk = format!("SELECT {place} FROM {table} WHERE {key} < $1 LIMIT {CHUNK}");
        let chunk = if db.is_postgres() { format!("= ANY (ARRAY({chunk}))") } else { format!("IN ({chunk})") };
        let sql = format!("DELETE FROM {table} WHERE {place} {chunk}");
        loop {
            let values: [sea_orm::Value; 1] = [floor_uuid(bound).into()];
            let statement = Statement::from_sql_and_values(backend, &sql, values);
            let gone = db.writer().execute_raw(statement).await?.rows_affected();
            deleted += gone;
            if gone < CHUNK as u64 {
                break;
            }
        }
    }
    Ok(deleted)
}
