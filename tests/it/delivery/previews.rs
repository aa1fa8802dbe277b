//! Previews and estimates: what a postback would send, and how often, before it is saved.

use std::time::Duration;

use postrider_tests::app::TestApp;
use postrider_tests::client::{Client, text};
use postrider_tests::database::Database;
use postrider_tests::on_both_databases;
use postrider_tests::receiver::Reply;
use serde_json::{Value, json};

on_both_databases!(
    a_preview_is_the_request_that_would_be_sent,
    a_preview_can_be_sent_to_see_the_real_answer,
    a_change_is_previewed_with_the_stored_secrets,
    a_preview_shows_what_would_not_fire,
    an_affiliate_previews_with_its_own_events,
    an_estimate_counts_what_would_have_fired,
    a_rule_is_read_back_as_a_sentence,
    a_test_can_carry_a_click_id_that_the_tracker_knows,
    an_unverified_postback_is_verified_by_its_first_success,
    a_networks_own_words_are_offered_its_adapter,
);

async fn preview(client: &Client, body: &Value, query: &str) -> Value {
    client.post(&format!("/api/v1/postbacks/preview{query}"), body).await.expect(200)
}

fn first_event(events: &[Value]) -> String {
    text(events.last().expect("an event"), "id")
}

async fn a_preview_is_the_request_that_would_be_sent(db: Database) {
    let t = TestApp::start(db).await;
    let click = t.click().await;
    let postback = t.postback("/p");
    // A sample without an event of one's own.
    let shown = preview(&t.admin, &postback.body, "").await;
    assert_eq!((&shown["event_id"], &shown["fires"]), (&Value::Null, &json!(true)), "{shown}");
    assert!(text(&shown["request"], "url").contains("transaction=test-transaction"), "{shown}");
    assert_eq!(shown["verification"], Value::Null);

    t.conversion(&click).transaction("T-1").send().await;
    t.deliver_all().await;
    let event = first_event(&t.admin.list("/api/v1/events").await);
    let shown = preview(&t.admin, &postback.body, &format!("?event_id={event}")).await;
    assert_eq!(shown["event_id"], event.as_str());
    assert_eq!(
        shown["summary"],
        "A request is sent as soon as a conversion of any affiliate for any offer is approved."
    );
    assert!(t.receiver.all_requests().is_empty(), "nothing was sent");
    assert!(t.admin.list("/api/v1/postbacks").await.is_empty(), "nothing was saved");

    // The saved postback sends exactly that request.
    let saved = postback.save().await;
    t.tick();
    t.conversion(&click).transaction("T-2").send().await;
    t.deliver_all().await;
    let sent = t.only_delivery(&saved).await;
    let url = text(&shown["request"], "url").replace("T-1", "T-2");
    assert_eq!(text(&sent["attempts"][0], "url"), url);
}

async fn a_preview_can_be_sent_to_see_the_real_answer(db: Database) {
    let t = TestApp::start(db).await;
    let body = t.postback("/p").body;
    t.receiver.always("/p", Reply::body(404, "unknown campaign"));
    let shown = preview(&t.admin, &body, "?send=true").await;
    let answer = &shown["verification"];
    assert_eq!((&answer["accepted"], &answer["http_status"]), (&json!(false), &json!(404)), "{shown}");
    assert_eq!(answer["body"], "unknown campaign");
    t.receiver.always("/p", Reply::status(200));
    assert_eq!(preview(&t.admin, &body, "?send=true").await["verification"]["accepted"], true);
    assert_eq!(t.receiver.requests("/p").len(), 2);
    assert!(t.admin.list("/api/v1/postbacks").await.is_empty());

    let wrong = json!({"name": "p", "adapter": "macro-url", "config": {"base_url": "nonsense"}});
    t.admin.post("/api/v1/postbacks/preview", &wrong).await.expect(422);
    t.admin.post("/api/v1/postbacks/preview?send=maybe", &body).await.expect_problem(400, "invalid_parameter");
}

async fn a_change_is_previewed_with_the_stored_secrets(db: Database) {
    let t = TestApp::start(db).await;
    let mut postback = t.postback("/p");
    postback.body["config"]["parameters"] = json!([{"name": "token", "macro": "secret.token"}]);
    postback.body["config"]["secrets"] = json!({"token": "very-secret-token"});
    let id = postback.save().await;
    let path = format!("/api/v1/postbacks/{id}/preview");

    let mut parameters = postback.body["config"]["parameters"].clone();
    parameters.as_array_mut().expect("a list").push(json!({"name": "status", "macro": "status"}));
    let change = json!({"config": {"parameters": parameters}});
    let shown = t.admin.post(&format!("{path}?send=true"), &change).await.expect(200);
    let url = text(&shown["request"], "url");
    assert!(url.contains("token=***") && url.contains("status=approved"), "{shown}");
    assert!(!shown.to_string().contains("very-secret-token"));
    assert_eq!(t.receiver.only_request("/p").parameter("token"), "very-secret-token");
    // Stored secrets are not sent to another origin.
    let elsewhere = json!({"config": {"base_url": "http://127.0.0.2:9/p"}});
    t.admin.post(&format!("{path}?send=true"), &elsewhere).await.expect_problem(422, "secret_host_refused");
    let stored = t.admin.get(&format!("/api/v1/postbacks/{id}")).await.expect(200);
    assert_eq!(stored["config"]["parameters"], postback.body["config"]["parameters"], "nothing was saved");
}

async fn a_preview_shows_what_would_not_fire(db: Database) {
    let t = TestApp::start(db).await;
    let click = t.click().await;
    t.conversion(&click).status("pending").send().await;
    t.deliver_all().await;
    let event = first_event(&t.admin.list("/api/v1/events").await);
    let mut body = t.postback("/p").firing("rejected").body;
    body["config"]["parameters"] = json!([{"name": "sub", "macro": "sub1", "required": true}]);
    let shown = preview(&t.admin, &body, &format!("?event_id={event}")).await;
    assert_eq!((&shown["fires"], &shown["request"]), (&json!(false), &Value::Null), "{shown}");
    assert_eq!(shown["error_code"], "adapter_invalid_event");
    let checks = shown["checks"].as_array().expect("checks");
    let failed: Vec<_> = checks.iter().filter(|it| it["result"] == "failed").map(|it| text(it, "name")).collect();
    assert_eq!(failed, ["status", "required_value"]);
}

async fn an_affiliate_previews_with_its_own_events(db: Database) {
    let t = TestApp::start(db).await;
    let (mine, other) = (t.click().await, t.click().await);
    let me = &mine.link.affiliate;
    let report = t.conversion(&mine).set("customer_email", json!("ada@example.com"));
    report.send().await;
    t.tick();
    t.conversion(&other).send().await;
    t.deliver_all().await;
    let events = t.admin.list("/api/v1/events").await;
    let own = first_event(&events);
    let foreign = text(&events[0], "id");
    let mut body = t.postback("/p").body;
    body["config"]["parameters"] =
        json!([{"name": "mail", "macro": "customer_email"}, {"name": "revenue", "macro": "revenue"}]);
    let shown = preview(&me.client, &body, &format!("?event_id={own}")).await;
    assert!(!shown.to_string().contains("ada@example.com"), "{shown}");
    let path = |event: &str| format!("/api/v1/postbacks/preview?event_id={event}");
    me.client.post(&path(&foreign), &body).await.expect_problem(404, "not_found");
    // Staff previews an affiliate's postback with events of that affiliate only.
    body["owner_affiliate_id"] = json!(me.id);
    t.admin.post(&path(&own), &body).await.expect(200);
    t.admin.post(&path(&foreign), &body).await.expect_problem(404, "not_found");
}

async fn an_estimate_counts_what_would_have_fired(db: Database) {
    let t = TestApp::start(db).await;
    let (first, second) = (t.click().await, t.click().await);
    t.conversion(&first).send().await;
    t.advance(Duration::from_secs(8 * 86_400));
    // The conversion above is older than seven days.
    for _ in 0..3 {
        t.conversion(&first).send().await;
    }
    t.conversion(&first).rejected("fraud").send().await;
    t.conversion(&second).rejected("refund").send().await;
    t.click_on(&first.link, "").await;
    t.click_on(&second.link, "").await;
    t.deliver_all().await;
    let me = &first.link.affiliate;
    let estimate = async |client: &Client, body: Value| {
        let found = client.post("/api/v1/postbacks/estimate", &body).await.expect(200);
        assert_eq!(found["capped"], false, "{found}");
        (found["fired"].as_u64().expect("a number"), found["examined"].as_u64().expect("a number"))
    };

    for (body, fired, examined) in [
        (json!({}), 5, 5),
        (json!({"firing_status": "approved"}), 3, 5),
        (json!({"firing_status": "rejected"}), 2, 5),
        (json!({"firing_status": "rejected", "rejection_reasons": ["Fraud"]}), 1, 5),
        (json!({"scope": {"affiliate_id": me.id}, "firing_status": "rejected"}), 1, 4),
        (json!({"scope": {"offer_id": second.link.offer}}), 1, 5),
        (json!({"action": "event"}), 0, 5),
        (json!({"action": "click"}), 2, 2),
        (json!({"action": "click", "scope": {"affiliate_id": me.id}}), 1, 1),
        (json!({"action": "click", "scope": {"offer_id": second.link.offer}}), 1, 2),
        (json!({"action": "impression"}), 0, 2),
    ] {
        assert_eq!(estimate(&t.admin, body.clone()).await, (fired, examined), "{body}");
    }
    assert_eq!(estimate(&me.client, json!({})).await, (4, 4), "an affiliate counts its own");
    let others = json!({"scope": {"affiliate_id": second.link.affiliate.id}});
    me.client.post("/api/v1/postbacks/estimate", &others).await.expect_problem(404, "not_found");
    let wrong = json!({"rejection_reasons": [""]});
    t.admin.post("/api/v1/postbacks/estimate", &wrong).await.expect_problem(422, "invalid_field");
}

async fn a_rule_is_read_back_as_a_sentence(db: Database) {
    let t = TestApp::start(db).await;
    let id = t.postback("/p").firing("rejected").reasons(&["fraud", "duplicate"]).delay(2, "minutes").save().await;
    let postback = t.admin.get(&format!("/api/v1/postbacks/{id}")).await.expect(200);
    assert_eq!(
        postback["summary"],
        "A request is sent 2 minutes after a conversion of any affiliate for any offer is rejected for the reason \"fraud\" or \"duplicate\"."
    );
}

async fn a_test_can_carry_a_click_id_that_the_tracker_knows(db: Database) {
    let t = TestApp::start(db).await;
    let parameters = json!([{"name": "cid", "macro": "external_click_id"}]);
    let mut body =
        t.postback("/k").set("config", json!({"base_url": t.receiver.url("/k"), "parameters": parameters})).body;
    let sent = |t: &TestApp| t.receiver.requests("/k").pop().expect("a request").query;

    body["test_click_id"] = json!("newest");
    let problem = t.admin.post("/api/v1/postbacks", &body).await.expect_problem(422, "invalid_field");
    assert_eq!(problem["errors"][0]["path"], "/test_click_id");
    body["test_click_id"] = json!("known-1");
    let saved = t.admin.post("/api/v1/postbacks", &body).await.expect(201);
    assert_eq!(sent(&t), "cid=known-1");
    assert_eq!(saved.get("test_click_id"), None, "it is not saved");

    let link = t.any_link().await;
    t.click_on(&link, "?click_id=real-1").await;
    t.tick();
    t.click_on(&link, "?click_id=%7Bclickid%7D").await;
    let path = format!("/api/v1/postbacks/{}", text(&saved, "id"));
    t.admin.post(&format!("{path}/test?test_click_id=newest"), &json!({})).await.expect(200);
    assert_eq!(sent(&t), "cid=real-1", "a macro that nobody replaced is no click id");
    t.admin.post(&format!("{path}/preview?send=true"), &json!({"test_click_id": "known-2"})).await.expect(200);
    assert_eq!(sent(&t), "cid=known-2");
    t.admin.post(&format!("{path}/test"), &json!({})).await.expect(200);
    assert_eq!(sent(&t), "cid=test-click");
}

async fn an_unverified_postback_is_verified_by_its_first_success(db: Database) {
    let t = TestApp::start(db).await;
    t.receiver.always("/u", Reply::status(500));
    let body = t.postback("/u").body;
    t.admin.post("/api/v1/postbacks", &body).await.expect_problem(422, "verification_failed");
    let mut allowed = body.clone();
    allowed["allow_unverified"] = json!(true);
    let saved = t.admin.post("/api/v1/postbacks", &allowed).await.expect(201);
    let path = format!("/api/v1/postbacks/{}", text(&saved, "id"));
    assert_eq!((&saved["enabled"], &saved["verified_at"]), (&json!(true), &Value::Null));
    // Its name can be changed without a test.
    let renamed = t.admin.patch(&path, &json!({"name": "Renamed"})).await.expect(200);
    assert_eq!(renamed["verified_at"], Value::Null);
    let click = t.click().await;
    t.receiver.always("/u", Reply::status(200));
    t.conversion(&click).send().await;
    t.deliver_all().await;
    assert_ne!(t.admin.get(&path).await.expect(200)["verified_at"], Value::Null);

    // Another destination is tested again, unless that is not wanted.
    let elsewhere = json!({"config": {"base_url": t.receiver.url("/v"), "parameters": []}});
    t.receiver.always("/v", Reply::status(500));
    t.admin.patch(&path, &elsewhere).await.expect_problem(422, "verification_failed");
    let mut allowed = elsewhere.clone();
    allowed["allow_unverified"] = json!(true);
    assert_eq!(t.admin.patch(&path, &allowed).await.expect(200)["verified_at"], Value::Null);
}

async fn a_networks_own_words_are_offered_its_adapter(db: Database) {
    let t = TestApp::start(db).await;
    let parse = async |url: &str| t.admin.post("/api/v1/postbacks/parse", &json!({"url": url})).await.expect(200);
    let integr8 = parse("https://t.example/postback?clickid={external_transaction_id}&status={status}").await;
    assert_eq!(integr8["networks"], json!([{"adapter": "integr8", "title": "Integr8"}]));
    let mylead = parse("http://www.yourdomain.com/script.php?subID=[transaction_id]&program=[program_id]&name=[program_name]&status=[status]&payout=[payout]").await;
    assert_eq!(mylead["networks"], json!([{"adapter": "mylead", "title": "MyLead"}]));
    let common = parse("https://t.example/postback?cid={click_id}&payout={payout}&status={status}").await;
    assert_eq!(common["networks"], json!([]));
    let unknown = parse("https://t.example/postback?s={plan_nam}&x={nonsense_word}").await;
    let suggested = |index: usize| unknown["unknown"][index]["suggestion"].clone();
    assert_eq!((suggested(0), suggested(1)), (json!("plan_name"), Value::Null));
}
