//! Retry jobs: all deliveries that match are retried, at a limited rate, each once, and only those of the caller.

use std::collections::BTreeSet;
use std::time::Duration;

use postrider_tests::app::{Click, TestApp};
use postrider_tests::client::{Client, text};
use postrider_tests::database::Database;
use postrider_tests::on_both_databases;
use postrider_tests::process::{Installation, Process};
use postrider_tests::receiver::{Receiver, Reply};
use postrider_tests::wait::eventually;
use serde_json::{Value, json};

on_both_databases!(
    a_job_retries_what_was_counted,
    a_job_retries_no_more_than_was_confirmed,
    a_job_keeps_to_its_rate_and_can_be_cancelled,
    a_job_retries_only_deliveries_of_its_owner,
    a_delivery_is_retried_once_by_a_job,
    a_job_continues_after_a_restart,
    a_job_survives_a_kill_in_its_middle,
);

/// Conversions of a click, whose deliveries fail at the paths that answer 404.
async fn conversions(t: &TestApp, click: &Click, count: usize) {
    let one = |n: usize| {
        json!({"click_id": click.id, "transaction_id": format!("t{}-{n}", t.unique()), "status": "approved",
            "amount": "1.00", "currency": "USD"})
    };
    t.admin.post("/api/v1/conversions", &(0..count).map(one).collect()).await.expect(200);
    t.tick();
    t.deliver_all().await;
}

async fn create(client: &Client, filter: Value) -> Value {
    let count = client.post("/api/v1/retry-jobs/count", &filter).await.expect(200);
    let body = json!({"filter": filter, "expected": count["matching"]});
    client.post("/api/v1/retry-jobs", &body).await.expect(201)
}

async fn read(client: &Client, job: &Value) -> Value {
    client.get(&format!("/api/v1/retry-jobs/{}", text(job, "id"))).await.expect(200)
}

/// The job when it has ended; the clock moves until then. It moves only while nothing is being sent, because a delivery whose
/// lease ends on the way is sent again.
async fn ended(t: &TestApp, client: &Client, job: &Value) -> Value {
    eventually("the job to end", async || {
        t.deliver_all().await;
        t.advance(Duration::from_secs(1));
        Some(read(client, job).await).filter(|job| job["status"] != "running")
    })
    .await
}

fn progress(job: &Value) -> [u64; 3] {
    ["matching", "retried", "skipped"].map(|field| job[field].as_u64().expect("a number"))
}

async fn a_job_retries_what_was_counted(db: Database) {
    let t = TestApp::start(db).await;
    let click = t.click().await;
    let failing = t.postback("/fails").save().await;
    let other = t.postback("/other").save().await;
    for path in ["/fails", "/other"] {
        t.receiver.always(path, Reply::status(404));
    }
    conversions(&t, &click, 7).await;
    t.receiver.always("/fails", Reply::status(200));

    let filter = json!({"postback_id": failing, "reason_code": "http_404"});
    let count = t.admin.post("/api/v1/retry-jobs/count", &filter).await.expect(200);
    assert_eq!((&count["matching"], &count["capped"]), (&json!(7), &json!(false)), "{count}");
    let job = create(&t.admin, filter).await;
    assert_eq!(job["owner_affiliate_id"], Value::Null);
    let job = ended(&t, &t.admin, &job).await;
    t.deliver_all().await;

    assert_eq!((job["status"].clone(), progress(&job)), (json!("done"), [7, 7, 0]), "{job}");
    assert!(t.deliveries(&failing).await.iter().all(|it| it["status"] == "success"));
    assert!(t.deliveries(&other).await.iter().all(|it| it["status"] == "failed"), "they did not match");
    assert_eq!(t.receiver.requests("/fails").len(), 14);
    assert_eq!(text(&t.admin.list("/api/v1/retry-jobs").await[0], "id"), text(&job, "id"));
}

async fn a_job_retries_no_more_than_was_confirmed(db: Database) {
    let t = TestApp::start(db).await;
    let click = t.click().await;
    t.postback("/fails").save().await;
    t.receiver.always("/fails", Reply::status(404));
    conversions(&t, &click, 3).await;
    let body = |expected: u32| json!({"filter": {}, "expected": expected});
    let problem = t.admin.post("/api/v1/retry-jobs", &body(2)).await.expect_problem(409, "retry_count_changed");
    assert!(text(&problem, "detail").starts_with("3 deliveries match, and 2 were expected"), "{problem}");
    let none = json!({"filter": {"status": "cancelled"}, "expected": 5});
    t.admin.post("/api/v1/retry-jobs", &none).await.expect_problem(422, "retry_nothing_matches");
    for wrong in
        [json!({"filter": {"status": "pending"}, "expected": 1}), json!({"filter": {}}), json!({"expected": 1})]
    {
        t.admin.post("/api/v1/retry-jobs", &wrong).await.expect_problem(422, "invalid_field");
    }
    // Fewer are fine: some were retried in the meantime.
    let job = t.admin.post("/api/v1/retry-jobs", &body(10)).await.expect(201);
    assert_eq!(progress(&ended(&t, &t.admin, &job).await), [3, 3, 0]);
}

async fn a_job_keeps_to_its_rate_and_can_be_cancelled(db: Database) {
    let t = TestApp::start_with(db, |settings| settings.retries_per_minute = 2).await;
    let click = t.click().await;
    let affiliate = &click.link.affiliate;
    t.postback("/fails").owned_by(affiliate).save().await;
    t.receiver.always("/fails", Reply::status(404));
    conversions(&t, &click, 5).await;

    let job = create(&affiliate.client, json!({})).await;
    let retried = async |wanted: u64| {
        eventually("the batch", async || (read(&affiliate.client, &job).await["retried"] == wanted).then_some(()))
            .await;
        // What is being sent when the clock moves is sent again, because its lease ends.
        t.deliver_all().await;
    };
    retried(2).await;
    let second = json!({"filter": {}, "expected": 5});
    affiliate.client.post("/api/v1/retry-jobs", &second).await.expect_problem(409, "retry_job_running");
    // Nothing is due before the minute has passed, however often the worker looks.
    t.advance(Duration::from_millis(59_999));
    t.deliver_all().await;
    assert_eq!(progress(&read(&affiliate.client, &job).await), [5, 2, 0]);
    t.advance(Duration::from_millis(1));
    retried(4).await;

    let path = format!("/api/v1/retry-jobs/{}/cancel", text(&job, "id"));
    let cancelled = affiliate.client.post(&path, &json!({})).await.expect(200);
    assert_eq!((cancelled["status"].clone(), progress(&cancelled)), (json!("cancelled"), [5, 4, 0]));
    affiliate.client.post(&path, &json!({})).await.expect_problem(409, "retry_job_ended");
    let record = &t.admin.list("/api/v1/audit?operation=cancel_retry_job").await[1];
    let change = json!({"field": "status", "from": "running", "to": "cancelled"});
    assert!(record["changes"].as_array().expect("changes").contains(&change), "{record}");
    t.advance(Duration::from_secs(600));
    t.deliver_all().await;
    assert_eq!(t.receiver.requests("/fails").len(), 5 + 4, "the fifth is not retried");
    // Another job can begin now.
    create(&affiliate.client, json!({})).await;
}

async fn a_job_retries_only_deliveries_of_its_owner(db: Database) {
    let t = TestApp::start(db).await;
    let (mine, other) = (t.click().await, t.click().await);
    let me = &mine.link.affiliate;
    let own = t.postback("/own").owned_by(me).save().await;
    let others = t.postback("/other").owned_by(&other.link.affiliate).save().await;
    // It is fired for my conversions too, but it is not mine.
    let of_program = t.postback("/program").save().await;
    for path in ["/own", "/other", "/program"] {
        t.receiver.always(path, Reply::status(404));
    }
    conversions(&t, &mine, 2).await;
    conversions(&t, &other, 2).await;

    for filter in [
        json!({"postback_id": others}),
        json!({"postback_id": of_program}),
        json!({"affiliate_id": other.link.affiliate.id}),
    ] {
        let count = me.client.post("/api/v1/retry-jobs/count", &filter).await.expect(200);
        assert_eq!(count["matching"], 0, "{filter}");
        let body = json!({"filter": filter, "expected": 100});
        me.client.post("/api/v1/retry-jobs", &body).await.expect_problem(422, "retry_nothing_matches");
    }
    let job = create(&me.client, json!({})).await;
    assert_eq!(job["owner_affiliate_id"], me.id);
    let job = ended(&t, &me.client, &job).await;
    t.deliver_all().await;
    assert_eq!(progress(&job), [2, 2, 0]);
    for (postback, attempts) in [(&own, 2), (&others, 1), (&of_program, 1)] {
        for delivery in t.deliveries(postback).await {
            assert_eq!(delivery["attempts"].as_array().expect("attempts").len(), attempts, "{delivery}");
        }
    }
    // Jobs of others do not exist for an affiliate.
    let path = format!("/api/v1/retry-jobs/{}", text(&job, "id"));
    other.link.affiliate.client.get(&path).await.expect_problem(404, "not_found");
    other.link.affiliate.client.post(&format!("{path}/cancel"), &json!({})).await.expect_problem(404, "not_found");
    assert!(other.link.affiliate.client.list("/api/v1/retry-jobs").await.is_empty());
}

async fn a_delivery_is_retried_once_by_a_job(db: Database) {
    let t = TestApp::start(db).await;
    let click = t.click().await;
    let postback = t.postback("/fails").save().await;
    t.receiver.always("/fails", Reply::status(404));
    conversions(&t, &click, 150).await;
    // They fail again behind the job, which does not turn back.
    let job = create(&t.admin, json!({})).await;
    let job = ended(&t, &t.admin, &job).await;
    t.deliver_all().await;
    assert_eq!(progress(&job), [150, 150, 0]);
    for delivery in t.deliveries(&postback).await {
        assert_eq!(delivery["attempts"].as_array().expect("attempts").len(), 2, "{delivery}");
    }
}

async fn a_job_continues_after_a_restart(db: Database) {
    let mut t = TestApp::start_with(db, |settings| settings.retries_per_minute = 2).await;
    let click = t.click().await;
    let postback = t.postback("/fails").owned_by(&click.link.affiliate).save().await;
    t.receiver.always("/fails", Reply::status(404));
    conversions(&t, &click, 5).await;
    t.receiver.always("/fails", Reply::status(200));
    let job = create(&click.link.affiliate.client, json!({})).await;
    eventually("the first batch", async || (read(&t.admin, &job).await["retried"] == 2).then_some(())).await;
    t.deliver_all().await;
    t.restart_with(|_| {}).await;
    let admin = t.admin.clone();
    let job = ended(&t, &admin, &job).await;
    t.deliver_all().await;
    assert_eq!((job["status"].clone(), progress(&job)), (json!("done"), [5, 5, 0]));
    assert!(t.deliveries(&postback).await.iter().all(|it| it["status"] == "success"));
}

/// The real program with the real clock.
async fn a_job_survives_a_kill_in_its_middle(db: Database) {
    const DELIVERIES: usize = 400;
    let installation =
        Installation::new(db).with("POSTRIDER_LEASE_SECS", "6").with("POSTRIDER_REQUEST_TIMEOUT_MS", "1500");
    let receiver = Receiver::start().await;
    let first = installation.start().await;
    let affiliate = json!({"name": "Ann", "email": "ann@example.com"});
    let affiliate = first.client.post("/api/v1/affiliates", &affiliate).await.expect(201);
    let offer =
        json!({"name": "Offer", "landing_url": "https://shop.example/", "currency": "USD", "payout": {"fixed": "1"}});
    first.client.post("/api/v1/offers", &offer).await.expect(201);
    let postback = json!({"name": "p", "adapter": "macro-url", "firing_status": "approved", "config": {
        "base_url": receiver.url("/p"), "parameters": [{"name": "transaction", "macro": "transaction_id"}]}});
    first.client.post("/api/v1/postbacks", &postback).await.expect(201);
    // The test request is not one of the deliveries.
    receiver.forget("/p");
    receiver.always("/p", Reply::status(404));
    let report = |n| json!({"referral_code": affiliate["referral_code"], "transaction_id": format!("T-{n}"), "status": "approved"});
    first.client.post("/api/v1/conversions", &(0..DELIVERIES).map(report).collect()).await.expect(200);
    let failed = "SELECT count(*) FROM deliveries WHERE state = 'failed'";
    let database = &installation.database;
    let wanted = DELIVERIES as i64;
    eventually("every delivery to fail", async || (database.number(failed).await == wanted).then_some(())).await;
    receiver.always("/p", Reply::status(200));

    let job = create(&first.client, json!({})).await;
    eventually("the middle of the job", async || (progress(&read(&first.client, &job).await)[1] >= 100).then_some(()))
        .await;
    first.kill_9();
    let second: Process = installation.start().await;
    let job = eventually("the job to end", async || {
        Some(read(&second.client, &job).await).filter(|job| job["status"] == "done")
    })
    .await;
    assert_eq!(progress(&job), [DELIVERIES as u64, DELIVERIES as u64, 0]);
    let accepted = "SELECT count(*) FROM deliveries WHERE state = 'success'";
    eventually("every delivery to arrive", async || (database.number(accepted).await == wanted).then_some(())).await;
    // Each was retried after its first attempt, and never again.
    let retried_once = "SELECT count(*) FROM deliveries WHERE attempts_before_retry = 1";
    assert_eq!(database.number(retried_once).await, wanted);
    let arrived: BTreeSet<_> = receiver.requests("/p").iter().map(|it| it.parameter("transaction")).collect();
    assert_eq!(arrived.len(), DELIVERIES);
}
