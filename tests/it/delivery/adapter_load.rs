//! Adapters under load and with hostile data: the data of visitors and the adapter of one owner affect only that owner.

use std::collections::HashMap;
use std::time::Duration;

use postrider_tests::app::{Click, TestApp};
use postrider_tests::client::text;
use postrider_tests::database::Database;
use postrider_tests::guest::Guest;
use postrider_tests::on_both_databases;
use postrider_tests::wait::eventually;
use serde_json::{Value, json};

on_both_databases!(
    a_request_that_is_too_long_is_refused_and_is_not_a_fault,
    an_adapter_that_fails_for_some_events_only_stays_in_service,
    slow_calls_lose_nothing_and_do_not_delay_others,
    deliveries_that_waited_for_an_adapter_return_at_a_bounded_rate,
    a_decision_that_could_not_be_made_in_time_is_made_before_sending,
);

const FIELDS: &str = r#"{"key": "a-long-enough-secret"}"#;

/// A postback of the adapter "guest" to this path.
async fn guest_postback(t: &TestApp, path: &str, changes: Value) -> String {
    let mut config: Value = serde_json::from_str(FIELDS).expect("it is JSON");
    config["url"] = json!(t.receiver.url(path));
    let mut body = json!({"name": "Guest", "adapter": "guest", "config": config, "firing_status": "approved"});
    for (name, value) in changes.as_object().expect("changes are an object") {
        body[name] = value.clone();
    }
    let saved = t.admin.post("/api/v1/postbacks", &body).await.expect(201);
    t.receiver.forget(path);
    text(&saved, "id")
}

/// Many conversions of a click in one request.
async fn convert_many(t: &TestApp, click: &Click, count: usize) {
    let reports: Vec<_> = (0..count)
        .map(|_| {
            json!({"click_id": click.id, "transaction_id": format!("many-{}", t.unique()), "status": "approved",
                "amount": "49.00", "currency": "USD"})
        })
        .collect();
    t.admin.post("/api/v1/conversions", &json!(reports)).await.expect(200);
}

async fn versions(t: &TestApp, adapter: &str) -> Vec<Value> {
    let found = t.admin.get(&format!("/api/v1/adapters/{adapter}")).await.expect(200);
    found["versions"].as_array().expect("versions").clone()
}

fn all_are(deliveries: &[Value], state: &str) -> bool {
    deliveries.iter().all(|it| it["status"] == state)
}

async fn a_request_that_is_too_long_is_refused_and_is_not_a_fault(db: Database) {
    let t = TestApp::start(db).await;
    let link = t.any_link().await;
    let parameters = [("a", "sub1"), ("b", "sub2")];
    let programs = t.postback("/clicks").action("click").firing("any").parameters(&parameters).save().await;
    let own = t.postback("/own").action("click").firing("any").parameters(&parameters);
    let own = own.owned_by(&link.affiliate).save().await;
    let bystander = t.postback("/conversions").save().await;
    let long = "%F0%9F%98%80".repeat(512);

    for number in 0..12 {
        t.click_on(&link, &format!("?sub1={long}&sub2={long}&n={number}")).await;
    }
    t.deliver_all().await;

    for id in [&programs, &own] {
        let refused = t.deliveries(id).await;
        assert_eq!(refused.len(), 12);
        for delivery in refused {
            assert_eq!(
                (&delivery["status"], &delivery["reason_code"]),
                (&json!("failed"), &json!("adapter_output_too_large"))
            );
            let sentence = text(&delivery, "reason");
            assert!(sentence.contains("bytes of URL") && sentence.contains("8192"), "{sentence}");
        }
    }
    let versions = versions(&t, "macro-url").await;
    assert!(versions.iter().all(|it| it["status"] == "active" && it["faults"] == 0), "{versions:?}");
    // Short values are sent immediately, for the same postback and for others.
    let click = t.click_on(&link, "?sub1=short&sub2=short").await;
    t.conversion(&click).send().await;
    t.deliver_all().await;
    assert_eq!(t.receiver.requests("/clicks").len(), 1);
    assert_eq!(t.only_delivery(&bystander).await["status"], "success");
}

/// Traps if it renders later than the event happened, as a value in an event could cause. The host's sample has the current time.
const TRAP_WHEN_LATE: &str =
    "(if (i64.ne (i64.load (local.get 0)) (i64.load offset=64 (local.get 0))) (then unreachable))";

async fn an_adapter_that_fails_for_some_events_only_stays_in_service(db: Database) {
    let t = TestApp::start_with_compiler(db).await;
    let click = t.click().await;
    t.install(Guest { before_render: TRAP_WHEN_LATE, ..Guest::default() }.component()).await.expect(201);
    let delay = json!({"delay": {"value": 2, "unit": "minutes"}});
    let late = guest_postback(&t, "/late", delay).await;
    let prompt = guest_postback(&t, "/prompt", json!({})).await;

    convert_many(&t, &click, 12).await;
    t.deliver_all().await;
    // Deliveries after ten faults wait for the verdict, for seconds.
    while !all_are(&t.deliveries(&late).await, "failed") {
        t.advance(Duration::from_secs(130));
        t.deliver_all().await;
    }

    let failed = t.deliveries(&late).await;
    assert!(failed.iter().all(|it| it["reason_code"] == "adapter_trap"), "{failed:#?}");
    // The owner's other deliveries continue after the host has called the adapter with a sample.
    eventually("a delivery after the faults", async || {
        t.conversion(&click).send().await;
        t.deliver_all().await;
        let sent = t.deliveries(&prompt).await;
        (sent.iter().filter(|it| it["status"] == "success").count() > 12).then_some(())
    })
    .await;
    assert_eq!(versions(&t, "guest").await[0]["status"], "active");
}

/// Computes for a while unless the call is a test, within all limits.
const COMPUTE_WHEN_REAL: &str = "(if (i32.eqz (i32.load8_u offset=12 (local.get 0))) (then
    (loop (global.set $spent (i64.add (global.get $spent) (i64.const 1)))
        (br_if 0 (i64.lt_u (global.get $spent) (i64.const 3000000))))
    (global.set $spent (i64.const 0))))";

async fn slow_calls_lose_nothing_and_do_not_delay_others(db: Database) {
    let t = TestApp::start_with_compiler(db).await;
    let click = t.click().await;
    let slow = Guest {
        before_render: COMPUTE_WHEN_REAL,
        extra: "(global $spent (mut i64) (i64.const 0))".into(),
        ..Guest::default()
    };
    t.install(slow.component()).await.expect(201);
    let slow = guest_postback(&t, "/slow", json!({})).await;
    let good = t.postback("/good").save().await;

    convert_many(&t, &click, 60).await;
    t.deliver_all().await;

    assert_eq!(t.receiver.requests("/good").len(), 60);
    assert!(all_are(&t.deliveries(&good).await, "success"));
    // Calls that do not fit into the slow adapter's queue wait, with a reason, and use up no attempt.
    while !all_are(&t.deliveries(&slow).await, "success") {
        for waiting in t.deliveries(&slow).await.iter().filter(|it| it["status"] == "pending") {
            assert_eq!(
                (&waiting["reason_code"], &waiting["attempts"]),
                (&json!("adapter_busy"), &json!([])),
                "{waiting}"
            );
        }
        t.advance(Duration::from_secs(61));
        t.deliver_all().await;
    }
    assert_eq!(t.receiver.requests("/slow").len(), 60, "each was sent once");
}

async fn deliveries_that_waited_for_an_adapter_return_at_a_bounded_rate(db: Database) {
    let t = TestApp::start_with_compiler(db).await;
    let click = t.click().await;
    t.install(Guest::default().component()).await.expect(201);
    let id = guest_postback(&t, "/p", json!({})).await;
    let version = "/api/v1/adapters/guest/versions/1.0.0";
    t.admin.post(&format!("{version}/disable"), &json!({})).await.expect(200);

    convert_many(&t, &click, 250).await;
    t.deliver_all().await;

    let mut due = HashMap::new();
    for waiting in t.deliveries(&id).await {
        assert_eq!((&waiting["status"], &waiting["reason_code"]), (&json!("pending"), &json!("adapter_disabled")));
        *due.entry(text(&waiting, "due_at")).or_insert(0) += 1;
    }
    let mut counts: Vec<_> = due.values().copied().collect();
    counts.sort_unstable();
    assert_eq!(counts, [50, 100, 100], "a hundred in a second: {due:?}");

    t.admin.post(&format!("{version}/enable"), &json!({})).await.expect(200);
    t.advance(Duration::from_secs(60));
    t.deliver_all().await;
    assert_eq!(t.receiver.requests("/p").len(), 100);
    t.advance(Duration::from_secs(2));
    t.deliver_all().await;
    assert_eq!(t.receiver.requests("/p").len(), 250);
}

async fn a_decision_that_could_not_be_made_in_time_is_made_before_sending(db: Database) {
    let t = TestApp::start_with_compiler(db).await;
    let click = t.click().await;
    // "Fire after ten minutes", within the longest delay that the adapter permits.
    let decide = "(i32.store8 offset=8 (i32.const 36864) (i32.const 1))
        (i64.store offset=16 (i32.const 36864) (i64.const 600000)) i32.const 36864";
    t.install(Guest { decide, ..Guest::default() }.component()).await.expect(201);
    let id = guest_postback(&t, "/p", json!({})).await;
    let version = "/api/v1/adapters/guest/versions/1.0.0";
    t.admin.post(&format!("{version}/disable"), &json!({})).await.expect(200);
    t.conversion(&click).send().await;
    t.deliver_all().await;
    assert_eq!(t.only_delivery(&id).await["reason_code"], "adapter_disabled");
    t.admin.post(&format!("{version}/enable"), &json!({})).await.expect(200);

    t.advance(Duration::from_secs(61));
    t.deliver_all().await;
    let delayed = t.only_delivery(&id).await;
    assert_eq!((&delayed["status"], &delayed["reason_code"]), (&json!("pending"), &Value::Null), "{delayed}");
    assert!(t.receiver.requests("/p").is_empty());
    t.advance(Duration::from_secs(540));
    t.deliver_all().await;
    t.receiver.only_request("/p");
}
