//! Reports, exports and statements have places: a caller with many requests at once waits or is refused, and others are not affected.

use domain::people::actor::{Actor, Proof};
use domain::people::permission::Role;
use engine::Error;
use engine::heavy::Place;
use postrider_tests::app::{Affiliate, TestApp};
use postrider_tests::client::Answer;
use postrider_tests::database::Database;
use postrider_tests::on_both_databases;
use postrider_tests::wait::eventually;
use sea_orm::{ConnectionTrait, Statement};
use sqlx::{Connection, PgConnection};
use storage::base::failures::is_statement_timeout;

on_both_databases!(
    a_caller_without_a_place_is_refused_and_others_are_not,
    all_callers_together_have_a_bound,
    a_report_waits_a_moment_for_a_place,
    open_exports_of_a_caller_have_a_bound,
    a_statement_of_a_report_or_a_list_ends_in_time,
);

/// No report waits for a place.
async fn start(db: Database, places: usize, of_caller: usize) -> TestApp {
    TestApp::start_with(db, |settings| {
        settings.report_places = places;
        settings.report_places_per_caller = of_caller;
        settings.report_wait_ms = 0;
    })
    .await
}

fn actor(affiliate: &Affiliate) -> Actor {
    let id = affiliate.id.parse().expect("an id");
    Actor::new(Proof::Bootstrap, Role::Affiliate, Some(id)).expect("an affiliate")
}

/// Occupies a place as a report of this affiliate would.
async fn place(t: &TestApp, affiliate: &Affiliate) -> Place {
    t.app().heavy.place(actor(affiliate)).await.expect("there is a place")
}

async fn report(affiliate: &Affiliate) -> Answer {
    affiliate.client.get("/api/v1/reports?group_by=day").await
}

fn assert_refused(answer: Answer) {
    assert_eq!(answer.header("retry-after"), Some("5"));
    answer.expect_problem(429, "too_many_reports");
}

async fn a_caller_without_a_place_is_refused_and_others_are_not(db: Database) {
    let t = start(db, 2, 1).await;
    let (ann, bob) = (t.affiliate().await, t.affiliate().await);
    let place = place(&t, &ann).await;
    assert_refused(report(&ann).await);
    report(&bob).await.expect(200);
    t.click().await;
    drop(place);
    report(&ann).await.expect(200);
}

async fn all_callers_together_have_a_bound(db: Database) {
    let t = start(db, 2, 1).await;
    let (ann, bob, cid) = (t.affiliate().await, t.affiliate().await, t.affiliate().await);
    let places = (place(&t, &ann).await, place(&t, &bob).await);
    assert_refused(report(&cid).await);
    assert_refused(t.admin.get("/api/v1/reports/series").await);
    t.click().await;
    drop(places);
    report(&cid).await.expect(200);
    t.admin.get("/api/v1/reports/series").await.expect(200);
}

async fn a_report_waits_a_moment_for_a_place(db: Database) {
    let t = TestApp::start_with(db, |settings| {
        settings.report_places = 1;
        // A time that is long enough for every machine.
        settings.report_wait_ms = 600_000;
    })
    .await;
    let ann = t.affiliate().await;
    let place = place(&t, &ann).await;
    let mut asking = Box::pin(report(&ann));
    tokio::select! {
        answer = &mut asking => panic!("it has no place: {}", answer.text),
        () = eventually("another request to be answered", async || {
            (t.anonymous().get("/healthz").await.status == 200).then_some(())
        }) => {}
    }
    drop(place);
    asking.await.expect(200);
}

async fn open_exports_of_a_caller_have_a_bound(db: Database) {
    let t = start(db, 2, 2).await;
    let (ann, bob) = (t.affiliate().await, t.affiliate().await);
    let mut open = Vec::new();
    for _ in 0..4 {
        open.push(t.app().heavy.stream(actor(&ann)).await.expect("four may be open"));
    }
    let statement = format!("/api/v1/statement?currency=USD&affiliate_id={}", ann.id);
    assert_refused(ann.client.get("/api/v1/exports/clicks").await);
    assert_refused(ann.client.get(&statement).await);
    assert_eq!(bob.client.get("/api/v1/exports/clicks").await.status, 200);
    report(&ann).await.expect(200);
    open.pop();
    assert_eq!(ann.client.get("/api/v1/exports/clicks").await.status, 200);
    // The place is free again when the answer is sent, or shortly after.
    eventually("the place of the export to be free", async || {
        (ann.client.get(&statement).await.status == 200).then_some(())
    })
    .await;
}

async fn a_statement_of_a_report_or_a_list_ends_in_time(db: Database) {
    let t = TestApp::start_with(db, |settings| settings.report_timeout_ms = 50).await;
    let db = t.app().db.reports();
    let endless = "WITH RECURSIVE it (n) AS (SELECT 1 UNION ALL SELECT n FROM it) SELECT count(*) AS number FROM it";
    let failed = db.query_one_raw(Statement::from_string(db.get_database_backend(), endless)).await;
    let error = failed.expect_err("it would never end");
    assert!(is_statement_timeout(&error), "{error}");
    let ann = t.affiliate().await;
    let never = std::future::pending::<Result<(), Error>>();
    let failed = t.app().heavy.compute(actor(&ann), never).await;
    assert!(matches!(failed, Err(Error::TookTooLong)), "{failed:?}");
    // Its connection remains usable.
    let one = "SELECT 1 AS number";
    db.query_one_raw(Statement::from_string(db.get_database_backend(), one)).await.expect("the next one is answered");
}

/// A report that waits for a table, to simulate a long report.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_report_that_takes_too_long_is_refused_with_advice() {
    let t = TestApp::start_with(Database::postgres().await, |settings| settings.report_timeout_ms = 50).await;
    let ann = t.affiliate().await;
    let mut other = PgConnection::connect(&t.database.url()).await.unwrap();
    sqlx::raw_sql("BEGIN; LOCK TABLE report_scopes").execute(&mut other).await.unwrap();
    report(&ann).await.expect_problem(422, "took_too_long");
    t.click().await;
}
