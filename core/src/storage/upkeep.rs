//! Keeping big tables small: monthly partitions on PostgreSQL, deletes in chunks on SQLite.
//!
//! A range of UUIDv7 keys is a range of time, so a month of rows is one partition and leaves as one.

use chrono::{Datelike, Months, NaiveDate};
use sea_orm::{ConnectionTrait, DbErr, Statement};
use uuid::Uuid;

use crate::clock::Timestamp;
use crate::ids::{floor_uuid, time_of};

use super::Database;

/// Tables and the key that they are ranged by. Attempts and deliveries share their event's time.
const TABLES: [(&str, &str); 5] =
    [("attempts", "delivery_id"), ("deliveries", "id"), ("events", "id"), ("inbound_requests", "id"), ("clicks", "id")];

/// Held by the node that drops what is out of retention.
const PRUNING_LOCK: i64 = 0x706f_7374_7072_756e;

/// SQLite deletes this many rows at a time, so that nobody waits long for the one writer.
const CHUNK: i64 = 2_000;

/// Makes the partitions of this month and the next two, where they are missing.
pub async fn ensure_partitions(db: &Database, now: Timestamp) -> Result<(), DbErr> {
    if !db.is_postgres() {
        return Ok(());
    }
    for ahead in 0..3 {
        let month = month_of(now) + Months::new(ahead);
        let (from, to) = (floor_of(month), floor_of(month + Months::new(1)));
        for (table, _) in TABLES {
            let name = partition_name(table, month);
            if is_there(db, &name).await? {
                continue;
            }
            let sql = format!(
                "CREATE TABLE IF NOT EXISTS {name} PARTITION OF {table} FOR VALUES FROM ('{from}') TO ('{to}')"
            );
            if let Err(error) = db.writer().execute_unprepared(&sql).await {
                // Two nodes may make the same one at once, and IF NOT EXISTS looks too early to see it.
                if !is_there(db, &name).await? {
                    return Err(error);
                }
            }
        }
    }
    Ok(())
}

async fn is_there(db: &Database, table: &str) -> Result<bool, DbErr> {
    let sql = "SELECT 1 AS one FROM pg_class WHERE relname = $1 AND relnamespace = current_schema()::regnamespace";
    let backend = db.writer().get_database_backend();
    let found = db.writer().query_one_raw(Statement::from_sql_and_values(backend, sql, [table.into()])).await?;
    Ok(found.is_some())
}

/// Deletes what is older than `before` and owed to nobody; says how many rows or partitions went.
pub async fn prune(db: &Database, before: Timestamp) -> Result<u64, DbErr> {
    if db.is_postgres() { drop_partitions(db, before).await } else { delete_chunks(db, before).await }
}

/// Whole months only: a month goes when its last day is out of retention and it owes nothing.
async fn drop_partitions(db: &Database, before: Timestamp) -> Result<u64, DbErr> {
    let backend = db.writer().get_database_backend();
    // One node at a time: two would look into tables that the other one drops. The lock ends with the transaction.
    let turn = db.begin().await?;
    let sql = "SELECT pg_try_advisory_xact_lock($1) AS mine";
    let row = turn.query_one_raw(Statement::from_sql_and_values(backend, sql, [PRUNING_LOCK.into()])).await?;
    if !row.map_or(Ok(false), |row| row.try_get("", "mine"))? {
        turn.rollback().await?;
        return Ok(0);
    }
    let sql = "SELECT inhrelid::regclass::text AS name FROM pg_inherits WHERE inhparent = $1::text::regclass";
    let last_kept = partition_name("", month_of(before));
    let mut dropped = 0;
    for (table, _) in TABLES {
        let rows = db.writer().query_all_raw(Statement::from_sql_and_values(backend, sql, [table.into()])).await?;
        for row in rows {
            let name: String = row.try_get("", "name")?;
            let Some(month) = name.strip_prefix(table).filter(|month| month.starts_with("_2")) else { continue };
            if month >= last_kept.as_str() || owes(db, month).await? {
                continue;
            }
            db.writer().execute_unprepared(&format!("DROP TABLE {name}")).await?;
            dropped += 1;
        }
    }
    turn.rollback().await?;
    Ok(dropped)
}

/// Whether a month still holds an event to route, a delivery to send or a report that waits.
async fn owes(db: &Database, month: &str) -> Result<bool, DbErr> {
    let owed = [
        ("deliveries", format!("deliveries{month} WHERE state = 'pending'")),
        ("events", format!("owed_events JOIN events{month} AS event ON event.id = owed_events.id")),
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

async fn delete_chunks(db: &Database, before: Timestamp) -> Result<u64, DbErr> {
    let backend = db.writer().get_database_backend();
    let mut bound = before;
    for (owed, key) in [
        ("owed_events", "id"),
        ("deliveries WHERE state = 'pending'", "event_id"),
        ("inbound_requests WHERE outcome = 'waiting'", "id"),
    ] {
        let oldest = Statement::from_string(backend, format!("SELECT min({key}) AS oldest FROM {owed}"));
        let oldest = db.reader().query_one_raw(oldest).await?;
        // Nothing that is as old as what is still owed goes: its event and its click may be needed.
        if let Some(id) = oldest.map(|row| row.try_get::<Option<Uuid>>("", "oldest")).transpose()?.flatten() {
            bound = bound.min(time_of(id));
        }
    }
    let mut deleted = 0;
    for (table, key) in TABLES {
        let sql =
            format!("DELETE FROM {table} WHERE rowid IN (SELECT rowid FROM {table} WHERE {key} < $1 LIMIT {CHUNK})");
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

fn month_of(at: Timestamp) -> NaiveDate {
    let date = chrono::DateTime::from_timestamp_millis(at.millis()).unwrap_or_default().date_naive();
    date.with_day(1).expect("every month has a first day")
}

fn floor_of(month: NaiveDate) -> Uuid {
    let midnight = month.and_hms_opt(0, 0, 0).expect("midnight exists").and_utc();
    floor_uuid(Timestamp::from_millis(midnight.timestamp_millis()))
}

/// `clicks_2026_11`.
fn partition_name(table: &str, month: NaiveDate) -> String {
    format!("{table}_{:04}_{:02}", month.year(), month.month())
}
