//! The gallery of templates and the editor of postbacks, without a script.

use postrider_tests::app::TestApp;
use postrider_tests::client::text;
use postrider_tests::database::Database;
use postrider_tests::on_both_databases;
use postrider_tests::receiver::Reply;
use serde_json::{Value, json};

use super::submit;

on_both_databases!(
    a_tracker_is_found_and_connected_without_a_script,
    a_pasted_url_is_edited_without_a_script,
    an_edit_keeps_secrets_and_what_the_form_does_not_show,
    staff_set_the_scope_by_a_referral_code,
    an_editor_of_another_affiliate_is_not_found,
);

async fn a_tracker_is_found_and_connected_without_a_script(db: Database) {
    let t = TestApp::start(db).await;
    let ada = t.affiliate().await;
    let client = t.person_of(&ada.id).await.client;
    let found = client.get("/templates?q=track.keitaro.io&direction=outbound").await;
    assert!(found.text.contains("/postbacks/new?template&#x3D;keitaro"), "{}", found.text);
    assert!(client.get("/templates?kind=crm").await.text.contains("HubSpot"));
    assert!(client.get("/templates?q=Impact%20Radius").await.text.contains("impact.com"), "another name");

    let domain = t.receiver.url("");
    let fields = [
        ("template", "keitaro"),
        ("name", "My tracker"),
        ("fields/tracking_domain", domain.trim_end_matches('/')),
        ("fields/postback_key", "a1b2c3d4e5"),
        ("action", "conversion"),
        ("firing_status", "approved"),
        ("delay", ""),
        ("unit", "minutes"),
    ];
    let seen = submit(&client, "/postbacks/new/preview", &[&fields[..], &[("do", "preview")]].concat()).await;
    assert_eq!(seen.status, 200, "{}", seen.text);
    for shown in ["Would fire", "My tracker", "test-click", "is <strong>approved</strong>"] {
        assert!(seen.text.contains(shown), "{shown}: {}", seen.text);
    }
    let counted = submit(&client, "/postbacks/new/preview", &[&fields[..], &[("do", "estimate")]].concat()).await;
    assert!(counted.text.contains("Would have fired 0 times"), "{}", counted.text);
    let tested = submit(&client, "/postbacks/new/preview", &[&fields[..], &[("do", "test")]].concat()).await;
    assert!(tested.text.contains("Accepted"), "{}", tested.text);
    assert_eq!(t.receiver.requests("/a1b2c3d4e5/postback").len(), 1);

    let missing = submit(&client, "/postbacks/new", &[("template", "keitaro"), ("name", ""), ("do", "on")]).await;
    assert_eq!(missing.status, 422, "{}", missing.text);
    assert!(missing.text.contains("id=\"name-error\""), "{}", missing.text);
    let created = submit(&client, "/postbacks/new", &[&fields[..], &[("do", "on")]].concat()).await;
    assert_eq!(created.status, 303, "{}", created.text);
    let list = client.list("/api/v1/postbacks").await;
    assert_eq!((text(&list[0], "template").as_str(), text(&list[0], "name").as_str()), ("keitaro", "My tracker"));
    let log = t.admin.list("/api/v1/audit?operation=create_postback").await;
    assert!(!Value::from(log).to_string().contains("a1b2c3d4e5"), "the key is not in the audit log");
}

async fn a_pasted_url_is_edited_without_a_script(db: Database) {
    let t = TestApp::start(db).await;
    let ada = t.affiliate().await;
    let client = t.person_of(&ada.id).await.client;
    let not_a_url = submit(&client, "/postbacks/new/preview", &[("do", "paste"), ("url", "<tracker>")]).await;
    assert_eq!(not_a_url.status, 422);
    assert!(not_a_url.text.contains("id=\"url-error\""), "{}", not_a_url.text);
    let url = format!("{}?cid={{cid}}&x={{plan_nam}}&key=s3cr3tk3y&a=1", t.receiver.url("/p"));
    let pasted = submit(&client, "/postbacks/new/preview", &[("do", "paste"), ("url", &url)]).await;
    for shown in ["Did you mean plan_name?", "key looks like a secret", "parameter/0/name", "config/custom/0/name"] {
        assert!(pasted.text.contains(shown), "{shown}: {}", pasted.text);
    }
    t.receiver.always("/p", Reply::body(500, "<b>down</b>"));
    let base = t.receiver.url("/p");
    let fields = [
        ("adapter", "macro-url"),
        ("name", "Pasted"),
        ("config/base_url", base.as_str()),
        ("config/method", "GET"),
        ("parameter/0/on", "yes"),
        ("parameter/0/name", "cid"),
        ("parameter/0/macro", "external_click_id"),
        ("parameter/0/required", "yes"),
        ("parameter/1/name", "s1"),
        ("parameter/1/macro", "sub1"),
        ("parameter/2/on", "yes"),
        ("parameter/2/name", "key"),
        ("parameter/2/macro", "secret.key"),
        ("config/secrets/0/name", "key"),
        ("config/secrets/0/value", "s3cr3tk3y"),
        ("config/custom/0/name", "a"),
        ("config/custom/0/value", "1"),
    ];
    let refused = submit(&client, "/postbacks/new", &[&fields[..], &[("do", "on")]].concat()).await;
    assert_eq!(refused.status, 422, "{}", refused.text);
    for shown in ["Nothing was saved", "&lt;b&gt;down", "value=\"unverified\"", ">500<"] {
        assert!(refused.text.contains(shown), "{shown}: {}", refused.text);
    }
    let saved = submit(&client, "/postbacks/new", &[&fields[..], &[("do", "unverified")]].concat()).await;
    assert_eq!(saved.status, 303, "{}", saved.text);
    let postback = client.list("/api/v1/postbacks").await.remove(0);
    assert_eq!((&postback["enabled"], &postback["verified_at"]), (&json!(true), &Value::Null));
    let wanted = json!([
        {"name": "cid", "macro": "external_click_id", "required": true}, {"name": "key", "macro": "secret.key"}
    ]);
    assert_eq!(postback["config"]["parameters"], wanted);
}

async fn an_edit_keeps_secrets_and_what_the_form_does_not_show(db: Database) {
    let t = TestApp::start(db).await;
    let ada = t.affiliate().await;
    let client = t.person_of(&ada.id).await.client;
    let config = json!({
        "base_url": t.receiver.url("/e"), "secrets": {"key": "s3cr3tk3y"},
        "parameters": [{"name": "cid", "macro": "external_click_id"}, {"name": "k", "macro": "secret.key"}]
    });
    let saved = t.postback("/e").owned_by(&ada).set("config", config).save().await;
    let path = format!("/postbacks/{saved}/edit");
    let page = client.get(&path).await;
    assert_eq!(page.status, 200, "{}", page.text);
    assert!(!page.text.contains("s3cr3tk3y") && page.text.contains("Leave it empty to keep it"), "{}", page.text);
    let base = t.receiver.url("/e");
    let fields = [
        ("do", "on"),
        ("name", "Renamed"),
        ("config/base_url", base.as_str()),
        ("config/method", "GET"),
        ("config/secrets/0/name", "key"),
        ("config/secrets/0/value", ""),
        ("parameter/0/on", "yes"),
        ("parameter/0/name", "cid"),
        ("parameter/0/macro", "external_click_id"),
        ("parameter/1/on", "yes"),
        ("parameter/1/name", "k"),
        ("parameter/1/macro", "secret.key"),
        ("parameter/2/on", "yes"),
        ("parameter/2/name", "sum"),
        ("parameter/2/macro", "payout"),
        ("action", "conversion"),
        ("firing_status", "rejected"),
        ("reason", "fraud"),
        ("other_reasons", "chargeback, fraud"),
        ("delay", "5"),
        ("unit", "minutes"),
    ];
    let seen = submit(&client, &format!("{path}/preview"), &fields).await;
    assert!(seen.status == 200 && seen.text.contains("Would fire"), "{}", seen.text);
    let changed = submit(&client, &path, &fields).await;
    assert_eq!(changed.status, 303, "{}", changed.text);
    let sent = t.receiver.requests("/e");
    assert_eq!(sent.last().expect("the test").parameter("k"), "s3cr3tk3y");
    let postback = t.admin.get(&format!("/api/v1/postbacks/{saved}")).await.expect(200);
    assert_eq!(text(&postback, "name"), "Renamed");
    assert_eq!(postback["rejection_reasons"], json!(["fraud", "chargeback"]));
    assert_eq!(postback["delay"], json!({"value": 5, "unit": "minutes"}));

    // Saved as off without a test.
    t.receiver.always("/e", Reply::status(500));
    let before = t.receiver.requests("/e").len();
    let off = [&fields[1..], &[("do", "off"), ("config/custom/0/name", "x"), ("config/custom/0/value", "1")]].concat();
    let changed = submit(&client, &path, &off).await;
    assert_eq!((changed.status, t.receiver.requests("/e").len()), (303, before), "{}", changed.text);
    let postback = t.admin.get(&format!("/api/v1/postbacks/{saved}")).await.expect(200);
    assert_eq!((&postback["enabled"], &postback["verified_at"]), (&json!(false), &Value::Null));
}

async fn staff_set_the_scope_by_a_referral_code(db: Database) {
    let t = TestApp::start(db).await;
    let (ada, admin) = (t.affiliate().await, t.person("admin").await.client);
    let offer = t.offer_with(json!({"name": "Harbor Pro"})).await;
    let affiliate = t.admin.get(&format!("/api/v1/affiliates/{}", ada.id)).await.expect(200);
    let code = text(&affiliate, "referral_code");
    let offered = admin.get(&format!("/postbacks/new/affiliates?affiliate={code}")).await;
    assert!(offered.text.contains(&format!("<option value=\"{code}\">")), "{}", offered.text);
    let base = t.receiver.url("/s");
    let fields = [
        ("do", "on"),
        ("adapter", "macro-url"),
        ("name", "One affiliate"),
        ("config/base_url", base.as_str()),
        ("offer", offer.as_str()),
        ("affiliate", code.as_str()),
    ];
    let created = submit(&admin, "/postbacks/new", &fields).await;
    assert_eq!(created.status, 303, "{}", created.text);
    let postback = t.admin.list("/api/v1/postbacks").await.remove(0);
    assert_eq!(postback["scope"], json!({"affiliate_id": ada.id, "offer_id": offer.as_str()}));
    assert_eq!(postback["owner_affiliate_id"], Value::Null);
    let nobody = [&fields[..5], &[("affiliate", "nobody at all")]].concat();
    let refused = submit(&admin, "/postbacks/new", &nobody).await;
    assert!(refused.status == 422 && refused.text.contains("id=\"affiliate-error\""), "{}", refused.text);
}

async fn an_editor_of_another_affiliate_is_not_found(db: Database) {
    let t = TestApp::start(db).await;
    let (ada, bob) = (t.affiliate().await, t.affiliate().await);
    let theirs = t.postback("/b").owned_by(&bob).save().await;
    let client = t.person_of(&ada.id).await.client;
    let path = format!("/postbacks/{theirs}/edit");
    assert_eq!(client.get(&path).await.status, 404);
    assert_eq!(submit(&client, &path, &[("name", "mine")]).await.status, 404);
    assert_eq!(submit(&client, &format!("{path}/preview"), &[("name", "mine")]).await.status, 404);
    let reader = t.person("support").await.client;
    assert_eq!(reader.get("/postbacks/new").await.status, 403, "without the permission");
}
