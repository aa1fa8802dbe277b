//! Deletes rows out of retention from large tables: whole partitions on PostgreSQL; rows in chunks on SQLite and in
//! default partitions.
//!
//! A range of UUIDv7 keys is a range of time, so the rows of one month are one partition.

use sea_orm::{ConnectionTrait, DbErr, Statement};
use uuid::Uuid;

use crate::Database;
use domain::ids::{floor_uuid, time_of};
use domain::timestamp::Timestamp;

use super::partitions::{self, TABLES};

/// The advisory lock of the node that deletes rows out of retention.
const RETENTION_LOCK: i64 = 0x706f_7374_7072_756e;

/// The number of rows that one statement deletes, so that nobody waits long for SQLite's only writer.
const CHUNK: i64 = 2_000;

/// Deletes rows that are older than `before` and that no pending work needs. Returns the number of deleted rows and
/// dropped partitions.
pub async fn delete_older_than(db: &Database, before: Timestamp) -> Result<u64, DbErr> {
    if !db.is_postgres() {
        return delete_chunks(db, before, "").await;
    }
    // One node at a time, because a second node could read tables that the first one drops.
    let locking = db.begin().await?;
    let deleted = if partitions::try_lock(&locking, RETENTION_LOCK).await? {
        let dropped = drop_partitions(db, before).await?;
        dropped + delete_chunks(db, before, "_default").await?
    } else {
        0
    };
    locking.rollback().await?;
    Ok(deleted)
}

/// Drops partitions whose last day is out of retention and that have no pending work.
async fn drop_partitions(db: &Database, before: Timestamp) -> Result<u64, DbErr> {
    let mut dropped = 0;
    for partition in partitions::ended_before(db, before).await? {
        if has_pending_work(db, &partition.suffix).await? {
            continue;
        }
        if partitions::drop(db, &partition).await? {
            dropped += 1;
        } else {
            let partition = partition.name();
            tracing::info!(
                partition,
                "A partition out of retention is locked, for example by a backup; dropping it is tried again later"
            );
        }
    }
    Ok(dropped)
}

/// Whether partitions with this suffix have a pending event, a pending delivery or a waiting inbound request.
async fn has_pending_work(db: &Database, suffix: &str) -> Result<bool, DbErr> {
    let pending = [
        ("deliveries", format!("deliveries{suffix} WHERE state = 'pending'")),
        ("events", format!("pending_events JOIN events{suffix} AS event ON event.id = pending_events.id")),
        ("inbound_requests", format!("inbound_requests{suffix} WHERE outcome = 'waiting'")),
    ];
    for (table, rows) in pending {
        let sql = format!("SELECT to_regclass('{table}{suffix}') IS NOT NULL AS there");
        let backend = db.writer().get_database_backend();
        let there = db.writer().query_one_raw(Statement::from_string(backend, sql)).await?;
        if !there.map_or(Ok(false), |row| row.try_get("", "there"))? {
            continue;
        }
        let sql = format!("SELECT 1 AS one FROM {rows} LIMIT 1");
        if db.writer().query_one_raw(Statement::from_string(backend, sql)).await?.is_some() {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Deletes rows in chunks, from the tables or, with a suffix, from their partitions.
async fn delete_chunks(db: &Database, before: Timestamp, suffix: &str) -> Result<u64, DbErr> {
    let backend = db.writer().get_database_backend();
    let mut bound = before;
    for (pending, key) in [
        ("pending_events".to_owned(), "id"),
        (format!("deliveries{suffix} WHERE state = 'pending'"), "event_id"),
        (format!("inbound_requests{suffix} WHERE outcome = 'waiting'"), "id"),
    ] {
        // PostgreSQL has no min() of a uuid.
        let oldest = format!("SELECT {key} AS oldest FROM {pending} ORDER BY {key} LIMIT 1");
        let oldest = db.reader().query_one_raw(Statement::from_string(backend, oldest)).await?;
        // Rows as new as the oldest pending row stay, because it may need its event and its click.
        if let Some(id) = oldest.map(|row| row.try_get::<Uuid>("", "oldest")).transpose()? {
            bound = bound.min(time_of(id));
        }
    }
    let place = if db.is_postgres() { "ctid" } else { "rowid" };
    let mut deleted = 0;
    for (table, key) in TABLES {
        let table = format!("{table}{suffix}");
        // PostgreSQL finds rows by their place only with an array.
        let chunk = format!("SELECT {place} FROM {table} WHERE {key} < $1 LIMIT {CHUNK}");
        let chunk = if db.is_postgres() { format!("= ANY (ARRAY({chunk}))") } else { format!("IN ({chunk})") };
        let sql = format!("DELETE FROM {table} WHERE {place} {chunk}");
        loop {
            let values: [sea_orm::Value; 1] = [floor_uuid(bound).into()];
            let statement = Statement::from_sql_and_values(backend, &sql, values);
            let affected = db.writer().execute_raw(statement).await?.rows_affected();
            deleted += affected;
            if affected < CHUNK as u64 {
                break;
            }
        }
    }
    Ok(deleted)
}
