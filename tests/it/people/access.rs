//! Who can see and do what. Objects of other owners do not exist for the caller.

use postrider_tests::app::TestApp;
use postrider_tests::client::{Client, text};
use postrider_tests::database::Database;
use postrider_tests::on_both_databases;
use reqwest::Method;
use serde_json::{Value, json};

on_both_databases!(
    nothing_works_without_a_valid_key,
    an_affiliate_sees_only_its_own,
    an_affiliate_changes_only_its_own,
    an_affiliate_does_not_run_the_program,
    a_revoked_key_is_invalid,
    keys_are_stored_hashed,
);

const LISTS: [&str; 8] =
    ["affiliates", "offers", "links", "clicks", "conversions", "events", "postbacks", "deliveries"];

async fn nothing_works_without_a_valid_key(db: Database) {
    let t = TestApp::start(db).await;
    let strangers = [
        t.anonymous(),
        t.admin.with_key(Some("")),
        t.admin.with_key(Some("prk_wrong")),
        t.admin.with_key(Some("prk_bootstrap_key_of_the_testt")),
    ];
    for stranger in &strangers {
        for list in LISTS.iter().chain(&["api-keys"]) {
            let answer = stranger.get(&format!("/api/v1/{list}")).await;
            answer.expect_problem(401, "unauthorized");
            assert!(answer.header("www-authenticate").is_some(), "{list}");
        }
        let body = json!({"name": "Eve", "email": "eve@example.com"});
        stranger.post("/api/v1/affiliates", &body).await.expect_problem(401, "unauthorized");
        // Errors in the request of an unauthenticated caller are not reported.
        stranger.post("/api/v1/conversions", &json!("nonsense")).await.expect_problem(401, "unauthorized");
        stranger.get("/api/v1/conversions/nonsense").await.expect_problem(401, "unauthorized");
    }
    let basic = t.anonymous().request(Method::GET, "/api/v1/offers").basic_auth("admin", Some("x"));
    t.admin.send(basic).await.expect_problem(401, "unauthorized");
}

/// Two affiliates with one object of each kind.
async fn an_affiliate_sees_only_its_own(db: Database) {
    let t = TestApp::start(db).await;
    let (mine, other) = (t.click().await, t.click().await);
    let me = &mine.link.affiliate;
    for (click, path) in [(&mine, "/mine"), (&other, "/other")] {
        t.postback(path).owned_by(&click.link.affiliate).save().await;
        t.conversion(click).send().await;
    }
    t.deliver_all().await;

    for list in LISTS {
        let path = format!("/api/v1/{list}");
        let all = t.admin.list(&path).await;
        let own = me.client.list(&path).await;
        if list == "offers" {
            assert_eq!(all.len(), 2);
            continue;
        }
        assert!(all.len() >= 2, "{list}: {all:?}");
        assert_eq!(own.len() * 2, all.len(), "{list}: {own:?}");
        for item in &all {
            let id = text(item, "id");
            let visible = own.iter().any(|mine| mine["id"] == id);
            let answer = me.client.get(&format!("{path}/{id}")).await;
            if visible {
                answer.expect(200);
            } else {
                answer.expect_problem(404, "not_found");
            }
        }
    }
    // A filter does not widen the view.
    let theirs = &other.link.affiliate.id;
    for list in ["links", "clicks", "conversions"] {
        let answer = me.client.get(&format!("/api/v1/{list}?affiliate_id={theirs}")).await;
        assert!(answer.status == 404 || answer.expect(200)["items"] == json!([]), "{list}: {}", answer.text);
    }
}

async fn an_affiliate_changes_only_its_own(db: Database) {
    let t = TestApp::start(db).await;
    let (mine, other) = (t.click().await, t.click().await);
    let me = &mine.link.affiliate;
    let theirs = &other.link.affiliate;
    let their_postback = t.postback("/theirs").owned_by(theirs).save().await;
    let my_postback = t.postback("/mine").owned_by(me).save().await;
    t.receiver.always("/theirs", postrider_tests::receiver::Reply::status(400));
    t.conversion(&other).send().await;
    t.deliver_all().await;
    let their_delivery = text(&t.only_delivery(&their_postback).await, "id");

    let foreign = |path: String, body: Value| (path, body);
    for (path, body) in [
        foreign(format!("/api/v1/postbacks/{their_postback}"), json!({"name": "mine now"})),
        foreign(format!("/api/v1/links/{}", other.link.id), json!({"status": "paused"})),
    ] {
        me.client.patch(&path, &body).await.expect_problem(404, "not_found");
    }
    let delete = me.client.delete(&format!("/api/v1/postbacks/{their_postback}")).await;
    delete.expect_problem(404, "not_found");
    for path in
        [format!("/api/v1/deliveries/{their_delivery}/retry"), format!("/api/v1/postbacks/{their_postback}/test")]
    {
        me.client.post(&path, &json!({})).await.expect_problem(404, "not_found");
    }

    // It can change its own objects; the scope remains its own for any input.
    me.client.patch(&format!("/api/v1/postbacks/{my_postback}"), &json!({"name": "renamed"})).await.expect(200);
    me.client.patch(&format!("/api/v1/links/{}", mine.link.id), &json!({"status": "paused"})).await.expect(200);
    let widened = t
        .postback("/wide")
        .owned_by(me)
        .set("scope", json!({"affiliate_id": theirs.id, "offer_id": null}))
        .try_save()
        .await;
    match widened.status {
        201 => assert_eq!(widened.json()["scope"]["affiliate_id"], me.id),
        status => assert!(matches!(status, 403 | 404 | 422), "{}", widened.text),
    }
    let link = me.client.post("/api/v1/links", &json!({"affiliate_id": theirs.id, "offer_id": mine.link.offer})).await;
    match link.status {
        201 => assert_eq!(link.json()["affiliate_id"], me.id),
        status => assert!(matches!(status, 403 | 404 | 422), "{}", link.text),
    }
}

async fn an_affiliate_does_not_run_the_program(db: Database) {
    let t = TestApp::start(db).await;
    let click = t.click().await;
    let me = &click.link.affiliate.client;
    let conversion = t.conversion(&click).status("pending").send().await;
    let forbidden = async |client: &Client, path: &str, body: Value| {
        client.post(path, &body).await.expect_problem(403, "forbidden");
    };

    forbidden(me, "/api/v1/affiliates", json!({"name": "x", "email": "x@example.com"})).await;
    let offer = json!({"name": "x", "landing_url": "https://x.example/", "currency": "USD", "payout": {"fixed": "1"}});
    forbidden(me, "/api/v1/offers", offer).await;
    forbidden(me, "/api/v1/api-keys", json!({"name": "x", "role": "admin"})).await;
    let report = json!({"click_id": click.id, "transaction_id": "T", "status": "approved"});
    forbidden(me, "/api/v1/conversions", report).await;
    forbidden(me, &format!("/api/v1/conversions/{conversion}/approve"), json!({})).await;
    forbidden(me, &format!("/api/v1/conversions/{conversion}/reject"), json!({"reason": "x"})).await;
    let offer = format!("/api/v1/offers/{}", click.link.offer);
    me.patch(&offer, &json!({"payout": {"fixed": "9999"}})).await.expect_problem(403, "forbidden");
    me.get("/api/v1/api-keys").await.expect_problem(403, "forbidden");
    let own = format!("/api/v1/affiliates/{}", click.link.affiliate.id);
    me.patch(&own, &json!({"status": "active"})).await.expect_problem(403, "forbidden");
    // An affiliate's postback is saved only after its destination has accepted a test.
    let untested = t.postback("/p").owned_by(&click.link.affiliate).disabled().try_save().await;
    assert!(matches!(untested.status, 201 | 403), "{}", untested.text);
    if untested.status == 201 {
        assert_eq!(t.receiver.requests("/p").len(), 1, "saved, so it was tested");
    }
    let now = t.admin.get(&format!("/api/v1/conversions/{conversion}")).await.expect(200);
    assert_eq!(now["status"], "pending");
}

async fn a_revoked_key_is_invalid(db: Database) {
    let t = TestApp::start(db).await;
    let body = json!({"name": "CI", "role": "admin"});
    let key = t.admin.post("/api/v1/api-keys", &body).await.expect(201);
    let holder = t.admin.with_key(Some(&text(&key, "key")));
    holder.get("/api/v1/offers").await.expect(200);

    let path = format!("/api/v1/api-keys/{}", text(&key, "id"));
    assert_eq!(t.admin.delete(&path).await.status, 204);

    holder.get("/api/v1/offers").await.expect_problem(401, "unauthorized");
    let listed = t.admin.get("/api/v1/api-keys").await;
    assert!(!listed.text.contains(&text(&key, "key")), "a key is shown once: {}", listed.text);
}

async fn keys_are_stored_hashed(db: Database) {
    let t = TestApp::start(db).await;
    let body = json!({"name": "needle-in-the-haystack", "role": "admin"});
    // A retried call must return the key again, and still the key must not be stored in plain text.
    let key = t.admin.post_once("/api/v1/api-keys", "key-1", &body).await.expect(201);
    let secret = text(&key, "key");
    assert!(secret.starts_with("prk_") && secret.len() >= 30, "{secret}");

    assert!(t.database.contains("api_keys", "needle-in-the-haystack").await, "we look in the right place");
    assert!(!t.database.contains("api_keys", &secret).await);
    assert!(!t.database.contains("idempotency_keys", &secret).await);
}
