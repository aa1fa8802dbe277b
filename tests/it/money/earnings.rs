//! What affiliates earn: holds, reversals, debts, corrections, commissions, adjustments, statements.

use std::time::Duration;

use futures::future::join_all;
use postrider_tests::app::{Affiliate, Click, TestApp};
use postrider_tests::client::{Answer, text};
use postrider_tests::database::Database;
use postrider_tests::on_both_databases;
use postrider_tests::process::Installation;
use postrider_tests::wait::eventually;
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use reqwest::Method;
use serde_json::{Value, json};

on_both_databases!(
    an_earning_is_pending_until_the_millisecond_its_hold_ends,
    without_a_hold_it_is_available_at_once,
    a_rejection_reverses_pending_and_available_earnings,
    a_reversal_of_used_money_becomes_a_debt_that_releases_settle_first,
    a_correction_moves_the_difference,
    a_correction_of_a_rejected_conversion_moves_no_money,
    a_rejected_conversion_is_approved_again_any_number_of_times,
    money_that_was_used_is_owed_again_after_a_debt,
    a_correction_in_another_currency_never_mixes,
    a_postback_is_sent_for_available_earnings,
    a_release_undone_by_a_crash_is_sent_once,
    parent_affiliates_get_their_commissions_and_lose_them_with_the_conversion,
    commissions_can_be_paid_from_the_sub_affiliates_payout,
    sub_affiliates_form_no_circle,
    a_parent_affiliate_sees_its_sub_affiliates_and_their_commissions,
    an_adjustment_has_a_reason_and_counts_once,
    a_statement_runs_from_opening_to_closing,
    currencies_are_exchanged_only_at_a_stored_rate,
    exchanges_are_listed_newest_first_and_an_affiliate_sees_its_own,
    an_affiliate_sees_only_its_own_money,
    random_histories_keep_the_ledger_consistent,
    several_processes_release_each_earning_once,
);

const DAY: Duration = Duration::from_secs(86_400);

async fn click_with_hold(t: &TestApp, days: u32) -> Click {
    let (affiliate, offer) = (t.affiliate().await, t.offer_with(json!({"hold_days": days})).await);
    t.click_on(&t.link(&affiliate, &offer).await, "").await
}

async fn adjust(t: &TestApp, affiliate: &Affiliate, amount: &str) -> Answer {
    let body = json!({"affiliate_id": affiliate.id, "amount": amount, "currency": "USD", "reason": "by hand"});
    t.admin.post("/api/v1/adjustments", &body).await
}

async fn put(t: &TestApp, path: &str, body: &Value) -> Answer {
    t.admin.send(t.admin.request(Method::PUT, path).json(body)).await
}

async fn an_earning_is_pending_until_the_millisecond_its_hold_ends(db: Database) {
    let t = TestApp::start(db).await;
    let click = click_with_hold(&t, 30).await;
    let id = t.conversion(&click).send().await;
    assert_eq!(t.balance(&click.link.affiliate, "USD").await, ["12.50", "0.00", "0.00", "0.00", "0.00"]);

    t.advance(30 * DAY - Duration::from_millis(1));
    assert_eq!(t.balance(&click.link.affiliate, "USD").await[0], "12.50");
    t.tick();
    assert_eq!(t.balance(&click.link.affiliate, "USD").await, ["0.00", "12.50", "0.00", "0.00", "0.00"]);

    let earnings = t.admin.list(&format!("/api/v1/earnings?conversion_id={id}")).await;
    assert_eq!(earnings.len(), 1);
    assert_eq!((&earnings[0]["kind"], &earnings[0]["status"]), (&json!("payout"), &json!("available")));
    assert_eq!(earnings[0]["released_at"], earnings[0]["release_at"]);
    t.assert_books_balance().await;
}

async fn without_a_hold_it_is_available_at_once(db: Database) {
    let t = TestApp::start(db).await;
    let click = t.click().await;
    for _ in 0..3 {
        t.conversion(&click).send().await;
    }
    assert_eq!(t.balance(&click.link.affiliate, "USD").await[1], "37.50");
    t.assert_books_balance().await;
}

async fn a_rejection_reverses_pending_and_available_earnings(db: Database) {
    let t = TestApp::start(db).await;
    let click = click_with_hold(&t, 1).await;
    let (first, second) = (t.conversion(&click).send().await, t.conversion(&click).send().await);
    t.reject(&first, "fraud").await.expect(200);
    assert_eq!(t.balance(&click.link.affiliate, "USD").await[0], "12.50");
    t.advance(DAY);
    assert_eq!(t.balance(&click.link.affiliate, "USD").await[1], "12.50");
    t.reject(&second, "fraud").await.expect(200);
    assert_eq!(t.balance(&click.link.affiliate, "USD").await, ["0.00"; 5]);
    let reversed = t.admin.list("/api/v1/earnings?status=reversed").await;
    assert_eq!(reversed.len(), 2);
    assert_eq!(reversed[0]["left"], "0.00");
    t.assert_books_balance().await;
}

async fn a_reversal_of_used_money_becomes_a_debt_that_releases_settle_first(db: Database) {
    let t = TestApp::start(db).await;
    let click = t.click().await;
    let affiliate = &click.link.affiliate;
    let used = t.conversion(&click).send().await;
    t.deliver_all().await;
    // Reserves the balance, as a withdrawal does.
    adjust(&t, affiliate, "-10.00").await.expect(201);
    t.reject(&used, "chargeback").await.expect(200);
    assert_eq!(t.balance(affiliate, "USD").await, ["0.00", "0.00", "0.00", "0.00", "10.00"]);

    t.conversion(&click).set("payout", json!("4.00")).send().await;
    assert_eq!(t.balance(affiliate, "USD").await, ["0.00", "0.00", "0.00", "0.00", "6.00"]);
    t.conversion(&click).set("payout", json!("7.50")).send().await;
    assert_eq!(t.balance(affiliate, "USD").await, ["0.00", "1.50", "0.00", "0.00", "0.00"]);
    t.assert_books_balance().await;
}

async fn a_correction_moves_the_difference(db: Database) {
    let t = TestApp::start(db).await;
    let affiliate = t.affiliate().await;
    let offer = t.offer_with(json!({"payout": {"percent": "30"}, "hold_days": 1})).await;
    let click = t.click_on(&t.link(&affiliate, &offer).await, "").await;
    let report = t.conversion(&click).set("amount", json!("100.00")).set("revenue", json!("50.00"));
    let first = report.try_send().await.expect(201);
    assert_eq!(report.try_send().await.expect(200), first, "an equal report changes nothing");

    t.tick();
    let more = report.clone().set("amount", json!("120.00")).try_send().await.expect(200);
    assert_eq!((&more["revision"], &more["amount"]), (&json!(2), &json!("120.00")));
    assert_eq!(more["payout"]["amount"], "36.00", "the share follows its sale");
    assert_eq!(more["revenue"]["amount"], "50.00", "what is not named stays");
    assert_eq!(t.balance(&affiliate, "USD").await[0], "36.00");

    t.advance(DAY);
    assert_eq!(t.balance(&affiliate, "USD").await[..2], ["0.00", "36.00"]);
    let less = report.clone().set("amount", json!("10.00")).try_send().await.expect(200);
    assert_eq!(less["revision"], 3);
    assert_eq!(t.balance(&affiliate, "USD").await[..2], ["0.00", "3.00"]);

    let by_hand =
        report.clone().set("amount", json!("10.00")).set("payout", json!("5.00")).try_send().await.expect(200);
    assert_eq!(by_hand["payout"]["amount"], "5.00");
    assert_eq!(t.balance(&affiliate, "USD").await[..2], ["2.00", "3.00"], "the new part has a hold of its own");

    let events = t.admin.list(&format!("/api/v1/events?conversion_id={}", text(&first, "id"))).await;
    assert_eq!(events.len(), 4, "each revision tells its postbacks");
    t.reject(&text(&first, "id"), "refund").await.expect(200);
    assert_eq!(t.balance(&affiliate, "USD").await, ["0.00"; 5]);
    t.assert_books_balance().await;
}

async fn a_rejected_conversion_is_approved_again_any_number_of_times(db: Database) {
    let t = TestApp::start(db).await;
    put(&t, "/api/v1/settings/sub-affiliates", &json!({"tiers": ["10"]})).await.expect(200);
    let (affiliate, parent) = (t.affiliate().await, t.affiliate().await);
    let path = format!("/api/v1/affiliates/{}", affiliate.id);
    t.admin.patch(&path, &json!({"parent_affiliate": parent.id})).await.expect(200);
    let offer = t.offer_with(json!({"hold_days": 1})).await;
    let click = t.click_on(&t.link(&affiliate, &offer).await, "").await;
    let report = t.conversion(&click).set("payout", json!("20.00"));
    let id = report.send().await;
    // The commission that was agreed first holds for each approval.
    put(&t, "/api/v1/settings/sub-affiliates", &json!({"tiers": ["50"]})).await.expect(200);

    for round in 0..3 {
        assert_eq!(t.balance(&affiliate, "USD").await[..2], ["20.00", "0.00"], "round {round}: a hold of its own");
        assert_eq!(t.balance(&parent, "USD").await[..2], ["2.00", "0.00"], "round {round}");
        // Sometimes during the hold, sometimes after it.
        t.advance(DAY * (round % 2));
        t.deliver_all().await;
        t.reject(&id, "fraud").await.expect(200);
        for of in [&affiliate, &parent] {
            assert_eq!(t.balance(of, "USD").await, ["0.00"; 5], "round {round}");
        }
        t.tick();
        t.approve(&id).await.expect(200);
        t.approve(&id).await.expect(200);
        t.assert_books_balance().await;
    }
    report.clone().set("payout", json!("30.00")).try_send().await.expect(200);
    assert_eq!(t.balance(&affiliate, "USD").await[0], "30.00");
    assert_eq!(t.balance(&parent, "USD").await[0], "3.00");
    t.reject(&id, "refund").await.expect(200);
    // What is corrected while it is rejected counts at the next approval.
    report.clone().set("payout", json!("5.00")).set("status", Value::Null).try_send().await.expect(200);
    assert_eq!(t.balance(&affiliate, "USD").await, ["0.00"; 5]);
    t.approve(&id).await.expect(200);
    t.advance(DAY);
    assert_eq!(t.balance(&affiliate, "USD").await[..2], ["0.00", "5.00"]);
    assert_eq!(t.balance(&parent, "USD").await[..2], ["0.00", "0.50"]);
    let statement = t.admin.get(&format!("/api/v1/statement?currency=USD&affiliate_id={}", affiliate.id)).await;
    let lines = statement.expect(200)["lines"].as_array().expect("lines").clone();
    let kinds: Vec<_> = lines.iter().map(|it| text(it, "kind")).filter(|kind| kind != "released").collect();
    let mut wanted = vec!["earned"];
    wanted.extend(["reversed", "corrected"].repeat(3));
    wanted.extend(["corrected", "reversed", "corrected"]);
    assert_eq!(kinds, wanted);
    t.assert_books_balance().await;
}

async fn money_that_was_used_is_owed_again_after_a_debt(db: Database) {
    let t = TestApp::start(db).await;
    let click = t.click().await;
    let affiliate = &click.link.affiliate;
    let id = t.conversion(&click).send().await;
    t.deliver_all().await;
    adjust(&t, affiliate, "-10.00").await.expect(201);
    for _ in 0..3 {
        t.reject(&id, "chargeback").await.expect(200);
        assert_eq!(t.balance(affiliate, "USD").await, ["0.00", "0.00", "0.00", "0.00", "10.00"]);
        t.approve(&id).await.expect(200);
        assert_eq!(t.balance(affiliate, "USD").await, ["0.00", "2.50", "0.00", "0.00", "0.00"], "the debt is settled");
    }
    t.assert_books_balance().await;
}

async fn a_correction_of_a_rejected_conversion_moves_no_money(db: Database) {
    let t = TestApp::start(db).await;
    let click = t.click().await;
    let report = t.conversion(&click).rejected("fraud");
    report.send().await;
    let corrected = report.clone().set("payout", json!("99.00")).try_send().await.expect(200);
    assert_eq!(
        (&corrected["revision"], &corrected["status"]),
        (&json!(1), &json!("rejected")),
        "amounts change nothing"
    );
    assert_eq!(t.postings().await, 0);
}

async fn a_correction_in_another_currency_never_mixes(db: Database) {
    let t = TestApp::start(db).await;
    let click = click_with_hold(&t, 1).await;
    let report = t.conversion(&click).set("payout", json!("5.00"));
    report.send().await;
    report.clone().set("payout", json!("4.00")).set("currency", json!("EUR")).try_send().await.expect(200);
    assert_eq!(t.balance(&click.link.affiliate, "USD").await[0], "0.00");
    assert_eq!(t.balance(&click.link.affiliate, "EUR").await[0], "4.00");
    t.assert_books_balance().await;
}

async fn a_postback_is_sent_for_available_earnings(db: Database) {
    let t = TestApp::start(db).await;
    let click = click_with_hold(&t, 2).await;
    t.conversion(&click).send().await;
    t.advance(2 * DAY);
    t.deliver_all().await;
    let events = t.admin.list("/api/v1/events?action=event").await;
    assert!(events.is_empty(), "nobody listens, so nothing is recorded");

    let parameters = [("name", "event_name"), ("payout", "payout"), ("transaction", "transaction_id")];
    t.postback("/available").action("event").firing("any").parameters(&parameters).save().await;
    t.advance(Duration::from_secs(10));
    t.conversion(&click).transaction("T-2").send().await;
    t.advance(2 * DAY);
    t.deliver_all().await;
    let request = t.receiver.only_request("/available");
    assert_eq!(request.parameter("name"), "available_to_pay");
    assert_eq!((request.parameter("payout"), request.parameter("transaction")), ("12.50".into(), "T-2".into()));
}

async fn a_release_undone_by_a_crash_is_sent_once(db: Database) {
    let t = TestApp::start(db).await;
    let click = click_with_hold(&t, 2).await;
    t.postback("/available").action("event").firing("any").save().await;
    t.conversion(&click).send().await;
    t.advance(2 * DAY);
    t.deliver_all().await;
    let events = || async { t.admin.list("/api/v1/events?action=event").await };
    let told = events().await;
    assert_eq!((told.len(), t.receiver.requests("/available").len()), (1, 1));

    // The possible state after a crash of PostgreSQL: the release is gone, but the results of its event are not. The clock
    // moves first, because the release is repeated immediately.
    t.advance(Duration::from_secs(7));
    for sql in [
        "DELETE FROM events WHERE action = 'event'",
        "DELETE FROM entries WHERE posting_id IN (SELECT id FROM postings WHERE kind = 'released')",
        "DELETE FROM postings WHERE kind = 'released'",
        "UPDATE balances SET available = 0",
        "UPDATE earnings SET state = 'pending', released_at = NULL",
    ] {
        t.database.execute(sql).await;
    }
    t.deliver_all().await;
    let again = events().await;
    assert_eq!((again.len(), &again[0]["id"]), (1, &told[0]["id"]));
    assert_ne!(again[0]["occurred_at"], told[0]["occurred_at"], "it was released anew");
    assert_eq!(t.receiver.requests("/available").len(), 1);
    assert_eq!(t.balance(&click.link.affiliate, "USD").await[1], "12.50");
    t.assert_books_balance().await;
}

/// Grace is the parent affiliate of Bob, and Bob of Ann.
async fn sub_affiliates(t: &TestApp) -> (Affiliate, Affiliate, Affiliate) {
    let (ann, bob, grace) = (t.affiliate().await, t.affiliate().await, t.affiliate().await);
    let by = |code: &str| json!({"parent_affiliate": code});
    t.admin.patch(&format!("/api/v1/affiliates/{}", ann.id), &by(&bob.referral_code)).await.expect(200);
    t.admin.patch(&format!("/api/v1/affiliates/{}", bob.id), &by(&grace.id)).await.expect(200);
    (ann, bob, grace)
}

async fn parent_affiliates_get_their_commissions_and_lose_them_with_the_conversion(db: Database) {
    let t = TestApp::start(db).await;
    put(&t, "/api/v1/settings/sub-affiliates", &json!({"tiers": ["10", "5"]})).await.expect(200);
    let (ann, bob, grace) = sub_affiliates(&t).await;
    let offer = t.offer_with(json!({"hold_days": 1})).await;
    let click = t.click_on(&t.link(&ann, &offer).await, "").await;
    let report = t.conversion(&click).set("payout", json!("20.00"));
    let id = report.send().await;
    assert_eq!(t.balance(&ann, "USD").await[0], "20.00");
    assert_eq!(t.balance(&bob, "USD").await[0], "2.00");
    assert_eq!(t.balance(&grace, "USD").await[0], "1.00");

    // The agreed share remains, even if the program changes its settings.
    put(&t, "/api/v1/settings/sub-affiliates", &json!({"tiers": []})).await.expect(200);
    report.clone().set("payout", json!("40.00")).try_send().await.expect(200);
    assert_eq!(t.balance(&bob, "USD").await[0], "4.00");
    t.advance(DAY);
    assert_eq!(t.balance(&grace, "USD").await[1], "2.00");
    t.reject(&id, "refund").await.expect(200);
    for affiliate in [&ann, &bob, &grace] {
        assert_eq!(t.balance(affiliate, "USD").await, ["0.00"; 5]);
    }
    let path = format!("/api/v1/statement?currency=USD&affiliate_id={}", bob.id);
    let for_staff = t.admin.get(&path).await.expect(200);
    assert!(
        for_staff["lines"].as_array().unwrap().iter().all(|line| line["conversion_id"] == json!(id)),
        "{for_staff}"
    );
    let statement = bob.client.get("/api/v1/statement?currency=USD").await.expect(200);
    let lines = statement["lines"].to_string();
    assert!(
        !lines.contains(&text(&report.body, "transaction_id")),
        "not a word of the sub-affiliate's customers: {lines}"
    );
    for share in bob.client.list("/api/v1/earnings").await {
        assert_eq!(share["conversion_id"], json!(null), "nor which conversion it was");
        let path = format!("/api/v1/earnings/{}", text(&share, "id"));
        assert_eq!(bob.client.get(&path).await.expect(200)["conversion_id"], json!(null));
        assert_eq!(t.admin.get(&path).await.expect(200)["conversion_id"], json!(id));
    }
    t.assert_books_balance().await;
}

async fn commissions_can_be_paid_from_the_sub_affiliates_payout(db: Database) {
    let t = TestApp::start(db).await;
    put(&t, "/api/v1/settings/sub-affiliates", &json!({"tiers": ["10", "5"], "paid_from": "sub_affiliate"}))
        .await
        .expect(200);
    let (ann, bob, grace) = sub_affiliates(&t).await;
    let click = t.click_on(&t.link(&ann, &t.offer().await).await, "").await;
    let report = t.conversion(&click).set("payout", json!("20.00"));
    let made = report.try_send().await.expect(201);
    let id = text(&made, "id");
    assert_eq!(made["net_payout"], json!({"amount": "17.00", "currency": "USD"}), "a sub-affiliate sees what it gets");
    assert_eq!(t.balance(&ann, "USD").await[1], "17.00");
    assert_eq!(t.balance(&bob, "USD").await[1], "2.00");
    assert_eq!(t.balance(&grace, "USD").await[1], "1.00");
    t.reject(&id, "refund").await.expect(200);
    assert_eq!(t.balance(&ann, "USD").await, ["0.00"; 5]);
    let too_much = json!({"tiers": ["60", "50"], "paid_from": "sub_affiliate"});
    put(&t, "/api/v1/settings/sub-affiliates", &too_much).await.expect_problem(422, "invalid_amount");
    t.assert_books_balance().await;
}

async fn sub_affiliates_form_no_circle(db: Database) {
    let t = TestApp::start(db).await;
    let (ann, bob, grace) = sub_affiliates(&t).await;
    for (who, parent) in [(&grace, &ann), (&grace, &bob), (&ann, &ann)] {
        let body = json!({"parent_affiliate": parent.referral_code.to_lowercase()});
        let answer = t.admin.patch(&format!("/api/v1/affiliates/{}", who.id), &body).await;
        answer.expect_problem(422, "parent_affiliate_cycle");
    }
    let body = json!({"name": "New", "email": "new@example.com", "parent_affiliate": "AF0"});
    t.admin.post("/api/v1/affiliates", &body).await.expect_problem(422, "unknown_parent_affiliate");
    let body = json!({"name": "New", "email": "new@example.com", "parent_affiliate": ann.referral_code});
    let made = t.admin.post("/api/v1/affiliates", &body).await.expect(201);
    assert_eq!(made["parent_affiliate_id"], json!(ann.id));
}

async fn a_parent_affiliate_sees_its_sub_affiliates_and_their_commissions(db: Database) {
    let t = TestApp::start(db).await;
    put(&t, "/api/v1/settings/sub-affiliates", &json!({"tiers": ["10", "5"]})).await.expect(200);
    let (ann, bob, grace) = sub_affiliates(&t).await;
    t.tick();
    let body = json!({"name": "Ben", "email": "ben@example.com", "parent_affiliate": bob.referral_code});
    let ben = t.admin.post("/api/v1/affiliates", &body).await.expect(201);
    let click = t.click_on(&t.link(&ann, &t.offer().await).await, "").await;
    t.conversion(&click).set("payout", json!("20.00")).send().await;
    let id = t.conversion(&click).set("payout", json!("50.00")).send().await;
    t.conversion(&click).set("payout", json!("7.00")).set("currency", json!("EUR")).send().await;
    t.reject(&id, "refund").await.expect(200);

    let seen = bob.client.get("/api/v1/sub-affiliates?limit=1").await.expect(200);
    let newest = &seen["items"][0];
    assert_eq!((&newest["affiliate_id"], &newest["name"]), (&ben["id"], &json!("Ben")));
    assert_eq!((&newest["since"], &newest["commissions"]), (&json!("2026-03-10T12:00:00.001Z"), &json!([])));
    assert!(newest.get("email").is_none(), "{newest}");
    let next = format!("/api/v1/sub-affiliates?limit=1&cursor={}", text(&seen, "next"));
    let seen = bob.client.get(&next).await.expect(200);
    let (first, none) = (&seen["items"][0], &seen["next"]);
    assert_eq!((&first["affiliate_id"], &first["referral_code"]), (&json!(ann.id), &json!(ann.referral_code)));
    let wanted = json!([{"amount": "0.70", "currency": "EUR"}, {"amount": "2.00", "currency": "USD"}]);
    assert_eq!((&first["commissions"], none), (&wanted, &json!(null)), "less what was taken back");

    // Bob is Grace's sub-affiliate and had no conversion of his own; Ann is not her sub-affiliate.
    let of_grace = t.admin.list(&format!("/api/v1/sub-affiliates?parent_affiliate_id={}", grace.id)).await;
    assert_eq!((of_grace.len(), &of_grace[0]["affiliate_id"]), (1, &json!(bob.id)));
    assert_eq!(of_grace[0]["commissions"], json!([]));
    let foreign = format!("/api/v1/sub-affiliates?parent_affiliate_id={}", bob.id);
    grace.client.get(&foreign).await.expect_problem(404, "not_found");
    t.admin.get("/api/v1/sub-affiliates").await.expect_problem(400, "invalid_parameter");
    t.admin.patch(&format!("/api/v1/affiliates/{}", ann.id), &json!({"parent_affiliate": null})).await.expect(200);
    assert_eq!(bob.client.list("/api/v1/sub-affiliates").await.len(), 1);
}

async fn an_adjustment_has_a_reason_and_counts_once(db: Database) {
    let t = TestApp::start(db).await;
    let affiliate = t.affiliate().await;
    let body = json!({"affiliate_id": affiliate.id, "amount": "25.00", "currency": "USD", "reason": "March bonus"});
    for _ in 0..2 {
        t.admin.post_once("/api/v1/adjustments", "bonus-march", &body).await.expect(201);
    }
    assert_eq!(t.balance(&affiliate, "USD").await[1], "25.00");
    let held =
        json!({"affiliate_id": affiliate.id, "amount": "5.00", "currency": "USD", "reason": "later", "hold_days": 1});
    t.admin.post("/api/v1/adjustments", &held).await.expect(201);
    assert_eq!(t.balance(&affiliate, "USD").await[..2], ["5.00", "25.00"]);
    adjust(&t, &affiliate, "-40.00").await.expect(201);
    assert_eq!(t.balance(&affiliate, "USD").await, ["5.00", "0.00", "0.00", "0.00", "15.00"]);
    t.advance(DAY);
    assert_eq!(t.balance(&affiliate, "USD").await, ["0.00", "0.00", "0.00", "0.00", "10.00"]);

    adjust(&t, &affiliate, "0").await.expect_problem(422, "invalid_amount");
    adjust(&t, &affiliate, "ten").await.expect_problem(422, "invalid_amount");
    let no_reason = json!({"affiliate_id": affiliate.id, "amount": "1.00", "currency": "USD", "reason": " "});
    t.admin.post("/api/v1/adjustments", &no_reason).await.expect_problem(422, "invalid_field");
    affiliate.client.post("/api/v1/adjustments", &body).await.expect(403);
    assert_eq!(t.admin.list("/api/v1/adjustments").await.len(), 3);
    t.assert_books_balance().await;
}

async fn a_statement_runs_from_opening_to_closing(db: Database) {
    let t = TestApp::start(db).await;
    let click = click_with_hold(&t, 1).await;
    let affiliate = &click.link.affiliate;
    let id = t.conversion(&click).transaction("=T,1").send().await;
    t.tick();
    adjust(&t, affiliate, "2.00").await.expect(201);
    t.advance(DAY);
    t.deliver_all().await;
    let from = text(&t.admin.get(&format!("/api/v1/conversions/{id}")).await.expect(200), "created_at");
    t.tick();
    t.reject(&id, "refund").await.expect(200);

    let all = affiliate.client.get("/api/v1/statement?currency=USD").await.expect(200);
    let lines = all["lines"].as_array().unwrap();
    let kinds: Vec<_> = lines.iter().map(|line| text(line, "kind")).collect();
    assert_eq!(kinds, ["earned", "adjusted", "released", "released", "reversed"]);
    assert_eq!(all["opening"]["available"], "0.00");
    assert_eq!(all["closing"]["available"], "2.00");
    assert_eq!(lines[4]["change"]["available"], "-12.50");
    assert_eq!(lines[4]["balance"], all["closing"]);
    assert!(text(&lines[4], "text").contains("refund"), "{}", lines[4]);
    // Lines name their conversion, also that of a release; an adjustment has none.
    let named: Vec<_> = lines.iter().map(|line| line["conversion_id"] == json!(id)).collect();
    assert_eq!(named.iter().filter(|it| **it).count(), 3, "{lines:?}");
    let released: Vec<_> = lines[2..4].iter().filter(|line| line["transaction_id"] == "=T,1").collect();
    assert!(matches!(released[..], [line] if text(line, "text").contains("transaction =T,1 of")), "{lines:?}");

    // Entries before `from` are in the opening balance.
    let path = format!("/api/v1/statement?affiliate_id={}&currency=USD&from={from}", affiliate.id);
    assert_eq!(t.admin.get(&path).await.expect(200)["lines"].as_array().unwrap().len(), 5);
    let later = text(&lines[1], "at");
    let path = format!("/api/v1/statement?affiliate_id={}&currency=USD&from={later}", affiliate.id);
    let part = t.admin.get(&path).await.expect(200);
    assert_eq!(part["opening"]["pending"], "12.50");
    assert_eq!(part["closing"], all["closing"]);
    let path = format!("/api/v1/statement?affiliate_id={}&currency=USD&from=2030-01-01T00:00:00Z", affiliate.id);
    let future = t.admin.get(&path).await.expect(200);
    assert_eq!((&future["lines"], &future["opening"]), (&json!([]), &all["closing"]));

    let request = affiliate.client.request(Method::GET, "/api/v1/statement?currency=USD").header("accept", "text/csv");
    let csv = affiliate.client.send(request).await;
    assert_eq!(csv.header("content-type"), Some("text/csv; charset=utf-8"));
    let rows: Vec<_> = csv.text.lines().collect();
    assert_eq!(rows.len(), 1 + 1 + 5 + 1, "{}", csv.text);
    assert!(rows[2].contains("\"Payout for transaction =T,1 of"), "{}", rows[2]);
    assert!(rows[7].contains("0.00,2.00,0.00,0.00,0.00"), "{}", rows[7]);
    t.admin.get("/api/v1/statement?currency=USD").await.expect_problem(400, "invalid_parameter");
}

async fn currencies_are_exchanged_only_at_a_stored_rate(db: Database) {
    let t = TestApp::start(db).await;
    let affiliate = t.affiliate().await;
    adjust(&t, &affiliate, "10.00").await.expect(201);
    let exchange = json!({"affiliate_id": affiliate.id, "amount": "4.00", "from": "USD", "to": "EUR"});
    t.admin.post("/api/v1/exchanges", &exchange).await.expect_problem(422, "no_exchange_rate");
    let rate = json!({"from": "USD", "to": "EUR", "rate": "0.9"});
    t.admin.post("/api/v1/exchange-rates", &rate).await.expect(201);
    t.admin.post("/api/v1/exchange-rates", &rate).await.expect_problem(409, "taken");
    let path = format!("/api/v1/balances?affiliate_id={}&in=EUR", affiliate.id);
    let shown = t.admin.list(&path).await;
    assert_eq!((&shown[0]["available"], &shown[0]["converted"]["available"]), (&json!("10.00"), &json!("9.00")));

    let done = t.admin.post("/api/v1/exchanges", &exchange).await.expect(201);
    assert_eq!(done["given"], json!({"amount": "3.60", "currency": "EUR"}));
    assert_eq!(t.balance(&affiliate, "USD").await[1], "6.00");
    assert_eq!(t.balance(&affiliate, "EUR").await[1], "3.60");
    let too_much = json!({"affiliate_id": affiliate.id, "amount": "6.01", "from": "USD", "to": "EUR"});
    t.admin.post("/api/v1/exchanges", &too_much).await.expect_problem(422, "insufficient_balance");
    t.assert_books_balance().await;
}

async fn exchanges_are_listed_newest_first_and_an_affiliate_sees_its_own(db: Database) {
    let t = TestApp::start(db).await;
    let (one, other) = (t.affiliate().await, t.affiliate().await);
    for (from, to) in [("USD", "EUR"), ("EUR", "PLN")] {
        t.admin.post("/api/v1/exchange-rates", &json!({"from": from, "to": to, "rate": "0.9"})).await.expect(201);
    }
    let exchange = async |affiliate: &Affiliate, amount: &str, from: &str, to: &str| {
        t.advance(Duration::from_secs(60));
        let body = json!({"affiliate_id": affiliate.id, "amount": amount, "from": from, "to": to});
        t.admin.post("/api/v1/exchanges", &body).await.expect(201)
    };
    adjust(&t, &one, "10.00").await.expect(201);
    adjust(&t, &other, "10.00").await.expect(201);
    let first = exchange(&one, "4.00", "USD", "EUR").await;
    let second = exchange(&one, "1.00", "EUR", "PLN").await;
    let third = exchange(&other, "2.00", "USD", "EUR").await;
    let too_much = json!({"affiliate_id": one.id, "amount": "6.01", "from": "USD", "to": "EUR"});
    t.admin.post("/api/v1/exchanges", &too_much).await.expect_problem(422, "insufficient_balance");

    let all = [&third, &second, &first].map(Value::clone);
    assert_eq!(t.admin.list("/api/v1/exchanges").await, all, "what was refused is no exchange");
    let page = t.admin.get("/api/v1/exchanges?limit=2").await.expect(200);
    assert_eq!(page["items"], json!([third, second]));
    let rest = format!("/api/v1/exchanges?cursor={}", text(&page, "next"));
    assert_eq!(t.admin.get(&rest).await.expect(200)["items"], json!([first]));

    let listed = async |filter: String| t.admin.list(&format!("/api/v1/exchanges?{filter}")).await;
    assert_eq!(listed(format!("affiliate_id={}", one.id)).await, [second.clone(), first.clone()]);
    assert_eq!(listed("currency=PLN".into()).await, std::slice::from_ref(&second));
    assert_eq!(listed("currency=EUR".into()).await, all, "from it or to it");
    let (from, until) = (text(&second, "at"), text(&third, "at"));
    assert_eq!(listed(format!("from={from}&until={until}")).await, std::slice::from_ref(&second));

    let path = |it: &Value| format!("/api/v1/exchanges/{}", text(it, "id"));
    assert_eq!(t.admin.get(&path(&third)).await.expect(200), third);
    assert_eq!(one.client.list("/api/v1/exchanges").await, [second, first.clone()]);
    assert_eq!(one.client.get(&path(&first)).await.expect(200), first);
    one.client.get(&path(&third)).await.expect_problem(404, "not_found");
    let of_other = format!("/api/v1/exchanges?affiliate_id={}", other.id);
    assert!(one.client.list(&of_other).await.is_empty());
}

async fn an_affiliate_sees_only_its_own_money(db: Database) {
    let t = TestApp::start(db).await;
    let (click, other) = (t.click().await, t.affiliate().await);
    t.conversion(&click).send().await;
    t.deliver_all().await;
    let earning = text(&t.admin.list("/api/v1/earnings").await[0], "id");
    let (own, id) = (&click.link.affiliate.client, &click.link.affiliate.id);
    own.get(&format!("/api/v1/earnings/{earning}")).await.expect(200);
    assert_eq!(own.list("/api/v1/balances").await.len(), 1);

    other.client.get(&format!("/api/v1/earnings/{earning}")).await.expect_problem(404, "not_found");
    assert!(other.client.list("/api/v1/earnings").await.is_empty());
    assert!(other.client.list(&format!("/api/v1/balances?affiliate_id={id}")).await.is_empty());
    let statement = format!("/api/v1/statement?affiliate_id={id}&currency=USD");
    other.client.get(&statement).await.expect_problem(404, "not_found");
    put(&t, "/api/v1/settings/sub-affiliates", &json!({"tiers": ["1"]})).await.expect(200);
    let request = other.client.request(Method::PUT, "/api/v1/settings/sub-affiliates").json(&json!({"tiers": []}));
    assert_eq!(other.client.send(request).await.status, 403);
}

/// The same kind of histories as in the domain's model, over the API and with the real storage.
async fn random_histories_keep_the_ledger_consistent(db: Database) {
    let t = TestApp::start(db).await;
    let mut random = StdRng::seed_from_u64(4);
    put(&t, "/api/v1/settings/sub-affiliates", &json!({"tiers": ["10", "5"], "paid_from": "sub_affiliate"}))
        .await
        .expect(200);
    let (ann, bob, _) = sub_affiliates(&t).await;
    let mut reports = Vec::new();
    for days in [0, 1, 3] {
        let offer = t.offer_with(json!({"hold_days": days, "payout": {"percent": "33.3333"}})).await;
        for affiliate in [&ann, &bob] {
            reports.push(t.click_on(&t.link(affiliate, &offer).await, "").await);
        }
    }
    let clicks = reports;
    let mut known: Vec<Value> = Vec::new();
    for _ in 0..120 {
        match random.random_range(0..10) {
            0..=3 => {
                let click = &clicks[random.random_range(0..clicks.len())];
                let amount = format!("{}.{:02}", random.random_range(0..500), random.random_range(0..100));
                let report = t.conversion(click).set("amount", json!(amount));
                report.send().await;
                known.push(report.body);
            }
            4..=5 if !known.is_empty() => {
                let index = random.random_range(0..known.len());
                known[index]["amount"] = json!(format!("{}.50", random.random_range(0..500)));
                assert!(t.admin.post("/api/v1/conversions", &known[index]).await.status < 410);
            }
            6 if !known.is_empty() => {
                let mut body = known[random.random_range(0..known.len())].clone();
                body["status"] = json!("rejected");
                body["reason"] = json!("refund");
                t.admin.post("/api/v1/conversions", &body).await.expect(200);
            }
            7 => {
                let amount = format!("{}.25", random.random_range(-50..50));
                adjust(&t, if random.random_bool(0.5) { &ann } else { &bob }, &amount).await;
            }
            _ => t.advance(Duration::from_secs(random.random_range(0..100_000))),
        }
    }
    t.deliver_all().await;
    t.assert_books_balance().await;
    t.advance(10 * DAY);
    t.deliver_all().await;
    t.assert_books_balance().await;
    assert!(t.admin.list("/api/v1/earnings?status=pending").await.is_empty());
}

/// Their hold ends while no server runs. On SQLite one process uses the file; on PostgreSQL three start at once.
async fn several_processes_release_each_earning_once(db: Database) {
    const CONVERSIONS: usize = 2_000;
    let processes = if db.is_sqlite() { 1 } else { 3 };
    let installation = Installation::new(db);
    let web = installation.start_with(&[("POSTRIDER_ROLE", "web")]).await;
    let affiliate = json!({"name": "Ann", "email": "ann@example.com"});
    let affiliate = web.client.post("/api/v1/affiliates", &affiliate).await.expect(201);
    let offer = json!({
        "name": "Offer", "landing_url": "https://shop.example/", "currency": "USD", "payout": {"fixed": "12.50"},
        "hold_days": 1,
    });
    web.client.post("/api/v1/offers", &offer).await.expect(201);
    let report = |n| json!({"referral_code": affiliate["referral_code"], "transaction_id": format!("T-{n}"), "status": "approved"});
    for part in 0..CONVERSIONS / 1_000 {
        let batch: Vec<_> = (1_000 * part..1_000 * (part + 1)).map(report).collect();
        web.client.post("/api/v1/conversions", &json!(batch)).await.expect(200);
    }
    web.kill_9();
    let database = &installation.database;
    let pending = "SELECT count(*) FROM earnings WHERE state = 'pending'";
    assert_eq!(database.number(pending).await, CONVERSIONS as i64);
    database.execute("UPDATE earnings SET release_at = release_at - 86400000").await;

    let running = join_all((0..processes).map(|_| installation.start())).await;
    eventually("every hold to end", async || (database.number(pending).await == 0).then_some(())).await;
    let released = "SELECT CAST(sum(micros) AS BIGINT) FROM entries WHERE account = 'available'";
    assert_eq!(database.number(released).await, 12_500_000 * CONVERSIONS as i64);
    database.assert_books_balance().await;
    drop(running);
}
