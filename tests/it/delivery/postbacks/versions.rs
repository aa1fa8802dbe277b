//! Versions, roll-back and copies of postbacks.

use postrider_tests::app::TestApp;
use postrider_tests::client::text;
use postrider_tests::database::Database;
use postrider_tests::on_both_databases;
use postrider_tests::receiver::Reply;
use serde_json::{Value, json};

on_both_databases!(
    versions_say_who_changed_what_and_when,
    a_roll_back_is_checked_and_tested_like_a_change,
    a_roll_back_keeps_the_present_secrets,
    a_copy_is_off_and_has_the_secrets,
    versions_of_others_are_not_found,
);

fn fields(version: &Value) -> Vec<String> {
    version["changes"].as_array().expect("changes").iter().map(|it| text(it, "field")).collect()
}

async fn versions_say_who_changed_what_and_when(db: Database) {
    let t = TestApp::start(db).await;
    let admin = t.person("admin").await;
    let affiliate = t.affiliate().await;
    let person = t.person_of(&affiliate.id).await;
    let id = t.postback("/p").owned_by(&affiliate).save().await;
    let path = format!("/api/v1/postbacks/{id}");
    let config = t.admin.get(&path).await.expect(200)["config"].clone();
    t.tick();
    let mut moved = config.clone();
    moved["base_url"] = json!(t.receiver.url("/moved"));
    person.client.patch(&path, &json!({"config": moved})).await.expect(200);
    t.tick();
    admin
        .client
        .patch(&path, &json!({"firing_status": "any", "delay": {"value": 2, "unit": "minutes"}}))
        .await
        .expect(200);
    // A change without effect is no version.
    admin.client.patch(&path, &json!({"firing_status": "any"})).await.expect(200);

    let versions = t.admin.items(&format!("{path}/versions")).await;
    let numbers: Vec<_> = versions.iter().map(|it| it["version"].as_i64().unwrap()).collect();
    assert_eq!(numbers, [3, 2, 1]);
    assert_eq!((&versions[0]["present"], &versions[1]["present"]), (&json!(true), &json!(false)));
    assert_eq!(fields(&versions[0]), ["delay.unit", "delay.value", "firing_status"]);
    assert_eq!(fields(&versions[1]), ["config.base_url"]);
    let change = &versions[1]["changes"][0];
    assert_eq!((&change["from"], &change["to"]), (&config["base_url"], &moved["base_url"]));
    assert_eq!(versions[2]["changes"], Value::Null);
    let who = |it: &Value| (it["saved_by"].clone(), it["saved_by_program"].clone());
    assert_eq!(who(&versions[0]), (json!(admin.id), json!(true)));
    assert_eq!(who(&versions[1]), (json!(person.id), json!(false)));
    assert!(text(&versions[2], "saved_at") < text(&versions[1], "saved_at"));
    assert_eq!(t.admin.get(&path).await.expect(200)["version"], 3);

    let seen = person.client.items(&format!("{path}/versions")).await;
    assert_eq!(who(&seen[0]), (Value::Null, json!(true)), "an affiliate does not see which of the program's people");
    assert_eq!(who(&seen[1]), (json!(person.id), json!(false)));
}

async fn a_roll_back_is_checked_and_tested_like_a_change(db: Database) {
    let t = TestApp::start(db).await;
    let id = t.postback("/first").save().await;
    let path = format!("/api/v1/postbacks/{id}");
    let first = t.admin.get(&path).await.expect(200);
    let mut config = first["config"].clone();
    config["base_url"] = json!(t.receiver.url("/second"));
    let body = json!({"name": "moved", "config": config, "rejection_reasons": [], "firing_status": "any"});
    t.admin.patch(&path, &body).await.expect(200);

    t.receiver.always("/first", Reply::status(500));
    let restore = format!("{path}/versions/1/restore");
    t.admin.post(&restore, &json!({})).await.expect_problem(422, "verification_failed");
    assert_eq!(t.admin.get(&path).await.expect(200)["name"], "moved", "nothing changed");

    t.receiver.always("/first", Reply::status(200));
    let restored = t.admin.post(&restore, &json!({})).await.expect(200);
    for field in ["name", "config", "firing_status", "enabled"] {
        assert_eq!(restored[field], first[field], "{field}");
    }
    assert_eq!(restored["version"], 3);
    t.admin.post(&format!("{path}/versions/9/restore"), &json!({})).await.expect_problem(404, "not_found");

    // A roll-back does not switch a postback on.
    t.admin.patch(&path, &json!({"enabled": false})).await.expect(200);
    let restored = t.admin.post(&format!("{path}/versions/2/restore"), &json!({})).await.expect(200);
    assert_eq!((&restored["name"], &restored["enabled"]), (&json!("moved"), &json!(false)));
}

/// A postback with a secret in its URL.
async fn with_secret(t: &TestApp) -> String {
    let mut postback = t.postback("/p");
    postback.body["config"]["secrets"] = json!({"token": "first secret value"});
    let parameter = json!({"name": "token", "macro": "secret.token"});
    postback.body["config"]["parameters"].as_array_mut().expect("a list").push(parameter);
    postback.save().await
}

async fn a_roll_back_keeps_the_present_secrets(db: Database) {
    let t = TestApp::start(db).await;
    let id = with_secret(&t).await;
    let path = format!("/api/v1/postbacks/{id}");
    let config = t.admin.get(&path).await.expect(200)["config"].clone();
    let mut changed = config.clone();
    changed["secrets"]["token"] = json!("second secret word");
    t.admin.patch(&path, &json!({"name": "renamed", "config": changed})).await.expect(200);
    let versions = t.admin.get(&format!("{path}/versions")).await;
    assert!(!versions.text.contains("secret value") && !versions.text.contains("secret word"), "{}", versions.text);

    let restored = t.admin.post(&format!("{path}/versions/1/restore"), &json!({})).await.expect(200);
    assert_eq!(restored["name"], "Postback /p");
    t.receiver.forget("/p");
    t.admin.post(&format!("{path}/test"), &json!({})).await.expect(200);
    assert_eq!(t.receiver.only_request("/p").parameter("token"), "second secret word");
}

async fn a_copy_is_off_and_has_the_secrets(db: Database) {
    let t = TestApp::start(db).await;
    let id = with_secret(&t).await;
    let original = t.admin.get(&format!("/api/v1/postbacks/{id}")).await.expect(200);
    let copy = t.admin.post(&format!("/api/v1/postbacks/{id}/duplicate"), &json!({})).await.expect(201);
    assert_eq!((&copy["name"], &copy["enabled"]), (&json!("Postback /p (copy)"), &json!(false)));
    assert_eq!((&copy["verified_at"], &copy["version"]), (&Value::Null, &json!(1)));
    for field in ["config", "summary", "scope", "adapter_version", "owner_affiliate_id"] {
        assert_eq!(copy[field], original[field], "{field}");
    }
    assert!(t.receiver.all_requests().is_empty(), "a copy is not tested before it is enabled");
    let path = format!("/api/v1/postbacks/{}", text(&copy, "id"));
    t.admin.patch(&path, &json!({"enabled": true})).await.expect(200);
    assert_eq!(t.receiver.only_request("/p").parameter("token"), "first secret value");
}

async fn versions_of_others_are_not_found(db: Database) {
    let t = TestApp::start(db).await;
    let (owner, other) = (t.affiliate().await, t.affiliate().await);
    let id = t.postback("/p").owned_by(&owner).save().await;
    let path = format!("/api/v1/postbacks/{id}");
    owner.client.patch(&path, &json!({"name": "renamed"})).await.expect(200);
    other.client.get(&format!("{path}/versions")).await.expect_problem(404, "not_found");
    other.client.post(&format!("{path}/versions/1/restore"), &json!({})).await.expect_problem(404, "not_found");
    other.client.post(&format!("{path}/duplicate"), &json!({})).await.expect_problem(404, "not_found");
    let copy = owner.client.post(&format!("{path}/duplicate"), &json!({})).await.expect(201);
    assert_eq!(copy["owner_affiliate_id"], owner.id);
}
