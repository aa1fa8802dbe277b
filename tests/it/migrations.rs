//! Changes of the schema keep the stored data.

use postrider_migrations::Migrator;
use postrider_tests::database::Database;
use postrider_tests::on_both_databases;
use sea_orm_migration::MigratorTrait;

on_both_databases!(pending_events_are_still_pending_after_the_upgrade);

/// The migrations that created `events` with its column `routed_at`.
const BEFORE: u32 = 10;

async fn pending_events_are_still_pending_after_the_upgrade(db: Database) {
    let db = db.without_schema().await;
    let url = db.url();
    let url = if db.is_sqlite() { format!("{url}?mode=rwc") } else { url };
    let connection = sea_orm::Database::connect(url).await.expect("it can be opened");
    Migrator::up(&connection, Some(BEFORE)).await.expect("the schema of before");
    let id = |last: u32| {
        let hex = format!("0197d3a0000070018000{last:012x}");
        if db.is_sqlite() { format!("x'{hex}'") } else { format!("'{hex}'::uuid") }
    };
    let event = |last, routed_at| {
        format!(
            "INSERT INTO events (id, action, occurred_at, affiliate_id, offer_id, revision, facts, routed_at)
             VALUES ({}, 'click', 1, {}, {}, 1, '{{}}', {routed_at})",
            id(last),
            id(7),
            id(8)
        )
    };
    db.execute(&event(1, "5")).await;
    db.execute(&event(2, "NULL")).await;

    Migrator::up(&connection, None).await.expect("the upgrade");
    let owed = |last| format!("SELECT count(*) FROM owed_events WHERE id = {}", id(last));
    assert_eq!((db.number(&owed(1)).await, db.number(&owed(2)).await), (0, 1));
    assert_eq!(db.count("events").await, 2);

    let later = Migrator::migrations().len() as u32 - BEFORE;
    Migrator::down(&connection, Some(later)).await.expect("and back");
    let owed = |last| format!("SELECT count(*) FROM events WHERE id = {} AND routed_at IS NULL", id(last));
    assert_eq!((db.number(&owed(1)).await, db.number(&owed(2)).await), (0, 1));
    connection.close().await.expect("it closes");
}
