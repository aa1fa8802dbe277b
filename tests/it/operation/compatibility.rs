//! Releases on one database: an older release runs on a newer release's schema, unless something was removed.

use postrider_tests::app::TestApp;
use postrider_tests::database::Database;
use postrider_tests::on_both_databases;
use postrider_tests::process::Installation;

on_both_databases!(
    a_release_runs_on_a_schema_that_a_newer_one_expanded,
    a_release_refuses_a_schema_that_takes_newer_ones_only,
    a_running_release_is_not_ready_once_the_schema_takes_newer_ones_only,
);

const FUTURE: &str = "INSERT INTO seaql_migrations (version, applied_at) VALUES ('m2031_01_01_000999_future', 1)";
const CONTRACTED: &str = "UPDATE schema_compatibility SET oldest_level = 999, oldest_release = '9.8.7'";

async fn a_release_runs_on_a_schema_that_a_newer_one_expanded(db: Database) {
    let installation = Installation::new(db.without_schema().await);
    installation.start().await.kill_9();
    installation.database.execute(FUTURE).await;
    // Expanded: a column and a table that this release does not use.
    installation.database.execute("ALTER TABLE offers ADD COLUMN of_the_future text").await;
    installation.database.execute("CREATE TABLE of_the_future (id integer)").await;

    assert!(installation.run(&["migrate"], &[]).await.success(), "{}", installation.log());
    let process = installation.start().await;
    assert_eq!(process.client.get("/readyz").await.status, 200);
    let affiliate = serde_json::json!({"name": "Ann", "email": "ann@example.com"});
    process.client.post("/api/v1/affiliates", &affiliate).await.expect(201);
    assert!(installation.log().contains("m2031_01_01_000999_future"), "the log says whose schema it is");
    let known = "SELECT count(*) FROM seaql_migrations WHERE version LIKE '%future'";
    assert_eq!(installation.database.number(known).await, 1, "it stays");
}

async fn a_release_refuses_a_schema_that_takes_newer_ones_only(db: Database) {
    let installation = Installation::new(db.without_schema().await);
    assert!(installation.run(&["migrate"], &[]).await.success(), "{}", installation.log());
    installation.database.execute(FUTURE).await;
    installation.database.execute(CONTRACTED).await;
    for command in ["serve", "migrate"] {
        let logged = installation.log().len();
        assert!(!installation.run(&[command], &[]).await.success());
        let said = installation.log()[logged..].to_owned();
        assert!(said.contains("it needs release 9.8.7 (schema level 999) or a later one"), "{command}: {said}");
        assert!(said.contains("restore the backup"), "{command}: {said}");
    }
}

async fn a_running_release_is_not_ready_once_the_schema_takes_newer_ones_only(db: Database) {
    let t = TestApp::start(db).await;
    assert_eq!(t.anonymous().get("/readyz").await.status, 200);
    t.database.execute(CONTRACTED).await;
    let answer = t.anonymous().get("/readyz").await;
    assert_eq!(answer.status, 503);
    assert!(answer.text.contains("\"outdated\"") && answer.text.contains("9.8.7"), "{}", answer.text);
}

/// A migration waits for a table that a backup reads, but no click waits for the migration.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_migration_during_a_backup_does_not_block_clicks() {
    use sqlx::Connection;
    use storage::Database as Storage;
    use storage::base::database::PoolLimits;

    let t = TestApp::start(Database::postgres().await).await;
    let link = t.any_link().await;
    // The state before the newest migration, which drops and creates a table.
    let newest = "DELETE FROM seaql_migrations WHERE version = 'm2026_11_28_000013_compatibility'";
    t.database.execute("ALTER TABLE schema_compatibility RENAME TO schema_compatibility_of_before").await;
    t.database.execute(newest).await;
    let mut backup = sqlx::PgConnection::connect(&t.database.url()).await.unwrap();
    sqlx::raw_sql("BEGIN; LOCK TABLE seaql_migrations IN SHARE MODE").execute(&mut backup).await.unwrap();

    let db = Storage::open(&t.database.url(), PoolLimits::for_command()).await.unwrap();
    let migrating = tokio::spawn(async move { db.migrate().await });
    t.click_on(&link, "").await;
    // It gives up its lock request and retries, so statements that queue behind it for the table get through.
    let mut other = sqlx::PgConnection::connect(&t.database.url()).await.unwrap();
    sqlx::raw_sql("SELECT * FROM seaql_migrations").execute(&mut other).await.unwrap();
    assert!(!migrating.is_finished());
    sqlx::raw_sql("COMMIT").execute(&mut backup).await.unwrap();
    migrating.await.unwrap().expect("it is migrated when the backup has ended");
    assert_eq!(t.database.count("schema_compatibility").await, 1);
}
