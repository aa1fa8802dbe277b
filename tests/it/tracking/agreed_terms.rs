//! A conversion keeps the terms with which it was recorded, and a suspended affiliate gets no new ones by its codes.

use std::path::Path;
use std::time::Duration;

use postrider_tests::app::{Affiliate, Click, TestApp};
use postrider_tests::client::text;
use postrider_tests::database::Database;
use postrider_tests::on_both_databases;
use reqwest::Method;
use serde_json::{Value, json};

on_both_databases!(
    a_correction_pays_by_the_terms_of_its_conversion,
    a_payout_override_applies_to_later_conversions,
    a_stated_payout_stays_until_another_is_stated,
    revenue_follows_the_terms_of_its_conversion,
    a_commission_that_was_rounded_to_nothing_is_kept,
    commissions_of_an_approved_exception_are_kept_as_well,
    a_suspended_affiliate_gets_no_conversions_by_its_codes,
    a_suspended_affiliate_keeps_the_conversions_of_its_clicks,
    hold_and_commissions_are_agreed_at_the_first_approval,
    a_suspended_parent_affiliate_gets_no_new_commissions,
    a_known_transaction_keeps_its_affiliate,
);

/// The tables of the guide: what, when, and the test that holds it true.
const WHICH_TERMS: [(&str, &str, &str); 11] = [
    (
        "affiliate, link and offer",
        "when it was recorded",
        "tracking/agreed_terms::a_known_transaction_keeps_its_affiliate",
    ),
    (
        "payout and revenue: fixed, percent or stated",
        "when it was recorded, also for corrections",
        "tracking/agreed_terms::a_correction_pays_by_the_terms_of_its_conversion",
    ),
    (
        "payout override",
        "when it was recorded",
        "tracking/agreed_terms::a_payout_override_applies_to_later_conversions",
    ),
    (
        "recurring payouts",
        "when each payment was recorded",
        "program/recurring::the_terms_of_later_payments_can_be_changed_and_are_checked",
    ),
    (
        "exchange rate of a payout under a cap",
        "when it was counted",
        "program/caps::a_payout_in_another_currency_counts_at_the_stored_rate",
    ),
    (
        "limits of a cap",
        "when it is recorded or its payout corrected",
        "program/caps::a_correction_takes_its_place_under_a_cap",
    ),
    (
        "attribution window",
        "when it is recorded, by the time of the purchase",
        "tracking/attribution::a_known_transaction_may_change_after_the_window",
    ),
    (
        "hold (`hold_days`)",
        "when it is approved or its payout raised, for that part",
        "tracking/agreed_terms::hold_and_commissions_are_agreed_at_the_first_approval",
    ),
    (
        "second-tier commissions: parent affiliates, shares, who pays",
        "when it was approved for the first time",
        "tracking/agreed_terms::hold_and_commissions_are_agreed_at_the_first_approval",
    ),
    (
        "suspension of the affiliate",
        "when it is recorded by a code or coupon",
        "tracking/agreed_terms::a_suspended_affiliate_gets_no_conversions_by_its_codes",
    ),
    (
        "suspension of a parent affiliate",
        "when it was approved for the first time",
        "tracking/agreed_terms::a_suspended_parent_affiliate_gets_no_new_commissions",
    ),
];

#[test]
fn the_guide_says_which_terms_apply_when() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let guide = std::fs::read_to_string(root.join("../docs/attribution.md")).expect("the guide is there");
    let (_, chapter) = guide.split_once("## Which terms apply when").expect("the chapter is there");
    let (chapter, _) = chapter.split_once("\n## ").expect("another chapter follows");
    let rows: Vec<_> = chapter.lines().filter(|line| line.starts_with("| ")).skip(1).collect();
    let tested: Vec<_> = WHICH_TERMS.iter().map(|(what, when, _)| format!("| {what} | {when} |")).collect();
    assert_eq!(rows, tested);
    for (_, _, test) in WHICH_TERMS {
        let (file, name) = test.split_once("::").expect("a path and a name");
        let source = std::fs::read_to_string(root.join(format!("it/{file}.rs"))).expect("the file is there");
        assert!(source.contains(&format!("async fn {name}(")), "{test}");
    }
}

async fn click_with(t: &TestApp, terms: Value) -> Click {
    let offer = t.offer_with(terms).await;
    t.click_on(&t.link(&t.affiliate().await, &offer).await, "").await
}

async fn change_offer(t: &TestApp, click: &Click, terms: Value) {
    t.admin.patch(&format!("/api/v1/offers/{}", click.link.offer), &terms).await.expect(200);
}

async fn a_correction_pays_by_the_terms_of_its_conversion(db: Database) {
    let t = TestApp::start(db).await;
    let (fixed, percent) = (|it: &str| json!({"fixed": it}), |it: &str| json!({"percent": it}));
    // The terms when it is recorded, and later; its amount, and the corrected amounts; its payout after each.
    for (before, later, amounts, payouts) in [
        (fixed("10"), percent("5"), ["100", "200", "100"], ["10.00", "10.00", "10.00"]),
        (percent("50"), fixed("4"), ["100", "20", "0"], ["50.00", "10.00", "0.00"]),
        (percent("10"), percent("12"), ["100", "0", "100"], ["10.00", "0.00", "10.00"]),
        (percent("10"), percent("12"), ["0", "100", "200"], ["0.00", "10.00", "20.00"]),
        (percent("33.333333"), percent("30"), ["100", "0.01", "100"], ["33.33", "0.00", "33.33"]),
    ] {
        let click = click_with(&t, json!({"payout": before})).await;
        let report = t.conversion(&click);
        let paid = async |amount: &str| {
            let answer = report.clone().set("amount", json!(amount)).try_send().await;
            assert!(matches!(answer.status, 200 | 201), "{}", answer.text);
            text(&answer.json()["payout"], "amount")
        };
        let mut shown = vec![paid(amounts[0]).await];
        change_offer(&t, &click, json!({"payout": later})).await;
        shown.extend([paid(amounts[1]).await, paid(amounts[2]).await]);
        assert_eq!(shown, payouts, "{before} and later {later}: {amounts:?}");
        assert_eq!(t.balance(&click.link.affiliate, "USD").await[1], payouts[2]);
    }
    t.assert_books_balance().await;
}

async fn a_payout_override_applies_to_later_conversions(db: Database) {
    let t = TestApp::start(db).await;
    let click = click_with(&t, json!({"payout": {"fixed": "10"}})).await;
    let (first, second) = (t.conversion(&click), t.conversion(&click));
    first.send().await;
    let path = format!("/api/v1/offers/{}/payout-overrides", click.link.offer);
    let payout_override = json!({"affiliate_id": click.link.affiliate.id, "payout": {"percent": "5"}});
    t.admin.post(&path, &payout_override).await.expect(200);
    let corrected = first.set("amount", json!("200")).try_send().await.expect(200);
    assert_eq!(corrected["payout"]["amount"], "10.00");
    let new = second.clone().set("amount", json!("200")).try_send().await.expect(201);
    assert_eq!(new["payout"]["amount"], "10.00", "5 % of 200");
    let corrected = second.set("amount", json!("300")).try_send().await.expect(200);
    assert_eq!(corrected["payout"]["amount"], "15.00");
}

async fn a_stated_payout_stays_until_another_is_stated(db: Database) {
    let t = TestApp::start(db).await;
    let click = click_with(&t, json!({"payout": {"percent": "10"}})).await;
    let stated = t.conversion(&click).set("amount", json!("100")).set("payout", json!("7"));
    stated.send().await;
    let payout = async |answer: Value| text(&answer["payout"], "amount");
    let plain = stated.clone().set("payout", Value::Null);
    let corrected = plain.clone().set("amount", json!("200")).try_send().await.expect(200);
    assert_eq!(payout(corrected).await, "7.00", "a report stated it");
    let refunded = plain.set("refunded_amount", json!("100")).set("amount", json!("200")).try_send().await.expect(200);
    assert_eq!(payout(refunded).await, "3.50", "half of the sale was refunded");
    let replaced = stated.clone().set("payout", Value::Null).set("amount", json!("120")).try_send().await.expect(200);
    assert_eq!(payout(replaced).await, "7.00", "another amount replaces the refund");

    let followed = t.conversion(&click).set("amount", json!("100"));
    followed.send().await;
    // A network that repeats the payout of the offer states nothing else.
    let repeated = followed.clone().set("amount", json!("200")).set("payout", json!("20")).try_send().await.expect(200);
    assert_eq!(payout(repeated).await, "20.00");
    let corrected = followed.clone().set("amount", json!("300")).try_send().await.expect(200);
    assert_eq!(payout(corrected).await, "30.00", "still 10 %");
    followed.clone().set("payout", json!("1")).try_send().await.expect(200);
    let corrected = followed.set("amount", json!("400")).try_send().await.expect(200);
    assert_eq!(payout(corrected).await, "1.00");
}

async fn revenue_follows_the_terms_of_its_conversion(db: Database) {
    let t = TestApp::start(db).await;
    let click = click_with(&t, json!({"payout": {"fixed": "1"}, "revenue": {"percent": "20"}})).await;
    let report = t.conversion(&click).set("amount", json!("100"));
    report.send().await;
    change_offer(&t, &click, json!({"revenue": {"fixed": "50"}})).await;
    let corrected = report.set("amount", json!("200")).try_send().await.expect(200);
    assert_eq!(corrected["revenue"]["amount"], "40.00");

    let click = click_with(&t, json!({"payout": {"fixed": "1"}, "revenue": null})).await;
    let report = t.conversion(&click).set("amount", json!("100"));
    report.send().await;
    change_offer(&t, &click, json!({"revenue": {"percent": "20"}})).await;
    let corrected = report.set("amount", json!("200")).try_send().await.expect(200);
    assert_eq!(corrected["revenue"], Value::Null, "none was agreed");
}

async fn a_commission_that_was_rounded_to_nothing_is_kept(db: Database) {
    let t = TestApp::start(db).await;
    change_tiers(&t, json!(["10"])).await;
    let click = click_with(&t, json!({"payout": {"percent": "100"}})).await;
    let parent = t.affiliate().await;
    change_affiliate(&t, &click.link.affiliate, json!({"parent_affiliate": parent.id})).await;
    let report = t.conversion(&click).set("amount", json!("0.000001"));
    report.send().await;
    assert_eq!(t.balance(&parent, "USD").await, ["0.00"; 5], "10 % of a millionth");
    change_tiers(&t, json!(["50"])).await;
    report.set("amount", json!("100")).try_send().await.expect(200);
    assert_eq!(t.balance(&parent, "USD").await[1], "10.00", "10 % were agreed");
    assert_eq!(t.balance(&click.link.affiliate, "USD").await[1], "100.00");
}

async fn commissions_of_an_approved_exception_are_kept_as_well(db: Database) {
    let t = TestApp::start(db).await;
    let settings = json!({"tiers": ["10"], "paid_from": "sub_affiliate"});
    t.admin.send(t.admin.request(Method::PUT, "/api/v1/settings/sub-affiliates").json(&settings)).await.expect(200);
    let click = click_with(&t, json!({"payout": {"fixed": "20"}})).await;
    let parent = t.affiliate().await;
    change_affiliate(&t, &click.link.affiliate, json!({"parent_affiliate": parent.id})).await;
    let rejected = t.conversion(&click).rejected("fraud").try_send().await.expect(201);
    assert_eq!(rejected["net_payout"]["amount"], "20.00", "nothing is agreed yet");
    let approved = t.approve(&text(&rejected, "id")).await.expect(200);
    assert_eq!(approved["net_payout"]["amount"], "18.00");
    assert_eq!(t.balance(&click.link.affiliate, "USD").await[1], "18.00");
}

async fn change_affiliate(t: &TestApp, affiliate: &Affiliate, change: Value) {
    t.admin.patch(&format!("/api/v1/affiliates/{}", affiliate.id), &change).await.expect(200);
}

async fn change_tiers(t: &TestApp, tiers: Value) {
    let settings = t.admin.request(Method::PUT, "/api/v1/settings/sub-affiliates").json(&json!({"tiers": tiers}));
    t.admin.send(settings).await.expect(200);
}

async fn hold_and_commissions_are_agreed_at_the_first_approval(db: Database) {
    let t = TestApp::start(db).await;
    let click = click_with(&t, json!({"payout": {"percent": "10"}, "hold_days": 1})).await;
    let [first, second] = [t.affiliate().await, t.affiliate().await];
    change_tiers(&t, json!(["10"])).await;
    change_affiliate(&t, &click.link.affiliate, json!({"parent_affiliate": first.id})).await;
    let report = t.conversion(&click).status("pending").set("amount", json!("100"));
    let id = report.send().await;
    // Between the report and its approval.
    change_tiers(&t, json!(["50"])).await;
    change_affiliate(&t, &click.link.affiliate, json!({"parent_affiliate": second.id})).await;
    change_offer(&t, &click, json!({"hold_days": 3})).await;
    t.approve(&id).await.expect(200);
    // Between the approval and a correction.
    change_tiers(&t, json!(["10"])).await;
    change_affiliate(&t, &click.link.affiliate, json!({"parent_affiliate": first.id})).await;
    change_offer(&t, &click, json!({"hold_days": 7})).await;
    t.advance(Duration::from_secs(86_400));
    report.status("approved").set("amount", json!("300")).try_send().await.expect(200);
    assert_eq!(t.balance(&first, "USD").await, ["0.00"; 5]);
    for (days, affiliate, parent) in
        [(0, ["30.00", "0.00"], ["15.00", "0.00"]), (2, ["20.00", "10.00"], ["10.00", "5.00"])]
    {
        t.advance(Duration::from_secs(86_400 * days));
        t.deliver_all().await;
        assert_eq!(t.balance(&click.link.affiliate, "USD").await[..2], affiliate, "after {days} days");
        assert_eq!(t.balance(&second, "USD").await[..2], parent, "after {days} days");
    }
    t.assert_books_balance().await;
}

async fn a_suspended_parent_affiliate_gets_no_new_commissions(db: Database) {
    let t = TestApp::start(db).await;
    let click = t.click().await;
    let parent = t.affiliate().await;
    change_tiers(&t, json!(["10"])).await;
    change_affiliate(&t, &click.link.affiliate, json!({"parent_affiliate": parent.id})).await;
    let before = t.conversion(&click).set("payout", json!("100"));
    before.send().await;
    change_affiliate(&t, &parent, json!({"status": "suspended"})).await;
    t.conversion(&click).set("payout", json!("100")).send().await;
    assert_eq!(t.balance(&parent, "USD").await[1], "10.00", "that from before");
    before.set("payout", json!("200")).try_send().await.expect(200);
    assert_eq!(t.balance(&parent, "USD").await[1], "20.00", "as it was agreed");
}

async fn a_known_transaction_keeps_its_affiliate(db: Database) {
    let t = TestApp::start(db).await;
    let (click, other) = (t.click().await, t.affiliate().await);
    t.conversion(&click).transaction("T-1").send().await;
    let claim = json!({"transaction_id": "T-1", "offer_id": click.link.offer, "referral_code": other.referral_code,
        "status": "approved", "amount": "60"});
    let answer = t.admin.post("/api/v1/conversions", &claim).await.expect(200);
    assert_eq!(answer["affiliate_id"], json!(click.link.affiliate.id));
    assert_eq!(answer["link_id"], json!(click.link.id));
}

async fn suspend(t: &TestApp, click: &Click) {
    change_affiliate(t, &click.link.affiliate, json!({"status": "suspended"})).await;
}

async fn a_suspended_affiliate_gets_no_conversions_by_its_codes(db: Database) {
    let t = TestApp::start(db).await;
    let (offer, affiliate) = (t.offer().await, t.affiliate().await);
    let link = t.link_with(&affiliate, &offer, json!({"coupon": "SPRING"})).await;
    let click = t.click_on(&link, "").await;
    let report = async |transaction: &str, evidence: Value| {
        let mut body = json!({"transaction_id": transaction, "status": "approved", "amount": "10", "offer_id": offer});
        body.as_object_mut().expect("an object").extend(evidence.as_object().expect("an object").clone());
        t.admin.post("/api/v1/conversions", &body).await
    };
    report("T-1", json!({"coupon": "SPRING"})).await.expect(201);
    suspend(&t, &click).await;
    for evidence in [json!({"coupon": "SPRING"}), json!({"referral_code": affiliate.referral_code})] {
        report("T-2", evidence.clone()).await.expect_problem(422, "not_admitted");
    }
    // Other evidence decides, and a known transaction is changed.
    let other = t.affiliate().await;
    t.link_with(&other, &offer, json!({"coupon": "OTHER"})).await;
    let evidence = json!({"referral_code": affiliate.referral_code, "coupon": "OTHER"});
    let by_other = report("T-3", evidence).await.expect(201);
    assert_eq!(by_other["affiliate_id"], json!(other.id));
    // Another goal of a known transaction is a new conversion, also if the report has no evidence.
    report("T-1", json!({"goal": "upsell"})).await.expect_problem(422, "not_admitted");
    let known = json!({"coupon": "SPRING", "status": "rejected", "reason": "refund"});
    assert_eq!(report("T-1", known).await.expect(200)["status"], "rejected");
    assert_eq!(t.balance(&affiliate, "USD").await, ["0.00"; 5]);
}

async fn a_suspended_affiliate_keeps_the_conversions_of_its_clicks(db: Database) {
    let t = TestApp::start(db).await;
    let click = t.click().await;
    suspend(&t, &click).await;
    t.conversion(&click).send().await;
    assert_eq!(t.balance(&click.link.affiliate, "USD").await[1], "12.50");
}
