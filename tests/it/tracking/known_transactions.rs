//! A known transaction is found before its evidence is asked for: its click may be deleted by age, its code may be gone.

use postrider_tests::app::{Click, TestApp};
use postrider_tests::client::Answer;
use postrider_tests::database::Database;
use postrider_tests::on_both_databases;
use serde_json::{Value, json};

on_both_databases!(
    a_transaction_is_changed_after_its_click_was_deleted,
    a_transaction_is_changed_by_its_id_alone,
    a_report_by_id_alone_has_the_evidence_of_its_array,
    a_transaction_decides_before_its_customer,
    a_removed_coupon_does_not_hold_up_its_conversion,
    a_returning_customer_leads_to_the_affiliate_after_the_click_was_deleted,
    a_network_changes_a_sale_after_its_click_was_deleted,
    an_order_counts_once_in_the_program_if_it_says_so,
    orders_at_once_count_once_in_the_program,
);

/// A click whose data will be deleted, as retention does.
async fn click(t: &TestApp) -> Click {
    let offer = t.offer_with(json!({"payout": {"percent": "10"}})).await;
    t.click_on(&t.link(&t.affiliate().await, &offer).await, "").await
}

async fn delete_clicks(t: &TestApp) {
    t.database.execute("DELETE FROM clicks").await;
}

async fn report(t: &TestApp, body: Value) -> Answer {
    t.admin.post("/api/v1/conversions", &body).await
}

async fn a_transaction_is_changed_after_its_click_was_deleted(db: Database) {
    let t = TestApp::start(db).await;
    let click = click(&t).await;
    let sale = t.conversion(&click).transaction("T-1").set("amount", json!("100"));
    sale.send().await;
    delete_clicks(&t).await;
    let corrected = sale.clone().set("amount", json!("50")).try_send().await.expect(200);
    assert_eq!((&corrected["payout"]["amount"], &corrected["click_id"]), (&json!("5.00"), &json!(click.id)));
    // Another goal of the transaction is a conversion of the same affiliate.
    let upsell = sale.clone().set("goal", json!("upsell")).try_send().await.expect(201);
    assert_eq!(upsell["affiliate_id"], json!(click.link.affiliate.id));
    let rejected = sale.rejected("chargeback").try_send().await.expect(200);
    assert_eq!(rejected["status"], "rejected");
    assert_eq!(t.balance(&click.link.affiliate, "USD").await[1], "10.00", "that of the upsell");
    // A sale that is not known needs its click.
    let new = t.conversion(&click);
    new.try_send().await.expect_problem(422, "unknown_click");
    let of_another = json!({"click_id": "01kkbswhg0e00809bnswcy0f47", "transaction_id": "T-1", "status": "approved"});
    report(&t, of_another).await.expect_problem(422, "unknown_click");
    t.assert_books_balance().await;
}

async fn a_transaction_is_changed_by_its_id_alone(db: Database) {
    let t = TestApp::start(db).await;
    let (one, two) = (click(&t).await, click(&t).await);
    t.conversion(&one).transaction("T-1").send().await;
    t.conversion(&one).transaction("T-2").send().await;
    t.conversion(&two).transaction("T-2").send().await;
    let chargeback =
        |transaction: &str| json!({"transaction_id": transaction, "status": "rejected", "reason": "chargeback"});
    let rejected = report(&t, chargeback("T-1")).await.expect(200);
    assert_eq!((&rejected["status"], &rejected["offer_id"]), (&json!("rejected"), &json!(one.link.offer)));
    report(&t, chargeback("T-2")).await.expect_problem(422, "offer_ambiguous");
    let mut named = chargeback("T-2");
    named["offer_id"] = json!(two.link.offer);
    let rejected = report(&t, named).await.expect(200);
    assert_eq!(rejected["affiliate_id"], json!(two.link.affiliate.id));
    report(&t, chargeback("T-3")).await.expect_problem(422, "attribution_missing");
    assert_eq!(t.balance(&two.link.affiliate, "USD").await, ["0.00"; 5]);
}

async fn a_report_by_id_alone_has_the_evidence_of_its_array(db: Database) {
    let t = TestApp::start(db).await;
    let click = click(&t).await;
    let sale = t.conversion(&click).transaction("T-1").set("amount", json!("100")).set("goal", json!("sale")).body;
    let lead = json!({"transaction_id": "T-1", "goal": "lead", "payout": "1.00", "status": "approved"});
    let chargeback = json!({"transaction_id": "T-1", "goal": "lead", "status": "rejected", "reason": "chargeback"});
    let of_nobody = json!({"transaction_id": "T-2", "payout": "1.00", "status": "approved"});
    let answer = report(&t, json!([lead, sale, chargeback, of_nobody])).await.expect(200);
    let items = answer["items"].as_array().expect("items");
    let statuses: Vec<_> = items.iter().map(|it| it["http_status"].clone()).collect();
    assert_eq!(statuses, [201, 201, 200, 422], "{answer:#}");
    let affiliates = t.admin.list("/api/v1/conversions").await;
    assert!(affiliates.iter().all(|it| it["affiliate_id"] == json!(click.link.affiliate.id)), "{affiliates:?}");
    assert_eq!(t.balance(&click.link.affiliate, "USD").await[1], "10.00");
}

async fn a_transaction_decides_before_its_customer(db: Database) {
    let t = TestApp::start(db).await;
    let (one, two) = (click(&t).await, click(&t).await);
    t.admin.patch(&format!("/api/v1/offers/{}", one.link.offer), &json!({"default": true})).await.expect(200);
    let email = json!("ada@example.com");
    t.conversion(&one).transaction("T-1").set("customer_email", email.clone()).send().await;
    let sale = t.conversion(&two).transaction("T-2").set("customer_email", email.clone()).send().await;
    let refund = json!({"transaction_id": "T-2", "customer_email": email, "status": "rejected", "reason": "refund"});
    assert_eq!(report(&t, refund).await.expect(200)["id"], json!(sale));
    // Another customer's transaction of that number is a new one of the default offer.
    t.conversion(&two).transaction("T-3").set("customer_email", json!("bob@example.com")).send().await;
    let new = json!({"transaction_id": "T-3", "customer_email": "ada@example.com", "amount": "10"});
    assert_eq!(report(&t, new).await.expect(201)["offer_id"], json!(one.link.offer));
}

async fn a_removed_coupon_does_not_hold_up_its_conversion(db: Database) {
    let t = TestApp::start(db).await;
    let (offer, affiliate) = (t.offer().await, t.affiliate().await);
    let link = t.link_with(&affiliate, &offer, json!({"coupon": "SPRING"})).await;
    let sale = json!({"transaction_id": "T-1", "coupon": "SPRING", "status": "approved", "amount": "10"});
    report(&t, sale.clone()).await.expect(201);
    t.admin.patch(&format!("/api/v1/links/{}", link.id), &json!({"coupons": []})).await.expect(200);
    let mut rejected = sale.clone();
    rejected["status"] = json!("rejected");
    rejected["reason"] = json!("chargeback");
    report(&t, rejected).await.expect(200);
    let mut new = sale;
    new["transaction_id"] = json!("T-2");
    report(&t, new.clone()).await.expect_problem(422, "unknown_coupon");
    (new["transaction_id"], new["goal"]) = (json!("T-1"), json!("upsell"));
    report(&t, new).await.expect_problem(422, "unknown_coupon");
}

async fn a_returning_customer_leads_to_the_affiliate_after_the_click_was_deleted(db: Database) {
    let t = TestApp::start(db).await;
    let click = click(&t).await;
    t.conversion(&click).set("customer_id", json!("C-1")).send().await;
    delete_clicks(&t).await;
    let purchase = json!({"transaction_id": "T-2", "offer_id": click.link.offer, "customer_id": "C-1", "amount": "20"});
    let made = report(&t, purchase).await.expect(201);
    assert_eq!(made["affiliate_id"], json!(click.link.affiliate.id));
    assert_eq!((&made["link_id"], &made["click_id"]), (&json!(click.link.id), &json!(click.id)));
    assert_eq!(made["attributed_by"], "customer");
    t.deliver_all().await;
    t.roll_up_reports().await;
}

async fn a_network_changes_a_sale_after_its_click_was_deleted(db: Database) {
    let t = TestApp::start(db).await;
    let click = click(&t).await;
    let source = json!({"name": "N", "adapter": "macro-url", "config": {
        "fields": {"click_id": "subid", "transaction_id": "tid", "status": "st", "sale": "sum"}},
        "settings": {"statuses": {"1": "approved", "2": {"status": "rejected", "reason": "fraud"}},
            "amounts": {"unit": "major", "currency": "USD"}}});
    let source = t.admin.post("/api/v1/sources", &source).await.expect(201);
    let url = source["url"].as_str().expect("a URL").to_owned();
    let path = url[url.find("/in/").expect("a path")..].to_owned();
    let outcome = async |query: &str| {
        t.anonymous().get(&format!("{path}?{query}")).await;
        t.deliver_all().await;
        t.admin.list("/api/v1/inbound-requests").await[0]["outcome"].clone()
    };
    assert_eq!(outcome(&format!("subid={}&tid=N-1&st=1&sum=100", click.id)).await, "accepted");
    delete_clicks(&t).await;
    assert_eq!(outcome(&format!("subid={}&tid=N-1&st=1&sum=50", click.id)).await, "accepted");
    assert_eq!(t.balance(&click.link.affiliate, "USD").await[1], "5.00");
    assert_eq!(outcome(&format!("subid={}&tid=N-1&st=2&sum=50", click.id)).await, "accepted");
    assert_eq!(t.balance(&click.link.affiliate, "USD").await, ["0.00"; 5]);
    assert_eq!(
        outcome(&format!("subid={}&tid=N-2&st=1&sum=50", click.id)).await,
        "waiting",
        "a sale that is not known"
    );
}

async fn an_order_counts_once_in_the_program_if_it_says_so(db: Database) {
    let t = TestApp::start(db).await;
    let (one, two) = (click(&t).await, click(&t).await);
    assert_eq!(t.admin.get("/api/v1/settings/conversions").await.expect(200)["one_order_per"], "offer");
    for of in [&one, &two] {
        t.conversion(of).transaction("T-1").send().await;
    }
    t.count_orders_per("program").await;
    let first = t.conversion(&one).transaction("T-2").send().await;
    let second = t.conversion(&two).transaction("T-2");
    let refused = second.try_send().await;
    assert!(refused.text.contains(&first), "{}", refused.text);
    refused.expect_problem(422, "transaction_of_another_offer");
    // Another goal of the same offer is the same order, and what is known can be changed.
    t.conversion(&one).transaction("T-2").set("goal", json!("upsell")).send().await;
    t.conversion(&two).transaction("T-1").set("amount", json!("60")).try_send().await.expect(200);
    // A rejection is recorded, and an order that was rejected may count elsewhere.
    t.conversion(&two).transaction("T-3").send().await;
    t.conversion(&one).transaction("T-3").rejected("fraud").send().await;
    let fourth = t.conversion(&one).transaction("T-4").send().await;
    t.reject(&fourth, "refund").await.expect(200);
    t.conversion(&two).transaction("T-4").send().await;
    // Tests and sources of affiliates have orders of their own.
    t.conversion(&two).transaction("T-2").set("test", json!(true)).send().await;
    // In one array.
    let array: Vec<_> = [&one, &two].iter().map(|of| t.conversion(of).transaction("T-5").body).collect();
    let answer = t.admin.post("/api/v1/conversions", &json!(array)).await.expect(200);
    let statuses: Vec<_> =
        answer["items"].as_array().expect("items").iter().map(|it| it["http_status"].clone()).collect();
    assert_eq!(statuses, [201, 422]);
    t.count_orders_per("offer").await;
    second.send().await;
}

async fn orders_at_once_count_once_in_the_program(db: Database) {
    let t = TestApp::start(db).await;
    t.count_orders_per("program").await;
    let clicks = [click(&t).await, click(&t).await, click(&t).await];
    let orders: Vec<_> = (0..20)
        .flat_map(|n| clicks.iter().map(move |of| (n, of)))
        .map(|(n, of)| t.conversion(of).transaction(&format!("T-{n}")))
        .collect();
    let answers = futures::future::join_all(orders.iter().map(|order| order.try_send())).await;
    let made = answers.iter().filter(|answer| answer.status == 201).count();
    let refused = answers.iter().filter(|answer| answer.status == 422).count();
    assert_eq!((made, refused), (20, 40));
}
