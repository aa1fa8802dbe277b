//! Statements while money moves: every line was true, and the past stays as it was read.

use std::collections::BTreeMap;

use domain::timestamp::Timestamp;
use futures::future::join_all;
use postrider_tests::app::{Affiliate, TestApp};
use postrider_tests::client::text;
use postrider_tests::database::Database;
use postrider_tests::on_both_databases;
use serde_json::{Value, json};

on_both_databases!(each_line_of_a_statement_was_true, a_statement_of_the_past_stays_as_it_was_read,);

const CALLERS: usize = 8;
const ROUNDS: usize = 12;

/// Conversions, corrections, reversals and adjustments of one affiliate, by one of several callers at once.
async fn move_money(t: &TestApp, affiliate: &Affiliate, click: &str, caller: usize) {
    for round in 0..ROUNDS {
        let report = |round: usize, amount: &str| json!({"click_id": click, "transaction_id": format!("{caller}-{round}"), "status": "approved", "amount": amount});
        t.admin.post("/api/v1/conversions", &report(round, "100")).await.expect(201);
        // One that is rejected already is not corrected.
        let corrected = t.admin.post("/api/v1/conversions", &report(round / 2, ["10", "300"][round % 2])).await;
        assert!(matches!(corrected.status, 200 | 409), "{}", corrected.text);
        let amount = ["-25", "5"][caller % 2];
        let taken = json!({"affiliate_id": affiliate.id, "amount": amount, "currency": "USD", "reason": "x"});
        t.admin.post("/api/v1/adjustments", &taken).await.expect(201);
        if round % 4 == 3 {
            let mut refund = report(round, "100");
            (refund["status"], refund["reason"]) = (json!("rejected"), json!("refund"));
            t.admin.post("/api/v1/conversions", &refund).await.expect(200);
        }
    }
}

async fn statement(t: &TestApp, affiliate: &Affiliate, until: Option<Timestamp>) -> Value {
    let until = until.map(|at| format!("&until={at}")).unwrap_or_default();
    let path = format!("/api/v1/statement?currency=USD&affiliate_id={}{until}", affiliate.id);
    t.admin.get(&path).await.expect(200)
}

/// The accounts after each line are the sums of all changes, none is below zero, and who owes has nothing available.
fn assert_lines_are_true(statement: &Value) -> usize {
    let mut sums: BTreeMap<&str, i64> = BTreeMap::new();
    let lines = statement["lines"].as_array().expect("lines");
    for line in lines {
        for account in ["pending", "available", "withdrawing", "paid", "debt"] {
            let micros = |of: &str| {
                let amount = text(&line[of], account);
                let (sign, amount) = amount.strip_prefix('-').map_or((1, amount.as_str()), |it| (-1, it));
                sign * amount.parse::<domain::amounts::Amount>().expect("an amount").micros()
            };
            let sum = sums.entry(account).or_default();
            *sum += micros("change");
            assert_eq!(*sum, micros("balance"), "{line}");
            assert!(*sum >= 0, "{account} was never below zero: {line}");
        }
        assert!(sums["debt"] == 0 || sums["available"] == 0, "{line}");
    }
    lines.len()
}

async fn each_line_of_a_statement_was_true(db: Database) {
    let t = TestApp::start(db).await;
    for hold_days in [0, 1] {
        let offer = t.offer_with(json!({"payout": {"percent": "10"}, "hold_days": hold_days})).await;
        let affiliate = t.affiliate().await;
        let click = t.click_on(&t.link(&affiliate, &offer).await, "").await;
        join_all((0..CALLERS).map(|caller| move_money(&t, &affiliate, &click.id, caller))).await;
        assert!(assert_lines_are_true(&statement(&t, &affiliate, None).await) > CALLERS * ROUNDS);
    }
    t.assert_books_balance().await;
}

async fn a_statement_of_the_past_stays_as_it_was_read(db: Database) {
    let t = TestApp::start(db).await;
    let offer = t.offer_with(json!({"payout": {"percent": "10"}})).await;
    let affiliate = t.affiliate().await;
    let click = t.click_on(&t.link(&affiliate, &offer).await, "").await;
    let is_done = std::sync::atomic::AtomicBool::new(false);
    let moving = async {
        join_all((0..CALLERS).map(|caller| move_money(&t, &affiliate, &click.id, caller))).await;
        is_done.store(true, std::sync::atomic::Ordering::SeqCst);
    };
    let reading = async {
        let mut read = Vec::new();
        while !is_done.load(std::sync::atomic::Ordering::SeqCst) {
            t.tick();
            let until = t.app().clock.now();
            read.push((until, statement(&t, &affiliate, Some(until)).await));
        }
        read
    };
    let ((), read) = tokio::join!(moving, reading);
    assert!(!read.is_empty());
    for (until, before) in read {
        assert_lines_are_true(&before);
        assert_eq!(statement(&t, &affiliate, Some(until)).await, before, "until {until}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn two_nodes_number_the_postings_of_a_balance_in_one_order() {
    let t = TestApp::start(Database::postgres().await).await;
    let other = t.another_node().await;
    let admin = t.admin_of(&other);
    let click = t.click().await;
    let post = async |client: &postrider_tests::client::Client, n: usize| {
        let report =
            json!({"click_id": click.id, "transaction_id": format!("T-{n}"), "status": "approved", "payout": "1"});
        client.post("/api/v1/conversions", &report).await.expect(201);
    };
    for n in 0..10 {
        post(if n % 2 == 0 { &t.admin } else { &admin }, n).await;
    }
    let lines = statement(&t, &click.link.affiliate, None).await;
    assert_lines_are_true(&lines);
    let earned: Vec<_> = lines["lines"].as_array().expect("lines").iter().filter(|it| it["kind"] == "earned").collect();
    let order: Vec<_> = earned.iter().map(|it| text(it, "transaction_id")).collect();
    assert_eq!(order, (0..10).map(|n| format!("T-{n}")).collect::<Vec<_>>());
}
