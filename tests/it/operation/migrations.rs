//! Changes of the schema keep the stored data.

use postrider_migrations::Migrator;
use postrider_tests::database::Database;
use postrider_tests::on_both_databases;
use sea_orm::{ConnectionTrait, DatabaseConnection};
use sea_orm_migration::MigratorTrait;

on_both_databases!(
    pending_events_are_still_pending_after_the_upgrade,
    rows_stay_when_their_tables_and_columns_get_other_names,
    conversions_stay_when_each_goal_gets_its_own,
);

/// The migrations that created `events` with its column `routed_at`.
const BEFORE: u32 = 10;

/// The migrations before the one that renames tables and columns.
const BEFORE_NAMES: u32 = 19;

/// The migrations before the one by which a transaction has a conversion for each goal.
const BEFORE_GOALS: u32 = 31;

/// A database with the schema of the first migrations.
async fn migrated(db: Database, migrations: u32) -> (Database, DatabaseConnection) {
    let db = db.without_schema().await;
    let url = db.url();
    let url = if db.is_sqlite() { format!("{url}?mode=rwc") } else { url };
    let connection = sea_orm::Database::connect(url).await.expect("it can be opened");
    Migrator::up(&connection, Some(migrations)).await.expect("the schema of before");
    (db, connection)
}

fn literal(db: &Database, last: u32) -> String {
    let hex = format!("0197d3a0000070018000{last:012x}");
    if db.is_sqlite() { format!("x'{hex}'") } else { format!("'{hex}'::uuid") }
}

async fn pending_events_are_still_pending_after_the_upgrade(db: Database) {
    let (db, connection) = migrated(db, BEFORE).await;
    let id = |last| literal(&db, last);
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
    let pending = |last| format!("SELECT count(*) FROM pending_events WHERE id = {}", id(last));
    assert_eq!((db.number(&pending(1)).await, db.number(&pending(2)).await), (0, 1));
    assert_eq!(db.count("events").await, 2);

    let later = Migrator::migrations().len() as u32 - BEFORE;
    Migrator::down(&connection, Some(later)).await.expect("and back");
    let pending = |last| format!("SELECT count(*) FROM events WHERE id = {} AND routed_at IS NULL", id(last));
    assert_eq!((db.number(&pending(1)).await, db.number(&pending(2)).await), (0, 1));
    connection.close().await.expect("it closes");
}

async fn rows_stay_when_their_tables_and_columns_get_other_names(db: Database) {
    let (db, connection) = migrated(db, BEFORE_NAMES).await;
    let id = |last| literal(&db, last);
    db.execute(&format!("INSERT INTO owed_events (id) VALUES ({})", id(1))).await;
    db.execute(&format!(
        "INSERT INTO earnings (id, affiliate_id, kind, recruit_id, level, from_recruit, currency, earned_micros, micros,
             state, release_at, made_by, created_at, updated_at)
         VALUES ({}, {}, 'commission', {}, 1, true, 'USD', 1, 1, 'pending', 1, 'ann', 1, 1)",
        id(2),
        id(3),
        id(4)
    ))
    .await;
    let paid_by = |word| format!("UPDATE program_settings SET value = '{{\"tiers\":[],\"paid_from\":\"{word}\"}}'");
    db.execute(&paid_by("recruit")).await;

    Migrator::up(&connection, None).await.expect("the upgrade");
    assert_eq!(db.count("pending_events").await, 1);
    let commission = format!(
        "SELECT count(*) FROM earnings WHERE sub_affiliate_id = {} AND paid_by_sub_affiliate AND created_by = 'ann'",
        id(4)
    );
    assert_eq!(db.number(&commission).await, 1);
    let settings =
        "SELECT count(*) FROM program_settings WHERE key = 'sub_affiliates' AND value LIKE '%sub_affiliate%'";
    assert_eq!(db.number(settings).await, 1);
    let indexes = if db.is_sqlite() {
        "SELECT count(*) FROM sqlite_master WHERE type = 'index' AND name IN ('deliveries_due', 'earnings_by_sub_affiliate')"
    } else {
        "SELECT count(*) FROM pg_class WHERE relname IN ('deliveries_due', 'earnings_by_sub_affiliate',
             'payout_overrides_offer_id_affiliate_id_goal_key')"
    };
    assert_eq!(db.number(indexes).await, if db.is_sqlite() { 2 } else { 3 });

    let later = Migrator::migrations().len() as u32 - BEFORE_NAMES;
    Migrator::down(&connection, Some(later)).await.expect("and back");
    assert_eq!(db.count("owed_events").await, 1);
    let commission = format!("SELECT count(*) FROM earnings WHERE recruit_id = {} AND made_by = 'ann'", id(4));
    assert_eq!(db.number(&commission).await, 1);
    let settings = "SELECT count(*) FROM program_settings WHERE key = 'recruiting' AND value LIKE '%\"recruit\"%'";
    assert_eq!(db.number(settings).await, 1);
    connection.close().await.expect("it closes");
}

async fn conversions_stay_when_each_goal_gets_its_own(db: Database) {
    let (db, connection) = migrated(db, BEFORE_GOALS).await;
    let conversion = |last, goal: &str| {
        format!(
            "INSERT INTO conversions (id, offer_id, transaction_id, revision, status, affiliate_id, attributed_by, goal,
                 created_at, updated_at, customer_id)
             VALUES ({}, {}, 'T-1', 3, 'approved', {}, 'click', {goal}, 4, 5, 'C-1')",
            literal(&db, last),
            literal(&db, 90),
            literal(&db, 91)
        )
    };
    db.execute(&conversion(1, "'lead'")).await;
    connection.execute_unprepared(&conversion(2, "'sale'")).await.expect_err("one conversion a transaction");

    Migrator::up(&connection, None).await.expect("the upgrade");
    let kept = "SELECT count(*) FROM conversions WHERE transaction_id = 'T-1' AND goal = 'lead' AND revision = 3
         AND created_at = 4 AND updated_at = 5 AND customer_id = 'C-1' AND numbered_by = ''";
    assert_eq!(db.number(kept).await, 1);
    db.execute(&conversion(2, "'sale'")).await;
    db.execute(&conversion(3, "NULL")).await;
    for goal in ["'lead'", "NULL"] {
        connection.execute_unprepared(&conversion(4, goal)).await.expect_err("one conversion a goal");
    }
    let indexes = if db.is_sqlite() {
        "SELECT count(*) FROM sqlite_master WHERE type = 'index' AND tbl_name = 'conversions' AND sql IS NOT NULL"
    } else {
        "SELECT count(*) FROM pg_indexes WHERE tablename = 'conversions' AND indexname LIKE 'conversions\\_%'
             AND indexname <> 'conversions_pkey'"
    };
    assert_eq!(db.number(indexes).await, 9);

    // Back, once a transaction has one conversion again; and up again.
    db.execute("DELETE FROM conversions WHERE goal IS NULL OR goal = 'sale'").await;
    Migrator::down(&connection, Some(Migrator::migrations().len() as u32 - BEFORE_GOALS)).await.expect("and back");
    connection.execute_unprepared(&conversion(2, "'sale'")).await.expect_err("one conversion a transaction");
    Migrator::up(&connection, None).await.expect("and up again");
    db.execute(&conversion(2, "'sale'")).await;
    assert_eq!(db.count("conversions").await, 2);
    connection.close().await.expect("it closes");
}
