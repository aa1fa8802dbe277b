//! Nodes with wrong clocks: all use the database's time, so no node treats a lease as expired that another node still holds.

use std::time::Duration;

use domain::delivery::lease::Lease;
use postrider_tests::app::TestApp;
use postrider_tests::database::Database;
use postrider_tests::receiver::Reply;
use serde_json::json;
use storage::clock::Clock;

/// Longer than a lease.
const SKEW_MS: i64 = 120_000;
/// The maximum error of a reading of the database's clock on a very busy machine.
const INEXACT: Duration = Duration::from_secs(30);

/// A server on the database of `t`, on a machine whose clock is wrong by this much.
async fn node(t: &TestApp, ahead_ms: i64) -> postrider::Server {
    let settings = t.settings_of_another_node();
    postrider::Server::start(settings, Clock::system_ahead_by(ahead_ms)).await.expect("it starts")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nodes_with_wrong_clocks_share_the_time_of_the_database() {
    // Its own clock, which a test moves, is the database's by definition; only the other nodes matter here.
    let mut t = TestApp::start(Database::postgres().await).await;
    t.stop().await;
    for ahead_ms in [SKEW_MS, -SKEW_MS] {
        let (right, wrong) = (node(&t, 0).await, node(&t, ahead_ms).await);
        let before = right.app().clock.now().minus(INEXACT);
        let now = wrong.app().clock.now();
        let after = right.app().clock.now().plus(INEXACT);
        assert!((before..after).contains(&now), "{now} is not between {before} and {after}");

        let ready: serde_json::Value =
            reqwest::get(format!("{}/readyz", wrong.url())).await.unwrap().json().await.unwrap();
        let skew = ready["clock_skew_ms"].as_i64().expect("it says how wrong its machine's clock is");
        assert!((skew - ahead_ms).abs() < INEXACT.as_millis() as i64, "{skew}");
        let metrics = reqwest::get(format!("{}/metrics", wrong.url())).await.unwrap().text().await.unwrap();
        assert!(metrics.contains("postrider_clock_skew_seconds"), "{metrics}");
        right.stop().await;
        wrong.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_whose_clock_is_ahead_ends_no_lease_early() {
    let mut t = TestApp::start(Database::postgres().await).await;
    t.postback("/p").save().await;
    let code = t.affiliate().await.referral_code;
    t.any_link().await;
    t.stop().await;
    // Leases longer than this test, and a skew longer than the leases.
    let ahead_ms = 2 * 3_600_000;
    let mut settings = t.settings_of_another_node();
    settings.lease_secs = 3_600;
    settings.request_timeout_ms = 600_000;
    let right = postrider::Server::start(settings.clone(), Clock::system()).await.expect("it starts");
    let ahead = postrider::Server::start(settings, Clock::system_ahead_by(ahead_ms)).await.expect("it starts");
    t.receiver.always("/p", Reply::Held);
    let report = json!({"referral_code": code, "transaction_id": "T-1", "status": "approved"});
    t.admin_of(&right).post("/api/v1/conversions", &report).await.expect(201);
    t.receiver.wait_for("/p", 1).await;

    // It is in flight at one of them, and neither can claim it.
    for server in [&right, &ahead] {
        let db = &server.app().db;
        let now = server.app().clock.now();
        let lease = Lease { claim: 1, until: now.plus(Duration::from_secs(1)) };
        let claimed =
            storage::delivery::deliveries::claim(db.queue(), 10, now, lease).await.expect("the database answers");
        assert_eq!(claimed.len(), 0, "its lease has not ended");
    }
    t.receiver.release();
    right.stop().await;
    ahead.stop().await;
    assert_eq!(t.receiver.requests("/p").len(), 1);
}
