//! What an offer pays for the payments of a customer after the first one.

use postrider_tests::app::{Click, TestApp};
use postrider_tests::client::text;
use postrider_tests::database::Database;
use postrider_tests::on_both_databases;
use serde_json::{Value, json};

on_both_databases!(
    the_payments_of_a_customer_are_counted,
    many_payments_of_a_customer_at_once_are_counted_too,
    the_terms_of_later_payments_can_be_changed_and_are_checked,
);

/// Records a payment of the customer and returns its number and payout.
async fn pay(t: &TestApp, click: &Click, transaction_id: &str, changes: Value) -> (Value, String) {
    let mut body = json!({"click_id": click.id, "transaction_id": transaction_id, "status": "approved",
        "customer_id": "C-1"});
    body.as_object_mut().unwrap().extend(changes.as_object().unwrap().clone());
    let made = t.admin.post("/api/v1/conversions", &body).await.expect(201);
    (made["payment_number"].clone(), text(&made["payout"], "amount"))
}

async fn the_payments_of_a_customer_are_counted(db: Database) {
    let t = TestApp::start(db).await;
    let terms = json!({
        "goals": [{"name": "trial", "payout": {"fixed": "1.00"}}],
        "recurring": {"payout": {"fixed": "3.00"}, "paid_payments": 3},
    });
    let offer = t.offer_with(terms).await;
    let link = t.link(&t.affiliate().await, &offer).await;
    let click = t.click_on(&link, "").await;
    let paid = |number: u32, payout: &str| (json!(number), payout.to_owned());

    assert_eq!(pay(&t, &click, "A", json!({})).await, paid(1, "12.50"));
    assert_eq!(pay(&t, &click, "T", json!({"goal": "trial"})).await, paid(1, "1.00"), "each goal is counted alone");
    assert_eq!(pay(&t, &click, "B", json!({})).await, paid(2, "3.00"));
    assert_eq!(pay(&t, &click, "other", json!({"customer_id": "C-2"})).await, paid(1, "12.50"));
    assert_eq!(pay(&t, &click, "nobody", json!({"customer_id": null})).await, (Value::Null, "12.50".to_owned()));
    // Another click of the same customer, or none: it is still the customer's next payment.
    let later = t.click_on(&link, "").await;
    assert_eq!(pay(&t, &later, "C", json!({})).await, paid(3, "3.00"));
    assert_eq!(pay(&t, &click, "D", json!({"click_id": null})).await, paid(4, "0.00"));
    assert_eq!(pay(&t, &click, "stated", json!({"payout": "7.00"})).await, paid(5, "7.00"), "a stated payout stands");
    // A rejected payment is not counted.
    for id in ["A", "B"] {
        let body = json!({"transaction_id": id, "status": "rejected", "reason": "refund"});
        let click = json!({"click_id": click.id});
        let mut body = body;
        body.as_object_mut().unwrap().extend(click.as_object().unwrap().clone());
        t.admin.post("/api/v1/conversions", &body).await.expect(200);
    }
    assert_eq!(pay(&t, &click, "E", json!({})).await, paid(4, "0.00"));
    let test = pay(&t, &click, "test", json!({"test": true})).await;
    assert_eq!(test, (Value::Null, "12.50".to_owned()), "a test is no payment");
    t.assert_books_balance().await;
}

async fn many_payments_of_a_customer_at_once_are_counted_too(db: Database) {
    let t = TestApp::start(db).await;
    let offer = t.offer_with(json!({"recurring": {"paid_payments": 2}})).await;
    let click = t.click_on(&t.link(&t.affiliate().await, &offer).await, "").await;
    let ids: Vec<_> = (0..10).map(|it| format!("P-{it}")).collect();
    let paid = futures::future::join_all(ids.iter().map(|id| pay(&t, &click, id, json!({})))).await;
    let mut numbers: Vec<_> = paid.iter().map(|(number, _)| number.as_u64().expect("a number")).collect();
    numbers.sort_unstable();
    assert_eq!(numbers, (1..=10).collect::<Vec<_>>());
    assert_eq!(paid.iter().filter(|(_, payout)| payout == "12.50").count(), 2);
}

async fn the_terms_of_later_payments_can_be_changed_and_are_checked(db: Database) {
    let t = TestApp::start(db).await;
    let offer = t.offer_with(json!({"recurring": {"payout": {"fixed": "3.00"}}})).await;
    let path = format!("/api/v1/offers/{offer}");
    for (patch, wanted) in [
        (json!({"paid_payments": 6}), json!({"payout": {"fixed": "3.00"}, "paid_payments": 6})),
        (json!({"payout": {"percent": "20"}}), json!({"payout": {"percent": "20"}, "paid_payments": 6})),
        (json!({"payout": null}), json!({"payout": null, "paid_payments": 6})),
        (json!(null), json!(null)),
    ] {
        let changed = t.admin.patch(&path, &json!({"recurring": patch})).await.expect(200);
        assert_eq!(changed["recurring"], wanted, "{patch}");
    }
    for paid_payments in [0, 1_001] {
        let body = json!({"recurring": {"paid_payments": paid_payments}});
        t.admin.patch(&path, &body).await.expect_problem(422, "invalid_field");
    }
}
