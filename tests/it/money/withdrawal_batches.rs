//! Batches: a batch becomes a file for the bank or PayPal, and their file of results settles it.

use postrider_tests::app::{Affiliate, TestApp};
use postrider_tests::client::{Answer, text};
use postrider_tests::database::Database;
use postrider_tests::on_both_databases;
use reqwest::Method;
use serde_json::{Value, json};

on_both_databases!(
    a_bank_gets_a_file_and_its_results_are_imported,
    text_from_strangers_is_not_a_formula,
    crypto_addresses_are_exported_whole,
    an_affiliate_with_a_debt_is_in_no_batch,
    a_batch_that_the_bank_never_received_is_dissolved,
    results_include_payments_that_the_bank_sent_back,
);

const BATCHES: &str = "/api/v1/withdrawal-batches";
const IBANS: [&str; 4] =
    ["DE89370400440532013000", "GB29NWBK60161331926819", "FR1420041010050500013M02606", "NO9386011117947"];

/// An approved withdrawal of 100.00 by `method`; returns its id.
async fn approved(t: &TestApp, affiliate: &Affiliate, method: &str, currency: &str, details: Value) -> String {
    let offer = t.offer_with(json!({"payout": {"fixed": "100.00"}, "currency": currency})).await;
    let click = t.click_on(&t.link(affiliate, &offer).await, "").await;
    t.conversion(&click).set("currency", json!(currency)).send().await;
    t.deliver_all().await;
    let body = json!({"affiliate_id": affiliate.id, "method": method, "details": details});
    t.admin.send(t.admin.request(Method::PUT, "/api/v1/payout-details").json(&body)).await.expect(200);
    let body = json!({"method": method, "amount": "100.00", "currency": currency});
    let withdrawal = affiliate.client.post("/api/v1/withdrawals", &body).await.expect(201);
    let id = text(&withdrawal, "id");
    t.admin.post(&format!("/api/v1/withdrawals/{id}/approve"), &json!({})).await.expect(200);
    t.tick();
    id
}

async fn results(t: &TestApp, batch: &str, csv: &str) -> Answer {
    let request = t.admin.request(Method::POST, &format!("{BATCHES}/{batch}/results"));
    t.admin.send(request.header("content-type", "text/csv").body(csv.to_owned())).await
}

async fn a_bank_gets_a_file_and_its_results_are_imported(db: Database) {
    let t = TestApp::start(db).await;
    let wanted = json!({"method": "sepa", "currency": "EUR"});
    t.admin.post(BATCHES, &wanted).await.expect_problem(409, "nothing_to_pay");
    let mut ids = Vec::new();
    for iban in IBANS {
        let affiliate = t.affiliate().await;
        ids.push(approved(&t, &affiliate, "sepa", "EUR", json!({"account_holder": "Zoë & Co", "iban": iban})).await);
    }
    let batch = t.admin.post(BATCHES, &wanted).await.expect(201);
    assert_eq!((&batch["count"], &batch["net"], &batch["open"]), (&json!(4), &json!("400.00"), &json!(4)));
    t.admin.post(BATCHES, &wanted).await.expect_problem(409, "nothing_to_pay");
    let id = text(&batch, "id");
    let export = format!("{BATCHES}/{id}/export");
    t.admin.get(&export).await.expect_problem(409, "payer_missing");
    let payer = json!({"payer": {"name": "Example GmbH", "iban": "DE89370400440532013000", "bic": "COBADEFFXXX"}});
    t.admin.patch("/api/v1/payout-methods/sepa", &payer).await.expect(200);

    let file = t.admin.get(&export).await;
    assert_eq!((file.status, file.header("content-type")), (200, Some("application/xml; charset=utf-8")));
    assert_eq!(file.header("content-disposition"), Some(format!("attachment; filename=\"{id}-pain001.xml\"").as_str()));
    assert_eq!(file.header("cache-control"), Some("no-store"));
    for part in ["<NbOfTxs>4</NbOfTxs>", "<CtrlSum>400.00</CtrlSum>", "<Nm>Zoe + Co</Nm>", "<BICFI>COBADEFFXXX</BICFI>"]
    {
        assert!(file.text.contains(part), "{part} is missing in {}", file.text);
    }
    for (withdrawal, iban) in ids.iter().zip(IBANS) {
        let bare = withdrawal.trim_start_matches("wdr_");
        assert!(file.text.contains(&format!("<EndToEndId>{bare}</EndToEndId>")), "{}", file.text);
        assert!(file.text.contains(&format!("<IBAN>{iban}</IBAN>")), "{}", file.text);
    }
    assert_eq!(t.admin.get(&export).await.text, file.text, "the bank refuses the second of two equal messages");
    t.admin.get(&format!("{export}?format=paypal")).await.expect_problem(422, "wrong_file_format");

    let csv = format!(
        "end_to_end_id;status;reference;reason\r\n{};paid;TX-1;\r\n{};failed;;account closed\r\n{};paid;;\r\n{};perhaps;;\r\nwdr_06a5xk2m7q8r9stvwxyz012345;paid;TX-9;\r\nrubbish;paid;TX-9;\r\n",
        // In the bank's format: without the prefix, possibly in capitals.
        ids[0].trim_start_matches("wdr_").to_uppercase(),
        ids[1],
        ids[2],
        ids[3]
    );
    let answer = results(&t, &id, &csv).await.expect(200);
    let counts = |answer: &Value| ["paid", "failed", "unchanged", "errors"].map(|it| answer[it].as_i64().unwrap());
    assert_eq!(counts(&answer), [1, 1, 0, 4], "{answer}");
    let told: Vec<_> = answer["lines"]
        .as_array()
        .unwrap()
        .iter()
        .map(|it| (it["line"].as_i64().unwrap(), it["code"].clone()))
        .collect();
    let wanted = [
        (2, json!(null)),
        (3, json!(null)),
        (4, json!("reference_missing")),
        (5, json!("unknown_status")),
        (6, json!("not_in_batch")),
        (7, json!("invalid_id")),
    ];
    assert_eq!(told, wanted);
    assert_eq!(answer["batch"], json!({"open": 2, "paid": 1, "failed": 1, "returned": 0}));
    let failed = t.admin.get(&format!("/api/v1/withdrawals/{}", ids[1])).await.expect(200);
    assert_eq!((&failed["status"], &failed["reason"]), (&json!("failed"), &json!("account closed")));

    let postings = t.postings().await;
    let again = results(&t, &id, &csv).await.expect(200);
    assert_eq!(counts(&again), [0, 0, 2, 4], "{again}");
    assert_eq!(t.postings().await, postings, "the same file again moves no money");
    let file = t.admin.get(&export).await;
    assert!(
        file.text.contains("<NbOfTxs>2</NbOfTxs>") && !file.text.contains(ids[0].trim_start_matches("wdr_")),
        "{}",
        file.text
    );

    let rest = format!("id,status,reference\n{},paid,TX-2\n{},paid,TX-3\n", ids[2], ids[3]);
    results(&t, &id, &rest).await.expect(200);
    t.admin.get(&export).await.expect_problem(409, "batch_settled");
    results(&t, &id, "status\npaid\n").await.expect_problem(422, "unreadable_results");
    let listed = t.admin.get(BATCHES).await.expect(200);
    assert_eq!((&listed["items"][0]["id"], &listed["items"][0]["paid"]), (&json!(id), &json!(3)));
    let sql = "SELECT CAST(sum(paid) AS bigint) FROM balances";
    assert_eq!(t.database.number(sql).await, 300_000_000);
    assert_eq!(t.database.number("SELECT CAST(sum(available) AS bigint) FROM balances").await, 100_000_000);
}

async fn text_from_strangers_is_not_a_formula(db: Database) {
    let t = TestApp::start(db).await;
    let affiliate = t.affiliate().await;
    let name = json!({"name": "=cmd|' /C calc'!A0"});
    t.admin.patch(&format!("/api/v1/affiliates/{}", affiliate.id), &name).await.expect(200);
    let details = json!({"account_holder": "@SUM(1+1)*cmd|' /C calc'!A0", "email": "ada@example.com"});
    let id = approved(&t, &affiliate, "wise", "USD", details).await;
    let batch = t.admin.post(BATCHES, &json!({"method": "wise", "currency": "USD"})).await.expect(201);
    let file = t.admin.get(&format!("{BATCHES}/{}/export", text(&batch, "id"))).await;
    let lines: Vec<_> = file.text.lines().collect();
    assert_eq!(lines[0], "withdrawal_id,affiliate_id,affiliate_name,amount,currency,account_holder,email");
    let (name, holder) = (r#""'=cmd|' /C calc'!A0""#, r#""'@SUM(1+1)*cmd|' /C calc'!A0""#);
    assert_eq!(lines[1], format!("{id},{},{name},99.00,USD,{holder},ada@example.com", affiliate.id));
}

async fn crypto_addresses_are_exported_whole(db: Database) {
    let t = TestApp::start(db).await;
    let affiliate = t.affiliate().await;
    let address = "TR7NHqjeKQxGTCi8q8ZY4pL8otSzgjLj6t";
    let id = approved(&t, &affiliate, "crypto", "USD", json!({"asset": "usdt-tron", "address": address})).await;
    let batch = t.admin.post(BATCHES, &json!({"method": "crypto", "currency": "USD"})).await.expect(201);
    let file = t.admin.get(&format!("{BATCHES}/{}/export", text(&batch, "id"))).await;
    assert_eq!(
        file.text,
        format!("withdrawal_id,asset,address,amount,currency\r\n{id},usdt-tron,{address},98.00,USD\r\n")
    );
    let body = json!({"method": "crypto", "details": {"asset": "btc", "address": address}});
    let request = affiliate.client.request(Method::PUT, "/api/v1/payout-details").json(&body);
    affiliate.client.send(request).await.expect_problem(422, "invalid_details");
}

async fn take_away(t: &TestApp, affiliate: &Affiliate, dollars: &str) {
    let body =
        json!({"affiliate_id": affiliate.id, "amount": format!("-{dollars}"), "currency": "USD", "reason": "mistake"});
    t.admin.post("/api/v1/adjustments", &body).await.expect(201);
}

async fn paypal(t: &TestApp, affiliate: &Affiliate) -> String {
    approved(t, affiliate, "paypal", "USD", json!({"email": format!("a-{}@example.com", t.unique())})).await
}

async fn an_affiliate_with_a_debt_is_in_no_batch(db: Database) {
    let t = TestApp::start(db).await;
    let (owing, other) = (t.affiliate().await, t.affiliate().await);
    let stopped = paypal(&t, &owing).await;
    let wanted = json!({"method": "paypal", "currency": "USD"});
    take_away(&t, &owing, "5.00").await;
    t.admin.post(BATCHES, &wanted).await.expect_problem(409, "nothing_to_pay");
    let paid = paypal(&t, &other).await;
    let batch = text(&t.admin.post(BATCHES, &wanted).await.expect(201), "id");
    let of_batch = t.admin.list(&format!("/api/v1/withdrawals?batch_id={batch}")).await;
    assert_eq!(of_batch.iter().map(|it| text(it, "id")).collect::<Vec<_>>(), [paid.as_str()]);

    // A debt that exists when the batch is created already stops its file.
    take_away(&t, &other, "1.00").await;
    let export = format!("{BATCHES}/{batch}/export");
    let problem = t.admin.get(&export).await.expect_problem(409, "batch_indebted");
    assert!(text(&problem, "detail").contains(&paid), "{problem}");
    let approve = |id: &str| format!("/api/v1/withdrawals/{id}/approve");
    t.admin.post(&approve(&paid), &json!({"despite_debt": true})).await.expect(200);
    assert_eq!(t.admin.get(&export).await.status, 200);

    t.admin.post(&approve(&stopped), &json!({"despite_debt": true})).await.expect(200);
    t.tick();
    assert_eq!(t.admin.post(BATCHES, &wanted).await.expect(201)["count"], 1);

    // Results are applied even if the affiliate has a debt.
    take_away(&t, &other, "1.00").await;
    let answer = results(&t, &batch, &format!("id,status,reference\n{paid},paid,TX-1\n")).await.expect(200);
    assert_eq!(answer["paid"], 1);
}

async fn a_batch_that_the_bank_never_received_is_dissolved(db: Database) {
    let t = TestApp::start(db).await;
    let (one, two) = (t.affiliate().await, t.affiliate().await);
    let ids = [paypal(&t, &one).await, paypal(&t, &two).await];
    let wanted = json!({"method": "paypal", "currency": "USD"});
    let batch = t.admin.post(BATCHES, &wanted).await.expect(201);
    assert_eq!((&batch["exported_at"], &batch["dissolved_at"]), (&json!(null), &json!(null)));
    let path = format!("{BATCHES}/{}", text(&batch, "id"));
    let dissolve = async |path: &str, body: Value| t.admin.post(&format!("{path}/dissolve"), &body).await;
    let gone = dissolve(&path, json!({})).await.expect(200);
    assert_eq!((&gone["dissolved_at"], &gone["open"]), (&json!("2026-03-10T12:00:00.002Z"), &json!(0)));
    assert_eq!(dissolve(&path, json!({})).await.expect(200), gone, "once");
    t.admin.get(&format!("{path}/export")).await.expect_problem(409, "batch_dissolved");
    for id in &ids {
        let it = t.admin.get(&format!("/api/v1/withdrawals/{id}")).await.expect(200);
        assert_eq!((&it["status"], &it["batch_id"]), (&json!("approved"), &json!(null)));
        assert_eq!(it["history"].as_array().unwrap().len(), 2, "the affiliate need not know");
    }

    // After the download of its file, a person must confirm that the bank never received it.
    t.tick();
    let batch = t.admin.post(BATCHES, &wanted).await.expect(201);
    let path = format!("{BATCHES}/{}", text(&batch, "id"));
    assert_eq!(t.admin.get(&format!("{path}/export")).await.status, 200);
    assert_eq!(t.admin.get(&path).await.expect(200)["exported_at"], "2026-03-10T12:00:00.003Z");
    dissolve(&path, json!({})).await.expect_problem(409, "batch_exported");
    dissolve(&path, json!({"never": 1})).await.expect_problem(422, "invalid_field");
    dissolve(&path, json!({"never_sent": true})).await.expect(200);

    // The results show that the bank received it.
    t.tick();
    let batch = text(&t.admin.post(BATCHES, &wanted).await.expect(201), "id");
    let path = format!("{BATCHES}/{batch}");
    results(&t, &batch, &format!("id,status,reference\n{},paid,TX-1\n", ids[0])).await.expect(200);
    dissolve(&path, json!({"never_sent": true})).await.expect_problem(409, "batch_under_way");
    dissolve(&format!("{BATCHES}/wdb_06a5xk2m7q8r9stvwxyz012345"), json!({})).await.expect_problem(404, "not_found");
    assert_eq!(t.database.number("SELECT count(*) FROM withdrawals WHERE batch_id IS NOT NULL").await, 2);
}

async fn results_include_payments_that_the_bank_sent_back(db: Database) {
    let t = TestApp::start(db).await;
    let (one, two) = (t.affiliate().await, t.affiliate().await);
    let ids = [paypal(&t, &one).await, paypal(&t, &two).await];
    let batch = t.admin.post(BATCHES, &json!({"method": "paypal", "currency": "USD"})).await.expect(201);
    let batch = text(&batch, "id");
    results(&t, &batch, &format!("id,status,reference\n{},paid,TX-1\n", ids[0])).await.expect(200);

    // The second one was never recorded as paid: it counts as failed.
    let csv = format!(
        "id,status,reason\n{},returned,account closed\n{},returned,account closed\n{},returned,\n",
        ids[0], ids[1], ids[0]
    );
    for (returned, failed, unchanged) in [(1, 1, 0), (0, 0, 2)] {
        let answer = results(&t, &batch, &csv).await.expect(200);
        let counts = ["returned", "failed", "unchanged", "errors"].map(|it| answer[it].as_i64().unwrap());
        assert_eq!(counts, [returned, failed, unchanged, 1], "{answer}");
        assert_eq!(answer["batch"], json!({"open": 0, "paid": 0, "failed": 1, "returned": 1}));
    }
    assert_eq!(t.database.number("SELECT CAST(sum(available) AS bigint) FROM balances").await, 200_000_000);
    assert_eq!(t.database.number("SELECT CAST(sum(paid) AS bigint) FROM balances").await, 0);
    let line = format!("id,status,reason\n{},failed,late\n", ids[0]);
    let answer = results(&t, &batch, &line).await.expect(200);
    assert_eq!(answer["lines"][0]["code"], "illegal_step");
}
