//! Multiplies the rows of a demo: each row of traffic, postbacks and money is copied many times, with ids of its own at the same
//! time. References between copied rows are kept: all rows of one copy refer to each other. Balances stay as they are.
//!
//! SQLite only, because the demo has its own SQLite file.

use std::path::Path;
use std::time::Instant;

use anyhow::Context;
use sqlx::sqlite::{SqliteConnectOptions, SqliteConnection};
use sqlx::{AssertSqlSafe, Connection, Row};

/// A table, its columns with ids of copied rows, a text that must be unique, and the rows that are copied.
struct Table {
    name: &'static str,
    ids: &'static [&'static str],
    unique: Option<&'static str>,
    only: &'static str,
}

const fn table(name: &'static str, ids: &'static [&'static str], unique: Option<&'static str>) -> Table {
    Table { name, ids, unique, only: "true" }
}

/// Rows that wait for work are not copied, because the server would be busy with them.
const TABLES: [Table; 12] = [
    table("clicks", &["id"], Some("external_id")),
    table("conversions", &["id", "click_id"], Some("transaction_id")),
    table("events", &["id", "click_id", "conversion_id"], None),
    Table { only: "state <> 'pending'", ..table("deliveries", &["id", "event_id", "conversion_id"], None) },
    table("attempts", &["delivery_id"], None),
    table("earnings", &["id", "conversion_id"], None),
    table("postings", &["id", "conversion_id", "cause_id"], Some("key")),
    table("entries", &["posting_id"], None),
    Table { only: "outcome <> 'waiting'", ..table("inbound_requests", &["id"], None) },
    Table { only: "status NOT IN ('requested', 'approved')", ..table("withdrawals", &["id"], None) },
    table("audit", &["id"], None),
    table("audit_outcomes", &["audit_id"], None),
];

/// Rows of one transaction.
const ROWS_AT_ONCE: u64 = 200_000;

/// Copies the rows of the database `factor - 1` times. Returns the number of rows that it added.
pub async fn multiply(file: &Path, factor: u64) -> anyhow::Result<u64> {
    let started = Instant::now();
    // The file is removed after the measurement, so it need not survive a crash.
    let options = SqliteConnectOptions::new()
        .filename(file)
        .pragma("synchronous", "off")
        .pragma("cache_size", "-1000000")
        .pragma("temp_store", "memory");
    let mut connection = SqliteConnection::connect_with(&options).await?;
    execute(&mut connection, "CREATE TEMP TABLE copies (digits text)").await?;
    let series = format!(
        "WITH RECURSIVE s (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM s WHERE n + 1 < {factor})
         INSERT INTO copies SELECT printf('%04X', n) FROM s"
    );
    execute(&mut connection, &series).await?;
    let mut added = 0;
    for table in &TABLES {
        let rows = copy(&mut connection, table, factor).await.with_context(|| table.name)?;
        eprintln!("pages: {rows} rows of {} after {:.0?}", table.name, started.elapsed());
        added += rows;
    }
    execute(&mut connection, "ANALYZE").await?;
    connection.close().await?;
    Ok(added)
}

async fn copy(connection: &mut SqliteConnection, table: &Table, factor: u64) -> anyhow::Result<u64> {
    let Table { name, ids, unique, only } = table;
    execute(connection, "DROP TABLE IF EXISTS temp.originals").await?;
    execute(connection, &format!("CREATE TEMP TABLE originals AS SELECT * FROM {name} WHERE {only} ORDER BY rowid"))
        .await?;
    let columns = sqlx::query("SELECT name FROM pragma_table_info($1)").bind(*name).fetch_all(&mut *connection).await?;
    let columns: Vec<String> = columns.iter().map(|row| row.get(0)).collect();
    let values = columns.iter().map(|column| match column {
        // The time of the id stays, so a copy is at the same place of a list.
        id if ids.contains(&id.as_str()) => {
            format!("CASE WHEN {id} IS NOT NULL THEN unhex(substr(hex({id}), 1, 28) || digits) END")
        }
        text if *unique == Some(text.as_str()) => format!("{text} || '-' || digits"),
        other => other.clone(),
    });
    let (columns, values) = (columns.join(", "), values.collect::<Vec<_>>().join(", "));
    let originals = sqlx::query("SELECT coalesce(max(rowid), 0) FROM originals").fetch_one(&mut *connection).await?;
    let originals = u64::try_from(originals.get::<i64, _>(0))?;
    let step = (ROWS_AT_ONCE / factor).max(1);
    for first in (1..=originals).step_by(usize::try_from(step)?) {
        let last = first + step - 1;
        // An original whose id ends like a copy's takes the place of that copy.
        let insert = format!(
            "INSERT INTO {name} ({columns}) SELECT {values} FROM originals CROSS JOIN copies
             WHERE originals.rowid BETWEEN {first} AND {last} AND substr(hex({}), 29) <> digits",
            ids[0]
        );
        execute(connection, &insert).await?;
    }
    Ok(originals * (factor - 1))
}

async fn execute(connection: &mut SqliteConnection, sql: &str) -> anyhow::Result<()> {
    sqlx::query(AssertSqlSafe(sql.to_owned())).execute(connection).await?;
    Ok(())
}
