//! Caps: an exact limit, even for conversions at the same time.

use std::time::Duration;

use postrider_tests::app::{Click, TestApp};
use postrider_tests::client::text;
use postrider_tests::database::Database;
use postrider_tests::on_both_databases;
use reqwest::Method;
use serde_json::{Value, json};

on_both_databases!(
    two_hundred_at_once_fill_a_cap_of_fifty,
    one_request_of_two_hundred_fills_a_cap_of_fifty,
    the_offer_determines_the_result_beyond_a_cap,
    a_later_request_does_not_undo_the_effect_of_a_cap,
    days_and_months_begin_in_the_zone_of_the_offer,
    each_affiliate_may_have_a_cap_of_its_own,
    a_goal_and_a_single_affiliate_may_have_caps,
    a_cap_of_payout_is_never_exceeded,
    only_conversions_that_count_reserve_the_cap,
    a_rejected_conversion_gives_its_place_back,
    a_rejected_conversion_may_keep_its_place,
    a_conversion_beyond_a_cap_is_counted_when_a_person_approves_it,
    a_correction_takes_its_place_under_a_cap,
    a_payout_in_another_currency_counts_at_the_stored_rate,
    a_lower_payout_in_another_currency_needs_no_rate,
    a_network_takes_a_rejection_back_only_if_there_is_room,
    an_approved_exception_is_corrected_within_the_cap,
);

async fn click_with(t: &TestApp, caps: Value) -> Click {
    let offer = t.offer_with(json!({"caps": caps})).await;
    let affiliate = t.affiliate().await;
    t.click_on(&t.link(&affiliate, &offer).await, "").await
}

fn total(conversions: u32) -> Value {
    json!({"limits": [{"period": "total", "conversions": conversions}]})
}

/// "approved", "rejected: over cap" …
async fn outcome(t: &TestApp, click: &Click) -> String {
    let made = t.conversion(click).try_send().await.expect(201);
    match made["rejection_reason"].as_str() {
        Some(reason) => format!("{}: {reason}", text(&made, "status")),
        None => text(&made, "status"),
    }
}

async fn count(t: &TestApp, status: &str) -> i64 {
    t.database.number(&format!("SELECT count(*) FROM conversions WHERE status = '{status}'")).await
}

async fn two_hundred_at_once_fill_a_cap_of_fifty(db: Database) {
    let t = TestApp::start(db).await;
    let click = click_with(&t, total(50)).await;
    let reports = (0..200).map(|_| t.conversion(&click));
    let reports: Vec<_> = reports.collect();
    let answers = futures::future::join_all(reports.iter().map(|report| report.try_send())).await;
    assert!(answers.iter().all(|answer| answer.status == 201));

    assert_eq!((count(&t, "approved").await, count(&t, "rejected").await), (50, 150));
    assert_eq!(t.database.count("earnings").await, 50, "exactly fifty are paid");
    assert_eq!(
        t.database.number("SELECT conversions FROM cap_counters").await,
        50,
        "nothing is counted that was refused"
    );
    // If the cap is raised, the next conversion fits.
    let path = format!("/api/v1/offers/{}", click.link.offer);
    t.admin.patch(&path, &json!({"caps": total(51)})).await.expect(200);
    assert_eq!(outcome(&t, &click).await, "approved");
    assert_eq!(outcome(&t, &click).await, "rejected: over cap");
}

async fn one_request_of_two_hundred_fills_a_cap_of_fifty(db: Database) {
    let t = TestApp::start(db).await;
    let click = click_with(&t, total(50)).await;
    // Each twice: an equal one in the same group makes no second reservation.
    let reports: Vec<Value> = (0..200)
        .map(|n| {
            json!({"click_id": click.id, "transaction_id": format!("T-{}", n / 2), "status": "approved", "amount": "1.00"})
        })
        .collect();
    let answer = t.admin.post("/api/v1/conversions", &json!(reports)).await.expect(200);
    let statuses: Vec<_> =
        answer["items"].as_array().unwrap().iter().map(|it| text(&it["conversion"], "status")).collect();
    let approved = statuses.iter().filter(|status| *status == "approved").count();
    assert_eq!(approved, 100, "fifty, each answered twice: {statuses:?}");
    assert!(statuses.chunks(2).all(|pair| pair[0] == pair[1]), "{statuses:?}");
    assert!(statuses[..100].iter().all(|status| status == "approved"), "in the order of the array: {statuses:?}");
    assert_eq!(t.database.count("earnings").await, 50);
}

async fn the_offer_determines_the_result_beyond_a_cap(db: Database) {
    let t = TestApp::start(db).await;
    for (over, status, payout) in
        [("reject", "rejected", "12.50"), ("hold", "pending", "12.50"), ("unpaid", "approved", "0.00")]
    {
        let mut caps = total(1);
        caps["over"] = json!(over);
        let click = click_with(&t, caps).await;
        assert_eq!(outcome(&t, &click).await, "approved");
        let earned = t.database.count("earnings").await;
        let made = t.conversion(&click).try_send().await.expect(201);
        assert_eq!(text(&made, "status"), status, "{over}");
        assert_eq!(text(&made["payout"], "amount"), payout, "{over}");
        assert_eq!(text(&made["attribution"], "ruling"), "over_cap", "{over}");
        assert_eq!(t.database.count("earnings").await, earned, "{over}: nobody earns beyond a cap");
    }
}

async fn a_later_request_does_not_undo_the_effect_of_a_cap(db: Database) {
    let t = TestApp::start(db).await;
    for over in ["reject", "hold", "unpaid"] {
        let mut caps = total(1);
        caps["over"] = json!(over);
        let click = click_with(&t, caps).await;
        outcome(&t, &click).await;
        let report = t.conversion(&click).set("payout", json!("7.00"));
        let made = report.try_send().await.expect(201);
        assert_eq!(report.try_send().await.expect(200), made, "{over}");

        let id = text(&made, "id");
        match over {
            "reject" => assert_eq!(text(&made, "status"), "rejected"),
            "hold" => assert_eq!(text(&made, "status"), "pending"),
            _ => assert_eq!(text(&made, "status"), "approved"),
        }
        // A person can approve it, and the same request does not undo that either.
        let approved = t.approve(&id).await.expect(200);
        assert_eq!(approved["status"], "approved");
        assert_eq!(report.try_send().await.expect(200), approved, "{over}");
    }
}

async fn a_rejected_conversion_gives_its_place_back(db: Database) {
    let t = TestApp::start(db).await;
    let caps = json!({"limits": [{"period": "day", "conversions": 2, "payout": "100.00"}]});
    let click = click_with(&t, caps).await;
    let counted = async || {
        let number = async |column: &str| t.database.number(&format!("SELECT {column} FROM cap_counters")).await;
        (number("conversions").await, number("payout_micros").await)
    };
    let (one, two) = (t.conversion(&click).send().await, t.conversion(&click).transaction("T-2"));
    two.send().await;
    assert_eq!(outcome(&t, &click).await, "rejected: over cap");
    t.reject(&one, "fraud").await.expect(200);
    t.reject(&one, "fraud").await.expect(200);
    assert_eq!(counted().await, (1, 12_500_000));
    two.clone().rejected("refund").try_send().await.expect(200);
    two.clone().rejected("refund").try_send().await.expect(200);
    assert_eq!(counted().await, (0, 0));
    assert_eq!(outcome(&t, &click).await, "approved");
    assert_eq!(outcome(&t, &click).await, "approved");
    assert_eq!(outcome(&t, &click).await, "rejected: over cap");
    t.approve(&one).await.expect(200);
    assert_eq!(counted().await, (3, 37_500_000), "a person may exceed the cap");
    // The place belongs to the day on which the conversion was recorded.
    t.advance(Duration::from_secs(86_400));
    t.reject(&one, "fraud").await.expect(200);
    assert_eq!(counted().await, (2, 25_000_000));
    // The counter of that day may be deleted by age.
    t.approve(&one).await.expect(200);
    t.database.execute("DELETE FROM cap_counters").await;
    t.reject(&one, "fraud").await.expect(200);
    assert_eq!(counted().await, (0, 0), "never below zero");
    t.assert_books_balance().await;
}

async fn a_conversion_beyond_a_cap_is_counted_when_a_person_approves_it(db: Database) {
    let t = TestApp::start(db).await;
    for over in ["reject", "hold"] {
        t.database.execute("DELETE FROM cap_counters").await;
        let click = click_with(&t, json!({"limits": [{"period": "total", "conversions": 1}], "over": over})).await;
        let counted = async || t.database.number("SELECT conversions FROM cap_counters").await;
        let first = t.conversion(&click).send().await;
        let beyond = t.conversion(&click).send().await;
        assert_eq!(counted().await, 1, "{over}");
        t.approve(&beyond).await.expect(200);
        assert_eq!(counted().await, 2, "{over}");
        t.reject(&first, "fraud").await.expect(200);
        assert_eq!(counted().await, 1, "{over}: the approved one has the place");
        assert_ne!(outcome(&t, &click).await, "approved");
    }
}

async fn a_correction_takes_its_place_under_a_cap(db: Database) {
    let t = TestApp::start(db).await;
    let caps = json!({"limits": [{"period": "total", "payout": "100"}]});
    let offer = t.offer_with(json!({"payout": {"percent": "50"}, "caps": caps})).await;
    let click = t.click_on(&t.link(&t.affiliate().await, &offer).await, "").await;
    let paid = || t.database.number("SELECT payout_micros FROM cap_counters");
    let send = async |report: &postrider_tests::app::NewConversion<'_>, amount: &str| {
        let answer = report.clone().set("amount", json!(amount)).try_send().await.json();
        (text(&answer, "amount"), text(&answer["payout"], "amount"), answer["attribution"]["ruling"].clone())
    };
    let (one, two) = (t.conversion(&click), t.conversion(&click));
    assert_eq!(send(&one, "0.10").await, ("0.10".into(), "0.05".into(), Value::Null));
    assert_eq!(send(&one, "120").await, ("120.00".into(), "60.00".into(), Value::Null));
    assert_eq!(paid().await, 60_000_000);
    assert_eq!(send(&two, "60").await.1, "30.00");
    // Of the sale, everything is stored but the payout for which there is no room.
    let ruling = json!("correction_over_cap");
    assert_eq!(send(&two, "100000").await, ("100000.00".into(), "30.00".into(), ruling.clone()));
    assert_eq!(send(&two, "100000").await.2, ruling, "a repetition");
    let stated = two.clone().set("payout", json!("5000")).set("amount", json!("100000"));
    assert_eq!(stated.try_send().await.expect(200)["payout"]["amount"], "30.00");
    assert_eq!((paid().await, t.balance(&click.link.affiliate, "USD").await[1].as_str()), (90_000_000, "90.00"));
    // A lower payout gives room for another.
    assert_eq!(send(&one, "20").await.1, "10.00");
    assert_eq!(paid().await, 40_000_000);
    assert_eq!(send(&two, "180").await, ("180.00".into(), "90.00".into(), Value::Null));
    assert_eq!(paid().await, 100_000_000);
    // With a higher cap, the same report fits.
    assert_eq!(send(&one, "60").await.1, "10.00");
    let caps = json!({"limits": [{"period": "total", "payout": "120"}]});
    t.admin.patch(&format!("/api/v1/offers/{offer}"), &json!({"caps": caps})).await.expect(200);
    assert_eq!(send(&one, "60").await, ("60.00".into(), "30.00".into(), Value::Null));
    assert_eq!(paid().await, 120_000_000);
    t.assert_books_balance().await;
}

async fn a_payout_in_another_currency_counts_at_the_stored_rate(db: Database) {
    let t = TestApp::start(db).await;
    let caps = json!({"limits": [{"period": "total", "payout": "100"}]});
    let offer = t.offer_with(json!({"payout": {"percent": "50"}, "caps": caps})).await;
    let click = t.click_on(&t.link(&t.affiliate().await, &offer).await, "").await;
    let report = || t.conversion(&click).set("currency", json!("EUR")).set("amount", json!("80"));
    let paid = || t.database.number("SELECT payout_micros FROM cap_counters");
    // Without a rate, nobody knows whether there is room.
    let held = report().try_send().await.expect(201);
    assert_eq!((&held["status"], &held["attribution"]["ruling"]), (&json!("pending"), &json!("no_exchange_rate")));
    let rate = json!({"from": "EUR", "to": "USD", "rate": "1.1"});
    t.admin.post("/api/v1/exchange-rates", &rate).await.expect(201);
    let first = report().try_send().await.expect(201);
    assert_eq!((&first["status"], paid().await), (&json!("approved"), 44_000_000));
    t.approve(&text(&held, "id")).await.expect(200);
    assert_eq!(paid().await, 88_000_000, "a person approved it, and now there is a rate");
    assert_eq!(report().try_send().await.expect(201)["rejection_reason"], "over cap");
    let rate = json!({"from": "EUR", "to": "USD", "rate": "2"});
    t.tick();
    t.admin.post("/api/v1/exchange-rates", &rate).await.expect(201);
    t.reject(&text(&first, "id"), "fraud").await.expect(200);
    assert_eq!(paid().await, 44_000_000, "it gives back what it took");
    // A limit of conversions needs no rate.
    let click = click_with(&t, total(1)).await;
    let report = t.conversion(&click).set("currency", json!("JPY")).set("payout", json!("500"));
    assert_eq!(report.try_send().await.expect(201)["status"], "approved");
}

async fn a_lower_payout_in_another_currency_needs_no_rate(db: Database) {
    let t = TestApp::start(db).await;
    let caps = json!({"limits": [{"period": "total", "payout": "100"}]});
    let offer = t.offer_with(json!({"payout": {"percent": "50"}, "caps": caps})).await;
    let click = t.click_on(&t.link(&t.affiliate().await, &offer).await, "").await;
    let report = t.conversion(&click).set("currency", json!("EUR")).set("amount", json!("100"));
    let held = text(&report.try_send().await.expect(201), "id");
    t.approve(&held).await.expect(200);
    let refunded = report.clone().set("refunded_amount", json!("50")).try_send().await.expect(200);
    assert_eq!(refunded["payout"]["amount"], "25.00");
    // What is counted keeps its rate, also after the rate changed.
    let add_rate = |rate: &str| {
        t.tick();
        t.admin.send(
            t.admin
                .request(Method::POST, "/api/v1/exchange-rates")
                .json(&json!({"from": "EUR", "to": "USD", "rate": rate})),
        )
    };
    add_rate("1").await.expect(201);
    let second = t.conversion(&click).set("currency", json!("EUR")).set("amount", json!("200"));
    assert_eq!(second.try_send().await.expect(201)["status"], "approved");
    add_rate("3").await.expect(201);
    let refunded = second.clone().set("refunded_amount", json!("100")).try_send().await.expect(200);
    assert_eq!((&refunded["payout"]["amount"], &refunded["attribution"]), (&json!("50.00"), &Value::Null));
    assert_eq!(t.database.number("SELECT payout_micros FROM cap_counters").await, 50_000_000);
}

async fn a_network_takes_a_rejection_back_only_if_there_is_room(db: Database) {
    let t = TestApp::start(db).await;
    let click = click_with(&t, total(1)).await;
    let source = json!({"name": "N", "adapter": "macro-url", "config": {
        "fields": {"click_id": "subid", "transaction_id": "tid", "status": "st"}},
        "settings": {"rejections": "reversible",
            "statuses": {"1": "approved", "2": {"status": "rejected", "reason": "fraud"}}}});
    let source = t.admin.post("/api/v1/sources", &source).await.expect(201);
    let url = text(&source, "url");
    let send = async |transaction: &str, status: &str| {
        let path = &url[url.find("/in/").expect("a path")..];
        t.anonymous().get(&format!("{path}?subid={}&tid={transaction}&st={status}", click.id)).await;
        t.deliver_all().await;
        let path = format!("/api/v1/conversions?transaction_id={transaction}");
        let shown = t.admin.list(&path).await[0].clone();
        shown["rejection_reason"].as_str().unwrap_or("approved").to_owned()
    };
    assert_eq!(send("N-1", "1").await, "approved");
    assert_eq!(send("N-1", "2").await, "fraud");
    assert_eq!(send("N-1", "1").await, "approved", "there is room");
    assert_eq!(send("N-1", "2").await, "fraud");
    assert_eq!(send("N-2", "1").await, "approved", "in the place of the first");
    assert_eq!(send("N-1", "1").await, "fraud", "only a person exceeds a cap");
    assert_eq!(send("N-2", "2").await, "fraud");
    assert_eq!(send("N-1", "1").await, "approved");
    assert_eq!(t.database.number("SELECT conversions FROM cap_counters").await, 1);
}

async fn an_approved_exception_is_corrected_within_the_cap(db: Database) {
    let t = TestApp::start(db).await;
    let caps = json!({"limits": [{"period": "total", "payout": "50"}]});
    let terms = json!({"payout": {"percent": "10"}, "caps": caps, "goals": [{"name": "sale"}]});
    let offer = t.offer_with(terms).await;
    let click = t.click_on(&t.link(&t.affiliate().await, &offer).await, "").await;
    let report = t.conversion(&click).set("goal", json!("other")).set("amount", json!("100"));
    let held = report.try_send().await.expect(201);
    assert_eq!(held["attribution"]["ruling"], "unknown_goal");
    t.approve(&text(&held, "id")).await.expect(200);
    let corrected = report.clone().set("amount", json!("900")).try_send().await.expect(200);
    assert_eq!(corrected["payout"]["amount"], "10.00");
    assert_eq!(corrected["attribution"]["ruling"], "correction_over_cap");
    // A correction back is no longer beyond the cap.
    let back = report.clone().set("amount", json!("100")).try_send().await.expect(200);
    assert_eq!(back["attribution"]["ruling"], "unknown_goal");
    report.clone().set("amount", json!("900")).try_send().await.expect(200);
    let caps = json!({"limits": [{"period": "total", "payout": "500"}]});
    t.admin.patch(&format!("/api/v1/offers/{offer}"), &json!({"caps": caps})).await.expect(200);
    let again = report.set("amount", json!("900")).try_send().await.expect(200);
    assert_eq!(again["payout"]["amount"], "90.00", "the same report, after the cap was raised");
}

async fn a_rejected_conversion_may_keep_its_place(db: Database) {
    let t = TestApp::start(db).await;
    let caps = json!({"limits": [{"period": "day", "conversions": 2, "payout": "100.00"}], "keep_rejected": true});
    let click = click_with(&t, caps).await;
    let counted = async || t.database.number("SELECT conversions FROM cap_counters").await;
    let rejected = t.conversion(&click).rejected("fraud").send().await;
    let kept = t.conversion(&click).send().await;
    assert_eq!(counted().await, 1);
    // Its day is the one on which it was recorded.
    t.advance(Duration::from_secs(86_400));
    for _ in 0..2 {
        t.approve(&rejected).await.expect(200);
        assert_eq!(counted().await, 2, "it keeps its place from now on");
        t.reject(&rejected, "fraud").await.expect(200);
    }
    t.reject(&kept, "refund").await.expect(200);
    t.approve(&kept).await.expect(200);
    assert_eq!(counted().await, 2);
    assert_eq!(t.database.number("SELECT payout_micros FROM cap_counters").await, 25_000_000);
    assert_eq!(outcome(&t, &click).await, "approved", "nothing was counted today");
    assert_eq!(outcome(&t, &click).await, "approved");
    assert_eq!(outcome(&t, &click).await, "rejected: over cap");
}

async fn days_and_months_begin_in_the_zone_of_the_offer(db: Database) {
    let t = TestApp::start(db).await;
    let hours = |hours: u64| Duration::from_secs(hours * 3_600);
    // It is 2026-03-10, 12:00 UTC; in this zone it is 22:00.
    let caps = json!({"time_zone": "+10:00",
        "limits": [{"period": "day", "conversions": 2}, {"period": "month", "conversions": 3}]});
    let click = click_with(&t, caps).await;
    assert_eq!(outcome(&t, &click).await, "approved");
    assert_eq!(outcome(&t, &click).await, "approved");
    assert_eq!(outcome(&t, &click).await, "rejected: over cap", "two a day");
    t.advance(hours(2));
    assert_eq!(outcome(&t, &click).await, "approved", "it is the 11th there");
    assert_eq!(outcome(&t, &click).await, "rejected: over cap", "three a month");
    t.advance(hours(24));
    assert_eq!(outcome(&t, &click).await, "rejected: over cap");
    // 2026-03-31, 14:00 UTC is the first of April in this zone.
    t.advance(hours(20 * 24));
    assert_eq!(outcome(&t, &click).await, "approved");
}

async fn each_affiliate_may_have_a_cap_of_its_own(db: Database) {
    let t = TestApp::start(db).await;
    let caps = json!({"limits": [
        {"per": "affiliate", "period": "total", "conversions": 2},
        {"per": "offer", "period": "total", "conversions": 3},
    ]});
    let one = click_with(&t, caps).await;
    let two = t.affiliate().await;
    let two = t.click_on(&t.link(&two, &one.link.offer).await, "").await;
    assert_eq!(outcome(&t, &one).await, "approved");
    assert_eq!(outcome(&t, &one).await, "approved");
    assert_eq!(outcome(&t, &one).await, "rejected: over cap");
    assert_eq!(outcome(&t, &two).await, "approved", "what one may not has nothing to do with the other");
    assert_eq!(outcome(&t, &two).await, "rejected: over cap", "three is what the offer takes");
    // An affiliate sees its own limits, not the program's budget.
    let path = format!("/api/v1/offers/{}", one.link.offer);
    let seen = one.link.affiliate.client.get(&path).await.expect(200);
    assert_eq!(seen["caps"]["limits"].as_array().map(Vec::len), Some(1));
}

async fn a_goal_and_a_single_affiliate_may_have_caps(db: Database) {
    let t = TestApp::start(db).await;
    let (star, other) = (t.affiliate().await, t.affiliate().await);
    let caps = json!({"limits": [
        {"period": "day", "goal": "trial", "conversions": 3},
        {"per": "affiliate", "period": "total", "conversions": 1},
        {"per": "affiliate", "affiliate_id": star.id, "period": "total", "conversions": 4},
    ]});
    let offer = t.offer_with(json!({"caps": caps})).await;
    let star_click = t.click_on(&t.link(&star, &offer).await, "").await;
    let other_click = t.click_on(&t.link(&other, &offer).await, "").await;
    let with_goal = async |click: &Click, goal: &str| {
        text(&t.conversion(click).set("goal", json!(goal)).try_send().await.expect(201), "status")
    };
    for _ in 0..3 {
        assert_eq!(with_goal(&star_click, "trial").await, "approved");
    }
    assert_eq!(with_goal(&star_click, "trial").await, "rejected", "three trials a day");
    assert_eq!(with_goal(&other_click, "trial").await, "rejected", "whoever brings them");
    assert_eq!(with_goal(&other_click, "sale").await, "approved", "another goal, and its one place");
    assert_eq!(outcome(&t, &other_click).await, "rejected: over cap");
    assert_eq!(outcome(&t, &star_click).await, "approved", "the fourth of its own four");
    assert_eq!(outcome(&t, &star_click).await, "rejected: over cap");

    // It does not see the limits of other affiliates.
    let seen = async |affiliate: &postrider_tests::app::Affiliate| -> Vec<Value> {
        let offer = affiliate.client.get(&format!("/api/v1/offers/{offer}")).await.expect(200);
        offer["caps"]["limits"].as_array().unwrap().iter().map(|it| it["conversions"].clone()).collect()
    };
    assert_eq!(seen(&star).await, [json!(4)]);
    assert_eq!(seen(&other).await, [json!(1)]);
    let path = format!("/api/v1/offers/{offer}");
    let wrong = json!({"caps": {"limits": [{"affiliate_id": star.id, "period": "day", "conversions": 1}]}});
    t.admin.patch(&path, &wrong).await.expect_problem(422, "invalid_field");
}

async fn a_cap_of_payout_is_never_exceeded(db: Database) {
    let t = TestApp::start(db).await;
    let click = click_with(&t, json!({"limits": [{"period": "total", "payout": "20.00"}]})).await;
    let paying = async |amount: &str| {
        text(&t.conversion(&click).set("payout", json!(amount)).try_send().await.expect(201), "status")
    };
    assert_eq!(paying("12.00").await, "approved");
    assert_eq!(paying("8.01").await, "rejected");
    assert_eq!(paying("8.00").await, "approved", "a smaller one still fits");
    assert_eq!(paying("0.01").await, "rejected");
    assert_eq!(t.database.number("SELECT payout_micros FROM cap_counters").await, 20_000_000);
}

async fn only_conversions_that_count_reserve_the_cap(db: Database) {
    let t = TestApp::start(db).await;
    let click = click_with(&t, total(1)).await;
    // None of these uses the cap: rejected conversions, self-reported ones, and invalid ones.
    t.conversion(&click).rejected("fraud").send().await;
    let source = click.link.affiliate.client.list("/api/v1/sources").await.remove(0);
    let address = url::Url::parse(&text(&source, "url")).expect("an absolute URL");
    let seen = t.anonymous().get(&format!("{}?sessionId={}&amount=5.00", address.path(), click.id)).await;
    assert_eq!(seen.status, 200, "{}", seen.text);
    t.conversion(&click).set("click_id", json!("0".repeat(26))).try_send().await.expect_problem(422, "unknown_click");
    assert_eq!(t.database.count("cap_counters").await, 0);

    let report = t.conversion(&click).status("pending");
    report.send().await;
    report.try_send().await.expect(200);
    report.clone().status("approved").try_send().await.expect(200);
    assert_eq!(t.database.number("SELECT conversions FROM cap_counters").await, 1);
    assert_eq!(outcome(&t, &click).await, "rejected: over cap");

    // An offer without caps counts nothing.
    let other = t.click().await;
    t.conversion(&other).send().await;
    assert_eq!(t.database.count("cap_counters").await, 1);
}
