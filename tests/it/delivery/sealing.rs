//! Secrets that an older version stored in plain text are sealed when this version starts.

use postrider_tests::app::TestApp;
use postrider_tests::client::text;
use postrider_tests::database::Database;
use postrider_tests::on_both_databases;
use serde_json::{Value, json};

on_both_databases!(
    a_secret_that_was_stored_in_plain_text_is_sealed_at_the_start_and_still_sent,
    the_secrets_of_sources_are_sealed_at_the_start_too,
    a_key_that_an_older_template_put_into_the_url_is_sealed_at_the_start,
    a_secret_that_could_no_longer_be_sent_is_not_sealed,
    nothing_is_checked_again_until_the_rules_change,
);

const NEEDLE: &str = "needle4711";

async fn in_the_clear(t: &TestApp, table: &str) -> i64 {
    let sql = format!("SELECT count(*) FROM {table} t WHERE config LIKE '%needle%'");
    let settings = "SELECT count(*) FROM sources WHERE settings LIKE '%needle%'";
    t.database.number(&sql).await + if table == "sources" { t.database.number(settings).await } else { 0 }
}

/// An older version has no record of a check of the stored values.
async fn forget_the_last_pass(t: &TestApp) {
    t.database.execute("DELETE FROM program_settings WHERE key = 'sealed_by'").await;
}

async fn remembered(t: &TestApp) -> i64 {
    t.database.number("SELECT count(*) FROM program_settings WHERE key = 'sealed_by'").await
}

/// A postback with a key, as stored by a version that did not treat it as a secret.
async fn plant(t: &TestApp, base_url: &str) -> String {
    let config = |key: &str| {
        json!({
            "base_url": t.receiver.url("/p"), "method": "GET", "custom": [], "secrets": {"key": key},
            "parameters": [{"name": "key", "macro": "secret.key"}, {"name": "click", "macro": "click_id"}],
        })
    };
    let id = t.postback("/p").set("config", config("first-key")).save().await;
    let mut older = config(NEEDLE);
    older["base_url"] = json!(base_url);
    let sql = format!("UPDATE postbacks SET config = '{older}', secret_origins = '[]'");
    t.database.execute(&sql).await;
    id
}

async fn a_secret_that_was_stored_in_plain_text_is_sealed_at_the_start_and_still_sent(db: Database) {
    let mut t = TestApp::start(db).await;
    let click = t.click().await;
    let id = plant(&t, &t.receiver.url("/p")).await;
    assert_eq!(in_the_clear(&t, "postbacks").await, 1);
    forget_the_last_pass(&t).await;

    t.restart_with(|_| {}).await;

    assert_eq!(in_the_clear(&t, "postbacks").await, 0);
    let path = format!("/api/v1/postbacks/{id}");
    let shown = t.admin.get(&path).await.expect(200);
    assert_eq!(shown["config"]["secrets"]["key"], "••••");
    t.conversion(&click).send().await;
    t.deliver_all().await;
    assert_eq!(t.receiver.only_request("/p").parameter("key"), NEEDLE);
    assert_eq!(t.only_delivery(&id).await["status"], "success");
    // It is sent to the host that it was entered for, and to no other.
    let mut elsewhere = shown["config"].clone();
    elsewhere["base_url"] = json!("http://localhost:1/p");
    t.admin.patch(&path, &json!({"config": elsewhere})).await.expect_problem(422, "secret_host_refused");

    // The next start finds nothing to seal.
    t.advance(std::time::Duration::from_secs(60));
    t.restart_with(|_| {}).await;
    assert_eq!(t.admin.get(&path).await.expect(200), shown);
}

async fn the_secrets_of_sources_are_sealed_at_the_start_too(db: Database) {
    let mut t = TestApp::start(db).await;
    let click = t.click().await;
    let body = json!({
        "name": "Network", "adapter": "macro-url",
        "config": {"base_url": "https://network.example/", "method": "GET", "parameters": [], "custom": [],
            "fields": {"click_id": "sub", "transaction_id": "tid"}},
        "settings": {"guards": {"token": {"parameter": "key", "value": "first-token"}}},
    });
    let saved = t.admin.post("/api/v1/sources", &body).await.expect(201);
    let mut older: Value = saved["settings"].clone();
    older["guards"]["token"]["value"] = json!(NEEDLE);
    let sql = format!("UPDATE sources SET settings = '{older}' WHERE name = 'Network'");
    t.database.execute(&sql).await;
    forget_the_last_pass(&t).await;
    assert_eq!(in_the_clear(&t, "sources").await, 1);

    t.restart_with(|_| {}).await;

    assert_eq!(in_the_clear(&t, "sources").await, 0);
    let path = url::Url::parse(&text(&saved, "url")).expect("an absolute URL").path().to_owned();
    let report = async |key: &str| t.anonymous().get(&format!("{path}?sub={}&tid=1&key={key}", click.id)).await.status;
    assert_eq!((report("first-token").await, report(NEEDLE).await), (401, 200));
}

async fn a_key_that_an_older_template_put_into_the_url_is_sealed_at_the_start(db: Database) {
    let mut t = TestApp::start(db).await;
    let link = t.any_link().await;
    let click = t.click_on(&link, "?click_id=tracker-1").await;
    let fields = json!({"tracking_domain": t.receiver.url(""), "postback_key": "first-key"});
    let body = json!({"name": "Keitaro", "template": "keitaro", "fields": fields, "firing_status": "approved"});
    let saved = t.admin.post("/api/v1/postbacks", &body).await.expect(201);
    let mut older = saved["config"].clone();
    older.as_object_mut().expect("an object").remove("secrets");
    older["base_url"] = json!(t.receiver.url(&format!("/{NEEDLE}/postback")));
    t.database.execute(&format!("UPDATE postbacks SET config = '{older}', secret_origins = '[]'")).await;
    forget_the_last_pass(&t).await;

    t.restart_with(|_| {}).await;

    assert_eq!(in_the_clear(&t, "postbacks").await, 0);
    t.conversion(&click).send().await;
    t.deliver_all().await;
    let received = t.receiver.only_request(&format!("/{NEEDLE}/postback"));
    assert_eq!(received.parameter("subid"), "tracker-1");
    let delivery = t.only_delivery(&text(&saved, "id")).await;
    assert!(!delivery.to_string().contains(NEEDLE), "{delivery:#}");
}

async fn a_secret_that_could_no_longer_be_sent_is_not_sealed(db: Database) {
    let mut t = TestApp::start(db).await;
    // Without a permitted host for this key, the postback cannot be rendered.
    let id = plant(&t, "no address").await;
    forget_the_last_pass(&t).await;

    t.restart_with(|_| {}).await;

    assert_eq!(in_the_clear(&t, "postbacks").await, 1);
    assert_eq!(remembered(&t).await, 0, "the next start looks again");
    let repaired = json!({"config": {
        "base_url": t.receiver.url("/p"), "method": "GET", "custom": [], "secrets": {"key": NEEDLE},
        "parameters": [{"name": "key", "macro": "secret.key"}],
    }});
    t.admin.patch(&format!("/api/v1/postbacks/{id}"), &repaired).await.expect(200);
    assert_eq!(in_the_clear(&t, "postbacks").await, 0);
}

async fn nothing_is_checked_again_until_the_rules_change(db: Database) {
    let mut t = TestApp::start(db).await;
    assert_eq!(remembered(&t).await, 1, "there was nothing to seal");
    plant(&t, &t.receiver.url("/p")).await;
    t.restart_with(|_| {}).await;
    assert_eq!(in_the_clear(&t, "postbacks").await, 1, "by the rules of before nothing is to be found");

    t.database.execute("UPDATE adapters SET state = 'disabled' WHERE id = 'mylead'").await;
    t.restart_with(|_| {}).await;
    assert_eq!(in_the_clear(&t, "postbacks").await, 0, "other adapters are other rules");
}
