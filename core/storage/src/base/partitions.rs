//! Monthly partitions on PostgreSQL: creates them in advance and drops those out of retention.
//!
//! A new partition is created as a table and then attached; an old one is detached and dropped. Each step is a short
//! transaction that waits at most [`LOCK_TIMEOUT`] for its locks, because clicks queue behind a statement that waits
//! for a lock, and a backup holds ACCESS SHARE on every table while it runs. A step that does not get its locks is
//! tried again later; until then, the rows of the month go to the default partition.
//!
//! A statement chooses its partitions when it is planned and locks them afterwards. If a month with rows were attached
//! in between, a query would miss the rows that moved out of the default partition, and an INSERT into that partition
//! would fail. So such a month is attached under ACCESS EXCLUSIVE on the whole table, and statements are planned after
//! it. A future month without rows does not need this lock.
//!
//! PostgreSQL refuses DETACH … CONCURRENTLY for a table with a default partition, which rows without a month need.

use std::collections::HashSet;

use chrono::{Datelike, Months, NaiveDate};
use sea_orm::{ConnectionTrait, DatabaseTransaction, DbErr, Statement};
use uuid::Uuid;

use crate::Database;
use domain::ids::floor_uuid;
use domain::timestamp::Timestamp;

use super::failures::{is_lock_timeout, is_statement_timeout};

/// Each partitioned table with its partition key. Attempts and deliveries have the time of their event.
pub(crate) const TABLES: [(&str, &str); 5] =
    [("attempts", "delivery_id"), ("deliveries", "id"), ("events", "id"), ("inbound_requests", "id"), ("clicks", "id")];

/// The number of months with a partition: the current one and the next two.
const MONTHS: u32 = 3;

/// How long a step, and each statement that queues behind it, waits for a lock.
const LOCK_TIMEOUT: &str = "200ms";
/// How long a step may hold its locks: attaching reads the default partition.
const STATEMENT_TIMEOUT: &str = "1s";

/// The maximum number of rows that are moved while the default partition is locked. A month with more rows stays there.
const MOVED_ROWS: i64 = 10_000;

/// The advisory lock of the node that attaches a partition.
const ATTACHING_LOCK: i64 = 0x706f_7374_6174_7463;

/// A partition that could not be created.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct MissingPartition {
    pub partition: String,
    pub reason: MissingReason,
    /// Whether its month is the current one, whose rows go to the default partition until it exists.
    pub is_current_month: bool,
}

#[derive(Clone, PartialEq, Eq, Debug)]
pub enum MissingReason {
    /// Another transaction holds the table, such as a backup or another node that creates the partition.
    Locked,
    /// The default partition has too many rows of the month, or too many rows to read them under a lock.
    ManyRows,
    Failed(String),
}

impl std::fmt::Display for MissingReason {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Locked => f.write_str("another transaction holds the table, such as a backup"),
            Self::ManyRows => f.write_str("the default partition has too many rows to move them while clicks wait"),
            Self::Failed(error) => f.write_str(error),
        }
    }
}

/// Whether every table has its partition of the current month. Always true on SQLite.
pub async fn has_current_month(db: &Database, now: Timestamp) -> Result<bool, DbErr> {
    if !db.is_postgres() {
        return Ok(true);
    }
    let attached = attached(db).await?;
    let month = month_of(now);
    Ok(TABLES.iter().all(|(table, _)| attached.contains(&partition_name(table, month))))
}

/// Creates the missing partitions of the current month and the next two. Returns those that could not be created. This
/// is not an error, because the default partition takes their rows.
pub async fn create_missing(db: &Database, now: Timestamp) -> Result<Vec<MissingPartition>, DbErr> {
    let mut missing = Vec::new();
    if !db.is_postgres() {
        return Ok(missing);
    }
    let attached = attached(db).await?;
    for ahead in 0..MONTHS {
        let month = month_of(now) + Months::new(ahead);
        for (table, key) in TABLES {
            let partition = partition_name(table, month);
            if attached.contains(&partition) {
                continue;
            }
            let rows = if ahead == 0 { Rows::Possible } else { Rows::Unlikely };
            match attach(db, table, key, month, rows).await {
                Ok(()) => tracing::info!(partition, "Created a partition"),
                Err(reason) => missing.push(MissingPartition { partition, reason, is_current_month: ahead == 0 }),
            }
        }
    }
    if !missing.is_empty() {
        // Another node may have created them while this one waited for the lock.
        let attached = self::attached(db).await?;
        missing.retain(|it| !attached.contains(&it.partition));
    }
    Ok(missing)
}

/// The names of all attached partitions.
async fn attached(db: &Database) -> Result<HashSet<String>, DbErr> {
    let sql = "SELECT child.relname::text AS name FROM pg_inherits
               JOIN pg_class AS parent ON parent.oid = inhparent JOIN pg_class AS child ON child.oid = inhrelid
               WHERE parent.relkind = 'p' AND parent.relnamespace = current_schema()::regnamespace";
    let rows = db.reader().query_all_raw(Statement::from_string(db.reader().get_database_backend(), sql)).await?;
    rows.iter().map(|row| row.try_get("", "name")).collect()
}

/// Whether the default partition may hold rows of a month, or get them while the month is attached.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Rows {
    Possible,
    /// Only a node whose clock is months ahead writes them.
    Unlikely,
}

async fn attach(db: &Database, table: &str, key: &str, month: NaiveDate, rows: Rows) -> Result<(), MissingReason> {
    let month = Range { table, key, month };
    let rows = if month.rows_in_default(db.reader(), 1).await.map_err(reason_of)? > 0 { Rows::Possible } else { rows };
    let tx = begin(db).await.map_err(reason_of)?;
    match attach_in(&tx, &month, rows).await {
        Ok(()) => tx.commit().await.map_err(reason_of),
        Err(reason) => {
            // If the rollback fails, the connection is closed, which ends the transaction.
            let _ = tx.rollback().await;
            Err(reason)
        }
    }
}

async fn attach_in(tx: &DatabaseTransaction, month: &Range<'_>, rows: Rows) -> Result<(), MissingReason> {
    if !try_lock(tx, ATTACHING_LOCK).await.map_err(reason_of)? {
        return Err(MissingReason::Locked);
    }
    let (table, name) = (month.table, month.partition());
    let (from, to) = month.bounds();
    let run = async |sql: String| tx.execute_unprepared(&sql).await.map_err(reason_of);
    run(format!("CREATE TABLE IF NOT EXISTS {name} (LIKE {table} INCLUDING ALL)")).await?;
    // First the table and then its partitions, in the order in which every statement locks them.
    if rows == Rows::Possible {
        run(format!("LOCK TABLE ONLY {table} IN ACCESS EXCLUSIVE MODE")).await?;
    }
    // ATTACH takes this lock as well. Upgrading a weaker lock later could deadlock with another node.
    run(format!("LOCK TABLE {table}_default IN ACCESS EXCLUSIVE MODE")).await?;
    let strays = month.rows_in_default(tx, MOVED_ROWS + 1).await.map_err(reason_of)?;
    if strays > MOVED_ROWS {
        return Err(MissingReason::ManyRows);
    }
    if strays > 0 {
        if rows == Rows::Unlikely {
            // These rows were inserted after the count; the next try locks the whole table.
            return Err(MissingReason::Locked);
        }
        let found = month.in_default();
        run(format!("WITH moved AS (DELETE FROM {found} RETURNING *) INSERT INTO {name} SELECT * FROM moved")).await?;
        tracing::info!(
            rows = strays,
            partition = name,
            "Moved rows from the default partition to the partition of their month"
        );
    }
    run(format!("ALTER TABLE {table} ATTACH PARTITION {name} FOR VALUES FROM ('{from}') TO ('{to}')")).await?;
    Ok(())
}

/// The rows of one table in one month.
struct Range<'a> {
    table: &'a str,
    key: &'a str,
    month: NaiveDate,
}

impl Range<'_> {
    fn partition(&self) -> String {
        partition_name(self.table, self.month)
    }

    /// First key of the month and first key after it.
    fn bounds(&self) -> (Uuid, Uuid) {
        (floor_of(self.month), floor_of(self.month + Months::new(1)))
    }

    fn in_default(&self) -> String {
        let (key, (from, to)) = (self.key, self.bounds());
        format!("{}_default WHERE {key} >= '{from}' AND {key} < '{to}'", self.table)
    }

    /// Rows of the month in the default partition, counted up to `limit`.
    async fn rows_in_default(&self, db: &impl ConnectionTrait, limit: i64) -> Result<i64, DbErr> {
        let sql = format!("SELECT count(*) AS rows FROM (SELECT 1 FROM {} LIMIT {limit}) AS found", self.in_default());
        let row = db.query_one_raw(Statement::from_string(db.get_database_backend(), sql)).await?;
        row.map_or(Ok(0), |row| row.try_get("", "rows"))
    }
}

/// A partition of a month that has ended.
pub(crate) struct EndedPartition {
    pub(crate) table: &'static str,
    /// For example `_2026_11`.
    pub(crate) suffix: String,
}

impl EndedPartition {
    pub(crate) fn name(&self) -> String {
        format!("{}{}", self.table, self.suffix)
    }
}

/// Partitions whose months ended before `before`.
pub(crate) async fn ended_before(db: &Database, before: Timestamp) -> Result<Vec<EndedPartition>, DbErr> {
    let last_kept = partition_name("", month_of(before));
    let attached = attached(db).await?;
    let months = TABLES.iter().flat_map(|(table, _)| {
        let suffixes = attached.iter().filter_map(|name| name.strip_prefix(table));
        let ended = suffixes.filter(|suffix| suffix.starts_with("_2") && *suffix < last_kept.as_str());
        ended.map(|suffix| EndedPartition { table, suffix: suffix.to_owned() }).collect::<Vec<_>>()
    });
    Ok(months.collect())
}

/// Detaches and drops a partition. Returns false if it did not get a lock in time.
pub(crate) async fn drop(db: &Database, partition: &EndedPartition) -> Result<bool, DbErr> {
    let (table, name) = (partition.table, partition.name());
    let tx = begin(db).await?;
    let dropping = async {
        tx.execute_unprepared(&format!("ALTER TABLE {table} DETACH PARTITION {name}")).await?;
        tx.execute_unprepared(&format!("DROP TABLE {name}")).await
    };
    match dropping.await {
        Ok(_) => tx.commit().await.map(|()| true),
        Err(error) => {
            let _ = tx.rollback().await;
            if is_lock_timeout(&error) || is_statement_timeout(&error) { Ok(false) } else { Err(error) }
        }
    }
}

/// Begins a transaction with short timeouts for locks and statements.
async fn begin(db: &Database) -> Result<DatabaseTransaction, DbErr> {
    let tx = db.begin().await?;
    let sql = format!("SET LOCAL lock_timeout = '{LOCK_TIMEOUT}'; SET LOCAL statement_timeout = '{STATEMENT_TIMEOUT}'");
    tx.execute_unprepared(&sql).await?;
    Ok(tx)
}

/// Takes an advisory lock until the transaction ends, without waiting. Returns whether it got the lock.
pub(crate) async fn try_lock(tx: &DatabaseTransaction, lock: i64) -> Result<bool, DbErr> {
    let sql = "SELECT pg_try_advisory_xact_lock($1) AS mine";
    let statement = Statement::from_sql_and_values(tx.get_database_backend(), sql, [lock.into()]);
    tx.query_one_raw(statement).await?.map_or(Ok(false), |row| row.try_get("", "mine"))
}

fn reason_of(error: DbErr) -> MissingReason {
    if is_lock_timeout(&error) {
        MissingReason::Locked
    } else if is_statement_timeout(&error) {
        MissingReason::ManyRows
    } else {
        MissingReason::Failed(error.to_string())
    }
}

pub(crate) fn month_of(at: Timestamp) -> NaiveDate {
    let date = chrono::DateTime::from_timestamp_millis(at.millis()).unwrap_or_default().date_naive();
    date.with_day(1).expect("every month has a first day")
}

pub(crate) fn floor_of(month: NaiveDate) -> Uuid {
    let midnight = month.and_hms_opt(0, 0, 0).expect("midnight exists").and_utc();
    floor_uuid(Timestamp::from_millis(midnight.timestamp_millis()))
}

/// For example `clicks_2026_11`.
fn partition_name(table: &str, month: NaiveDate) -> String {
    format!("{table}_{:04}_{:02}", month.year(), month.month())
}
