//! Approval of postbacks of affiliates.

use postrider_tests::app::{Affiliate, TestApp};
use postrider_tests::client::text;
use postrider_tests::database::Database;
use postrider_tests::on_both_databases;
use reqwest::Method;
use serde_json::{Value, json};

on_both_databases!(
    without_the_setting_a_postback_of_an_affiliate_is_live_at_once,
    a_new_postback_of_an_affiliate_is_fired_after_it_was_approved,
    a_changed_configuration_needs_approval_again_and_a_changed_rule_does_not,
    a_refused_postback_is_not_fired_and_the_affiliate_sees_the_reason,
    what_was_changed_since_it_was_examined_is_not_approved,
    a_waiting_delivery_is_cancelled_while_approval_is_awaited,
);

async fn need_approval(t: &TestApp, needed: bool) {
    let request = t.admin.request(Method::PUT, "/api/v1/settings/postbacks");
    t.admin.send(request.json(&json!({"affiliates_need_approval": needed}))).await.expect(200);
}

/// A postback that the affiliate creates by itself.
async fn created_by(t: &TestApp, affiliate: &Affiliate, path: &str) -> Value {
    let body = t.postback(path).body;
    let postback = affiliate.client.post("/api/v1/postbacks", &body).await.expect(201);
    t.receiver.forget(path);
    postback
}

fn path_of(postback: &Value) -> String {
    format!("/api/v1/postbacks/{}", text(postback, "id"))
}

async fn without_the_setting_a_postback_of_an_affiliate_is_live_at_once(db: Database) {
    let t = TestApp::start(db).await;
    let click = t.click().await;
    let postback = created_by(&t, &click.link.affiliate, "/p").await;
    assert_eq!(postback["approval"], "not_required");
    t.conversion(&click).send().await;
    t.deliver_all().await;
    t.receiver.only_request("/p");
    let approve = format!("{}/approve", path_of(&postback));
    t.admin.post(&approve, &json!({"version": 1})).await.expect_problem(409, "approval_not_required");
    let settings = click.link.affiliate.client.get("/api/v1/settings/postbacks").await.expect(200);
    assert_eq!(settings, json!({"affiliates_need_approval": false}));
}

async fn a_new_postback_of_an_affiliate_is_fired_after_it_was_approved(db: Database) {
    let t = TestApp::start(db).await;
    need_approval(&t, true).await;
    let click = t.click().await;
    let affiliate = &click.link.affiliate;
    let postback = created_by(&t, affiliate, "/p").await;
    assert_eq!(postback["approval"], "awaiting_approval");
    let own = t.postback("/own").save().await;
    assert_eq!(t.admin.get(&format!("/api/v1/postbacks/{own}")).await.expect(200)["approval"], "not_required");

    let before = t.conversion(&click).transaction("before").send().await;
    t.deliver_all().await;
    assert!(t.receiver.requests("/p").is_empty());
    let path = path_of(&postback);
    let explained = affiliate.client.items(&format!("{path}/explanations?conversion_id={before}")).await.remove(0);
    assert_eq!((&explained["fires"], &explained["outcome"]), (&json!(false), &json!("not_fired")));
    let checks = explained["checks"].as_array().expect("checks");
    let check = checks.iter().find(|it| it["name"] == "approval").expect("a check");
    assert_eq!((&check["result"], &check["actual"]), (&json!("failed"), &json!("awaiting_approval")));
    assert_eq!(check["change"], "wait until the program approves the postback");

    // An affiliate cannot approve its own postback.
    affiliate.client.post(&format!("{path}/approve"), &json!({"version": 1})).await.expect_problem(403, "forbidden");
    let waiting = t.admin.list("/api/v1/postbacks?status=awaiting_approval").await;
    assert_eq!(waiting.iter().map(|it| text(it, "id")).collect::<Vec<_>>(), [text(&postback, "id")]);
    t.tick();
    let approved = t.admin.post(&format!("{path}/approve"), &json!({"version": 1})).await.expect(200);
    assert_eq!((&approved["approval"], &approved["version"]), (&json!("approved"), &json!(2)));
    t.tick();
    t.conversion(&t.click_on(&click.link, "").await).transaction("after").send().await;
    t.deliver_all().await;
    assert_eq!(t.receiver.only_request("/p").parameter("transaction"), "after");
    // What applied at the time of the event is explained, not what applies now.
    let explained = affiliate.client.items(&format!("{path}/explanations?conversion_id={before}")).await.remove(0);
    assert_eq!(explained["fires"], false, "{explained:#}");
}

async fn a_changed_configuration_needs_approval_again_and_a_changed_rule_does_not(db: Database) {
    let t = TestApp::start(db).await;
    let affiliate = t.affiliate().await;
    let postback = created_by(&t, &affiliate, "/p").await;
    need_approval(&t, true).await;
    let path = path_of(&postback);
    let body = json!({"name": "renamed", "firing_status": "any", "enabled": true});
    assert_eq!(affiliate.client.patch(&path, &body).await.expect(200)["approval"], "not_required");
    let mut config = postback["config"].clone();
    config["base_url"] = json!(t.receiver.url("/moved"));
    // The program itself may change it.
    let changed = t.admin.patch(&path, &json!({"config": config})).await.expect(200);
    assert_eq!(changed["approval"], "not_required");
    let changed = affiliate.client.patch(&path, &json!({"config": postback["config"]})).await.expect(200);
    assert_eq!(changed["approval"], "awaiting_approval");
    let approval = json!({"version": changed["version"]});
    t.admin.post(&format!("{path}/approve"), &approval).await.expect(200);
    // So does a roll-back, and a copy.
    let restored = affiliate.client.post(&format!("{path}/versions/3/restore"), &json!({})).await.expect(200);
    assert_eq!(restored["approval"], "awaiting_approval", "{restored:#}");
    let copy = affiliate.client.post(&format!("{path}/duplicate"), &json!({})).await.expect(201);
    assert_eq!(copy["approval"], "awaiting_approval");
    need_approval(&t, false).await;
    assert_eq!(affiliate.client.get(&path).await.expect(200)["approval"], "awaiting_approval");
}

async fn a_refused_postback_is_not_fired_and_the_affiliate_sees_the_reason(db: Database) {
    let t = TestApp::start(db).await;
    need_approval(&t, true).await;
    let click = t.click().await;
    let affiliate = &click.link.affiliate;
    let postback = created_by(&t, affiliate, "/p").await;
    let path = path_of(&postback);
    let refuse = format!("{path}/refuse");
    t.admin.post(&refuse, &json!({"version": 1, "reason": " "})).await.expect_problem(422, "invalid_field");
    t.admin.post(&refuse, &json!({"version": 1, "reason": "not yours"})).await.expect(200);
    let seen = affiliate.client.get(&path).await.expect(200);
    assert_eq!((&seen["approval"], &seen["refusal_reason"]), (&json!("refused"), &json!("not yours")));
    assert_eq!(affiliate.client.list("/api/v1/postbacks?status=refused").await.len(), 1);
    t.conversion(&click).send().await;
    t.deliver_all().await;
    assert!(t.receiver.requests("/p").is_empty());

    let mut config = postback["config"].clone();
    config["base_url"] = json!(t.receiver.url("/corrected"));
    let corrected = affiliate.client.patch(&path, &json!({"config": config})).await.expect(200);
    assert_eq!((&corrected["approval"], &corrected["refusal_reason"]), (&json!("awaiting_approval"), &Value::Null));
}

async fn what_was_changed_since_it_was_examined_is_not_approved(db: Database) {
    let t = TestApp::start(db).await;
    need_approval(&t, true).await;
    let affiliate = t.affiliate().await;
    let postback = created_by(&t, &affiliate, "/p").await;
    let path = path_of(&postback);
    let mut config = postback["config"].clone();
    config["base_url"] = json!(t.receiver.url("/other"));
    affiliate.client.patch(&path, &json!({"config": config})).await.expect(200);
    for (verb, body) in [("approve", json!({"version": 1})), ("refuse", json!({"version": 1, "reason": "no"}))] {
        t.admin.post(&format!("{path}/{verb}"), &body).await.expect_problem(409, "changed_meanwhile");
    }
    assert_eq!(t.admin.get(&path).await.expect(200)["approval"], "awaiting_approval");
    t.admin.post(&format!("{path}/approve"), &json!({"version": 2})).await.expect(200);
}

async fn a_waiting_delivery_is_cancelled_while_approval_is_awaited(db: Database) {
    let t = TestApp::start(db).await;
    let click = t.click().await;
    let affiliate = &click.link.affiliate;
    let mut body = t.postback("/p").delay(1, "hours").body;
    body["owner_affiliate_id"] = json!(affiliate.id);
    let postback = affiliate.client.post("/api/v1/postbacks", &body).await.expect(201);
    t.conversion(&click).send().await;
    t.deliver_all().await;
    need_approval(&t, true).await;
    let (path, id) = (path_of(&postback), text(&postback, "id"));
    let mut config = postback["config"].clone();
    config["base_url"] = json!(t.receiver.url("/other"));
    affiliate.client.patch(&path, &json!({"config": config})).await.expect(200);
    t.receiver.forget("/other");
    t.advance(std::time::Duration::from_secs(7_200));
    t.deliver_all().await;
    let delivery = t.only_delivery(&id).await;
    assert_eq!((&delivery["status"], &delivery["reason_code"]), (&json!("cancelled"), &json!("postback_not_approved")));
    t.admin.post(&format!("{path}/approve"), &json!({"version": 2})).await.expect(200);
    let retry = format!("/api/v1/deliveries/{}/retry", text(&delivery, "id"));
    affiliate.client.post(&retry, &json!({})).await.expect(202);
    t.deliver_all().await;
    t.receiver.only_request("/other");
}
