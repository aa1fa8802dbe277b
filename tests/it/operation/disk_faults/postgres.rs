//! The same for PostgreSQL: its connections end during a commit, it becomes read-only, its disk is full.

use std::sync::atomic::{AtomicUsize, Ordering};

use postrider_tests::app::TestApp;
use postrider_tests::database::Database;
use postrider_tests::postgres::SmallDisk;
use postrider_tests::receiver::Reply;
use postrider_tests::wait::eventually;
use sqlx::{Connection, Executor, PgConnection};

use super::{Promised, program, readiness};

/// Ends all sessions of the server under test.
const END_SESSIONS: &str = "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity
    WHERE datname = current_database() AND pid <> pg_backend_pid()";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sessions_that_end_in_the_middle_of_commits_lose_nothing() {
    let mut t = TestApp::start(Database::postgres().await).await;
    let (link, promised) = (program(&t).await, Promised::default());
    let stop_at = AtomicUsize::new(usize::MAX);
    let load = promised.load(&t, &link, &stop_at);
    let failing = async {
        for _ in 0..10 {
            let taken = promised.taken();
            eventually("some conversions", async || (promised.taken() >= taken + 10).then_some(())).await;
            t.database.number(END_SESSIONS).await;
        }
        stop_at.store(promised.taken() + 20, Ordering::SeqCst);
    };
    tokio::join!(load, failing);
    readiness(&t, 200).await;
    // Work that was in memory when a session ended is continued when its lease ends.
    t.advance(std::time::Duration::from_secs(120));
    promised.is_kept(&mut t).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_database_that_is_read_only_for_a_while_loses_nothing() {
    let mut t = TestApp::start(Database::postgres().await).await;
    let (link, promised) = (program(&t).await, Promised::default());
    assert!(promised.conversion(&t, &link, "before").await);
    t.deliver_all().await;

    set_read_only(&t.database, "on").await;
    readiness(&t, 503).await;
    for n in 0..3 {
        assert!(!promised.conversion(&t, &link, &format!("during-{n}")).await);
        assert!(!promised.click(&t, &link).await);
    }

    set_read_only(&t.database, "off").await;
    readiness(&t, 200).await;
    for n in 0..10 {
        assert!(promised.conversion(&t, &link, &format!("after-{n}")).await);
        assert!(promised.click(&t, &link).await);
    }
    t.advance(std::time::Duration::from_secs(120));
    promised.is_kept(&mut t).await;
}

/// Postbacks are in flight when it becomes read-only: their results are kept until they can be stored.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn postbacks_that_are_answered_while_nothing_can_be_stored_are_sent_once() {
    // The number of places of a new destination.
    const POSTBACKS: usize = 2;
    let mut t = TestApp::start(Database::postgres().await).await;
    let (link, promised) = (program(&t).await, Promised::default());
    t.receiver.always("/p", Reply::Held);
    for n in 0..POSTBACKS {
        assert!(promised.conversion(&t, &link, &format!("T-{n}")).await);
    }
    t.receiver.wait_for("/p", POSTBACKS).await;

    set_read_only(&t.database, "on").await;
    readiness(&t, 503).await;
    t.receiver.release();
    // They are answered meanwhile, and storing the results is attempted.
    for n in 0..10 {
        assert!(!promised.conversion(&t, &link, &format!("during-{n}")).await);
    }
    set_read_only(&t.database, "off").await;
    readiness(&t, 200).await;
    let stored = "SELECT count(*) FROM deliveries WHERE state = 'success'";
    eventually("every result to be stored", async || {
        (t.database.number(stored).await == POSTBACKS as i64).then_some(())
    })
    .await;
    t.advance(std::time::Duration::from_secs(120));
    promised.is_kept(&mut t).await;
    assert_eq!(t.receiver.requests("/p").len(), POSTBACKS);
}

/// A server that hangs, or whose machine is suspended, during its probe.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_hangs_in_its_probe_leaves_the_others_ready() {
    let t = TestApp::start(Database::postgres().await).await;
    let hanging = t.another_node().await;
    let mut session = PgConnection::connect(&t.database.url()).await.expect("it answers");
    let probe = format!("BEGIN; UPDATE servers SET seen_at = seen_at + 1 WHERE id = {}", hanging.app().server_id);
    session.execute(sqlx::AssertSqlSafe(probe)).await.expect("the row is there");
    assert_eq!(t.anonymous().get("/readyz").await.status, 200);
    session.execute("ROLLBACK").await.expect("it answers");
    hanging.stop().await;
    assert_eq!(t.database.count("servers").await, 1, "a server that stops takes its row with it");
}

/// For all sessions from here on: existing sessions are ended.
async fn set_read_only(database: &Database, value: &str) {
    let url = database.url();
    let (cluster, name) = url.rsplit_once('/').expect("a URL ends in the database's name");
    // From another database: in this one the change back would be refused.
    let mut connection = PgConnection::connect(&format!("{cluster}/postgres")).await.expect("it answers");
    let change = format!("ALTER DATABASE {name} SET default_transaction_read_only = {value}");
    connection.execute(sqlx::AssertSqlSafe(change)).await.expect("a superuser may do so");
    database.number(END_SESSIONS).await;
}

/// On its own file system, which requires permission to mount one.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_full_disk_loses_nothing() {
    let Some(disk) = SmallDisk::start().await else { return };
    let mut t = TestApp::start(disk.database().await).await;
    let (link, promised) = (program(&t).await, Promised::default());
    assert!(promised.conversion(&t, &link, "before").await);
    t.deliver_all().await;
    readiness(&t, 200).await;

    disk.fill();
    // A page or two may still have free space.
    readiness(&t, 503).await;
    let mut n = 0;
    eventually("conversions to be refused", async || {
        n += 1;
        promised.conversion(&t, &link, &format!("during-{n}")).await;
        promised.click(&t, &link).await;
        (promised.refused() >= 10).then_some(())
    })
    .await;

    disk.free();
    readiness(&t, 200).await;
    let mut n = 0;
    eventually("conversions to be taken", async || {
        n += 1;
        let taken = promised.conversion(&t, &link, &format!("after-{n}")).await;
        promised.click(&t, &link).await;
        (taken && n >= 10).then_some(())
    })
    .await;
    t.advance(std::time::Duration::from_secs(120));
    promised.is_kept(&mut t).await;
}
