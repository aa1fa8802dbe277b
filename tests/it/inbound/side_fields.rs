//! The status decides: fields that change nothing never hold a notification up, and what it does not name stays.

use super::*;

on_both_databases!(
    a_rejection_needs_no_amounts_and_changes_none,
    what_cannot_be_read_is_left_out_and_named,
    amounts_without_a_currency_keep_the_currency_of_the_conversion,
    a_status_that_comes_late_is_accepted_and_changes_nothing,
    amounts_of_floats_are_rounded_and_large_ones_fit,
    a_partial_refund_lowers_the_sale_and_its_payout_once,
    a_total_of_refunds_replaces_the_one_before,
);

/// Status, amount of the sale, and payout of the only conversion of a click.
async fn sale_of(t: &TestApp, click: &Click) -> [String; 3] {
    let it = only_conversion(t, click).await;
    [text(&it, "status"), it["amount"].as_str().unwrap_or_default().to_owned(), text(&it["payout"], "amount")]
}

async fn a_rejection_needs_no_amounts_and_changes_none(db: Database) {
    let t = TestApp::start(db).await;
    let link = t.any_link().await;
    let source = source(&t).save().await;
    for (number, sum) in ["-12.50", "-12,50", "$-12.50", "0", "a lot", ""].into_iter().enumerate() {
        let (click, tid) = (t.click_on(&link, "").await, format!("T-{number}"));
        let sub = ("sub", click.id.as_str());
        source.report(&[sub, ("tid", &tid), ("sum", "12.50"), ("sale", "50")]).await;
        let rejection = [sub, ("tid", &tid), ("st", "rejected"), ("sum", sum), ("cur", "dollars"), ("at", "today")];
        assert_eq!(source.report(&rejection).await.status, 200, "{sum}");
        assert_eq!(sale_of(&t, &click).await, ["rejected", "50.00", "12.50"], "{sum}");
    }
    // A rejected sale that is not known needs none either, although the offer pays a percentage.
    let offer = t.offer_with(json!({"payout": {"percent": "30"}})).await;
    let click = t.click_on(&t.link(&t.affiliate().await, &offer).await, "").await;
    source.report(&[("sub", &click.id), ("tid", "T-X"), ("st", "rejected"), ("sale", "-9")]).await;
    assert_eq!(only_conversion(&t, &click).await["payout"], Value::Null);
    // By the API.
    let click = t.click_on(&link, "").await;
    let report = t.conversion(&click);
    report.try_send().await.expect(201);
    let rejected = report.clone().rejected("refund").set("amount", json!("0")).try_send().await.expect(200);
    assert_eq!((&rejected["status"], &rejected["amount"]), (&json!("rejected"), &json!("49.00")));
    t.assert_books_balance().await;
}

async fn what_cannot_be_read_is_left_out_and_named(db: Database) {
    let t = TestApp::start(db).await;
    let click = t.click().await;
    let mut source = source(&t);
    source.body["config"]["fields"]["rejection_reason"] = json!("why");
    let source = source.save().await;
    let sub = ("sub", click.id.as_str());
    source.report(&[sub, ("tid", "T-1"), ("sum", "5"), ("cur", "EUR"), ("at", "yesterday")]).await;
    let entry = source.last().await;
    assert_outcome(&entry, "accepted", "");
    assert_eq!(entry["flags"], json!(["left_out"]));
    assert_eq!(entry["items"][0]["notes"], json!(["occurred_at was left out: \"yesterday\" is not a time"]));

    // The currency of a known conversion is clear.
    t.tick();
    source.report(&[sub, ("tid", "T-1"), ("sum", "6"), ("cur", "euros")]).await;
    let entry = source.last().await;
    assert_eq!((&entry["reason_code"], &entry["flags"]), (&json!("corrected"), &json!(["left_out"])));
    assert_eq!(only_conversion(&t, &click).await["payout"], json!({"amount": "6.00", "currency": "EUR"}));

    t.tick();
    source.report(&[sub, ("tid", "T-1"), ("st", "rejected"), ("why", &"x".repeat(300))]).await;
    let entry = source.last().await;
    assert_eq!(entry["flags"], json!(["shortened"]), "{entry:#}");
    assert_eq!(text(&only_conversion(&t, &click).await, "rejection_reason"), "x".repeat(100));
}

async fn amounts_without_a_currency_keep_the_currency_of_the_conversion(db: Database) {
    let t = TestApp::start(db).await;
    let click = t.click().await;
    let source = source(&t).save().await;
    let sub = ("sub", click.id.as_str());
    source.report(&[sub, ("tid", "T-1"), ("st", "pending"), ("sum", "15"), ("sale", "100"), ("cur", "EUR")]).await;
    source.report(&[sub, ("tid", "T-1"), ("st", "approved"), ("sum", "16"), ("sale", "100")]).await;
    let it = only_conversion(&t, &click).await;
    assert_eq!((&it["payout"], &it["currency"]), (&json!({"amount": "16.00", "currency": "EUR"}), &json!("EUR")));
    assert_eq!(t.balance(&click.link.affiliate, "EUR").await[1], "16.00");
    // Minor units are those of that currency.
    source.patch(json!({"settings": {"amounts": {"unit": "minor"}}})).await.expect(200);
    let click = t.click().await;
    source.report(&[("sub", &click.id), ("tid", "T-2"), ("sum", "1500"), ("cur", "JPY")]).await;
    source.report(&[("sub", &click.id), ("tid", "T-2"), ("sum", "1600")]).await;
    assert_eq!(only_conversion(&t, &click).await["payout"], json!({"amount": "1600.00", "currency": "JPY"}));
    // By the API, too.
    let click = t.click().await;
    let report = t.conversion(&click).set("currency", json!("GBP"));
    report.try_send().await.expect(201);
    let corrected = report.set("currency", Value::Null).set("amount", json!("50")).try_send().await.expect(200);
    assert_eq!(corrected["currency"], "GBP");
}

async fn a_status_that_comes_late_is_accepted_and_changes_nothing(db: Database) {
    let t = TestApp::start(db).await;
    let click = t.click().await;
    let source = source(&t).save().await;
    let sub = ("sub", click.id.as_str());
    source.report(&[sub, ("tid", "T-1"), ("sum", "5")]).await;
    for status in ["approved", "rejected"] {
        t.tick();
        source.report(&[sub, ("tid", "T-1"), ("sum", "5"), ("st", status)]).await;
        t.tick();
        assert_eq!(source.report(&[sub, ("tid", "T-1"), ("sum", "9"), ("st", "pending")]).await.status, 200);
        assert_outcome(&source.last().await, "accepted", "status_kept");
        assert_eq!(sale_of(&t, &click).await, [status, "", "5.00"]);
    }
    // Another reason of a rejection changes nothing either.
    t.tick();
    assert_eq!(source.report(&[("tid", "T-1"), ("st", "rejected")]).await.status, 200);
    assert_outcome(&source.last().await, "duplicate", "duplicate");
}

async fn amounts_of_floats_are_rounded_and_large_ones_fit(db: Database) {
    let t = TestApp::start(db).await;
    let source = source(&t).save().await;
    for (number, (sum, currency, wanted, flags)) in [
        ("12.340000000000002", "USD", "12.34", json!(["rounded"])),
        ("0.0012345678", "USD", "0.001235", json!(["rounded"])),
        ("1500000000", "IDR", "1500000000.00", json!([])),
    ]
    .into_iter()
    .enumerate()
    {
        let click = t.click().await;
        t.tick();
        source.report(&[("sub", &click.id), ("tid", &format!("T-{number}")), ("sum", sum), ("cur", currency)]).await;
        assert_eq!(sale_of(&t, &click).await, ["approved", "", wanted]);
        assert_eq!(source.last().await["flags"], flags, "{sum}");
        t.balance(&click.link.affiliate, currency).await;
    }
    t.assert_books_balance().await;
}

async fn refundable(t: &TestApp) -> Click {
    let offer = t.offer_with(json!({"payout": {"percent": "20"}})).await;
    t.click_on(&t.link(&t.affiliate().await, &offer).await, "").await
}

async fn a_partial_refund_lowers_the_sale_and_its_payout_once(db: Database) {
    let t = TestApp::start(db).await;
    let click = refundable(&t).await;
    let source = source(&t).settings(json!({"commission_is": "revenue"})).save().await;
    let sub = ("sub", click.id.as_str());
    source.report(&[sub, ("tid", "T-0"), ("sale", "-5")]).await;
    assert_outcome(&source.last().await, "waiting", "refund_without_sale");
    source.report(&[sub, ("tid", "T-1"), ("sale", "100")]).await;
    assert_eq!(sale_of(&t, &click).await, ["approved", "100.00", "20.00"]);

    for (sale, left, payout) in [("-30", "70.00", "14.00"), ("-30.00", "40.00", "8.00"), ("-30", "40.00", "8.00")] {
        assert_eq!(source.report(&[sub, ("tid", "T-1"), ("sale", sale)]).await.status, 200);
        assert_eq!(sale_of(&t, &click).await, ["approved", left, payout], "{sale}");
        assert_eq!(t.balance(&click.link.affiliate, "USD").await[1], payout);
    }
    // The network repeats the whole amount: that is no correction.
    source.report(&[sub, ("tid", "T-1"), ("sale", "100")]).await;
    assert_eq!(sale_of(&t, &click).await, ["approved", "40.00", "8.00"]);
    // Nothing is left.
    source.report(&[sub, ("tid", "T-1"), ("sale", "-40")]).await;
    assert_eq!(sale_of(&t, &click).await, ["rejected", "40.00", "8.00"]);
    assert_eq!(only_conversion(&t, &click).await["rejection_reason"], "refund");
    assert_eq!(t.balance(&click.link.affiliate, "USD").await[1], "0.00");
    t.assert_books_balance().await;
}

async fn a_total_of_refunds_replaces_the_one_before(db: Database) {
    let t = TestApp::start(db).await;
    let click = refundable(&t).await;
    let report = t.conversion(&click).set("amount", json!("100"));
    report.try_send().await.expect(201);
    for (refunded, status, left, payout) in [
        ("30", "approved", "70.00", "14.00"),
        ("30", "approved", "70.00", "14.00"),
        ("45.50", "approved", "54.50", "10.90"),
        ("100", "rejected", "54.50", "10.90"),
    ] {
        let report = report.clone().set("amount", Value::Null).set("refunded_amount", json!(refunded));
        report.try_send().await.expect(200);
        assert_eq!(sale_of(&t, &click).await, [status, left, payout], "{refunded}");
    }
    t.assert_books_balance().await;
}
