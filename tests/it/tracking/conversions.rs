//! Conversions: attribution, payout, and permitted changes.

use std::collections::HashSet;

use postrider_tests::app::TestApp;
use postrider_tests::client::text;
use postrider_tests::database::Database;
use postrider_tests::on_both_databases;
use serde_json::{Value, json};

on_both_databases!(
    a_conversion_belongs_to_the_affiliate_of_its_click,
    without_a_click_a_code_or_a_coupon_decides,
    a_conversion_without_evidence_is_refused,
    a_code_identifies_the_affiliate_and_not_the_offer,
    the_offer_determines_the_payout,
    an_invalid_amount_is_refused,
    every_legal_and_every_illegal_change_of_status,
    a_changed_status_is_an_update_with_a_new_revision,
    an_approval_overrules_a_rejection_that_is_reported_again,
    a_transaction_counts_once_per_offer,
    a_transaction_of_one_click_is_not_changed_under_another,
    many_conversions_are_answered_in_their_order,
    the_ledger_is_balanced_after_every_change,
    a_list_comes_page_by_page_newest_first,
    unusual_text_is_stored_or_refused,
);

async fn a_conversion_belongs_to_the_affiliate_of_its_click(db: Database) {
    let t = TestApp::start(db).await;
    let click = t.click().await;

    let body = json!({
        "click_id": click.id, "transaction_id": "T-1", "goal": "sale", "status": "approved",
        "amount": "49.00", "currency": "USD", "customer_name": "Zoë Müller", "customer_email": "zoe@example.org",
        "plan_name": "Pro & more", "plan_price": "49.00", "purchase_id": "P-9", "purchase_date": "2026-03-09T10:00:00Z",
    });
    let made = t.admin.post("/api/v1/conversions", &body).await.expect(201);

    assert!(text(&made, "id").starts_with("cnv_"));
    for (field, wanted) in [
        ("transaction_id", json!("T-1")),
        ("revision", json!(1)),
        ("status", json!("approved")),
        ("rejection_reason", Value::Null),
        ("affiliate_id", json!(click.link.affiliate.id)),
        ("offer_id", json!(click.link.offer)),
        ("click_id", json!(click.id)),
        ("link_id", json!(click.link.id)),
        ("attributed_by", json!("click")),
        ("goal", json!("sale")),
        ("amount", json!("49.00")),
        ("currency", json!("USD")),
        ("payout", json!({"amount": "12.50", "currency": "USD"})),
        ("customer_name", json!("Zoë Müller")),
        ("customer_email", json!("zoe@example.org")),
        ("plan_name", json!("Pro & more")),
        ("plan_price", json!("49.00")),
        ("purchase_id", json!("P-9")),
        ("purchase_date", json!("2026-03-09T10:00:00.000Z")),
        ("created_at", json!("2026-03-10T12:00:00.000Z")),
        ("updated_at", json!("2026-03-10T12:00:00.000Z")),
    ] {
        assert_eq!(made[field], wanted, "{field} in {made}");
    }
    let path = format!("/api/v1/conversions/{}", text(&made, "id"));
    assert_eq!(t.admin.get(&path).await.expect(200), made);
}

async fn without_a_click_a_code_or_a_coupon_decides(db: Database) {
    let t = TestApp::start(db).await;
    let (by_code, by_coupon, by_click) = (t.affiliate().await, t.affiliate().await, t.affiliate().await);
    let offer = t.offer().await;
    let other_offer = t.offer().await;
    t.link_with(&by_coupon, &other_offer, json!({"coupon": "SPRING26"})).await;
    let link = t.link(&by_click, &offer).await;
    let click = t.click_on(&link, "").await;
    let report = async |changes: Value| {
        let mut body = json!({"transaction_id": format!("T-{}", t.unique()), "amount": "10.00", "currency": "USD"});
        for (field, value) in changes.as_object().unwrap() {
            body[field] = value.clone();
        }
        let made = t.admin.post("/api/v1/conversions", &body).await.expect(201);
        (text(&made, "affiliate_id"), text(&made, "offer_id"), text(&made, "attributed_by"), text(&made, "status"))
    };
    let row = |affiliate: &str, offer: &str, how: &str| {
        (affiliate.to_owned(), offer.to_owned(), how.to_owned(), "pending".to_owned())
    };

    let code = by_code.referral_code.as_str();
    let lower = code.to_lowercase();
    assert_eq!(report(json!({"referral_code": code})).await, row(&by_code.id, &offer, "referral_code"));
    assert_eq!(report(json!({"referral_code": lower})).await, row(&by_code.id, &offer, "referral_code"));
    assert_eq!(
        report(json!({"referral_code": code, "offer_id": other_offer})).await,
        row(&by_code.id, &other_offer, "referral_code")
    );
    assert_eq!(report(json!({"coupon": "SPRING26"})).await, row(&by_coupon.id, &other_offer, "coupon"));
    assert_eq!(report(json!({"coupon": "spring26"})).await, row(&by_coupon.id, &other_offer, "coupon"));
    assert_eq!(
        report(json!({"click_id": click.id, "referral_code": code, "coupon": "SPRING26"})).await,
        row(&by_click.id, &offer, "click"),
        "the click decides"
    );
    assert_eq!(
        report(json!({"click_id": click.id.to_uppercase()})).await,
        row(&by_click.id, &offer, "click"),
        "networks re-case ids"
    );
}

async fn a_conversion_without_evidence_is_refused(db: Database) {
    let t = TestApp::start(db).await;
    let click = t.click().await;
    let refused = async |changes: Value, status: u16, code: &str| {
        let mut body = json!({"transaction_id": "T-1", "amount": "10.00", "currency": "USD"});
        for (field, value) in changes.as_object().unwrap() {
            body[field] = value.clone();
        }
        t.admin.post("/api/v1/conversions", &body).await.expect_problem(status, code);
    };

    refused(json!({}), 422, "attribution_missing").await;
    refused(json!({"click_id": "00000000000000000000000000"}), 422, "unknown_click").await;
    refused(json!({"referral_code": "AF00000"}), 422, "unknown_referral_code").await;
    refused(json!({"coupon": "GONE"}), 422, "unknown_coupon").await;
    let code = &click.link.affiliate.referral_code;
    let no_offer = json!({"referral_code": code, "offer_id": "ofr_00000000000000000000000000"});
    refused(no_offer, 422, "unknown_offer").await;
    let percent = t.offer_with(json!({"payout": {"percent": "30"}})).await;
    let no_amount = json!({"referral_code": code, "offer_id": percent, "amount": null});
    refused(no_amount, 422, "amount_missing").await;
    let pixel = t.anonymous().get(&click.link.impression_path).await;
    assert_eq!(pixel.status, 200);
    let impression = t.admin.list("/api/v1/clicks?action=impression").await;
    refused(json!({"click_id": impression[0]["id"]}), 422, "not_a_click").await;
    refused(json!({"click_id": click.id, "status": "rejected"}), 422, "invalid_field").await;
    refused(json!({"click_id": click.id, "transaction_id": ""}), 422, "invalid_field").await;
    assert_eq!(t.database.count("conversions").await, 0);
    assert_eq!(t.database.count("events").await, 0);
    assert_eq!(t.postings().await, 0);
}

async fn a_code_identifies_the_affiliate_and_not_the_offer(db: Database) {
    let t = TestApp::start(db).await;
    let affiliate = t.affiliate().await;
    let body = json!({"referral_code": affiliate.referral_code, "transaction_id": "T-1"});
    t.admin.post("/api/v1/conversions", &body).await.expect_problem(422, "offer_missing");
    let offer = t.offer().await;
    assert_eq!(t.admin.post("/api/v1/conversions", &body).await.expect(201)["offer_id"], offer);
}

async fn the_offer_determines_the_payout(db: Database) {
    let t = TestApp::start(db).await;
    let affiliate = t.affiliate().await;
    let fixed = t.offer().await;
    let percent = t.offer_with(json!({"payout": {"percent": "30"}})).await;
    let thirds = t.offer_with(json!({"payout": {"percent": "33.333333"}})).await;
    let payout = async |offer: &str, changes: Value| {
        let mut body = json!({
            "referral_code": affiliate.referral_code, "offer_id": offer,
            "transaction_id": format!("T-{}", t.unique()), "currency": "USD",
        });
        for (field, value) in changes.as_object().unwrap() {
            body[field] = value.clone();
        }
        let answer = t.admin.post("/api/v1/conversions", &body).await.expect(201);
        text(&answer["payout"], "amount")
    };

    assert_eq!(payout(&fixed, json!({"amount": "49.00"})).await, "12.50");
    assert_eq!(payout(&fixed, json!({})).await, "12.50", "a lead has no amount");
    assert_eq!(payout(&percent, json!({"amount": "49.99"})).await, "15.00");
    assert_eq!(payout(&thirds, json!({"amount": "0.000002"})).await, "0.000001");
    assert_eq!(payout(&percent, json!({"amount": "0"})).await, "0.00");
    assert_eq!(payout(&percent, json!({"amount": "49.99", "payout": "3.00"})).await, "3.00");
    assert_eq!(payout(&fixed, json!({"amount": "49.99", "payout": "0"})).await, "0.00");
}

async fn an_invalid_amount_is_refused(db: Database) {
    let t = TestApp::start(db).await;
    let click = t.click().await;
    let not_amounts = [
        json!("abc"),
        json!("-50"),
        json!("-0.01"),
        json!("+5"),
        json!("1e9"),
        json!("1.123456789"),
        json!("1.0000001"),
        json!(""),
        json!(" 1"),
        json!("1 "),
        json!("1."),
        json!(".5"),
        json!("1,000"),
        json!("1.000,00"),
        json!("0x10"),
        json!("NaN"),
        json!("Infinity"),
        json!("١٢"),
        json!("99999999999999999999999"),
        json!("9223372036854.775808"),
        json!(1),
        json!(1.5),
        json!(true),
        json!([]),
        json!({"fixed": "1"}),
    ];

    for field in ["amount", "payout", "revenue", "plan_price"] {
        for amount in &not_amounts {
            let answer = t.conversion(&click).set(field, amount.clone()).try_send().await;
            assert!(matches!(answer.status, 400 | 422), "{field} {amount}: {}", answer.text);
            let detail = text(&answer.json(), "detail");
            assert!(detail.len() > 20, "{field} {amount}: a sentence that says what to do, not {detail:?}");
        }
    }
    for payout in [json!({"fixed": "-1"}), json!({"percent": "abc"}), json!({"fixed": 12.5}), json!({}), json!("30%")] {
        let body = json!({"name": "x", "landing_url": "https://shop.example/", "currency": "USD", "payout": payout});
        let answer = t.admin.post("/api/v1/offers", &body).await;
        assert!(matches!(answer.status, 400 | 422), "{payout}: {}", answer.text);
    }
    assert_eq!(t.database.count("conversions").await, 0);

    // The neighbours of the refused ones exist too.
    for (amount, shown) in [("0", "0.00"), ("1", "1.00"), ("1.123456", "1.123456"), ("0.000001", "0.000001")] {
        let answer = t.conversion(&click).set("amount", json!(amount)).try_send().await;
        assert_eq!(answer.expect(201)["amount"], shown);
    }
}

/// From each status, by each operation, to each other status.
async fn every_legal_and_every_illegal_change_of_status(db: Database) {
    let t = TestApp::start(db).await;
    let click = t.click().await;
    // (from, to, status of the answer and revision afterwards: by a report, and by the operation of the new status)
    let table = [
        ("pending", "pending", (200, 1), None),
        ("pending", "approved", (200, 2), Some((200, 2))),
        ("pending", "rejected", (200, 2), Some((200, 2))),
        ("approved", "pending", (200, 1), None),
        ("approved", "approved", (200, 1), Some((200, 1))),
        ("approved", "rejected", (200, 2), Some((200, 2))),
        ("rejected", "pending", (200, 1), None),
        ("rejected", "approved", (409, 1), Some((200, 2))),
        ("rejected", "rejected", (200, 1), Some((200, 1))),
    ];
    for (from, to, reported, decided) in table {
        for by_its_own_path in [true, false] {
            let (status, revision) = if by_its_own_path { decided.unwrap_or_default() } else { reported };
            let mut report = t.conversion(&click);
            report = if from == "rejected" { report.rejected("fraud") } else { report.status(from) };
            let id = report.send().await;
            let answer = match (by_its_own_path, to) {
                (true, "approved") => t.approve(&id).await,
                (true, "rejected") => t.reject(&id, "fraud").await,
                (true, _) => continue,
                (false, "rejected") => report.clone().rejected("fraud").try_send().await,
                (false, _) => report.clone().set("reason", Value::Null).status(to).try_send().await,
            };
            let case = format!("{from} to {to}, own path: {by_its_own_path}: {}", answer.text);
            assert_eq!(answer.status, status, "{case}");
            let now = t.admin.get(&format!("/api/v1/conversions/{id}")).await.expect(200);
            assert_eq!(now["revision"], revision, "{case}");
            if status == 200 {
                // A step back comes late, and changes nothing.
                assert_eq!(now["status"], if to == "pending" { from } else { to }, "{case}");
                assert_eq!(answer.json(), now, "{case}");
            } else {
                assert_eq!(now["status"], from, "{case}");
                let detail = text(&answer.json(), "detail");
                assert!(detail.contains(from), "says why: {case}");
            }
        }
    }
}

async fn a_changed_status_is_an_update_with_a_new_revision(db: Database) {
    let t = TestApp::start(db).await;
    let click = t.click().await;
    let report = t.conversion(&click).status("pending");
    let id = report.send().await;

    t.tick();
    let approved = report.clone().status("approved").try_send().await.expect(200);
    t.tick();
    let rejected = report.clone().rejected("refund").try_send().await.expect(200);

    assert_eq!((&approved["id"], &approved["revision"]), (&json!(id), &json!(2)));
    assert_eq!((&rejected["id"], &rejected["revision"]), (&json!(id), &json!(3)));
    assert_eq!(rejected["rejection_reason"], "refund");
    assert_eq!(t.database.count("conversions").await, 1);
    let events = t.admin.list(&format!("/api/v1/events?conversion_id={id}")).await;
    let mut revisions: Vec<_> = events.iter().map(|event| event["revision"].clone()).collect();
    revisions.reverse();
    assert_eq!(revisions, [1, 2, 3], "one event each");
}

async fn an_approval_overrules_a_rejection_that_is_reported_again(db: Database) {
    let t = TestApp::start(db).await;
    let click = t.click().await;
    let report = t.conversion(&click);
    let id = report.send().await;
    let fraud = report.clone().rejected("fraud");
    fraud.try_send().await.expect(200);
    report.try_send().await.expect_problem(409, "conversion_already_rejected");
    t.reject(&id, "duplicate").await.expect_problem(409, "conversion_already_rejected");

    let approved = t.approve(&id).await.expect(200);
    assert_eq!(
        (&approved["status"], &approved["rejection_reason"], &approved["revision"]),
        (&json!("approved"), &Value::Null, &json!(3))
    );
    for again in [&fraud, &report] {
        assert_eq!(again.try_send().await.expect(200), approved, "the network repeats itself");
    }
    // Another reason is another decision, and a person can always reject.
    let refund = report.clone().rejected("refund").try_send().await.expect(200);
    assert_eq!((&refund["status"], &refund["revision"]), (&json!("rejected"), &json!(4)));
    t.approve(&id).await.expect(200);
    assert_eq!(t.reject(&id, "refund").await.expect(200)["revision"], 6);
    let events = t.admin.list(&format!("/api/v1/events?conversion_id={id}")).await;
    assert_eq!(events.len(), 6, "one event for each revision");
    assert_eq!(t.balance(&click.link.affiliate, "USD").await, ["0.00"; 5]);
    t.assert_books_balance().await;
}

async fn a_transaction_counts_once_per_offer(db: Database) {
    let t = TestApp::start(db).await;
    let click = t.click().await;
    let report = t.conversion(&click).transaction("T-1");
    let first = report.try_send().await.expect(201);

    assert_eq!(report.try_send().await.expect(200), first, "the same answer");
    let other_amount = report.clone().set("amount", json!("99.00")).try_send().await.expect(200);
    assert_eq!((&other_amount["id"], &other_amount["amount"]), (&first["id"], &json!("99.00")), "a correction");

    // A click belongs to its offer; another offer in the request is an error of the caller.
    let other_offer = t.offer().await;
    let mixed_up = report.clone().set("offer_id", json!(other_offer)).try_send().await;
    mixed_up.expect_problem(422, "offer_mismatch");
    let by_code = json!({
        "referral_code": click.link.affiliate.referral_code, "offer_id": other_offer,
        "transaction_id": "T-1", "status": "approved", "amount": "1.00", "currency": "USD",
    });
    let elsewhere = t.admin.post("/api/v1/conversions", &by_code).await.expect(201);
    assert_ne!(elsewhere["id"], first["id"], "another offer");
}

async fn a_transaction_of_one_click_is_not_changed_under_another(db: Database) {
    let t = TestApp::start(db).await;
    let click = t.click().await;
    let other = t.click_on(&click.link, "").await;
    let report = t.conversion(&click).transaction("T-1");
    let first = report.try_send().await.expect(201);

    let mixed_up = t.conversion(&other).transaction("T-1").set("amount", json!("99.00"));
    let problem = mixed_up.try_send().await.expect_problem(422, "transaction_of_another_click");
    let detail = text(&problem, "detail");
    assert!(detail.contains("\"T-1\"") && detail.contains(&text(&first, "id")), "{detail}");
    assert_eq!(report.try_send().await.expect(200), first, "nothing changed, and the same call is the same answer");
    assert_eq!(t.postings().await, 1);

    // Nor within one call: the other conversions of that call are recorded.
    let both = json!([
        t.conversion(&click).transaction("T-2").body,
        t.conversion(&other).transaction("T-2").body,
        t.conversion(&other).transaction("T-3").body,
    ]);
    let answers = t.admin.post("/api/v1/conversions", &both).await.expect(200);
    let told: Vec<_> = answers["items"].as_array().expect("items").iter().map(|it| it["http_status"].clone()).collect();
    assert_eq!(told, [201, 422, 201], "{answers:#}");

    // Without a click, the transaction id identifies the stored conversion.
    let by_code = json!({
        "referral_code": click.link.affiliate.referral_code, "offer_id": click.link.offer,
        "transaction_id": "T-1", "status": "approved", "amount": "60.00", "currency": "USD",
    });
    let changed = t.admin.post("/api/v1/conversions", &by_code).await.expect(200);
    assert_eq!((&changed["id"], &changed["click_id"]), (&first["id"], &json!(click.id)));
}

async fn many_conversions_are_answered_in_their_order(db: Database) {
    let t = TestApp::start(db).await;
    let click = t.click().await;
    let report = |transaction: &str| json!({"click_id": click.id, "transaction_id": transaction, "amount": "1.00", "currency": "USD"});
    let mut bad_amount = report("T-2");
    bad_amount["amount"] = json!("abc");
    let mut nobody = report("T-3");
    nobody["click_id"] = json!("00000000000000000000000000");
    let batch = json!([report("T-1"), bad_amount, nobody, report("T-4"), report("T-1")]);

    let answer = t.admin.post("/api/v1/conversions", &batch).await.expect(200);

    let items = answer["items"].as_array().unwrap();
    let statuses: Vec<_> = items.iter().map(|item| item["http_status"].as_u64().unwrap()).collect();
    assert_eq!(statuses, [201, 422, 422, 201, 200], "{answer:#}");
    assert_eq!(items[0]["conversion"]["transaction_id"], "T-1");
    assert_eq!(items[1]["error"]["code"], "invalid_amount");
    assert_eq!(items[2]["error"]["code"], "unknown_click");
    assert_eq!(items[3]["conversion"]["transaction_id"], "T-4");
    assert_eq!(items[4]["conversion"]["id"], items[0]["conversion"]["id"]);
    assert_eq!(t.database.count("conversions").await, 2);

    let thousand: Vec<_> = (0..1000).map(|n| report(&format!("M-{n}"))).collect();
    let answer = t.admin.post("/api/v1/conversions", &json!(thousand)).await.expect(200);
    let items = answer["items"].as_array().unwrap();
    assert_eq!(items.len(), 1000);
    for (n, item) in items.iter().enumerate() {
        assert_eq!(item["http_status"], 201, "{item}");
        assert_eq!(item["conversion"]["transaction_id"], format!("M-{n}"));
    }

    let too_many: Vec<_> = (0..1001).map(|n| report(&format!("X-{n}"))).collect();
    t.admin.post("/api/v1/conversions", &json!(too_many)).await.expect_problem(422, "invalid_batch");
    assert_eq!(t.database.count("conversions").await, 1002);
}

async fn the_ledger_is_balanced_after_every_change(db: Database) {
    let t = TestApp::start(db).await;
    let (affiliate, offer) = (t.affiliate().await, t.offer_with(json!({"hold_days": 30})).await);
    let click = t.click_on(&t.link(&affiliate, &offer).await, "").await;
    let pending = t.conversion(&click).status("pending").send().await;
    let after_pending = t.postings().await;
    t.approve(&pending).await.expect(200);
    let after_approval = t.postings().await;
    t.approve(&pending).await.expect(200);
    assert_eq!(t.postings().await, after_approval, "posting twice is a no-op");
    t.reject(&pending, "chargeback").await.expect(200);
    let after_reversal = t.postings().await;
    t.reject(&pending, "chargeback").await.expect(200);
    assert_eq!(t.postings().await, after_reversal, "reversing twice is a no-op");

    assert_eq!(after_approval, after_pending + 1, "an approval earns once");
    assert_eq!(after_reversal, after_approval + 1, "a rejection takes it back");
    let unbalanced = "SELECT count(*) FROM (SELECT posting_id, currency FROM entries \
        GROUP BY posting_id, currency HAVING sum(micros) <> 0) AS unbalanced";
    assert_eq!(t.database.number(unbalanced).await, 0);
    let left = "SELECT count(*) FROM (SELECT account FROM entries GROUP BY account HAVING sum(micros) <> 0) AS rest";
    assert_eq!(t.database.number(left).await, 0, "nothing is left of an earning taken back");

    t.conversion(&click).send().await;
    t.conversion(&click).send().await;
    let positive = "SELECT CAST(sum(micros) AS BIGINT) FROM entries WHERE micros > 0";
    // Two earnings remain; the reversed one moved its 12.50 there and back.
    assert_eq!(t.database.number(positive).await, 4 * 12_500_000);
}

async fn a_list_comes_page_by_page_newest_first(db: Database) {
    let t = TestApp::start(db).await;
    let click = t.click().await;
    let mut made = Vec::new();
    for _ in 0..25 {
        made.push(t.conversion(&click).send().await);
        t.tick();
    }
    made.reverse();

    let mut seen = Vec::new();
    let mut path = "/api/v1/conversions?limit=10".to_owned();
    let mut sizes = Vec::new();
    loop {
        let page = t.admin.get(&path).await.expect(200);
        let items = page["items"].as_array().unwrap();
        sizes.push(items.len());
        seen.extend(items.iter().map(|item| text(item, "id")));
        // New conversions do not shift the pages.
        t.conversion(&click).send().await;
        t.tick();
        match page["next"].as_str() {
            Some(next) => path = format!("/api/v1/conversions?limit=10&cursor={next}"),
            None => break,
        }
    }

    assert_eq!(sizes, [10, 10, 5]);
    assert_eq!(seen, made);
    assert_eq!(seen.iter().collect::<HashSet<_>>().len(), 25);
    for (query, code) in [
        ("limit=0", "invalid_parameter"),
        ("limit=201", "invalid_parameter"),
        ("limit=abc", "invalid_parameter"),
        ("cursor=%21%21", "invalid_cursor"),
        ("status=approvd", "invalid_parameter"),
        ("affiliate_id=nonsense", "invalid_parameter"),
    ] {
        let answer = t.admin.get(&format!("/api/v1/conversions?{query}")).await;
        answer.expect_problem(400, code);
    }
    let mine = t.admin.list("/api/v1/conversions?status=rejected").await;
    assert!(mine.is_empty());
}

/// PostgreSQL does not accept a NUL in text; this must not lead to a 500.
async fn unusual_text_is_stored_or_refused(db: Database) {
    let t = TestApp::start(db).await;
    let click = t.click().await;
    for field in ["transaction_id", "goal", "customer_name"] {
        let answer = t.conversion(&click).set(field, json!("a\u{0}b")).try_send().await;
        answer.expect_problem(400, "invalid_json");
    }
    for (field, value) in [
        ("plan_name", "\u{202e}\u{feff}\u{10ffff}"),
        ("goal", "\\u0041 \\ \" ' {} NULL"),
        ("purchase_id", "'; DROP TABLE conversions; --"),
        ("customer_name", "{\"a\",NULL}"),
    ] {
        let answer = t.conversion(&click).set(field, json!(value)).try_send().await;
        assert_eq!(answer.expect(201)[field], value);
    }
}
