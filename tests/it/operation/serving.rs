//! For operators: health, metrics, orderly shutdown, quiet logs, one command to start.

use postrider_tests::app::TestApp;
use postrider_tests::client::{Client, text};
use postrider_tests::database::Database;
use postrider_tests::on_both_databases;
use postrider_tests::process::{ADMIN_KEY, Installation, Process};
use postrider_tests::receiver::{Receiver, Reply};
use serde_json::json;

on_both_databases!(
    health_readiness_and_metrics_need_no_key,
    metrics_count_what_happened,
    sigterm_lets_requests_in_flight_finish,
    sigterm_does_not_wait_for_ever,
    no_log_line_holds_a_secret_or_a_buyer,
);

async fn health_readiness_and_metrics_need_no_key(db: Database) {
    let t = TestApp::start(db).await;
    let stranger = t.anonymous();
    assert_eq!(stranger.get("/healthz").await.status, 200);
    assert_eq!(stranger.get("/readyz").await.status, 200);
    assert_eq!(stranger.get("/metrics").await.status, 200);
    assert_eq!(stranger.get("/nothing-here").await.status, 404);
}

async fn metrics_count_what_happened(db: Database) {
    let t = TestApp::start(db).await;
    let click = t.click().await;
    t.postback("/good").save().await;
    t.postback("/bad").save().await;
    t.receiver.always("/bad", Reply::status(404));
    t.conversion(&click).send().await;
    t.deliver_all().await;

    let metrics = t.anonymous().get("/metrics").await;
    assert!(metrics.header("content-type").unwrap().starts_with("text/plain"));
    for name in [
        "postrider_clicks_total",
        "postrider_conversions_total",
        "postrider_deliveries_total",
        "postrider_delivery_seconds",
        "postrider_pipeline_seconds",
        "postrider_queue_depth",
        "postrider_queue_age_seconds",
        "postrider_adapter_seconds",
    ] {
        assert!(metrics.text.contains(name), "{name} is missing in:\n{}", metrics.text);
    }
}

fn postback(receiver: &Receiver, path: &str) -> serde_json::Value {
    json!({
        "name": "p", "adapter": "macro-url", "action": "conversion", "firing_status": "any", "enabled": true,
        "config": {
            "base_url": receiver.url(path), "method": "GET",
            "parameters": [
                {"name": "transaction", "macro": "transaction_id"},
                {"name": "email", "macro": "customer_email"},
            ],
        },
    })
}

/// An affiliate's code with an offer, for conversions.
async fn referral_code(client: &Client) -> String {
    let affiliate = json!({"name": "Ann", "email": "ann@example.com"});
    let affiliate = client.post("/api/v1/affiliates", &affiliate).await.expect(201);
    let offer =
        json!({"name": "O", "landing_url": "https://shop.example/", "currency": "USD", "payout": {"fixed": "1"}});
    client.post("/api/v1/offers", &offer).await.expect(201);
    text(&affiliate, "referral_code")
}

/// A server with one postback to `/p`, whose request the receiver holds until it is released.
async fn with_request_in_flight(installation: &Installation) -> (Receiver, Process) {
    let receiver = Receiver::start().await;
    let process = installation.start().await;
    let code = referral_code(&process.client).await;
    process.client.post("/api/v1/postbacks", &postback(&receiver, "/p")).await.expect(201);
    receiver.forget("/p");
    receiver.always("/p", Reply::Held);
    let report = json!({"referral_code": code, "transaction_id": "T-1"});
    process.client.post("/api/v1/conversions", &report).await.expect(201);
    receiver.wait_for("/p", 1).await;
    (receiver, process)
}

async fn sigterm_lets_requests_in_flight_finish(db: Database) {
    let installation = Installation::new(db);
    let (receiver, mut process) = with_request_in_flight(&installation).await;

    process.terminate();
    receiver.release();
    let status = process.wait().await;

    assert!(status.success(), "{status}; its log:\n{}", installation.log());
    // The result was stored before the end: the next run sends nothing.
    let delivered = "SELECT count(*) FROM deliveries WHERE state = 'success'";
    assert_eq!(installation.database.number(delivered).await, 1);
    assert_eq!(receiver.requests("/p").len(), 1);
}

async fn sigterm_does_not_wait_for_ever(db: Database) {
    let installation =
        Installation::new(db).with("POSTRIDER_DRAIN_TIMEOUT_MS", "1000").with("POSTRIDER_LEASE_SECS", "11");
    let (receiver, mut process) = with_request_in_flight(&installation).await;

    let asked = std::time::Instant::now();
    process.terminate();
    let status = process.wait().await;
    assert!(status.success(), "{status}; its log:\n{}", installation.log());
    let took = asked.elapsed();
    assert!(
        took < std::time::Duration::from_secs(8),
        "took {took:?}; the request alone would have taken ten; log:\n{}",
        installation.log()
    );

    // The next run sends postbacks in flight again, at the latest when their leases end.
    receiver.release();
    let _process = installation.start().await;
    receiver.wait_for("/p", 2).await;
}

async fn no_log_line_holds_a_secret_or_a_buyer(db: Database) {
    let installation = Installation::new(db).with("POSTRIDER_LOG", "debug").with("RUST_LOG", "debug");
    let receiver = Receiver::start().await;
    let mut process = installation.start().await;
    let code = referral_code(&process.client).await;
    process.client.post("/api/v1/postbacks", &postback(&receiver, "/good")).await.expect(201);
    process.client.post("/api/v1/postbacks", &postback(&receiver, "/bad")).await.expect(201);
    let key = process.client.post("/api/v1/api-keys", &json!({"name": "CI", "role": "admin"})).await.expect(201);
    let key = text(&key, "key");
    let admin = process.client.with_key(Some(&key));
    receiver.always("/bad", Reply::status(404));
    receiver.forget("/bad");
    let report = json!({
        "referral_code": code, "transaction_id": "T-1",
        "customer_name": "Zoe Buyerova", "customer_email": "zoe.buyer@example.org",
    });
    admin.post("/api/v1/conversions", &report).await.expect(201);
    receiver.wait_for("/good", 2).await;
    receiver.wait_for("/bad", 1).await;
    // A refused one too: error messages can quote invalid input.
    let mut bad = report;
    bad["amount"] = json!("abc");
    bad["transaction_id"] = json!("T-2");
    admin.post("/api/v1/conversions", &bad).await.expect_problem(422, "invalid_amount");
    process.terminate();
    process.wait().await;

    let log = installation.log();
    assert!(log.lines().count() > 3, "there is a log: {log}");
    for secret in ["zoe.buyer", "Buyerova", key.as_str(), ADMIN_KEY] {
        let line = log.lines().find(|line| line.contains(secret));
        assert_eq!(line, None, "a log line holds {secret}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_processes_share_the_work_of_one_postgres() {
    // On a busy machine, a late answer would cause a repetition.
    let installation = Installation::new(Database::postgres().await)
        .with("POSTRIDER_REQUEST_TIMEOUT_MS", "60000")
        .with("POSTRIDER_LEASE_SECS", "120")
        .with("POSTRIDER_SEND_CONCURRENCY", "16");
    let receiver = Receiver::start().await;
    let web = installation.start_with(&[("POSTRIDER_ROLE", "web")]).await;
    let code = referral_code(&web.client).await;
    web.client.post("/api/v1/postbacks", &postback(&receiver, "/p")).await.expect(201);
    receiver.forget("/p");
    let _workers = [
        installation.start_with(&[("POSTRIDER_ROLE", "worker")]).await,
        installation.start_with(&[("POSTRIDER_ROLE", "worker")]).await,
    ];

    let batch: Vec<_> = (0..500).map(|n| json!({"referral_code": code, "transaction_id": format!("T-{n}")})).collect();
    web.client.post("/api/v1/conversions", &json!(batch)).await.expect(200);

    postrider_tests::wait::eventually("every delivery to succeed", async || {
        let done = "SELECT count(*) FROM deliveries WHERE state = 'success'";
        (installation.database.number(done).await == 500).then_some(())
    })
    .await;
    assert_eq!(receiver.requests("/p").len(), 500, "each exactly once");
}
