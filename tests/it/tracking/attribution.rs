//! Attribution: which evidence decides, and the effect of the program's rules.

use std::time::Duration;

use postrider_tests::app::{Affiliate, Click, Link, TestApp, click_id_in};
use postrider_tests::client::{Answer, text};
use postrider_tests::database::Database;
use postrider_tests::on_both_databases;
use reqwest::Method;
use serde_json::{Value, json};

on_both_databases!(
    the_strongest_evidence_decides_and_the_answer_says_so,
    an_affiliate_does_not_see_evidence_of_others,
    a_returning_customer_belongs_to_the_earlier_click,
    some_conversions_are_not_evidence_of_a_customer,
    after_the_window_nothing_is_recorded_and_nothing_is_lost,
    after_the_window_a_program_may_record_a_rejection,
    a_known_transaction_may_change_after_the_window,
    a_coupon_decides_if_the_click_is_too_old,
    the_first_click_of_a_visitor_counts_if_the_offer_says_so,
    the_last_click_of_a_visitor_counts_if_the_offer_says_so,
    nobody_earns_from_their_own_purchase,
    a_link_has_several_coupons_with_dates,
    a_coupon_belongs_to_one_link,
);

const DAY: Duration = Duration::from_secs(86_400);

async fn report(t: &TestApp, body: Value) -> Answer {
    let mut whole = json!({"transaction_id": format!("T-{}", t.unique()), "status": "approved", "amount": "49.00"});
    for (field, value) in body.as_object().expect("an object") {
        whole[field] = value.clone();
    }
    t.admin.post("/api/v1/conversions", &whole).await
}

/// A click of a visitor with this user agent.
async fn click_of(t: &TestApp, link: &Link, visitor: &str) -> Click {
    let client = t.anonymous();
    let answer = client.send(client.request(Method::GET, &link.path).header("user-agent", visitor)).await;
    assert_eq!(answer.status, 302, "{}", answer.text);
    t.tick();
    Click { id: click_id_in(&answer), link: link.clone() }
}

/// (evidence, verdict) of each piece, in order.
fn considered(conversion: &Value) -> Vec<(String, String)> {
    let items = conversion["attribution"]["considered"].as_array().cloned().unwrap_or_default();
    items.iter().map(|it| (text(it, "evidence"), text(it, "verdict"))).collect()
}

fn pairs(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
    pairs.iter().map(|(a, b)| ((*a).to_owned(), (*b).to_owned())).collect()
}

async fn the_strongest_evidence_decides_and_the_answer_says_so(db: Database) {
    let t = TestApp::start(db).await;
    let (one, two, three) = (t.affiliate().await, t.affiliate().await, t.affiliate().await);
    let offer = t.offer().await;
    let click = t.click_on(&t.link(&one, &offer).await, "").await;
    t.link_with(&three, &offer, json!({"coupon": "THREE"})).await;

    let all = json!({"click_id": click.id, "referral_code": two.referral_code, "coupon": "three"});
    let made = report(&t, all).await.expect(201);
    assert_eq!((text(&made, "affiliate_id"), text(&made, "attributed_by")), (one.id.clone(), "click".into()));
    let wanted = pairs(&[("click", "decided"), ("referral_code", "weaker"), ("coupon", "weaker")]);
    assert_eq!(considered(&made), wanted);
    let second = &made["attribution"]["considered"][1];
    assert_eq!((text(second, "value"), text(second, "affiliate_id")), (two.referral_code.clone(), two.id.clone()));
    assert!(!text(second, "sentence").is_empty());
    assert_eq!(t.admin.get(&format!("/api/v1/conversions/{}", text(&made, "id"))).await.expect(200), made);

    let made = report(&t, json!({"referral_code": two.referral_code, "coupon": "THREE"})).await.expect(201);
    assert_eq!((text(&made, "affiliate_id"), text(&made, "attributed_by")), (two.id, "referral_code".into()));
    assert_eq!(considered(&made), pairs(&[("referral_code", "decided"), ("coupon", "weaker")]));

    let made = report(&t, json!({"click_id": click.id, "referral_code": one.referral_code})).await.expect(201);
    assert_eq!(considered(&made), pairs(&[("click", "decided"), ("referral_code", "agrees")]));

    // Weaker evidence that is wrong is listed; the strongest evidence is never skipped.
    let made = report(&t, json!({"click_id": click.id, "coupon": "GONE"})).await.expect(201);
    assert_eq!(considered(&made), pairs(&[("click", "decided"), ("coupon", "unknown")]));
    let nobody = json!({"click_id": "0".repeat(26), "referral_code": one.referral_code});
    report(&t, nobody).await.expect_problem(422, "unknown_click");
    report(&t, json!({"referral_code": "AF00000", "coupon": "THREE"}))
        .await
        .expect_problem(422, "unknown_referral_code");

    // A single piece of evidence is not listed.
    let made = report(&t, json!({"click_id": click.id})).await.expect(201);
    assert_eq!(made["attribution"], Value::Null);
}

async fn an_affiliate_does_not_see_evidence_of_others(db: Database) {
    let t = TestApp::start(db).await;
    let (one, two) = (t.affiliate().await, t.affiliate().await);
    let offer = t.offer().await;
    let click = t.click_on(&t.link(&one, &offer).await, "").await;
    let body = json!({"click_id": click.id, "referral_code": two.referral_code, "customer_id": "C-1"});
    let made = report(&t, body).await.expect(201);

    let seen = one.client.get(&format!("/api/v1/conversions/{}", text(&made, "id"))).await.expect(200);
    assert_eq!(considered(&seen), pairs(&[("click", "decided")]));
    assert!(!seen.to_string().contains(&two.id) && !seen.to_string().contains(&two.referral_code), "{seen}");
}

async fn a_returning_customer_belongs_to_the_earlier_click(db: Database) {
    let t = TestApp::start(db).await;
    let (one, two) = (t.affiliate().await, t.affiliate().await);
    let offer = t.offer().await;
    let first = t.click_on(&t.link(&one, &offer).await, "").await;
    let second = t.click_on(&t.link(&two, &offer).await, "").await;

    report(&t, json!({"click_id": first.id, "customer_id": "C-1", "customer_email": "a@example.org"}))
        .await
        .expect(201);
    let again = report(&t, json!({"customer_id": "C-1"})).await.expect(201);
    let wanted = (one.id.clone(), "customer".into(), first.id.clone());
    assert_eq!((text(&again, "affiliate_id"), text(&again, "attributed_by"), text(&again, "click_id")), wanted);

    // Without an id, by e-mail address in any notation.
    report(&t, json!({"click_id": first.id, "customer_email": "Ada+shop@example.org"})).await.expect(201);
    let again = report(&t, json!({"customer_email": "ada@Example.org"})).await.expect(201);
    assert_eq!(text(&again, "click_id"), first.id);

    // The click of the latest purchase counts.
    t.tick();
    report(&t, json!({"click_id": second.id, "customer_id": "C-1"})).await.expect(201);
    t.tick();
    let again = report(&t, json!({"customer_id": "C-1"})).await.expect(201);
    assert_eq!(text(&again, "affiliate_id"), two.id);

    report(&t, json!({"customer_id": "C-2"})).await.expect_problem(422, "unknown_customer");
    report(&t, json!({"customer_email": "b@example.org"})).await.expect_problem(422, "unknown_customer");
    report(&t, json!({})).await.expect_problem(422, "attribution_missing");
}

async fn some_conversions_are_not_evidence_of_a_customer(db: Database) {
    let t = TestApp::start(db).await;
    let affiliate = t.affiliate().await;
    let (offer, other) = (t.offer().await, t.offer().await);
    let click = t.click_on(&t.link(&affiliate, &offer).await, "").await;

    let made = report(&t, json!({"click_id": click.id, "customer_id": "REJECTED"})).await.expect(201);
    t.reject(&text(&made, "id"), "fraud").await.expect(200);
    report(&t, json!({"customer_id": "REJECTED"})).await.expect_problem(422, "unknown_customer");

    report(&t, json!({"referral_code": affiliate.referral_code, "customer_id": "NO-CLICK"})).await.expect(201);
    report(&t, json!({"customer_id": "NO-CLICK"})).await.expect_problem(422, "unknown_customer");

    // Another offer is another advertiser, with its own customer ids.
    report(&t, json!({"click_id": click.id, "customer_id": "C-1"})).await.expect(201);
    report(&t, json!({"customer_id": "C-1", "offer_id": other})).await.expect_problem(422, "unknown_customer");

    // An affiliate's self-reported conversion does not make anybody its customer.
    let source = affiliate.client.list("/api/v1/sources").await.remove(0);
    let address = url::Url::parse(&text(&source, "url")).expect("an absolute URL");
    let seen = t.anonymous().get(&format!("{}?sessionId={}&amount=5.00", address.path(), click.id)).await;
    assert_eq!(seen.status, 200, "{}", seen.text);
    let stored = "SELECT count(*) FROM conversions WHERE self_reported AND customer_key IS NOT NULL";
    assert_eq!(t.database.number(stored).await, 0);
}

/// An offer with a window of 30 days, and a click on it.
async fn windowed(t: &TestApp, attribution: Value) -> (Affiliate, String, Click) {
    let mut terms = json!({"window_days": 30});
    for (field, value) in attribution.as_object().expect("an object") {
        terms[field] = value.clone();
    }
    let affiliate = t.affiliate().await;
    let offer = t.offer_with(json!({"attribution": terms})).await;
    let click = t.click_on(&t.link(&affiliate, &offer).await, "").await;
    (affiliate, offer, click)
}

async fn after_the_window_nothing_is_recorded_and_nothing_is_lost(db: Database) {
    let t = TestApp::start(db).await;
    let (_, _, click) = windowed(&t, json!({})).await;
    t.advance(30 * DAY);
    report(&t, json!({"click_id": click.id})).await.expect(201);

    t.advance(Duration::from_millis(1));
    let late = json!({"click_id": click.id, "transaction_id": "LATE"});
    let problem = report(&t, late.clone()).await.expect_problem(422, "outside_window");
    assert!(text(&problem, "detail").contains("30 × 24 hours"), "{problem}");
    assert_eq!(t.database.count("conversions").await, 1);

    // The time of the purchase decides.
    let mut in_time = late.clone();
    in_time["purchase_date"] = json!("2026-03-20T00:00:00Z");
    report(&t, in_time).await.expect(201);

    // A network gets the same answer, and can send the conversion again after the window was changed.
    let source = click.link.affiliate.client.list("/api/v1/sources").await.remove(0);
    assert!(text(&source, "id").starts_with("src_"));
    let path = format!("/api/v1/offers/{}", click.link.offer);
    t.admin.patch(&path, &json!({"attribution": {"window_days": 60}})).await.expect(200);
    report(&t, json!({"click_id": click.id, "transaction_id": "LATE-2"})).await.expect(201);
}

async fn after_the_window_a_program_may_record_a_rejection(db: Database) {
    let t = TestApp::start(db).await;
    let (_, _, click) = windowed(&t, json!({"outside_window": "reject"})).await;
    t.advance(31 * DAY);
    let body = json!({"click_id": click.id, "transaction_id": "LATE"});
    let made = report(&t, body.clone()).await.expect(201);
    assert_eq!(text(&made, "status"), "rejected");
    assert_eq!(text(&made, "rejection_reason"), "outside the attribution window");
    assert_eq!(text(&made["attribution"], "ruling"), "outside_window");
    assert_eq!(considered(&made), pairs(&[("click", "outside_window")]));

    // The same transaction again returns the same answer.
    assert_eq!(report(&t, body).await.expect(200), made);
    assert_eq!(t.database.count("earnings").await, 0);
}

async fn a_known_transaction_may_change_after_the_window(db: Database) {
    let t = TestApp::start(db).await;
    let (_, _, click) = windowed(&t, json!({})).await;
    let body = |status: &str| json!({"click_id": click.id, "transaction_id": "T", "status": status});
    report(&t, body("pending")).await.expect(201);
    t.advance(45 * DAY);
    let changed = report(&t, body("approved")).await.expect(200);
    assert_eq!((text(&changed, "status"), changed["revision"].clone()), ("approved".into(), json!(2)));
}

async fn a_coupon_decides_if_the_click_is_too_old(db: Database) {
    let t = TestApp::start(db).await;
    let (one, offer, click) = windowed(&t, json!({})).await;
    let two = t.affiliate().await;
    t.link_with(&two, &offer, json!({"coupon": "TWO"})).await;
    t.advance(31 * DAY);
    let made = report(&t, json!({"click_id": click.id, "coupon": "TWO"})).await.expect(201);
    assert_eq!((text(&made, "affiliate_id"), text(&made, "attributed_by")), (two.id, "coupon".into()));
    assert_eq!(considered(&made), pairs(&[("click", "outside_window"), ("coupon", "decided")]));
    assert_eq!(text(&made["attribution"]["considered"][0], "affiliate_id"), one.id);
    // There is no other evidence: the answer has the click's own error.
    report(&t, json!({"click_id": click.id, "coupon": "GONE"})).await.expect_problem(422, "outside_window");
}

async fn the_first_click_of_a_visitor_counts_if_the_offer_says_so(db: Database) {
    let t = TestApp::start(db).await;
    let (one, two) = (t.affiliate().await, t.affiliate().await);
    let offer = t.offer_with(json!({"attribution": {"click": "first", "window_days": 30}})).await;
    let (first, second) = (t.link(&one, &offer).await, t.link(&two, &offer).await);
    let early = click_of(&t, &first, "Ada's browser").await;
    t.advance(5 * DAY);
    let late = click_of(&t, &second, "Ada's browser").await;
    let other = click_of(&t, &second, "Bob's browser").await;

    let made = report(&t, json!({"click_id": late.id, "transaction_id": "A"})).await.expect(201);
    assert_eq!((text(&made, "affiliate_id"), text(&made, "click_id")), (one.id.clone(), early.id.clone()));
    assert_eq!(considered(&made), pairs(&[("click", "replaced"), ("click", "decided")]));
    let made = report(&t, json!({"click_id": other.id})).await.expect(201);
    assert_eq!(text(&made, "affiliate_id"), two.id, "another visitor");

    // A click before the window does not count as the first click.
    t.advance(26 * DAY);
    let made = report(&t, json!({"click_id": late.id})).await.expect(201);
    assert_eq!(text(&made, "affiliate_id"), two.id);
    // Attribution is final.
    let same = report(&t, json!({"click_id": late.id, "transaction_id": "A"})).await.expect(200);
    assert_eq!(text(&same, "affiliate_id"), one.id);
}

async fn the_last_click_of_a_visitor_counts_if_the_offer_says_so(db: Database) {
    let t = TestApp::start(db).await;
    let (one, two) = (t.affiliate().await, t.affiliate().await);
    let offer = t.offer_with(json!({"attribution": {"click": "last"}})).await;
    let early = click_of(&t, &t.link(&one, &offer).await, "Ada's browser").await;
    let bought = t.clock.now();
    t.advance(DAY);
    let late = click_of(&t, &t.link(&two, &offer).await, "Ada's browser").await;

    let made = report(&t, json!({"click_id": early.id, "customer_id": "ADA"})).await.expect(201);
    assert_eq!((text(&made, "affiliate_id"), text(&made, "click_id")), (two.id.clone(), late.id));
    let made = report(&t, json!({"customer_id": "ADA"})).await.expect(201);
    assert_eq!(text(&made, "affiliate_id"), two.id, "also for a customer who comes back");
    // A click after the purchase does not count.
    let told = json!({"click_id": early.id, "purchase_date": bought.to_string()});
    assert_eq!(text(&report(&t, told).await.expect(201), "affiliate_id"), one.id);

    // Offers that count the named click store no visitors.
    let plain = t.offer().await;
    click_of(&t, &t.link(&one, &plain).await, "Ada's browser").await;
    assert_eq!(t.database.number("SELECT count(*) FROM clicks WHERE person IS NOT NULL").await, 2);
}

async fn nobody_earns_from_their_own_purchase(db: Database) {
    let t = TestApp::start(db).await;
    let link = t.any_link().await;
    let affiliate = t.admin.get(&format!("/api/v1/affiliates/{}", link.affiliate.id)).await.expect(200);
    let (name, host) = text(&affiliate, "email").split_once('@').map(|(a, b)| (a.to_owned(), b.to_owned())).unwrap();
    let click = t.click_on(&link, "").await;
    let own = json!({"click_id": click.id, "transaction_id": "OWN",
        "customer_email": format!("{}+me@{}", name.to_uppercase(), host)});

    let made = report(&t, own.clone()).await.expect(201);
    assert_eq!(text(&made, "status"), "rejected");
    assert_eq!(text(&made, "rejection_reason"), "self-referral");
    assert_eq!(text(&made["attribution"], "ruling"), "self_referral");
    assert_eq!(report(&t, own.clone()).await.expect(200), made, "the same again is the same answer");
    assert_eq!(t.database.count("earnings").await, 0);

    let path = format!("/api/v1/offers/{}", link.offer);
    t.admin.patch(&path, &json!({"attribution": {"self_referral": "allow"}})).await.expect(200);
    let mut allowed = own;
    allowed["transaction_id"] = json!("ALLOWED");
    assert_eq!(text(&report(&t, allowed).await.expect(201), "status"), "approved");
}

async fn a_link_has_several_coupons_with_dates(db: Database) {
    let t = TestApp::start(db).await;
    let affiliate = t.affiliate().await;
    let offer = t.offer().await;
    let coupons = json!([
        {"code": "always"},
        {"code": "SPRING", "starts_at": "2026-03-20T00:00:00Z", "ends_at": "2026-04-01T00:00:00Z"},
    ]);
    let link = t.link_with(&affiliate, &offer, json!({"coupons": coupons})).await;
    let path = format!("/api/v1/links/{}", link.id);
    let shown = affiliate.client.get(&path).await.expect(200);
    assert_eq!((text(&shown, "coupon"), shown["coupons"].as_array().map(Vec::len)), ("ALWAYS".into(), Some(2)));

    report(&t, json!({"coupon": "always"})).await.expect(201);
    report(&t, json!({"coupon": "spring"})).await.expect_problem(422, "coupon_not_active");
    t.advance(10 * DAY);
    report(&t, json!({"coupon": "SPRING"})).await.expect(201);
    t.advance(20 * DAY);
    report(&t, json!({"coupon": "SPRING"})).await.expect_problem(422, "coupon_not_active");
    let told = json!({"coupon": "SPRING", "purchase_date": "2026-03-31T23:59:59Z"});
    report(&t, told).await.expect(201);

    // `coupon` is a short form for one; a list replaces all coupons.
    t.admin.patch(&path, &json!({"coupon": "ONE"})).await.expect(200);
    report(&t, json!({"coupon": "ALWAYS"})).await.expect_problem(422, "unknown_coupon");
    report(&t, json!({"coupon": "ONE"})).await.expect(201);
    let none = t.admin.patch(&path, &json!({"coupon": null})).await.expect(200);
    assert_eq!((&none["coupon"], none["coupons"].as_array().map(Vec::len)), (&Value::Null, Some(0)));

    // Only the program can grant discounts.
    affiliate.client.patch(&path, &json!({"coupon": "MINE"})).await.expect_problem(403, "forbidden");
}

async fn a_coupon_belongs_to_one_link(db: Database) {
    let t = TestApp::start(db).await;
    let (one, two) = (t.affiliate().await, t.affiliate().await);
    let offer = t.offer().await;
    let first = t.link_with(&one, &offer, json!({"coupon": "SALE"})).await;
    let second = t.link(&two, &offer).await;
    let path = format!("/api/v1/links/{}", second.id);
    t.admin.patch(&path, &json!({"coupon": "sale"})).await.expect_problem(409, "taken");
    for coupons in [
        json!([{"code": "A"}, {"code": "a"}]),
        json!([{"code": " "}]),
        json!([{"code": "n/a"}]),
        json!([{"code": "A", "starts_at": "2026-04-01T00:00:00Z", "ends_at": "2026-03-01T00:00:00Z"}]),
    ] {
        t.admin.patch(&path, &json!({"coupons": coupons})).await.expect_problem(422, "invalid_field");
    }
    // The same link can keep its coupons.
    let first = format!("/api/v1/links/{}", first.id);
    t.admin.patch(&first, &json!({"coupons": [{"code": "SALE"}, {"code": "MORE"}]})).await.expect(200);
    t.admin.patch(&first, &json!({"coupon": null})).await.expect(200);
    t.admin.patch(&path, &json!({"coupon": "SALE"})).await.expect(200);
}
