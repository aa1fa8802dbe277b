//! Months of big tables on PostgreSQL: created and dropped without blocking clicks, also during backups.

use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::Duration;

use engine::partitions::maintain;
use engine::pipeline::jobs::run_maintenance;
use postrider_tests::app::TestApp;
use postrider_tests::database::Database;
use postrider_tests::wait::eventually;
use sea_orm::{ConnectionTrait, DbBackend, Statement};
use sqlx::{Connection, PgConnection};
use storage::base::retention::delete_older_than;

const DAY: Duration = Duration::from_secs(86_400);
const TABLES: [&str; 5] = ["attempts", "clicks", "deliveries", "events", "inbound_requests"];

/// A running backup: it holds the locks that pg_dump holds on every table.
struct Backup(PgConnection);

/// The lock of a node that attaches a month.
const ATTACHING_LOCK: i64 = 0x706f_7374_6174_7463;

impl Backup {
    async fn start(t: &TestApp) -> Self {
        Self::start_after(t, &[]).await
    }

    /// Drops these partitions before it begins, and no node creates them again before the backup has its locks.
    async fn start_after(t: &TestApp, dropped: &[&str]) -> Self {
        let mut connection = PgConnection::connect(&t.database.url()).await.unwrap();
        let mut sql = format!("SELECT pg_advisory_lock({ATTACHING_LOCK}); ");
        for partition in dropped {
            sql.push_str(&format!("DROP TABLE {partition}; "));
        }
        let lock = "BEGIN; LOCK TABLE attempts, clicks, deliveries, events, inbound_requests IN ACCESS SHARE MODE; ";
        // The statements of one message are one transaction, which would keep the locks of the drop.
        for sql in [sql.as_str(), lock, &format!("SELECT pg_advisory_unlock({ATTACHING_LOCK})")] {
            sqlx::raw_sql(sqlx::AssertSqlSafe(sql.to_owned())).execute(&mut connection).await.unwrap();
        }
        Self(connection)
    }

    async fn end(mut self) {
        sqlx::raw_sql("COMMIT").execute(&mut self.0).await.unwrap();
    }
}

async fn is_partition(t: &TestApp, name: &str) -> bool {
    let sql = format!("SELECT count(*) FROM pg_inherits JOIN pg_class ON oid = inhrelid WHERE relname = '{name}'");
    t.database.number(&sql).await == 1
}

/// Another node does the same, and the second one skips the work, so it is repeated.
async fn becomes_partition(t: &TestApp, name: &str) {
    eventually("the partition to be made", async || {
        make_partitions(t).await;
        is_partition(t, name).await.then_some(())
    })
    .await;
}

async fn make_partitions(t: &TestApp) {
    maintain(&t.app().db, t.app().clock.now()).await.expect("what can't be made now is no error");
}

/// No node can create a month until this connection is closed.
async fn hold_months(t: &TestApp) -> PgConnection {
    let mut lock = PgConnection::connect(&t.database.url()).await.unwrap();
    let sql = format!("SELECT pg_advisory_lock({ATTACHING_LOCK})");
    sqlx::raw_sql(sqlx::AssertSqlSafe(sql)).execute(&mut lock).await.unwrap();
    lock
}

/// Copies the only click into a month, with other ids.
async fn copy_click(t: &TestApp, first_hex: &str, copies: u32) {
    let sql = format!(
        "INSERT INTO clicks SELECT (jsonb_populate_record(it, jsonb_build_object('id',
             '{first_hex}' || lpad(to_hex(n), 12, '0')))).* FROM (SELECT clicks AS it FROM clicks LIMIT 1) AS one,
             generate_series(1, {copies}) AS n"
    );
    t.database.execute(&sql).await;
}

/// 15 June 2026, three months after the start of the tests' clock.
const JUNE: &str = "019ec893f40070008000";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn maintenance_during_a_backup_blocks_neither_clicks_nor_a_start() {
    let mut t = TestApp::start(Database::postgres().await).await;
    let link = t.any_link().await;
    let may = TABLES.map(|table| format!("{table}_2026_05"));
    let backup = Backup::start_after(&t, &may.each_ref().map(String::as_str)).await;

    make_partitions(&t).await;
    assert!(!is_partition(&t, "clicks_2026_05").await, "attaching waits for the backup, and nobody for attaching");
    t.click_on(&link, "").await;
    t.restart_with(|_| {}).await;
    t.click_on(&link, "").await;

    backup.end().await;
    for partition in &may {
        becomes_partition(&t, partition).await;
    }
    t.click_on(&link, "").await;
    assert_eq!(t.database.count("clicks_2026_03").await, 3);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_start_continues_if_the_current_month_cannot_be_created() {
    let mut t = TestApp::start(Database::postgres().await).await;
    let link = t.any_link().await;
    let backup = Backup::start_after(&t, &["clicks_2026_03"]).await;
    t.restart_with(|_| {}).await;
    t.click_on(&link, "").await;
    assert_eq!(t.database.count("clicks_default").await, 1);

    backup.end().await;
    becomes_partition(&t, "clicks_2026_03").await;
    assert_eq!(t.database.count("clicks_2026_03").await, 1, "the click has moved to its month");
    assert_eq!(t.database.count("clicks_default").await, 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_row_in_the_default_partition_moves_when_its_month_is_created() {
    let mut t = TestApp::start(Database::postgres().await).await;
    t.click().await;
    copy_click(&t, JUNE, 1).await;
    assert_eq!(t.database.count("clicks_default").await, 1);

    t.advance(35 * DAY);
    run_maintenance(t.app()).await.expect("one row stops nothing");
    becomes_partition(&t, "clicks_2026_06").await;
    assert_eq!(t.database.count("clicks_2026_06").await, 1);
    assert_eq!(t.database.count("clicks_default").await, 0);
    t.restart_with(|_| {}).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn clicks_are_stored_and_found_while_their_month_is_created() {
    let t = TestApp::start(Database::postgres().await).await;
    let link = t.any_link().await;
    // The move takes this long, so that other statements meet it on the way.
    let slow =
        "CREATE FUNCTION slow() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN PERFORM pg_sleep(0.3); RETURN NULL; END';
                CREATE TRIGGER slow BEFORE DELETE ON clicks_default FOR EACH STATEMENT EXECUTE FUNCTION slow()";
    t.database.run_script(slow).await;
    // The click goes to the default partition.
    let lock = hold_months(&t).await;
    t.advance(100 * DAY);
    t.click_on(&link, "").await;
    assert_eq!(t.database.count("clicks_default").await, 1);
    lock.close().await.unwrap();

    let created = AtomicBool::new(false);
    let create = async {
        eventually("the month to be created", async || {
            make_partitions(&t).await;
            (t.database.count("clicks_default").await == 0).then_some(())
        })
        .await;
        created.store(true, Relaxed);
    };
    let find = async {
        while !created.load(Relaxed) {
            // A connection of its own, so that the query is planned each time, like that of a report.
            assert!(t.database.count("clicks").await > 0, "a stored click is always found");
        }
    };
    let insert = async {
        while !created.load(Relaxed) {
            t.click_on(&link, "").await;
        }
    };
    tokio::join!(create, find, insert);
}

/// All statements of a report see what the first one saw, so a month that is created after it may not move rows away.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_report_finds_the_clicks_of_a_month_that_is_created_meanwhile() {
    let t = TestApp::start(Database::postgres().await).await;
    let link = t.any_link().await;
    let lock = hold_months(&t).await;
    t.advance(100 * DAY);
    t.click_on(&link, "").await;
    assert_eq!(t.database.count("clicks_default").await, 1);

    let report = t.app().db.begin_report().await.unwrap();
    let count = async |table: &str| -> i64 {
        let sql = format!("SELECT count(*) AS rows FROM {table}");
        let row = report.query_one_raw(Statement::from_string(DbBackend::Postgres, sql)).await.unwrap();
        row.unwrap().try_get("", "rows").unwrap()
    };
    count("offers").await;
    lock.close().await.unwrap();
    make_partitions(&t).await;
    assert_eq!(count("clicks").await, 1);
    report.rollback().await.unwrap();

    eventually("the month to be created", async || {
        make_partitions(&t).await;
        (t.database.count("clicks_default").await == 0).then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_month_with_many_rows_in_the_default_partition_stays_there_and_leaves_with_retention() {
    let mut t = TestApp::start_with(Database::postgres().await, |settings| settings.retention_days = 30).await;
    t.click().await;
    copy_click(&t, JUNE, 10_001).await;

    t.advance(35 * DAY);
    run_maintenance(t.app()).await.expect("many rows stop nothing");
    becomes_partition(&t, "events_2026_06").await;
    assert!(!is_partition(&t, "clicks_2026_06").await);
    assert_eq!(t.database.count("clicks_default").await, 10_001);
    t.restart_with(|_| {}).await;

    t.advance(100 * DAY);
    t.roll_up_reports().await;
    eventually("the rows out of retention to be deleted", async || {
        run_maintenance(t.app()).await.expect("the database answers");
        (t.database.count("clicks_default").await == 0).then_some(())
    })
    .await;
    becomes_partition(&t, "clicks_2026_07").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rows_out_of_retention_stay_while_a_backup_reads_them() {
    let t = TestApp::start(Database::postgres().await).await;
    let link = t.any_link().await;
    t.click_on(&link, "").await;
    t.deliver_all().await;
    t.advance(60 * DAY);
    becomes_partition(&t, "clicks_2026_05").await;
    let before = t.app().clock.now();
    let backup = Backup::start(&t).await;

    assert_eq!(delete_older_than(&t.app().db, before).await.expect("it does not wait"), 0);
    t.click_on(&link, "").await;
    assert!(is_partition(&t, "clicks_2026_03").await);

    backup.end().await;
    eventually("the month to be dropped", async || {
        delete_older_than(&t.app().db, before).await.expect("the database answers");
        (!is_partition(&t, "clicks_2026_03").await).then_some(())
    })
    .await;
    assert_eq!(t.database.count("clicks").await, 1);
}
