//! Which postback fires for which event, and when: scope, action, firing status, rejection reasons, delay.

use std::collections::BTreeSet;
use std::time::Duration;

use postrider_tests::app::{Affiliate, TestApp};
use postrider_tests::client::text;
use postrider_tests::database::Database;
use postrider_tests::on_both_databases;
use postrider_tests::receiver::Reply;
use serde_json::json;

on_both_databases!(
    scope_status_and_reasons_decide_together,
    a_postback_fires_when_the_status_becomes_the_wanted_one,
    a_rejection_fires_for_its_reasons_only,
    each_action_has_its_own_postbacks,
    a_delay_is_kept_to_the_second,
    a_conversion_rejected_during_its_delay_is_not_sent,
    a_conversion_approved_during_its_delay_is_checked_with_its_new_status,
    a_postback_created_later_does_not_fire_for_earlier_events,
    a_disabled_or_deleted_postback_does_not_fire,
    a_rule_that_makes_no_sense_is_refused,
);

/// Every scope × firing status × reason filter against every affiliate × offer × status × reason.
async fn scope_status_and_reasons_decide_together(db: Database) {
    let t = TestApp::start(db).await;
    let affiliates = [t.affiliate().await, t.affiliate().await];
    let offers = [t.offer().await, t.offer().await];

    struct Postback {
        id: String,
        path: String,
        affiliate: Option<usize>,
        offer: Option<usize>,
        firing: &'static str,
        reasons: &'static [&'static str],
    }
    let filters: [(&str, &[&str]); 6] = [
        ("any", &[]),
        ("pending", &[]),
        ("approved", &[]),
        ("rejected", &[]),
        ("rejected", &["fraud"]),
        ("rejected", &["fraud", "duplicate"]),
    ];
    let mut postbacks = Vec::new();
    for affiliate in [None, Some(0)] {
        for offer in [None, Some(0)] {
            for (firing, reasons) in filters {
                let path = format!("/p{}", postbacks.len());
                let postback = t
                    .postback(&path)
                    .scope(affiliate.map(|i: usize| &affiliates[i]), offer.map(|i: usize| offers[i].as_str()))
                    .firing(firing)
                    .reasons(reasons);
                let id = postback.save().await;
                postbacks.push(Postback { id, path, affiliate, offer, firing, reasons });
            }
        }
    }

    let outcomes =
        [("pending", ""), ("approved", ""), ("rejected", "fraud"), ("rejected", "duplicate"), ("rejected", "refund")];
    let mut wanted = vec![BTreeSet::new(); postbacks.len()];
    for (a, affiliate) in affiliates.iter().enumerate() {
        for (o, offer) in offers.iter().enumerate() {
            for (status, reason) in outcomes {
                let transaction = format!("a{a}-o{o}-{status}-{reason}");
                report(&t, affiliate, offer, &transaction, status, reason).await;
                for (postback, wanted) in postbacks.iter().zip(&mut wanted) {
                    let in_scope =
                        postback.affiliate.is_none_or(|own| own == a) && postback.offer.is_none_or(|own| own == o);
                    let fits = postback.firing == "any" || postback.firing == status;
                    let reason_fits = postback.reasons.is_empty() || postback.reasons.contains(&reason);
                    if in_scope && fits && reason_fits {
                        wanted.insert(transaction.clone());
                    }
                }
            }
        }
    }
    t.deliver_all().await;

    for (postback, wanted) in postbacks.iter().zip(wanted) {
        let rule = format!(
            "scope ({:?}, {:?}), firing {}, reasons {:?}",
            postback.affiliate, postback.offer, postback.firing, postback.reasons
        );
        let requests = t.receiver.requests(&postback.path);
        let got: BTreeSet<_> = requests.iter().map(|request| request.parameter("transaction")).collect();
        assert_eq!(got, wanted, "{rule}");
        assert_eq!(requests.len(), wanted.len(), "each once: {rule}");
        assert_eq!(t.deliveries(&postback.id).await.len(), wanted.len(), "no row without cause: {rule}");
    }
}

async fn report(t: &TestApp, affiliate: &Affiliate, offer: &str, transaction: &str, status: &str, reason: &str) {
    let mut body = json!({
        "referral_code": affiliate.referral_code, "offer_id": offer,
        "transaction_id": transaction, "status": status, "amount": "1.00", "currency": "USD",
    });
    if !reason.is_empty() {
        body["reason"] = json!(reason);
    }
    t.admin.post("/api/v1/conversions", &body).await.expect(201);
}

async fn a_postback_fires_when_the_status_becomes_the_wanted_one(db: Database) {
    let t = TestApp::start(db).await;
    let click = t.click().await;
    for firing in ["any", "pending", "approved", "rejected"] {
        t.postback(&format!("/{firing}")).firing(firing).save().await;
    }
    let statuses = |path: &str| -> Vec<String> {
        t.receiver.requests(path).iter().map(|request| request.parameter("status")).collect()
    };

    let id = t.conversion(&click).status("pending").send().await;
    t.deliver_all().await;
    t.approve(&id).await.expect(200);
    t.deliver_all().await;
    t.approve(&id).await.expect(200);
    t.deliver_all().await;
    t.reject(&id, "chargeback").await.expect(200);
    t.deliver_all().await;

    assert_eq!(statuses("/any"), ["pending", "approved", "rejected"]);
    assert_eq!(statuses("/pending"), ["pending"]);
    assert_eq!(statuses("/approved"), ["approved"]);
    assert_eq!(statuses("/rejected"), ["rejected"]);

    // A rejected conversion that is approved again is news for the same postbacks.
    t.approve(&id).await.expect(200);
    t.deliver_all().await;
    assert_eq!(statuses("/any"), ["pending", "approved", "rejected", "approved"]);
    assert_eq!(statuses("/approved"), ["approved", "approved"]);
    assert_eq!(statuses("/rejected"), ["rejected"]);
}

async fn a_rejection_fires_for_its_reasons_only(db: Database) {
    let t = TestApp::start(db).await;
    let click = t.click().await;
    t.postback("/fraud").firing("rejected").reasons(&["fraud"]).save().await;
    t.postback("/any-reason").firing("rejected").save().await;

    for reason in ["fraud", "Fraud", "fraudulent", "duplicate"] {
        // As a network reports it, in its own words.
        t.conversion(&click).transaction(&format!("T-{reason}")).rejected(reason).send().await;
    }
    t.deliver_all().await;

    let transactions = |path: &str| -> BTreeSet<String> {
        t.receiver.requests(path).iter().map(|request| request.parameter("transaction")).collect()
    };
    let fraud = transactions("/fraud");
    assert!(fraud.contains("T-fraud"));
    assert!(!fraud.contains("T-fraudulent") && !fraud.contains("T-duplicate"), "{fraud:?}");
    assert_eq!(transactions("/any-reason").len(), 4);
}

async fn each_action_has_its_own_postbacks(db: Database) {
    let t = TestApp::start(db).await;
    let link = t.any_link().await;
    for action in ["impression", "click", "conversion"] {
        t.postback(&format!("/{action}"))
            .action(action)
            .firing("any")
            .parameters(&[("click", "click_id"), ("sub", "sub1")])
            .save()
            .await;
    }

    t.anonymous().get(&format!("{}?sub1=seen", link.impression_path)).await;
    t.deliver_all().await;
    assert_eq!(t.receiver.only_request("/impression").parameter("sub"), "seen");

    let click = t.click_on(&link, "?sub1=clicked").await;
    t.deliver_all().await;
    let request = t.receiver.only_request("/click");
    assert_eq!((request.parameter("click"), request.parameter("sub")), (click.id.clone(), "clicked".to_owned()));

    t.conversion(&click).send().await;
    t.deliver_all().await;
    assert_eq!(t.receiver.only_request("/conversion").parameter("click"), click.id);
    assert_eq!(t.receiver.all_requests().len(), 3);
}

async fn a_delay_is_kept_to_the_second(db: Database) {
    let t = TestApp::start(db).await;
    let click = t.click().await;
    let delays = [(1, "seconds", 1), (90, "seconds", 90), (2, "minutes", 120), (3, "hours", 10_800)];
    let mut postbacks = Vec::new();
    for (value, unit, secs) in delays {
        let path = format!("/after-{secs}");
        postbacks.push((t.postback(&path).delay(value, unit).save().await, path, secs));
    }
    t.conversion(&click).send().await;
    t.deliver_all().await;
    assert_eq!(t.receiver.all_requests().len(), 0, "nothing before its time");

    let mut passed = 0;
    for (postback, path, secs) in &postbacks {
        let delivery = t.only_delivery(postback).await;
        assert_eq!((&delivery["status"], &delivery["attempts"]), (&json!("pending"), &json!([])));
        t.advance(Duration::from_secs(secs - passed - 1) + Duration::from_millis(999));
        t.deliver_all().await;
        assert_eq!(t.receiver.requests(path).len(), 0, "{path}: not a millisecond early");
        t.advance(Duration::from_millis(1));
        t.deliver_all().await;
        assert_eq!(t.receiver.requests(path).len(), 1, "{path}: due");
        passed = *secs;
    }
}

async fn a_conversion_rejected_during_its_delay_is_not_sent(db: Database) {
    let t = TestApp::start(db).await;
    let click = t.click().await;
    let postback = t.postback("/p").delay(2, "minutes").save().await;
    let id = t.conversion(&click).send().await;
    t.deliver_all().await;
    t.advance(Duration::from_secs(60));
    t.reject(&id, "fraud").await.expect(200);
    t.advance(Duration::from_secs(60));
    t.deliver_all().await;

    t.advance(Duration::from_secs(3600));
    t.deliver_all().await;

    assert!(t.receiver.requests("/p").is_empty());
    let delivery = t.only_delivery(&postback).await;
    assert_eq!(delivery["status"], "cancelled");
    assert!(text(&delivery, "reason").contains("rejected during delay"), "{delivery}");
    assert_eq!(delivery["attempts"], json!([]));
}

async fn a_conversion_approved_during_its_delay_is_checked_with_its_new_status(db: Database) {
    let t = TestApp::start(db).await;
    let click = t.click().await;
    // Pending when the delivery was created, and not any more when it is due.
    let pending = t.postback("/pending").firing("pending").delay(2, "minutes").save().await;
    t.postback("/approved").firing("approved").delay(2, "minutes").save().await;
    let id = t.conversion(&click).status("pending").send().await;
    t.deliver_all().await;
    t.approve(&id).await.expect(200);
    t.deliver_all().await;

    t.advance(Duration::from_secs(120));
    t.deliver_all().await;

    assert!(t.receiver.requests("/pending").is_empty());
    assert_eq!(t.only_delivery(&pending).await["status"], "cancelled");
    assert_eq!(t.receiver.only_request("/approved").parameter("status"), "approved");
}

async fn a_postback_created_later_does_not_fire_for_earlier_events(db: Database) {
    let t = TestApp::start(db).await;
    let click = t.click().await;
    let id = t.conversion(&click).status("pending").send().await;
    t.deliver_all().await;
    t.advance(Duration::from_secs(1));
    let postback = t.postback("/p").firing("any").save().await;
    t.deliver_all().await;
    assert!(t.deliveries(&postback).await.is_empty());

    t.approve(&id).await.expect(200);
    t.deliver_all().await;

    assert_eq!(t.receiver.only_request("/p").parameter("status"), "approved");
}

async fn a_disabled_or_deleted_postback_does_not_fire(db: Database) {
    let t = TestApp::start(db).await;
    let click = t.click().await;
    let switched = t.postback("/switched").save().await;
    let deleted = t.postback("/deleted").save().await;
    t.postback("/never-on").disabled().save().await;
    let switch = async |on: bool| {
        let path = format!("/api/v1/postbacks/{switched}");
        t.admin.patch(&path, &json!({"enabled": on})).await.expect(200);
    };

    switch(false).await;
    let answer = t.admin.delete(&format!("/api/v1/postbacks/{deleted}")).await;
    assert_eq!(answer.status, 204);
    t.receiver.forget("/switched");
    t.conversion(&click).send().await;
    t.deliver_all().await;
    assert_eq!(t.receiver.all_requests().len(), 0);

    switch(true).await;
    t.receiver.forget("/switched");
    t.conversion(&click).transaction("after").send().await;
    t.deliver_all().await;
    assert_eq!(t.receiver.only_request("/switched").parameter("transaction"), "after");

    // Deliveries created before the postback was disabled are not sent afterwards.
    t.tick();
    t.receiver.always("/switched", Reply::status(503));
    t.conversion(&click).transaction("late").send().await;
    t.deliver_all().await;
    switch(false).await;
    t.receiver.forget("/switched");
    t.advance(Duration::from_secs(3600));
    t.deliver_all().await;
    assert!(t.receiver.requests("/switched").is_empty());
    let late = t.deliveries(&switched).await.pop().unwrap();
    assert_eq!(late["status"], "cancelled", "{late}");
}

async fn a_rule_that_makes_no_sense_is_refused(db: Database) {
    let t = TestApp::start(db).await;
    for (field, value) in [
        ("firing_status", json!("sometimes")),
        ("action", json!("purchase")),
        ("delay", json!({"value": 2, "unit": "fortnights"})),
        ("delay", json!({"value": -1, "unit": "minutes"})),
        ("delay", json!({"value": 1.5, "unit": "minutes"})),
        ("delay", json!({"value": 100_000, "unit": "hours"})),
        ("delay", json!("2 minutes")),
        ("rejection_reasons", json!("fraud")),
        ("rejection_reasons", json!([""])),
        ("scope", json!({"affiliate_id": "nobody", "offer_id": null})),
        ("ordering", json!("random")),
        ("adapter", json!("no-such-adapter")),
        ("name", json!("")),
        ("unknown_field", json!(true)),
    ] {
        let answer = t.postback("/p").set(field, value.clone()).try_save().await;
        assert!(matches!(answer.status, 400 | 422), "{field} = {value}: {} {}", answer.status, answer.text);
        assert!(text(&answer.json(), "detail").len() > 20, "{field} = {value}: {}", answer.text);
    }
    assert!(t.receiver.all_requests().is_empty(), "nothing is tested that could not be saved");
    let nobody = json!({"affiliate_id": "aff_00000000000000000000000000", "offer_id": null});
    t.postback("/p").set("scope", nobody).try_save().await.expect_problem(404, "not_found");
    // A filter of rejection reasons matches only rejections.
    let answer = t.postback("/p").firing("approved").reasons(&["fraud"]).try_save().await;
    answer.expect_problem(422, "invalid_rule");
}
