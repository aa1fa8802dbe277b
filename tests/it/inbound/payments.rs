//! Subscriptions whose network reports each payment under one transaction id.

use super::*;

on_both_databases!(
    each_payment_of_a_subscription_is_a_sale,
    a_payment_that_was_pending_is_approved_and_the_newest_one_is_refunded,
    an_offer_pays_later_payments_differently_and_at_most_so_many,
    payments_without_a_click_id_belong_to_the_click_of_the_subscription,
    simultaneous_payments_get_numbers_of_their_own,
    the_second_try_of_an_approval_or_refund_changes_nothing,
    later_payments_belong_to_the_click_of_the_first_one_at_any_time,
    a_payment_that_a_rule_holds_does_not_take_the_next_one,
    the_first_payment_may_have_been_reported_by_the_api,
);

fn subscription(t: &TestApp) -> NewSource<'_> {
    source(t).settings(json!({"repeated_transaction_id": "new_payment", "commission_is": "revenue"}))
}

/// Transaction id, status, payout and payment number of the conversions of a click, by transaction id.
async fn payments(t: &TestApp, click: &Click) -> Vec<(String, String, String, Value)> {
    let found = conversions(t, click).await;
    let mut payments: Vec<_> = found
        .iter()
        .map(|it| {
            let payout = text(&it["payout"], "amount");
            (text(it, "transaction_id"), text(it, "status"), payout, it["payment_number"].clone())
        })
        .collect();
    payments.sort_by_key(|it| it.0.clone());
    payments
}

fn row(transaction_id: &str, status: &str, payout: &str, number: u32) -> (String, String, String, Value) {
    (transaction_id.to_owned(), status.to_owned(), payout.to_owned(), json!(number))
}

async fn each_payment_of_a_subscription_is_a_sale(db: Database) {
    let t = TestApp::start(db).await;
    let click = t.click().await;
    let postback = t.postback("/p").parameters(&[("id", "transaction_id")]).save().await;
    let source = subscription(&t).save().await;
    let payment = [("sub", click.id.as_str()), ("tid", "S-1"), ("sum", "5")];

    source.report(&payment).await;
    assert_outcome(&source.last().await, "accepted", "");
    t.deliver_all().await;
    // The network did not receive the answer and retries.
    t.advance(Duration::from_secs(60));
    source.report(&payment).await;
    assert_outcome(&source.last().await, "duplicate", "duplicate");
    for number in 2..=3 {
        t.advance(Duration::from_secs(30 * 86_400));
        source.report(&payment).await;
        assert_outcome(&source.last().await, "accepted", "");
        assert_eq!(payments(&t, &click).await.len(), number);
        t.deliver_all().await;
        t.advance(Duration::from_secs(60));
        source.report(&payment).await;
        assert_outcome(&source.last().await, "duplicate", "duplicate");
    }
    let wanted = [
        row("S-1", "approved", "12.50", 1),
        row("S-1~2", "approved", "12.50", 2),
        row("S-1~3", "approved", "12.50", 3),
    ];
    assert_eq!(payments(&t, &click).await, wanted);
    assert_eq!(t.balance(&click.link.affiliate, "USD").await[1], "37.50");
    // A receiver that ignores ids that it knows gets each payment.
    let sent: Vec<_> = t.receiver.requests("/p").iter().map(|it| it.parameter("id")).collect();
    assert_eq!(sent, ["S-1", "S-1~2", "S-1~3"]);
    assert_eq!(t.deliveries(&postback).await.len(), 3);
    // By default, the same id is the same sale.
    source.patch(json!({"settings": {"repeated_transaction_id": "same_sale"}})).await.expect(200);
    t.advance(Duration::from_secs(30 * 86_400));
    source.report(&payment).await;
    assert_outcome(&source.last().await, "duplicate", "duplicate");
    t.assert_books_balance().await;
}

async fn a_payment_that_was_pending_is_approved_and_the_newest_one_is_refunded(db: Database) {
    let t = TestApp::start(db).await;
    let click = t.click().await;
    let source = subscription(&t).save().await;
    let report = async |status: &str| {
        t.advance(Duration::from_secs(86_400));
        source.report(&[("sub", &click.id), ("tid", "S-1"), ("st", status)]).await;
        source.last().await
    };
    for status in ["pending", "approved", "pending", "approved"] {
        assert_outcome(&report(status).await, "accepted", "");
    }
    let approved = [row("S-1", "approved", "12.50", 1), row("S-1~2", "approved", "12.50", 2)];
    assert_eq!(payments(&t, &click).await, approved);

    let refund = report("refunded").await;
    assert_outcome(&refund, "accepted", "");
    let one_left = [row("S-1", "approved", "12.50", 1), row("S-1~2", "rejected", "12.50", 2)];
    assert_eq!(payments(&t, &click).await, one_left);
    // The refund again, and later another one.
    source.report(&[("sub", &click.id), ("tid", "S-1"), ("st", "refunded")]).await;
    assert_outcome(&source.last().await, "duplicate", "duplicate");
    assert_eq!(payments(&t, &click).await, one_left);
    report("refunded").await;
    assert_eq!(t.balance(&click.link.affiliate, "USD").await, ["0.00"; 5]);

    assert_outcome(&report("approved").await, "accepted", "");
    assert_eq!(payments(&t, &click).await[2], row("S-1~3", "approved", "12.50", 1), "rejected ones do not count");
    t.tick();
    source.report(&[("sub", &click.id), ("tid", "S-1"), ("sum", "-2.00")]).await;
    assert_eq!(payments(&t, &click).await.len(), 3, "a partial refund is no payment");
    t.assert_books_balance().await;
}

async fn an_offer_pays_later_payments_differently_and_at_most_so_many(db: Database) {
    let t = TestApp::start(db).await;
    let recurring = json!({"recurring": {"payout": {"percent": "10"}, "paid_payments": 3}});
    let offer = t.offer_with(recurring).await;
    let click = t.click_on(&t.link(&t.affiliate().await, &offer).await, "").await;
    let source = subscription(&t).save().await;
    for _ in 0..4 {
        t.advance(Duration::from_secs(30 * 86_400));
        source.report(&[("sub", &click.id), ("tid", "S-1"), ("sale", "40"), ("sum", "9")]).await;
        assert_outcome(&source.last().await, "accepted", "");
    }
    let wanted = [
        row("S-1", "approved", "12.50", 1),
        row("S-1~2", "approved", "4.00", 2),
        row("S-1~3", "approved", "4.00", 3),
        row("S-1~4", "approved", "0.00", 4),
    ];
    assert_eq!(payments(&t, &click).await, wanted);
    // A correction keeps the terms of its payment.
    for (id, sale, payout) in [("S-1", "50", "12.50"), ("S-1~2", "50", "5.00"), ("S-1~4", "50", "0.00")] {
        let body = json!({"transaction_id": id, "click_id": click.id, "amount": sale});
        let corrected = t.admin.post("/api/v1/conversions", &body).await.expect(200);
        assert_eq!((&corrected["amount"], &corrected["payout"]["amount"]), (&json!("50.00"), &json!(payout)), "{id}");
    }
    t.assert_books_balance().await;
}

async fn payments_without_a_click_id_belong_to_the_click_of_the_subscription(db: Database) {
    let t = TestApp::start(db).await;
    let click = t.click().await;
    let source = subscription(&t).save().await;
    source.report(&[("sub", &click.id), ("tid", "S-1")]).await;
    t.advance(Duration::from_secs(30 * 86_400));
    source.report(&[("tid", "S-1"), ("sum", "5")]).await;
    assert_outcome(&source.last().await, "accepted", "");
    let both = [row("S-1", "approved", "12.50", 1), row("S-1~2", "approved", "12.50", 2)];
    assert_eq!(payments(&t, &click).await, both);
    t.tick();
    source.report(&[("tid", "S-1"), ("st", "chargeback")]).await;
    let left = payments(&t, &click).await;
    assert_eq!(left, [row("S-1", "approved", "12.50", 1), row("S-1~2", "rejected", "12.50", 2)]);
}

async fn simultaneous_payments_get_numbers_of_their_own(db: Database) {
    let t = TestApp::start(db).await;
    let click = t.click().await;
    let source = subscription(&t).save().await;
    let sums: Vec<_> = (1..=8).map(|sum| sum.to_string()).collect();
    let report = async |sum: &String| {
        let answer = source.report(&[("sub", &click.id), ("tid", "S-1"), ("sum", sum)]).await;
        assert_eq!(answer.status, 200, "{}", answer.text);
    };
    futures::future::join_all(sums.iter().map(report)).await;
    let found = payments(&t, &click).await;
    let ids: Vec<_> = found.iter().map(|it| it.0.as_str()).collect();
    assert_eq!(ids, ["S-1", "S-1~2", "S-1~3", "S-1~4", "S-1~5", "S-1~6", "S-1~7", "S-1~8"]);
    assert_eq!(t.balance(&click.link.affiliate, "USD").await[1], "100.00");
}

async fn the_second_try_of_an_approval_or_refund_changes_nothing(db: Database) {
    let t = TestApp::start(db).await;
    let click = t.click().await;
    let source = subscription(&t).save().await;
    let report = async |status: &str, sale: &str, seconds| {
        t.advance(Duration::from_secs(seconds));
        source.report(&[("sub", &click.id), ("tid", "S-1"), ("st", status), ("sale", sale)]).await;
        text(&source.last().await, "outcome")
    };
    assert_eq!(report("pending", "5", 86_400).await, "accepted");
    for (seconds, outcome) in [(86_400, "accepted"), (60, "duplicate"), (3_600, "duplicate"), (10 * 3_600, "duplicate")]
    {
        assert_eq!(report("approved", "5", seconds).await, outcome);
    }
    assert_eq!(payments(&t, &click).await, [row("S-1", "approved", "12.50", 1)]);
    assert_eq!(report("approved", "5", 2 * 3_600).await, "accepted");
    // What is refunded in full is rejected, and only once.
    for seconds in [86_400, 3_600] {
        assert_eq!(report("approved", "-5", seconds).await, "accepted");
        let left = [row("S-1", "approved", "12.50", 1), row("S-1~2", "rejected", "12.50", 2)];
        assert_eq!(payments(&t, &click).await, left);
    }
    t.assert_books_balance().await;
}

async fn later_payments_belong_to_the_click_of_the_first_one_at_any_time(db: Database) {
    let t = TestApp::start(db).await;
    let offer = t.offer_with(json!({"attribution": {"window_days": 30, "click": "first"}})).await;
    let (first, other) = (t.affiliate().await, t.affiliate().await);
    let (link, other_link) = (t.link(&first, &offer).await, t.link(&other, &offer).await);
    let first_click = t.click_on(&link, "").await;
    t.tick();
    let named = t.click_on(&other_link, "").await;
    let source = subscription(&t).save().await;
    for days in [1, 20, 20] {
        t.advance(Duration::from_secs(days * 86_400));
        source.report(&[("sub", &named.id), ("tid", "S-1"), ("sum", "5")]).await;
        assert_outcome(&source.last().await, "accepted", "");
    }
    let found = payments(&t, &first_click).await;
    let ids: Vec<_> = found.iter().map(|it| it.0.as_str()).collect();
    assert_eq!(ids, ["S-1", "S-1~2", "S-1~3"]);
    assert_eq!(t.balance(&other, "USD").await, ["0.00"; 5]);
    t.advance(Duration::from_secs(86_400));
    source.report(&[("sub", &named.id), ("tid", "S-1"), ("st", "chargeback")]).await;
    assert_eq!(payments(&t, &first_click).await[2].1, "rejected");
}

async fn a_payment_that_a_rule_holds_does_not_take_the_next_one(db: Database) {
    let t = TestApp::start(db).await;
    let offer = t.offer_with(json!({"goals": [{"name": "sale"}]})).await;
    let click = t.click_on(&t.link(&t.affiliate().await, &offer).await, "").await;
    let source = subscription(&t).save().await;
    for _ in 0..2 {
        t.advance(Duration::from_secs(30 * 86_400));
        source.report(&[("sub", &click.id), ("tid", "S-1"), ("g", "renewal"), ("st", "approved")]).await;
    }
    assert_eq!(payments(&t, &click).await, [row("S-1", "pending", "12.50", 1), row("S-1~2", "pending", "12.50", 2)]);
}

async fn the_first_payment_may_have_been_reported_by_the_api(db: Database) {
    let t = TestApp::start(db).await;
    let click = t.click().await;
    t.conversion(&click).transaction("S-1").status("approved").send().await;
    let source = subscription(&t).save().await;
    for _ in 0..2 {
        t.advance(Duration::from_secs(30 * 86_400));
        source.report(&[("sub", &click.id), ("tid", "S-1"), ("sum", "5")]).await;
        assert_outcome(&source.last().await, "accepted", "");
    }
    let ids: Vec<_> = payments(&t, &click).await.into_iter().map(|it| it.0).collect();
    assert_eq!(ids, ["S-1", "S-1~2", "S-1~3"]);
}
