//! Limits for the objects, actions and stored data of one affiliate or stranger.

use std::time::Duration;

use postrider_tests::app::TestApp;
use postrider_tests::client::text;
use postrider_tests::database::Database;
use postrider_tests::on_both_databases;
use postrider_tests::people::PASSWORD;
use reqwest::Method;
use serde_json::{Value, json};

on_both_databases!(
    an_affiliate_has_a_limit_for_each_kind_of_object,
    tests_per_minute_are_limited,
    retries_per_minute_are_limited,
    refused_requests_of_networks_cost_little,
    a_page_of_large_rows_ends_early,
);

async fn an_affiliate_has_a_limit_for_each_kind_of_object(db: Database) {
    let t = TestApp::start_with(db, |settings| {
        settings.postbacks_per_affiliate = 2;
        settings.sources_per_affiliate = 2;
        settings.links_per_affiliate = 2;
        settings.api_keys_per_person = 2;
    })
    .await;
    let (affiliate, offer) = (t.affiliate().await, t.offer().await);
    let postback = json!({"name": "P", "adapter": "macro-url", "action": "conversion", "firing_status": "any",
        "config": {"base_url": t.receiver.url("/p")}});
    let source = json!({"name": "S", "adapter": "macro-url", "config": {"fields": {"click_id": "c"}}});
    let link = json!({"affiliate_id": affiliate.id, "offer_id": offer});
    // The first source is there from the start.
    for (path, body, there, code) in [
        ("/api/v1/postbacks", &postback, 0, "too_many_postbacks"),
        ("/api/v1/sources", &source, 1, "too_many_sources"),
        ("/api/v1/links", &link, 0, "too_many_links"),
    ] {
        for _ in there..2 {
            affiliate.client.post(path, body).await.expect(201);
        }
        affiliate.client.post(path, body).await.expect_problem(409, code);
    }
    // A deleted one makes room.
    let first = text(&affiliate.client.get("/api/v1/postbacks").await.expect(200)["items"][0], "id");
    affiliate.client.delete(&format!("/api/v1/postbacks/{first}")).await.expect(204);
    affiliate.client.post("/api/v1/postbacks", &postback).await.expect(201);
    // The program's people can create more.
    t.admin.post("/api/v1/links", &link).await.expect(201);

    let person = t.person("support").await;
    let key = json!({"name": "mine", "password": PASSWORD});
    for _ in 0..2 {
        person.client.post("/api/v1/auth/keys", &key).await.expect(201);
    }
    person.client.post("/api/v1/auth/keys", &key).await.expect_problem(409, "too_many_api_keys");
}

async fn tests_per_minute_are_limited(db: Database) {
    let t = TestApp::start_with(db, |settings| settings.tests_per_minute = 3).await;
    let (affiliate, neighbour) = (t.affiliate().await, t.affiliate().await);
    let body = json!({"name": "P", "adapter": "macro-url", "action": "conversion", "firing_status": "any",
        "config": {"base_url": t.receiver.url("/p")}});
    let id = text(&affiliate.client.post("/api/v1/postbacks", &body).await.expect(201), "id");
    let test = async || affiliate.client.post(&format!("/api/v1/postbacks/{id}/test"), &json!({})).await;
    // The save was the first test.
    test().await.expect(200);
    test().await.expect(200);
    let answer = test().await;
    answer.expect_problem(429, "too_many_tests");
    assert_eq!(answer.header("retry-after"), Some("20"));
    affiliate.client.post("/api/v1/postbacks", &body).await.expect_problem(429, "too_many_tests");
    neighbour.client.post("/api/v1/postbacks", &body).await.expect(201);
    t.advance(Duration::from_secs(20));
    test().await.expect(200);
    test().await.expect_problem(429, "too_many_tests");
}

async fn retries_per_minute_are_limited(db: Database) {
    let t = TestApp::start_with(db, |settings| settings.retries_per_minute = 2).await;
    let (affiliate, offer) = (t.affiliate().await, t.offer().await);
    let body = json!({"name": "P", "adapter": "macro-url", "action": "conversion", "firing_status": "any",
        "config": {"base_url": t.receiver.url("/p")}});
    let postback = text(&affiliate.client.post("/api/v1/postbacks", &body).await.expect(201), "id");
    let click = t.click_on(&t.link(&affiliate, &offer).await, "").await;
    t.conversion(&click).send().await;
    t.deliver_all().await;
    let id = text(&t.only_delivery(&postback).await, "id");
    let path = format!("/api/v1/deliveries/{id}/retry");
    // An accepted delivery cannot be retried, and the attempt does not count.
    affiliate.client.post(&path, &json!({})).await.expect_problem(409, "delivery_not_retryable");
    for _ in 0..2 {
        t.database.execute("UPDATE deliveries SET state = 'failed'").await;
        affiliate.client.post(&path, &json!({})).await.expect(202);
        t.deliver_all().await;
    }
    t.database.execute("UPDATE deliveries SET state = 'failed'").await;
    affiliate.client.post(&path, &json!({})).await.expect_problem(429, "too_many_retries");
    t.admin.post(&path, &json!({})).await.expect(202);
}

async fn guarded_source(t: &TestApp) -> (String, String) {
    let body = json!({"name": "Network", "adapter": "macro-url", "config": {"fields": {"click_id": "c"}},
        "settings": {"guards": {"networks": ["203.0.113.0/24"]}}});
    let source = t.admin.post("/api/v1/sources", &body).await.expect(201);
    let url = url::Url::parse(&text(&source, "url")).expect("an absolute URL");
    (text(&source, "id"), url.path().to_owned())
}

async fn refused_requests_of_networks_cost_little(db: Database) {
    let t = TestApp::start(db).await;
    let (id, path) = guarded_source(&t).await;
    let report = async |body: String| {
        let request = t.anonymous().request(Method::POST, &path).header("x-note", "n".repeat(900)).body(body);
        t.anonymous().send(request).await.status
    };
    let list = format!("/api/v1/inbound-requests?source_id={id}");
    for _ in 0..40 {
        assert_eq!(report("a".repeat(60_000)).await, 403);
    }
    let stored = t.admin.list(&list).await;
    assert_eq!(stored.len(), 30, "the others are only counted");
    assert!(stored.iter().all(|it| it["outcome"] == "refused" && it["request"]["truncated"] == true));
    assert!(
        t.database.number("SELECT CAST(max(length(headers) + length(body)) AS bigint) FROM inbound_requests").await
            < 5_000
    );

    t.advance(Duration::from_secs(60));
    assert_eq!(report("c=short".to_owned()).await, 403);
    let last = t.admin.list(&list).await.remove(0);
    assert_eq!(last["repeats"], 10, "{last}");
    // A short one is stored completely, and can be processed again when the guard is corrected.
    let settings = json!({"settings": {"guards": {"networks": []}}});
    t.admin.patch(&format!("/api/v1/sources/{id}"), &settings).await.expect(200);
    let replayed = t.admin.post(&format!("/api/v1/inbound-requests/{}/replay", text(&last, "id")), &json!({})).await;
    assert_ne!(replayed.expect(200)["code"], "network_not_allowed");
}

async fn a_page_of_large_rows_ends_early(db: Database) {
    let t = TestApp::start(db).await;
    let body = json!({"name": "Network", "adapter": "macro-url", "config": {"fields": {"click_id": "c"}}});
    let source = t.admin.post("/api/v1/sources", &body).await.expect(201);
    let path = url::Url::parse(&text(&source, "url")).expect("an absolute URL").path().to_owned();
    for n in 0..90 {
        let mut request = t.anonymous().request(Method::GET, &format!("{path}?c=unknown-{n}"));
        for header in 0..60 {
            request = request.header(format!("x-large-{header}"), "a".repeat(1_000));
        }
        t.anonymous().send(request).await;
    }
    let list = format!("/api/v1/inbound-requests?source_id={}", text(&source, "id"));
    let page: Value = t.admin.get(&format!("{list}&limit=200")).await.expect(200);
    let items = page["items"].as_array().expect("a list").len();
    assert!((60..80).contains(&items), "4 MiB of them: {items}");
    assert!(page["next"].is_string());
    assert_eq!(t.admin.list(&list).await.len(), 90, "and none is lost between pages");
}
