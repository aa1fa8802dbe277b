//! Amounts close to the limits of their types: sums stay exact, balances stay within their bounds, and an
//! error of one affiliate affects only this affiliate.

use std::time::Duration;

use postrider_tests::app::{Affiliate, TestApp};
use postrider_tests::database::Database;
use postrider_tests::on_both_databases;
use sea_orm::ConnectionTrait;
use serde_json::json;

on_both_databases!(
    an_earning_beyond_the_bound_stays_pending_until_there_is_room,
    no_manual_change_exceeds_the_bound,
    an_affiliate_whose_earnings_cannot_be_read_stops_nobody_else,
    sums_of_pending_earnings_are_exact_beyond_64_bits,
    the_schema_refuses_values_beyond_the_bounds,
    a_share_that_would_be_too_large_is_refused,
);

const MINUTE: Duration = Duration::from_secs(60);
const HOUR: Duration = Duration::from_secs(3_600);

/// One unit below the maximum of an account.
async fn fill(t: &TestApp, affiliate: &Affiliate) {
    let sql = format!(
        "UPDATE balances SET available = 3999999999999000000 WHERE affiliate_id IN
             (SELECT id FROM affiliates WHERE referral_code = '{}')",
        affiliate.referral_code
    );
    t.database.execute(&sql).await;
}

async fn an_earning_beyond_the_bound_stays_pending_until_there_is_room(db: Database) {
    let t = TestApp::start(db).await;
    let (full, other) = (t.click().await, t.click().await);
    t.conversion(&full).send().await;
    assert_eq!(t.balance(&full.link.affiliate, "USD").await[1], "12.50");
    fill(&t, &full.link.affiliate).await;

    t.conversion(&full).send().await;
    t.conversion(&other).send().await;
    let balance = t.balance(&full.link.affiliate, "USD").await;
    assert_eq!(balance, ["12.50", "3999999999999.00", "0.00", "0.00", "0.00"], "recorded, and not released");
    assert_eq!(t.balance(&other.link.affiliate, "USD").await[1], "12.50", "others get theirs");

    // The worker retries and postpones it, at growing intervals; others are released meanwhile.
    for _ in 0..5 {
        t.advance(MINUTE);
        t.conversion(&other).send().await;
    }
    assert_eq!(t.balance(&full.link.affiliate, "USD").await[0], "12.50");
    assert_eq!(t.balance(&other.link.affiliate, "USD").await[1], "75.00");

    let room = "UPDATE balances SET available = 0 WHERE available > 1000000000000";
    t.database.execute(room).await;
    t.advance(HOUR);
    assert_eq!(t.balance(&full.link.affiliate, "USD").await[..2], ["0.00", "12.50"], "released when there is room");
}

async fn no_manual_change_exceeds_the_bound(db: Database) {
    let t = TestApp::start(db).await;
    let affiliate = t.affiliate().await;
    let adjust = async |amount: &str| {
        let body = json!({"affiliate_id": affiliate.id, "amount": amount, "currency": "USD", "reason": "by hand"});
        t.admin.post("/api/v1/adjustments", &body).await
    };
    adjust("1000000000").await.expect(201);
    adjust("100000000000.01").await.expect_problem(422, "invalid_amount");

    let rate = json!({"from": "USD", "to": "EUR", "rate": "999999", "valid_from": "2026-01-01T00:00:00Z"});
    t.admin.post("/api/v1/exchange-rates", &rate).await.expect(201);
    let exchange = json!({"affiliate_id": affiliate.id, "from": "USD", "amount": "1000000000", "to": "EUR"});
    let problem = t.admin.post("/api/v1/exchanges", &exchange).await.expect_problem(422, "balance_limit");
    assert!(problem["detail"].as_str().unwrap().contains("999999000000000.00 EUR"), "{problem}");

    fill(&t, &affiliate).await;
    adjust("1.00").await.expect(201);
    adjust("0.01").await.expect_problem(422, "balance_limit");
    assert_eq!(t.balance(&affiliate, "USD").await[..2], ["0.00", "4000000000000.00"]);
    adjust("-0.01").await.expect(201);
}

async fn an_affiliate_whose_earnings_cannot_be_read_stops_nobody_else(db: Database) {
    let t = TestApp::start(db).await;
    let offer = t.offer_with(json!({"hold_days": 1})).await;
    let (damaged, other) = (t.affiliate().await, t.affiliate().await);
    for affiliate in [&damaged, &other] {
        let click = t.click_on(&t.link(affiliate, &offer).await, "").await;
        t.conversion(&click).send().await;
    }
    let damage = async |from: &str, to: &str| {
        let sql = format!(
            "UPDATE earnings SET currency = '{to}' WHERE currency = '{from}' AND affiliate_id IN
                 (SELECT id FROM affiliates WHERE referral_code = '{}')",
            damaged.referral_code
        );
        t.database.execute(&sql).await;
    };
    damage("USD", "no currency").await;

    t.advance(24 * HOUR);
    assert_eq!(t.balance(&other, "USD").await[..2], ["0.00", "12.50"]);

    damage("no currency", "USD").await;
    assert_eq!(t.balance(&damaged, "USD").await[..2], ["12.50", "0.00"], "it is put off");
    t.advance(MINUTE);
    assert_eq!(t.balance(&damaged, "USD").await[..2], ["0.00", "12.50"]);
    t.assert_books_balance().await;
}

async fn sums_of_pending_earnings_are_exact_beyond_64_bits(db: Database) {
    let t = TestApp::start(db).await;
    let affiliate = t.affiliate().await;
    let id = if t.database.is_sqlite() { "randomblob(16)" } else { "gen_random_uuid()" };
    let sql = format!(
        "INSERT INTO earnings (id, affiliate_id, kind, level, paid_by_sub_affiliate, currency, earned_micros, micros, state,
             release_at, created_at, updated_at)
         SELECT {id}, id, 'payout', 0, false, 'USD', 999999999999999, 999999999999999, 'pending', 9000000000000, 0, 0
         FROM affiliates, (WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 20000) SELECT i FROM n) AS n
         WHERE referral_code = '{}'",
        affiliate.referral_code
    );
    t.database.execute(&sql).await;
    let balances = t.admin.list(&format!("/api/v1/balances?affiliate_id={}", affiliate.id)).await;
    assert_eq!(balances[0]["pending"], "19999999999999.98");
    assert_eq!(balances[0]["lifetime"], "19999999999999.98");

    let rate = json!({"from": "USD", "to": "EUR", "rate": "999999.999999999999", "valid_from": "2026-01-01T00:00:00Z"});
    t.admin.post("/api/v1/exchange-rates", &rate).await.expect(201);
    let path = format!("/api/v1/balances?affiliate_id={}&in=EUR", affiliate.id);
    let converted = t.admin.get(&path).await.expect(200)["items"][0]["converted"]["pending"].clone();
    assert_eq!(converted, "19999999999999979980.00");
}

async fn the_schema_refuses_values_beyond_the_bounds(db: Database) {
    let t = TestApp::start(db).await;
    let click = t.click().await;
    t.conversion(&click).send().await;
    t.balance(&click.link.affiliate, "USD").await;
    let url = t.database.url();
    let connection = sea_orm::Database::connect(url).await.expect("it can be opened");
    for sql in [
        "UPDATE balances SET available = 4000000000000000001",
        "UPDATE balances SET paid = 9223372036854775807 + 1",
        "UPDATE earnings SET micros = 100000000000000001",
        "UPDATE entries SET micros = 4000000000000000001",
    ] {
        connection.execute_unprepared(sql).await.expect_err(sql);
    }
    if t.database.is_sqlite() {
        connection.execute_unprepared("UPDATE balances SET debt = 0.5").await.expect_err("no whole number");
    }
    connection.close().await.expect("it closes");
    t.assert_books_balance().await;
}

async fn a_share_that_would_be_too_large_is_refused(db: Database) {
    let t = TestApp::start(db).await;
    let offer = t.offer_with(json!({"payout": {"percent": "30"}})).await;
    let click = t.click_on(&t.link(&t.affiliate().await, &offer).await, "").await;
    let report = |changes: serde_json::Value| {
        let mut body = json!({"click_id": click.id, "transaction_id": "t-1", "status": "approved", "currency": "USD"});
        body.as_object_mut().unwrap().extend(changes.as_object().unwrap().clone());
        body
    };
    let first = report(json!({"amount": "0.000001", "payout": "1.00"}));
    t.admin.post("/api/v1/conversions", &first).await.expect(201);
    // A part of a much larger sale was refunded, and the stated payout keeps its share of the sale.
    let refunded = report(json!({"amount": "1000000000", "refunded_amount": "1"}));
    t.admin.post("/api/v1/conversions", &refunded).await.expect_problem(422, "share_too_large");
    assert_eq!(t.balance(&click.link.affiliate, "USD").await[1], "1.00", "and nothing of it is recorded");
}
