//! Rows that leave retention, and rows that wait until reports no longer need them.

use std::time::Duration;

use engine::pipeline::jobs::run_maintenance;
use engine::reports::needed_from;
use postrider_tests::app::TestApp;
use postrider_tests::database::Database;
use postrider_tests::on_both_databases;
use postrider_tests::wait::eventually;
use serde_json::{Value, json};
use sqlx::Connection;
use storage::base::retention::delete_older_than;

use super::{browse, report, row};

on_both_databases!(
    a_click_stays_until_its_conversion_is_packed,
    a_sale_during_the_deletion_of_its_click_keeps_the_data_of_the_click,
);

const DAY: Duration = Duration::from_secs(86_400);
const MINUTE: Duration = Duration::from_secs(60);

async fn start(db: Database) -> TestApp {
    TestApp::start_with(db, |settings| settings.retention_days = 30).await
}

async fn maintenance(t: &TestApp) {
    run_maintenance(t.app()).await.expect("the database answers");
}

/// The server runs maintenance too, and the second run skips the drop, so it is repeated.
async fn the_click_goes(t: &TestApp, drop: impl AsyncFn()) {
    let gone = async || {
        drop().await;
        (t.database.count("clicks").await == 0).then_some(())
    };
    eventually("the click to be dropped, which is out of retention", gone).await;
}

/// The clicks and approved conversions of the keyword.
async fn shoes(t: &TestApp) -> (Value, Value) {
    let report = report(t, "group_by=keyword&from=2026-03-01&until=2026-07-01").await;
    let row = row(&report, "shoes");
    (row["clicks"].clone(), row["approved"].clone())
}

/// PostgreSQL drops whole months, so the click is in the last minutes of a month.
async fn a_click_stays_until_its_conversion_is_packed(db: Database) {
    let t = start(db).await;
    let link = t.any_link().await;
    // To 23:55 on 31 March.
    t.advance(21 * DAY + 715 * MINUTE);
    let click = browse(&t, &link, "?keyword=shoes").await;
    t.deliver_all().await;
    // To 23:50 on 30 April, when the click is still in retention.
    t.advance(30 * DAY - 5 * MINUTE);
    maintenance(&t).await;
    assert_eq!(t.database.count("clicks").await, 1);
    t.conversion(&click).send().await;
    t.deliver_all().await;
    // To one minute after midnight, when it is out of retention, and its conversion is too recent to be packed.
    t.advance(11 * MINUTE);
    maintenance(&t).await;
    assert_eq!(t.database.count("clicks").await, 1, "its conversion still needs it");
    assert_eq!(shoes(&t).await, (json!(1), json!(1)));
    t.advance(60 * MINUTE);
    t.roll_up_reports().await;
    the_click_goes(&t, async || maintenance(&t).await).await;
    assert_eq!(shoes(&t).await, (json!(1), json!(1)));
}

/// Retention first determines which old clicks reports still need; this sale arrives after that.
async fn a_sale_during_the_deletion_of_its_click_keeps_the_data_of_the_click(db: Database) {
    let t = start(db).await;
    let link = t.any_link().await;
    // To 23:55 on 31 March, and to 23:50 on 30 April.
    t.advance(21 * DAY + 715 * MINUTE);
    let click = browse(&t, &link, "?keyword=shoes").await;
    t.deliver_all().await;
    t.advance(30 * DAY - 5 * MINUTE);
    t.roll_up_reports().await;
    let before = needed_from(t.app()).await.expect("the database answers");

    t.conversion(&click).send().await;
    t.deliver_all().await;
    // No report needed it at that time.
    let leave = async || {
        delete_older_than(&t.app().db, before).await.expect("the database answers");
    };
    the_click_goes(&t, leave).await;

    assert_eq!(shoes(&t).await, (json!(1), json!(1)));
    t.advance(60 * MINUTE);
    t.roll_up_reports().await;
    assert_eq!(shoes(&t).await, (json!(1), json!(1)), "and so it is packed");
}

/// Each process runs maintenance by its own clock.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn several_nodes_run_maintenance_at_once() {
    let t = start(Database::postgres().await).await;
    for _ in 0..3 {
        t.advance(60 * DAY);
        let all = (0..4).map(|_| run_maintenance(t.app()));
        for kept in futures::future::join_all(all).await {
            kept.expect("whoever is second finds it done");
        }
    }
}

/// On PostgreSQL an open transaction stops packing: rows that are not packed must then remain.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rows_that_are_not_packed_outlive_their_retention() {
    let db = Database::postgres().await;
    let url = db.url();
    let t = start(db).await;
    let link = t.any_link().await;
    let mut connection = sqlx::PgConnection::connect(&url).await.unwrap();
    let mut open = connection.begin().await.unwrap();
    sqlx::query("SELECT pg_current_xact_id()").execute(&mut *open).await.unwrap();
    browse(&t, &link, "?keyword=shoes").await;
    for _ in 0..3 {
        t.advance(30 * DAY);
        maintenance(&t).await;
        assert_eq!(t.database.count("clicks").await, 1, "it is not packed");
    }
    assert_eq!(shoes(&t).await.0, 1);
    open.commit().await.unwrap();
    t.roll_up_reports().await;
    the_click_goes(&t, async || maintenance(&t).await).await;
    assert_eq!(shoes(&t).await.0, 1, "reports keep what they counted");
}
