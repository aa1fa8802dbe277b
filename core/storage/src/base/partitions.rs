//! Monthly partitions on PostgreSQL: makes those ahead, drops those out of retention.
//!
//! A new month is a table that is made beside its parent and attached; an old one is detached and dropped. Each step is a
//! short transaction that waits for its locks [`LOCK_TIMEOUT`] at most, because every click queues behind a lock that
//! waits: a backup holds ACCESS SHARE on every table for as long as it runs. What could not be locked is tried again later;
//! until then rows of the month go to the default partition.
//!
//! A statement chooses its partitions when it is planned and locks them afterwards. If a month that has rows were
//! attached in between, the statement would not see rows that moved out of the default partition, or would be refused
//! because it inserts into the default partition. So such a month is attached under ACCESS EXCLUSIVE on the whole table,
//! which no statement holds a plan across. A future month without rows needs no such lock.
//!
//! DETACH … CONCURRENTLY is refused by PostgreSQL where there is a default partition, and rows without a month need one.

use std::collections::HashSet;

use chrono::{Datelike, Months, NaiveDate};
use sea_orm::{ConnectionTrait, DatabaseTransaction, DbErr, Statement};
use uuid::Uuid;

use crate::Database;
use domain::ids::floor_uuid;
use domain::timestamp::Timestamp;

use super::failures::{is_lock_timeout, is_statement_timeout};

/// Tables and the key that they are ranged by. Attempts and deliveries share their event's time.
pub(crate) const TABLES: [(&str, &str); 5] =
    [("attempts", "delivery_id"), ("deliveries", "id"), ("events", "id"), ("inbound_requests", "id"), ("clicks", "id")];

/// How many months are there at least: this one and the next.
const MONTHS: u32 = 3;

/// How long a step waits for a lock, and with it every statement that comes after.
const LOCK_TIMEOUT: &str = "200ms";
/// How long a step may hold its locks: attaching reads the default partition.
const STATEMENT_TIMEOUT: &str = "1s";

/// So many rows move out of the default partition while it is locked; a month with more stays there.
const MOVED_ROWS: i64 = 10_000;

/// Held by the node that attaches a month.
const ATTACHING_LOCK: i64 = 0x706f_7374_6174_7463;

/// A month of a table that has no partition of its own yet.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Unmade {
    pub partition: String,
    pub why: Why,
    /// Its rows go to the default partition already.
    pub is_this_month: bool,
}

#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Why {
    /// Somebody holds the table, such as a backup or another node that does the same.
    Locked,
    /// The default partition holds too many rows of the month, or too many rows to be read under a lock.
    ManyRows,
    Failed(String),
}

impl std::fmt::Display for Why {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Locked => f.write_str("another transaction holds the table, such as a backup"),
            Self::ManyRows => f.write_str("the default partition holds too many rows to move them while clicks wait"),
            Self::Failed(error) => f.write_str(error),
        }
    }
}

/// Whether every table has its partition of the month at hand; always on SQLite.
pub async fn has_this_month(db: &Database, now: Timestamp) -> Result<bool, DbErr> {
    if !db.is_postgres() {
        return Ok(true);
    }
    let attached = attached(db).await?;
    let month = month_of(now);
    Ok(TABLES.iter().all(|(table, _)| attached.contains(&partition_name(table, month))))
}

/// Makes the partitions of this month and the next two, where they are missing. Returns those that could not be made
/// now; that is no error, because the default partition takes their rows.
pub async fn ensure(db: &Database, now: Timestamp) -> Result<Vec<Unmade>, DbErr> {
    let mut unmade = Vec::new();
    if !db.is_postgres() {
        return Ok(unmade);
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
                Ok(()) => tracing::info!(partition, "Made a partition"),
                Err(why) => unmade.push(Unmade { partition, why, is_this_month: ahead == 0 }),
            }
        }
    }
    if !unmade.is_empty() {
        // Other nodes do the same, and the first of two makes the second wait in vain.
        let attached = self::attached(db).await?;
        unmade.retain(|it| !attached.contains(&it.partition));
    }
    Ok(unmade)
}

/// Names of all partitions of our tables that are in use.
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

async fn attach(db: &Database, table: &str, key: &str, month: NaiveDate, rows: Rows) -> Result<(), Why> {
    let month = Range { table, key, month };
    let rows = if month.rows_in_default(db.reader(), 1).await.map_err(why)? > 0 { Rows::Possible } else { rows };
    let tx = begin(db).await.map_err(why)?;
    match attach_in(&tx, &month, rows).await {
        Ok(()) => tx.commit().await.map_err(why),
        Err(why) => {
            // If even this fails, the connection is closed and the transaction with it.
            let _ = tx.rollback().await;
            Err(why)
        }
    }
}

async fn attach_in(tx: &DatabaseTransaction, month: &Range<'_>, rows: Rows) -> Result<(), Why> {
    if !takes(tx, ATTACHING_LOCK).await.map_err(why)? {
        return Err(Why::Locked);
    }
    let (table, name) = (month.table, month.partition());
    let (from, to) = month.bounds();
    let run = async |sql: String| tx.execute_unprepared(&sql).await.map_err(why);
    run(format!("CREATE TABLE IF NOT EXISTS {name} (LIKE {table} INCLUDING ALL)")).await?;
    // The table before its partitions, as every statement locks them.
    if rows == Rows::Possible {
        run(format!("LOCK TABLE ONLY {table} IN ACCESS EXCLUSIVE MODE")).await?;
    }
    // Attaching takes this lock as well, and one that were made stronger on the way could meet itself.
    run(format!("LOCK TABLE {table}_default IN ACCESS EXCLUSIVE MODE")).await?;
    let strays = month.rows_in_default(tx, MOVED_ROWS + 1).await.map_err(why)?;
    if strays > MOVED_ROWS {
        return Err(Why::ManyRows);
    }
    if strays > 0 {
        if rows == Rows::Unlikely {
            // They came since they were counted; the next try takes the lock for them.
            return Err(Why::Locked);
        }
        let found = month.in_default();
        run(format!("WITH moved AS (DELETE FROM {found} RETURNING *) INSERT INTO {name} SELECT * FROM moved")).await?;
        tracing::info!(rows = strays, partition = name, "Moved rows from the default partition to their month's");
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

/// A partition that is out of use: one with a month that ended.
pub(crate) struct Month {
    pub table: &'static str,
    /// `_2026_11`
    pub suffix: String,
}

impl Month {
    pub fn partition(&self) -> String {
        format!("{}{}", self.table, self.suffix)
    }
}

/// Partitions whose months ended before `before`.
pub(crate) async fn ended_before(db: &Database, before: Timestamp) -> Result<Vec<Month>, DbErr> {
    let last_kept = partition_name("", month_of(before));
    let attached = attached(db).await?;
    let months = TABLES.iter().flat_map(|(table, _)| {
        let suffixes = attached.iter().filter_map(|name| name.strip_prefix(table));
        let ended = suffixes.filter(|suffix| suffix.starts_with("_2") && *suffix < last_kept.as_str());
        ended.map(|suffix| Month { table, suffix: suffix.to_owned() }).collect::<Vec<_>>()
    });
    Ok(months.collect())
}

/// Detaches and drops a month. False when a lock could not be had.
pub(crate) async fn drop(db: &Database, month: &Month) -> Result<bool, DbErr> {
    let (table, name) = (month.table, month.partition());
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

/// A transaction whose statements wait for locks only shortly.
async fn begin(db: &Database) -> Result<DatabaseTransaction, DbErr> {
    let tx = db.begin().await?;
    let sql = format!("SET LOCAL lock_timeout = '{LOCK_TIMEOUT}'; SET LOCAL statement_timeout = '{STATEMENT_TIMEOUT}'");
    tx.execute_unprepared(&sql).await?;
    Ok(tx)
}

/// Whether this transaction got an advisory lock, without waiting.
pub(crate) async fn takes(tx: &DatabaseTransaction, lock: i64) -> Result<bool, DbErr> {
    let sql = "SELECT pg_try_advisory_xact_lock($1) AS mine";
    let statement = Statement::from_sql_and_values(tx.get_database_backend(), sql, [lock.into()]);
    tx.query_one_raw(statement).await?.map_or(Ok(false), |row| row.try_get("", "mine"))
}

fn why(error: DbErr) -> Why {
    if is_lock_timeout(&error) {
        Why::Locked
    } else if is_statement_timeout(&error) {
        Why::ManyRows
    } else {
        Why::Failed(error.to_string())
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

/// `clicks_2026_11`.
fn partition_name(table: &str, month: NaiveDate) -> String {
    format!("{table}_{:04}_{:02}", month.year(), month.month())
}
