//! Saving, changing, testing and reading postbacks.

mod approval;
mod lists;
mod versions;

use postrider_tests::app::TestApp;
use postrider_tests::client::text;
use postrider_tests::database::Database;
use postrider_tests::on_both_databases;
use postrider_tests::receiver::Reply;
use serde_json::json;

on_both_databases!(
    a_postback_comes_back_as_it_was_saved,
    a_change_of_the_destination_is_verified_again,
    an_untested_one_can_be_enabled_when_its_test_is_accepted,
    a_test_can_be_repeated,
    an_affiliates_postback_is_for_its_own_conversions,
    a_deleted_postback_is_gone_and_its_log_stays,
);

async fn a_postback_comes_back_as_it_was_saved(db: Database) {
    let t = TestApp::start(db).await;
    let affiliate = t.affiliate().await;
    let offer = t.offer().await;
    let body = t
        .postback("/p")
        .scope(Some(&affiliate), Some(&offer))
        .firing("rejected")
        .reasons(&["fraud", "duplicate"])
        .delay(2, "minutes")
        .method("POST")
        .custom(&[("source", "postrider")])
        .body;
    let saved = t.admin.post("/api/v1/postbacks", &body).await.expect(201);

    assert!(text(&saved, "id").starts_with("pbk_"));
    for (field, wanted) in body.as_object().unwrap() {
        assert_eq!(&saved[field], wanted, "{field}");
    }
    assert_eq!(saved["ordering"], "latest");
    let path = format!("/api/v1/postbacks/{}", text(&saved, "id"));
    assert_eq!(t.admin.get(&path).await.expect(200), saved);
    let listed = t.admin.list("/api/v1/postbacks").await.remove(0);
    for (field, wanted) in saved.as_object().unwrap() {
        assert_eq!(&listed[field], wanted, "{field}");
    }
}

async fn a_change_of_the_destination_is_verified_again(db: Database) {
    let t = TestApp::start(db).await;
    let id = t.postback("/p").save().await;
    let path = format!("/api/v1/postbacks/{id}");
    let before = t.admin.get(&path).await.expect(200);

    // A change of the rule needs no test request.
    t.admin.patch(&path, &json!({"firing_status": "any", "name": "renamed"})).await.expect(200);
    assert!(t.receiver.all_requests().is_empty());

    t.receiver.always("/moved", Reply::status(500));
    let mut config = before["config"].clone();
    config["base_url"] = json!(t.receiver.url("/moved"));
    t.admin.patch(&path, &json!({"config": config})).await.expect_problem(422, "verification_failed");
    let after = t.admin.get(&path).await.expect(200);
    assert_eq!(after["config"], before["config"], "nothing changed");
    assert_eq!((&after["name"], &after["firing_status"]), (&json!("renamed"), &json!("any")));

    t.receiver.always("/moved", Reply::status(200));
    let changed = t.admin.patch(&path, &json!({"config": config})).await.expect(200);
    assert_eq!(changed["config"], config);
    assert_eq!(t.receiver.requests("/moved").len(), 2, "one test request each");

    for (field, value) in [("adapter", json!("nope")), ("firing_status", json!("nope")), ("enabled", json!("yes"))] {
        let answer = t.admin.patch(&path, &json!({field: value})).await;
        assert!(matches!(answer.status, 400 | 422), "{field}: {}", answer.text);
    }
}

async fn an_untested_one_can_be_enabled_when_its_test_is_accepted(db: Database) {
    let t = TestApp::start(db).await;
    t.receiver.always("/p", Reply::status(404));
    let saved = t.postback("/p").disabled().try_save().await.expect(201);
    assert_eq!((&saved["enabled"], &saved["verified_at"]), (&json!(false), &json!(null)));
    assert!(t.receiver.all_requests().is_empty(), "saved untested");
    let path = format!("/api/v1/postbacks/{}", text(&saved, "id"));

    t.admin.patch(&path, &json!({"enabled": true})).await.expect_problem(422, "verification_failed");
    assert_eq!(t.admin.get(&path).await.expect(200)["enabled"], false);

    t.receiver.always("/p", Reply::status(200));
    let enabled = t.admin.patch(&path, &json!({"enabled": true})).await.expect(200);
    assert_eq!((&enabled["enabled"], &enabled["verified_at"]), (&json!(true), &json!("2026-03-10T12:00:00.000Z")));
}

async fn a_test_can_be_repeated(db: Database) {
    let t = TestApp::start(db).await;
    let id = t.postback("/p").save().await;
    let path = format!("/api/v1/postbacks/{id}/test");
    t.receiver.next("/p", [Reply::body(200, "welcome"), Reply::body(418, "teapot")]);

    let good = t.admin.post(&path, &json!({})).await.expect(200);
    let bad = t.admin.post(&path, &json!({})).await.expect(200);

    assert_eq!(
        (&good["accepted"], &good["http_status"], &good["body"]),
        (&json!(true), &json!(200), &json!("welcome"))
    );
    assert_eq!((&bad["accepted"], &bad["http_status"], &bad["body"]), (&json!(false), &json!(418), &json!("teapot")));
    assert!(text(&good, "url").starts_with(&t.receiver.url("/p?")), "{good}");
    assert_eq!(t.receiver.requests("/p").len(), 2);
    assert!(t.deliveries(&id).await.is_empty());
}

async fn an_affiliates_postback_is_for_its_own_conversions(db: Database) {
    let t = TestApp::start(db).await;
    let (mine, other) = (t.click().await, t.click().await);
    let me = &mine.link.affiliate;
    let id = t.postback("/p").owned_by(me).save().await;
    let saved = me.client.get(&format!("/api/v1/postbacks/{id}")).await.expect(200);
    assert_eq!(saved["scope"], json!({"affiliate_id": me.id, "offer_id": null}));

    t.conversion(&mine).send().await;
    t.conversion(&other).send().await;
    t.deliver_all().await;

    assert_eq!(t.receiver.only_request("/p").parameter("click"), mine.id);
}

async fn a_deleted_postback_is_gone_and_its_log_stays(db: Database) {
    let t = TestApp::start(db).await;
    let click = t.click().await;
    let id = t.postback("/p").save().await;
    t.receiver.always("/p", Reply::status(503));
    t.conversion(&click).send().await;
    t.deliver_all().await;

    assert_eq!(t.admin.delete(&format!("/api/v1/postbacks/{id}")).await.status, 204);

    t.admin.get(&format!("/api/v1/postbacks/{id}")).await.expect_problem(404, "not_found");
    assert!(t.admin.list("/api/v1/postbacks").await.is_empty());
    // Deliveries that waited for a retry are not sent any more, and have a reason.
    t.advance(std::time::Duration::from_secs(60));
    t.deliver_all().await;
    assert_eq!(t.receiver.requests("/p").len(), 1);
    let delivery = t.only_delivery(&id).await;
    assert_eq!(delivery["status"], "cancelled", "{delivery}");
    assert!(text(&delivery, "reason").len() > 10, "{delivery}");
    let again = t.admin.delete(&format!("/api/v1/postbacks/{id}")).await;
    again.expect_problem(404, "not_found");
}
