//! How an affiliate is paid: methods, details, each step of a withdrawal, and never more than the balance.

use std::collections::HashMap;
use std::time::Duration;

use futures::future::join_all;
use futures::stream::{self, StreamExt};
use postrider_tests::app::{Affiliate, TestApp};
use postrider_tests::client::{Answer, Client, text};
use postrider_tests::database::Database;
use postrider_tests::on_both_databases;
use reqwest::Method;
use serde_json::{Value, json};

on_both_databases!(
    an_affiliate_sees_each_step_with_its_time,
    a_double_click_is_one_request,
    the_money_comes_back_once,
    a_step_out_of_turn_is_refused,
    exceeded_limits_are_named,
    an_offers_minimum_applies_to_affiliates_with_earnings_on_it,
    details_are_sealed_masked_and_the_affiliates_own,
    later_details_do_not_change_a_withdrawal,
    a_debt_is_settled_first,
    a_debt_that_arises_meanwhile_stops_a_withdrawal,
    a_returned_payment_is_available_again,
    only_finance_pays,
    many_are_approved_at_once,
    methods_are_data,
    two_hundred_at_once_never_exceed_the_balance,
);

const WITHDRAWALS: &str = "/api/v1/withdrawals";

/// An affiliate that has earned this much, with PayPal details.
async fn affiliate_with(t: &TestApp, dollars: &str) -> Affiliate {
    let affiliate = t.affiliate().await;
    earn(t, &affiliate, dollars).await;
    let body = json!({"method": "paypal", "details": {"email": format!("paypal-{}@example.org", t.unique())}});
    put(&affiliate.client, "/api/v1/payout-details", &body).await.expect(200);
    affiliate
}

/// Returns the conversion.
async fn earn(t: &TestApp, affiliate: &Affiliate, dollars: &str) -> String {
    let offer = t.offer_with(json!({"payout": {"fixed": dollars}})).await;
    let click = t.click_on(&t.link(affiliate, &offer).await, "").await;
    let conversion = t.conversion(&click).send().await;
    t.deliver_all().await;
    conversion
}

async fn put(client: &Client, path: &str, body: &Value) -> Answer {
    client.send(client.request(Method::PUT, path).json(body)).await
}

async fn request(affiliate: &Affiliate, amount: &str) -> Answer {
    affiliate.client.post(WITHDRAWALS, &json!({"method": "paypal", "amount": amount, "currency": "USD"})).await
}

async fn step(client: &Client, withdrawal: &Value, verb: &str, body: Value) -> Answer {
    client.post(&format!("{WITHDRAWALS}/{}/{verb}", text(withdrawal, "id")), &body).await
}

/// (available, withdrawing, paid, debt) in cents, as in the balances and as the sum of the entries.
async fn balance(t: &TestApp) -> [i64; 4] {
    let mut found = [0; 4];
    for (index, account) in ["available", "withdrawing", "paid", "debt"].into_iter().enumerate() {
        let kept =
            t.database.number(&format!("SELECT CAST(coalesce(sum({account}), 0) AS bigint) FROM balances")).await;
        let sign = if account == "debt" { "-" } else { "" };
        let sql =
            format!("SELECT CAST(coalesce({sign}sum(micros), 0) AS bigint) FROM entries WHERE account = '{account}'");
        assert_eq!(kept, t.database.number(&sql).await, "the balance of {account} is the sum of its entries");
        found[index] = kept / 10_000;
    }
    assert_eq!(t.database.number("SELECT CAST(sum(micros) AS bigint) FROM entries").await, 0, "the books balance");
    found
}

async fn an_affiliate_sees_each_step_with_its_time(db: Database) {
    let t = TestApp::start(db).await;
    let affiliate = affiliate_with(&t, "150.00").await;
    t.tick();
    let withdrawal = request(&affiliate, "100.00").await.expect(201);
    assert_eq!(withdrawal["status"], "requested");
    assert_eq!((text(&withdrawal, "amount"), text(&withdrawal, "fee")), ("100.00".into(), "2.00".into()));
    assert_eq!(withdrawal["net"], "98.00");
    assert_eq!(balance(&t).await, [5_000, 10_000, 0, 0]);
    t.advance(Duration::from_secs(3600));
    step(&t.admin, &withdrawal, "approve", json!({})).await.expect(200);
    t.advance(Duration::from_secs(3600));
    step(&t.admin, &withdrawal, "pay", json!({"reference": "PP-77"})).await.expect(200);
    assert_eq!(balance(&t).await, [5_000, 0, 9_800, 0]);

    let path = format!("{WITHDRAWALS}/{}", text(&withdrawal, "id"));
    let seen = affiliate.client.get(&path).await.expect(200);
    assert_eq!((&seen["status"], &seen["reference"], &seen["reason"]), (&json!("paid"), &json!("PP-77"), &json!(null)));
    let steps: Vec<_> = seen["history"]
        .as_array()
        .unwrap()
        .iter()
        .map(|it| (text(it, "status"), text(it, "by"), text(it, "at")))
        .collect();
    let wanted = [
        ("requested", "affiliate", "2026-03-10T12:00:00.001Z"),
        ("approved", "program", "2026-03-10T13:00:00.001Z"),
        ("paid", "program", "2026-03-10T14:00:00.001Z"),
    ];
    assert_eq!(steps, wanted.map(|(status, by, at)| (status.to_owned(), by.to_owned(), at.to_owned())));
    let finance = t.admin.get(&path).await.expect(200);
    assert_eq!(finance["history"][1]["by"], "bootstrap", "finance sees who it was");
    let keys = t.database.number("SELECT count(*) FROM postings WHERE key LIKE 'withdrawal:%'").await;
    assert_eq!(keys, 3, "requested, paid, fee");
}

async fn a_double_click_is_one_request(db: Database) {
    let t = TestApp::start(db).await;
    let affiliate = affiliate_with(&t, "100.00").await;
    let first = request(&affiliate, "20.00").await.expect(201);
    let clicks = join_all((0..10).map(|_| request(&affiliate, "20.00"))).await;
    assert!(clicks.iter().all(|it| it.expect(200)["id"] == first["id"]), "the same withdrawal each time");
    assert_eq!(balance(&t).await[1], 2_000);
    // Different keys mean two withdrawals.
    let body = json!({"method": "paypal", "amount": "20.00", "currency": "USD"});
    let second = affiliate.client.post_once(WITHDRAWALS, "a", &body).await.expect(201);
    let again = affiliate.client.post_once(WITHDRAWALS, "a", &body).await.expect(201);
    assert_eq!(second["id"], again["id"]);
    assert_eq!(balance(&t).await[1], 4_000);
    // So does enough time.
    t.advance(Duration::from_secs(10));
    request(&affiliate, "20.00").await.expect(201);
    let all = request(&affiliate, "all").await.expect(201);
    assert_eq!(all["amount"], "40.00");
    assert_eq!(request(&affiliate, "all").await.expect(200)["id"], all["id"]);
    assert_eq!(balance(&t).await, [0, 10_000, 0, 0]);
}

async fn the_money_comes_back_once(db: Database) {
    let t = TestApp::start(db).await;
    let affiliate = affiliate_with(&t, "90.00").await;
    let refused = request(&affiliate, "20.00").await.expect(201);
    let failed = request(&affiliate, "30.00").await.expect(201);
    let cancelled = request(&affiliate, "40.00").await.expect(201);
    assert_eq!(balance(&t).await, [0, 9_000, 0, 0]);
    step(&t.admin, &failed, "approve", json!({})).await.expect(200);
    for _ in 0..3 {
        step(&t.admin, &refused, "refuse", json!({"reason": "name does not fit"})).await.expect(200);
        step(&t.admin, &failed, "fail", json!({"reason": "account closed"})).await.expect(200);
        step(&affiliate.client, &cancelled, "cancel", json!({})).await.expect(200);
    }
    assert_eq!(balance(&t).await, [9_000, 0, 0, 0]);
    let seen = affiliate.client.get(&format!("{WITHDRAWALS}/{}", text(&refused, "id"))).await.expect(200);
    assert_eq!((&seen["status"], &seen["reason"]), (&json!("refused"), &json!("name does not fit")));
    assert_eq!(seen["history"].as_array().unwrap().len(), 2, "repeating is no step");
    request(&affiliate, "90.00").await.expect(201);
}

async fn a_step_out_of_turn_is_refused(db: Database) {
    let t = TestApp::start(db).await;
    let affiliate = affiliate_with(&t, "50.00").await;
    let withdrawal = request(&affiliate, "50.00").await.expect(201);
    let problem =
        step(&t.admin, &withdrawal, "pay", json!({"reference": "X"})).await.expect_problem(409, "illegal_step");
    assert!(text(&problem, "detail").contains("approve it first"), "{problem}");
    step(&t.admin, &withdrawal, "approve", json!({})).await.expect(200);
    step(&affiliate.client, &withdrawal, "cancel", json!({})).await.expect_problem(409, "illegal_step");
    step(&t.admin, &withdrawal, "refuse", json!({"reason": "late"})).await.expect_problem(409, "illegal_step");
    step(&t.admin, &withdrawal, "pay", json!({"reference": ""})).await.expect_problem(422, "invalid_field");
    step(&t.admin, &withdrawal, "pay", json!({"reference": "X"})).await.expect(200);
    let problem =
        step(&t.admin, &withdrawal, "pay", json!({"reference": "Y"})).await.expect_problem(409, "illegal_step");
    assert!(text(&problem, "detail").contains("is paid (X)"), "{problem}");
    step(&t.admin, &withdrawal, "fail", json!({"reason": "returned"})).await.expect_problem(409, "illegal_step");
    assert_eq!(balance(&t).await, [0, 0, 4_900, 0]);
}

async fn exceeded_limits_are_named(db: Database) {
    let t = TestApp::start(db).await;
    let affiliate = affiliate_with(&t, "50.00").await;
    let of = async |amount: Value, method: &str, currency: &str| {
        affiliate.client.post(WITHDRAWALS, &json!({"method": method, "amount": amount, "currency": currency})).await
    };
    let problem = of(json!("50.01"), "paypal", "USD").await.expect_problem(422, "insufficient_balance");
    assert_eq!(
        problem["detail"],
        "50.00 USD is available, 50.01 USD was requested; request less, or wait until pending earnings are released"
    );
    of(json!("all"), "paypal", "EUR").await.expect_problem(422, "insufficient_balance");
    of(json!("9.99"), "paypal", "USD").await.expect_problem(422, "below_minimum");
    of(json!("20.001"), "paypal", "USD").await.expect_problem(422, "amount_too_precise");
    of(json!(20.5), "paypal", "USD").await.expect_problem(422, "invalid_amount");
    of(json!("-5"), "paypal", "USD").await.expect_problem(422, "invalid_amount");
    of(json!("20.00"), "sepa", "USD").await.expect_problem(422, "currency_not_paid");
    of(json!("20.00"), "cash", "USD").await.expect_problem(422, "invalid_field");
    of(json!("50.00"), "wise", "USD").await.expect_problem(422, "payout_details_missing");

    put(&t.admin, "/api/v1/settings/withdrawals", &json!({"minimums": {"USD": "25.00"}})).await.expect(200);
    let problem = of(json!("24.99"), "paypal", "USD").await.expect_problem(422, "below_minimum");
    assert!(text(&problem, "detail").contains("the program pays 25.00 USD or more"), "{problem}");
    put(&affiliate.client, "/api/v1/settings/withdrawals", &json!({"minimums": {}}))
        .await
        .expect_problem(403, "forbidden");

    t.admin.patch("/api/v1/payout-methods/paypal", &json!({"enabled": false})).await.expect(200);
    of(json!("25.00"), "paypal", "USD").await.expect_problem(422, "payout_method_disabled");
    t.admin.patch("/api/v1/payout-methods/paypal", &json!({"enabled": true})).await.expect(200);
    t.admin.patch(&format!("/api/v1/affiliates/{}", affiliate.id), &json!({"status": "suspended"})).await.expect(200);
    of(json!("25.00"), "paypal", "USD").await.expect_problem(403, "affiliate_suspended");
    assert_eq!(balance(&t).await, [5_000, 0, 0, 0], "nothing of this moved anything");
}

async fn an_offers_minimum_applies_to_affiliates_with_earnings_on_it(db: Database) {
    let t = TestApp::start(db).await;
    let (earner, other) = (affiliate_with(&t, "50.00").await, affiliate_with(&t, "50.00").await);
    let offer =
        t.offer_with(json!({"name": "Pro plan", "payout": {"fixed": "30.00"}, "minimum_withdrawal": "75.00"})).await;
    let path = format!("/api/v1/offers/{offer}");
    assert_eq!(earner.client.get(&path).await.expect(200)["minimum_withdrawal"], "75.00", "whoever promotes it knows");
    let click = t.click_on(&t.link(&earner, &offer).await, "").await;
    let conversion = t.conversion(&click).status("pending").send().await;
    request(&earner, "10.00").await.expect(201);
    t.approve(&conversion).await.expect(200);
    t.deliver_all().await;

    let problem = request(&earner, "70.00").await.expect_problem(422, "below_minimum");
    let wanted =
        "70.00 USD was requested, but the offer \"Pro plan\" pays 75.00 USD or more; wait until more is available";
    assert_eq!(problem["detail"], wanted);
    request(&earner, "all").await.expect_problem(422, "below_minimum");
    request(&other, "50.00").await.expect(201);
    put(&t.admin, "/api/v1/settings/withdrawals", &json!({"minimums": {"USD": "80.00"}})).await.expect(200);
    let problem = request(&earner, "70.00").await.expect_problem(422, "below_minimum");
    assert!(text(&problem, "detail").contains("the program pays 80.00 USD or more"), "the highest counts: {problem}");
    put(&t.admin, "/api/v1/settings/withdrawals", &json!({"minimums": {}})).await.expect(200);

    // Neither a reversed conversion nor a removed minimum counts any more.
    t.admin.patch(&path, &json!({"minimum_withdrawal": "-1"})).await.expect_problem(422, "invalid_amount");
    t.admin.patch(&path, &json!({"name": "Pro"})).await.expect(200);
    request(&earner, "20.00").await.expect_problem(422, "below_minimum");
    let changed = t.admin.patch(&path, &json!({"minimum_withdrawal": null})).await.expect(200);
    assert_eq!(changed["minimum_withdrawal"], json!(null));
    request(&earner, "20.00").await.expect(201);
    t.admin.patch(&path, &json!({"minimum_withdrawal": "75.00"})).await.expect(200);
    request(&earner, "21.00").await.expect_problem(422, "below_minimum");
    t.reject(&conversion, "chargeback").await.expect(200);
    t.tick();
    request(&earner, "20.00").await.expect(200);
    t.advance(Duration::from_secs(10));
    request(&earner, "20.00").await.expect(201);
}

async fn details_are_sealed_masked_and_the_affiliates_own(db: Database) {
    let t = TestApp::start(db).await;
    let (affiliate, other) = (t.affiliate().await, t.affiliate().await);
    let details = "/api/v1/payout-details";
    let body = json!({"method": "sepa", "details": {"account_holder": "Ottilie Quandt", "iban": "de89 3704 0044 0532 0130 00"}});
    let saved = put(&affiliate.client, details, &body).await.expect(200);
    assert_eq!(saved["details"], json!({"account_holder": "O***", "iban": "DE89 **** 3000"}));
    for secret in ["DE89370400440532013000", "Ottilie Quandt"] {
        assert!(!t.database.contains("payout_details", secret).await, "{secret} is stored in the clear");
    }
    let listed = t.admin.get(details).await.expect(200);
    assert_eq!(listed["items"][0]["details"]["iban"], "DE89 **** 3000", "nobody sees them whole");
    assert_eq!(other.client.get(details).await.expect(200)["items"], json!([]));
    let path = format!("{details}/{}", text(&saved, "id"));
    other.client.delete(&path).await.expect_problem(404, "not_found");
    let mut foreign = body.clone();
    foreign["affiliate_id"] = json!(affiliate.id);
    put(&other.client, details, &foreign).await.expect_problem(404, "not_found");

    // A mask is not a valid detail, and a typing error is found.
    let wrong = json!({"method": "sepa", "details": saved["details"]});
    put(&affiliate.client, details, &wrong).await.expect_problem(422, "invalid_details");
    let mut wrong = body.clone();
    wrong["details"]["iban"] = json!("DE89370400440532013001");
    let problem = put(&affiliate.client, details, &wrong).await.expect_problem(422, "invalid_details");
    assert_eq!(problem["errors"][0]["path"], "/details/iban");
    assert!(!problem.to_string().contains("DE8937"), "{problem}");
    let same = put(&affiliate.client, details, &body).await.expect(200);
    assert_eq!(same["id"], saved["id"]);
    affiliate.client.delete(&path).await.expect(204);
    assert_eq!(affiliate.client.get(details).await.expect(200)["items"], json!([]));
}

async fn later_details_do_not_change_a_withdrawal(db: Database) {
    let t = TestApp::start(db).await;
    let affiliate = affiliate_with(&t, "50.00").await;
    let set = async |email: &str| {
        let body = json!({"method": "paypal", "details": {"email": email}});
        put(&affiliate.client, "/api/v1/payout-details", &body).await.expect(200)
    };
    set("ada@example.org").await;
    t.tick();
    let withdrawal = request(&affiliate, "50.00").await.expect(201);
    assert_eq!(withdrawal["details"], json!({"email": "a***@example.org"}));
    step(&t.admin, &withdrawal, "approve", json!({})).await.expect(200);
    t.tick();
    set("thief@example.org").await;
    let batch =
        t.admin.post("/api/v1/withdrawal-batches", &json!({"method": "paypal", "currency": "USD"})).await.expect(201);
    let file = t.admin.get(&format!("/api/v1/withdrawal-batches/{}/export", text(&batch, "id"))).await;
    assert!(file.text.starts_with("ada@example.org,49.00,USD,"), "{}", file.text);
    assert!(!file.text.contains("thief"));
}

async fn a_debt_is_settled_first(db: Database) {
    let t = TestApp::start(db).await;
    let affiliate = affiliate_with(&t, "40.00").await;
    let conversion = earn(&t, &affiliate, "60.00").await;
    let withdrawal = request(&affiliate, "all").await.expect(201);
    assert_eq!(withdrawal["amount"], "100.00");
    t.reject(&conversion, "chargeback").await.expect(200);
    assert_eq!(balance(&t).await, [0, 10_000, 0, 6_000]);
    let problem = request(&affiliate, "10.00").await.expect_problem(422, "balance_indebted");
    assert!(text(&problem, "detail").contains("owes the program 60.00 USD"), "{problem}");
    step(&t.admin, &withdrawal, "refuse", json!({"reason": "chargeback"})).await.expect(200);
    assert_eq!(balance(&t).await, [4_000, 0, 0, 0]);
}

/// A chargeback while a withdrawal is requested, and another one while it is approved.
async fn a_debt_that_arises_meanwhile_stops_a_withdrawal(db: Database) {
    let t = TestApp::start(db).await;
    let affiliate = affiliate_with(&t, "40.00").await;
    let (first, second) = (earn(&t, &affiliate, "25.00").await, earn(&t, &affiliate, "35.00").await);
    let withdrawal = request(&affiliate, "all").await.expect(201);
    assert_eq!(withdrawal["debt"], json!(null));
    let path = format!("{WITHDRAWALS}/{}", text(&withdrawal, "id"));
    t.reject(&first, "chargeback").await.expect(200);
    assert_eq!(t.admin.get(&path).await.expect(200)["debt"], "25.00", "finance sees what is owed by now");
    assert_eq!(t.admin.list(WITHDRAWALS).await[0]["debt"], "25.00");

    let problem = step(&t.admin, &withdrawal, "approve", json!({})).await.expect_problem(409, "affiliate_indebted");
    let wanted = format!(
        "the affiliate of withdrawal {} now owes the program 25.00 USD; refuse it, and its amount settles the debt first, or send \"despite_debt\": true to accept the debt",
        text(&withdrawal, "id")
    );
    assert_eq!(problem["detail"], wanted);
    let ids = json!({"ids": [withdrawal["id"]]});
    let many = t.admin.post(&format!("{WITHDRAWALS}/approve"), &ids).await.expect(200);
    assert_eq!((&many["approved"], &many["items"][0]["code"]), (&json!(0), &json!("affiliate_indebted")));
    let seen = affiliate.client.get(&path).await.expect(200);
    assert_eq!((&seen["status"], seen["history"].as_array().unwrap().len()), (&json!("requested"), 1));

    let approved = step(&t.admin, &withdrawal, "approve", json!({"despite_debt": true})).await.expect(200);
    assert_eq!((&approved["status"], &approved["accepted_debt"]), (&json!("approved"), &json!("25.00")));
    step(&t.admin, &withdrawal, "approve", json!(null)).await.expect(200);
    let seen = affiliate.client.get(&path).await.expect(200);
    assert_eq!(seen["accepted_debt"], json!(null), "what finance accepts is its own business");

    // Only that amount of debt was accepted.
    t.reject(&second, "chargeback").await.expect(200);
    let paid = json!({"reference": "TX"});
    let problem = step(&t.admin, &withdrawal, "pay", paid.clone()).await.expect_problem(409, "affiliate_indebted");
    assert!(text(&problem, "detail").contains("owes the program 60.00 USD"), "{problem}");
    assert_eq!(balance(&t).await, [0, 10_000, 0, 6_000], "nothing moved");
    step(&t.admin, &withdrawal, "pay", json!({"reference": "TX", "despite_debt": true})).await.expect(200);
    step(&t.admin, &withdrawal, "pay", paid).await.expect(200);
    assert_eq!(balance(&t).await, [0, 0, 9_800, 6_000]);
    assert_eq!(t.admin.get(&path).await.expect(200)["debt"], json!(null), "it is under way no more");

    // A debt that was settled meanwhile stops nothing.
    earn(&t, &affiliate, "80.00").await;
    let withdrawal = request(&affiliate, "20.00").await.expect(201);
    step(&t.admin, &withdrawal, "approve", json!({})).await.expect(200);
    step(&t.admin, &withdrawal, "pay", json!({"reference": "TX"})).await.expect(200);
}

async fn a_returned_payment_is_available_again(db: Database) {
    let t = TestApp::start(db).await;
    let affiliate = affiliate_with(&t, "100.00").await;
    let withdrawal = request(&affiliate, "all").await.expect(201);
    let reason = json!({"reason": "account closed"});
    step(&t.admin, &withdrawal, "return", reason.clone()).await.expect_problem(409, "illegal_step");
    step(&t.admin, &withdrawal, "approve", json!({})).await.expect(200);
    step(&t.admin, &withdrawal, "pay", json!({"reference": "PP-77"})).await.expect(200);
    assert_eq!(balance(&t).await, [0, 0, 9_800, 0]);
    let problem = step(&t.admin, &withdrawal, "fail", reason.clone()).await.expect_problem(409, "illegal_step");
    assert!(text(&problem, "detail").contains("report it as returned"), "{problem}");

    t.advance(Duration::from_secs(3 * 86_400));
    for _ in 0..2 {
        step(&t.admin, &withdrawal, "return", reason.clone()).await.expect(200);
        assert_eq!(balance(&t).await, [10_000, 0, 0, 0], "all of it, the fee too, once");
    }
    step(&t.admin, &withdrawal, "return", json!({"reference": "other"})).await.expect_problem(422, "invalid_field");
    step(&t.admin, &withdrawal, "pay", json!({"reference": "PP-78"})).await.expect_problem(409, "illegal_step");
    let seen = affiliate.client.get(&format!("{WITHDRAWALS}/{}", text(&withdrawal, "id"))).await.expect(200);
    assert_eq!((&seen["status"], &seen["reason"]), (&json!("returned"), &json!("account closed")));
    let last = seen["history"].as_array().unwrap().last().unwrap().clone();
    assert_eq!((text(&last, "at"), &last["by"]), ("2026-03-13T12:00:00.000Z".to_owned(), &json!("program")));
    let statement = affiliate.client.get("/api/v1/statement?currency=USD").await.expect(200);
    let line = statement["lines"].as_array().unwrap().last().unwrap().clone();
    assert_eq!((&line["kind"], &line["change"]["paid"]), (&json!("payment_returned"), &json!("-98.00")));
    assert_eq!(line["text"], format!("Payment of withdrawal {} came back: account closed", text(&withdrawal, "id")));
    assert_eq!(line["balance"]["lifetime"], "100.00");
    let listed = t.admin.list(&format!("{WITHDRAWALS}?status=returned")).await;
    assert_eq!(listed.len(), 1);

    // A debt is settled first.
    t.tick();
    let again = request(&affiliate, "all").await.expect(201);
    step(&t.admin, &again, "approve", json!({})).await.expect(200);
    step(&t.admin, &again, "pay", json!({"reference": "PP-79"})).await.expect(200);
    let taken = json!({"affiliate_id": affiliate.id, "amount": "-30.00", "currency": "USD", "reason": "mistake"});
    t.admin.post("/api/v1/adjustments", &taken).await.expect(201);
    assert_eq!(balance(&t).await, [0, 0, 9_800, 3_000]);
    step(&t.admin, &again, "return", reason).await.expect(200);
    assert_eq!(balance(&t).await, [7_000, 0, 0, 0]);
}

async fn only_finance_pays(db: Database) {
    let t = TestApp::start(db).await;
    let affiliate = affiliate_with(&t, "50.00").await;
    let other = t.affiliate().await;
    let withdrawal = request(&affiliate, "50.00").await.expect(201);
    let key = t.admin.post("/api/v1/api-keys", &json!({"name": "an admin", "role": "admin"})).await.expect(201);
    let admin = t.admin.with_key(Some(&text(&key, "key")));
    for client in [&affiliate.client, &admin] {
        for (verb, body) in [
            ("approve", json!({})),
            ("pay", json!({"reference": "X"})),
            ("refuse", json!({"reason": "X"})),
            ("fail", json!({"reason": "X"})),
            ("return", json!({"reason": "X"})),
        ] {
            step(client, &withdrawal, verb, body).await.expect_problem(403, "forbidden");
        }
        client.get("/api/v1/withdrawal-batches").await.expect_problem(403, "forbidden");
    }
    let path = format!("{WITHDRAWALS}/{}", text(&withdrawal, "id"));
    other.client.get(&path).await.expect_problem(404, "not_found");
    step(&other.client, &withdrawal, "cancel", json!({})).await.expect_problem(404, "not_found");
    assert_eq!(other.client.get(WITHDRAWALS).await.expect(200)["items"], json!([]));
    assert_eq!(
        other.client.get(&format!("{WITHDRAWALS}?affiliate_id={}", affiliate.id)).await.expect(200)["items"],
        json!([])
    );
    admin.get(&path).await.expect(200);
    for (filter, count) in
        [("status=requested", 1), ("status=paid", 0), ("method=paypal&currency=USD", 1), ("currency=EUR", 0)]
    {
        let listed = t.admin.list(&format!("{WITHDRAWALS}?{filter}")).await;
        assert_eq!(listed.len(), count, "{filter}");
    }
    t.admin.get(&format!("{WITHDRAWALS}?status=done")).await.expect_problem(400, "invalid_parameter");
}

async fn many_are_approved_at_once(db: Database) {
    let t = TestApp::start(db).await;
    let affiliate = affiliate_with(&t, "90.00").await;
    let mut ids = Vec::new();
    for amount in ["20.00", "30.00", "40.00"] {
        ids.push(request(&affiliate, amount).await.expect(201)["id"].clone());
    }
    affiliate.client.post(&format!("{WITHDRAWALS}/{}/cancel", ids[1].as_str().unwrap()), &json!({})).await.expect(200);
    ids.push(json!("wdr_06a5xk2m7q8r9stvwxyz012345"));
    let answer = t.admin.post(&format!("{WITHDRAWALS}/approve"), &json!({"ids": ids})).await.expect(200);
    assert_eq!(answer["approved"], 2);
    let codes: Vec<_> = answer["items"].as_array().unwrap().iter().map(|it| it["code"].clone()).collect();
    assert_eq!(codes, [json!(null), json!("illegal_step"), json!(null), json!("not_found")]);
    t.admin.post(&format!("{WITHDRAWALS}/approve"), &json!({"ids": []})).await.expect_problem(422, "invalid_field");
    assert_eq!(t.admin.list(&format!("{WITHDRAWALS}?status=approved")).await.len(), 2);
}

async fn methods_are_data(db: Database) {
    let mut t = TestApp::start(db).await;
    let methods = "/api/v1/payout-methods";
    let ids = |listed: Value| -> Vec<String> {
        listed["items"].as_array().unwrap().iter().map(|it| text(it, "id")).collect()
    };
    let built_in = ids(t.admin.get(methods).await.expect(200));
    for id in ["sepa", "bank-international", "paypal", "wise", "payoneer", "crypto"] {
        assert!(built_in.iter().any(|it| it == id), "{id} in {built_in:?}");
    }
    let schema = json!({"type": "object", "additionalProperties": false, "required": ["tag"],
        "properties": {"tag": {"type": "string", "title": "Tag", "pattern": "^@[a-z]+$"}}});
    let body = json!({"id": "revolut", "name": "Revolut", "processing_time": "one day", "file": "csv", "schema": schema,
        "currencies": {"USD": {"minimum": "5.00", "fee": {"fixed": "0.50"}}}});
    t.admin.post(methods, &body).await.expect(201);
    t.admin.post(methods, &body).await.expect_problem(409, "taken");
    let with = |field: &str, value: Value| {
        let mut body = body.clone();
        body["id"] = json!("other");
        body[field] = value;
        body
    };
    // Definitions of which each refers twice to the next.
    let mut doubling = schema.clone();
    for at in 0..12 {
        let below = json!({"$ref": format!("#/$defs/d{}", at + 1)});
        doubling["$defs"][format!("d{at}")] = json!({"anyOf": [below, below]});
    }
    doubling["$defs"]["d12"] = json!({"type": "string"});
    doubling["$ref"] = json!("#/$defs/d0");
    for (field, value) in [
        ("schema", doubling),
        ("schema", json!({"type": "string"})),
        ("schema", json!({"type": "object", "additionalProperties": false, "properties": {"a": {"type": "string"}}})),
        ("currencies", json!({"USD": {"minimum": "5.00", "fee": {"fixed": "5.00"}}})),
        ("currencies", json!({"USD": {"minimum": "0"}})),
        ("currencies", json!({})),
        ("payer", json!({"name": "P", "iban": "DE89370400440532013001"})),
        ("id", json!("Not A Word")),
    ] {
        t.admin.post(methods, &with(field, value)).await.expect_problem(422, "invalid_field");
    }

    let affiliate = t.affiliate().await;
    affiliate.client.post(methods, &body).await.expect_problem(403, "forbidden");
    t.admin.patch(&format!("{methods}/crypto"), &json!({"enabled": false})).await.expect(200);
    let payer = json!({"name": "Example GmbH", "iban": "DE89 3704 0044 0532 0130 00"});
    t.admin.patch(&format!("{methods}/sepa"), &json!({"payer": payer})).await.expect(200);
    t.admin.patch(&format!("{methods}/sepa"), &json!({"schema": schema})).await.expect_problem(422, "invalid_field");
    assert!(!ids(affiliate.client.get(methods).await.expect(200)).contains(&"crypto".to_owned()));
    affiliate.client.get(&format!("{methods}/crypto")).await.expect_problem(404, "not_found");
    let sepa = affiliate.client.get(&format!("{methods}/sepa")).await.expect(200);
    assert_eq!(sepa["payer"], json!(null), "whose account pays is the program's own business");

    // Finance's changes survive a restart.
    t.restart_with(|_| {}).await;
    assert_eq!(t.admin.get(&format!("{methods}/crypto")).await.expect(200)["enabled"], false);
    assert_eq!(t.admin.get(&format!("{methods}/sepa")).await.expect(200)["payer"]["iban"], "DE89370400440532013000");
    t.admin.get(&format!("{methods}/revolut")).await.expect(200);
}

/// 200 requests of 10.00 on 1000.00, while other requests approve, pay, refuse and cancel them: the hundred that fit are
/// created, and returned money can be withdrawn again.
async fn two_hundred_at_once_never_exceed_the_balance(db: Database) {
    let t = TestApp::start(db).await;
    let affiliate = affiliate_with(&t, "1000.00").await;
    let body = json!({"method": "paypal", "amount": "10.00", "currency": "USD"});
    let requests = |round: &str| {
        let keys: Vec<_> = (0..200).map(|n| format!("{round}-{n}")).collect();
        let (client, body) = (affiliate.client.clone(), body.clone());
        async move {
            // A request that finds no connection within ten seconds is refused, and sent again, as the answer says.
            let all = keys.iter().map(async |key| {
                loop {
                    let answer = client.post_once(WITHDRAWALS, key, &body).await;
                    if answer.status != 503 {
                        return answer;
                    }
                }
            });
            let answers = join_all(all).await;
            let made: Vec<_> = answers.iter().filter(|it| it.status == 201).map(|it| text(&it.json(), "id")).collect();
            answers
                .iter()
                .filter(|it| it.status != 201)
                .for_each(|it| drop(it.expect_problem(422, "insufficient_balance")));
            made
        }
    };
    let made = requests("first").await;
    assert_eq!(made.len(), 100);
    assert_eq!(balance(&t).await, [0, 100_000, 0, 0]);

    // Each one is approved twice, and paid, failed or cancelled by two racing requests, with 200 new requests meanwhile. Not all of
    // them at once: a request that finds no connection within ten seconds is refused.
    let settle = made.iter().enumerate().map(|(n, id)| {
        let (t, affiliate) = (&t, &affiliate);
        async move {
            let path = format!("{WITHDRAWALS}/{id}");
            if n % 4 == 3 {
                let (cancel, refuse) = (format!("{path}/cancel"), format!("{path}/refuse"));
                let (none, reason) = (json!({}), json!({"reason": "no"}));
                let both = tokio::join!(affiliate.client.post(&cancel, &none), t.admin.post(&refuse, &reason));
                assert_eq!(
                    [both.0.status, both.1.status].iter().filter(|it| **it == 200).count(),
                    1,
                    "one of them wins"
                );
                return;
            }
            let (approve, none) = (format!("{path}/approve"), json!({}));
            let approved = tokio::join!(t.admin.post(&approve, &none), t.admin.post(&approve, &none));
            approved.0.expect(200);
            approved.1.expect(200);
            let (pay, fail) = (format!("{path}/pay"), format!("{path}/fail"));
            let (reference, reason) = (json!({"reference": id}), json!({"reason": "no"}));
            let both = tokio::join!(t.admin.post(&pay, &reference), t.admin.post(&fail, &reason));
            assert_eq!([both.0.status, both.1.status].iter().filter(|it| **it == 200).count(), 1, "one of them wins");
        }
    });
    let settled = stream::iter(settle).buffer_unordered(50).collect::<Vec<()>>();
    let (_, more) = tokio::join!(settled, requests("second"));

    let mut sums = HashMap::<String, i64>::new();
    let all = t.admin.list(WITHDRAWALS).await;
    assert_eq!(all.len(), made.len() + more.len());
    for it in &all {
        *sums.entry(text(it, "status")).or_default() += 1_000;
    }
    let sum = |status: &str| sums.get(status).copied().unwrap_or_default();
    let paid = sum("paid");
    let withdrawing = sum("requested");
    assert_eq!(paid + sum("failed") + sum("refused") + sum("cancelled"), 100_000);
    let [available, now_withdrawing, now_paid, debt] = balance(&t).await;
    assert_eq!((now_withdrawing, debt), (withdrawing, 0));
    assert_eq!(now_paid, paid - paid / 50, "two percent are the program's");
    assert_eq!(available, 100_000 - paid - withdrawing);
    let keys = t.database.number("SELECT count(*) - count(DISTINCT key) FROM postings").await;
    assert_eq!(keys, 0, "each business key is there once");
    let open = requests("third").await;
    assert_eq!(open.len() as i64, available / 1_000, "all that came back can be had, and nothing more");
    assert_eq!(balance(&t).await[0], 0);
}
