//! Postbacks of affiliates and of the program, by forms without scripts.

use postrider_tests::app::TestApp;
use postrider_tests::client::text;
use postrider_tests::database::Database;
use postrider_tests::on_both_databases;
use postrider_tests::receiver::Reply;
use serde_json::json;

use super::{hidden, submit};

on_both_databases!(
    an_affiliate_tests_copies_and_switches_a_postback,
    a_former_version_is_restored_by_a_button,
    staff_approve_and_refuse_postbacks_of_affiliates,
    postbacks_of_others_are_neither_listed_nor_found,
);

async fn an_affiliate_tests_copies_and_switches_a_postback(db: Database) {
    let t = TestApp::start(db).await;
    let affiliate = t.affiliate().await;
    let client = t.person_of(&affiliate.id).await.client;
    let nothing = client.get("/postbacks").await;
    assert!(nothing.text.contains("No postbacks yet"), "{}", nothing.text);
    let id = t.postback("/p").owned_by(&affiliate).set("name", json!("Tracker <b>")).save().await;
    let path = format!("/postbacks/{id}");

    let list = client.get("/postbacks").await;
    for shown in ["Tracker &lt;b&gt;", "Live", "Approved"] {
        assert!(list.text.contains(shown), "{shown}: {}", list.text);
    }
    let page = client.get(&path).await;
    for shown in ["It is live.", "<strong>approved</strong>", "class=\"url\"", "data-u=\"1\"", "{click_id}"] {
        assert!(page.text.contains(shown), "{shown}: {}", page.text);
    }

    t.receiver.next("/p", [Reply::body(200, "welcome"), Reply::body(418, "teapot")]);
    let good = submit(&client, &format!("{path}/test"), &[]).await;
    assert!(good.status == 200 && good.text.contains("Accepted in") && good.text.contains("welcome"), "{}", good.text);
    let bad = submit(&client, &format!("{path}/test"), &[]).await;
    assert!(bad.text.contains("Not accepted") && bad.text.contains("418"), "{}", bad.text);

    let off = submit(&client, &format!("{path}/status"), &[("enabled", "false")]).await;
    assert_eq!(off.header("location"), Some(format!("{path}?done=off").as_str()), "{}", off.text);
    assert!(client.get(&path).await.text.contains("It is off, so nothing is sent."));
    submit(&client, &format!("{path}/status"), &[("enabled", "true")]).await;
    assert_eq!(t.admin.get(&format!("/api/v1{path}")).await.expect(200)["enabled"], true);

    let copied = submit(&client, &format!("{path}/duplicate"), &[]).await;
    let location = copied.header("location").expect("a page").to_owned();
    assert!(location.contains("done=duplicated"), "{location}");
    assert!(client.get(&location).await.text.contains("Tracker &lt;b&gt; (copy)"));
    // A copy is tested when it is switched on: the page shows what the destination answered.
    t.receiver.always("/p", Reply::body(500, "broken"));
    let copy = location.split('?').next().unwrap();
    let failed = submit(&client, &format!("{copy}/status"), &[("enabled", "true")]).await;
    assert_eq!(failed.status, 422);
    assert!(failed.text.contains("Not accepted") && failed.text.contains("broken"), "{}", failed.text);
    let gone = submit(&client, &format!("{copy}/archive"), &[]).await;
    assert_eq!(gone.header("location"), Some("/postbacks?done=archived"));
    assert_eq!(client.get(copy).await.status, 404);
    assert_eq!(client.get("/settings/postbacks").await.status, 403);
}

async fn a_former_version_is_restored_by_a_button(db: Database) {
    let t = TestApp::start(db).await;
    let affiliate = t.affiliate().await;
    let person = t.person_of(&affiliate.id).await;
    let id = t.postback("/p").owned_by(&affiliate).save().await;
    let path = format!("/postbacks/{id}");
    t.admin.patch(&format!("/api/v1{path}"), &json!({"name": "renamed", "firing_status": "any"})).await.expect(200);

    let versions = person.client.get(&format!("{path}/versions")).await;
    for shown in ["Version 2", "Version 1", "By the program", "firing_status", "<del>approved</del>", "<ins>any</ins>"]
    {
        assert!(versions.text.contains(shown), "{shown}: {}", versions.text);
    }
    let former = person.client.get(&format!("{path}/versions/1")).await;
    assert!(
        former.text.contains("Restore this version") && former.text.contains("<ins>approved</ins>"),
        "{}",
        former.text
    );
    assert!(!person.client.get(&format!("{path}/versions/2")).await.text.contains("Restore this version"));
    assert_eq!(person.client.get(&format!("{path}/versions/7")).await.status, 404);

    let restored = submit(&person.client, &format!("{path}/versions/1/restore"), &[]).await;
    assert_eq!(restored.header("location"), Some(format!("{path}?done=restored").as_str()), "{}", restored.text);
    let now = t.admin.get(&format!("/api/v1{path}")).await.expect(200);
    assert_eq!((&now["name"], &now["firing_status"]), (&json!("Postback /p"), &json!("approved")));
    assert!(person.client.get(&format!("{path}/versions")).await.text.contains("By you"));
    let log = t.admin.get("/api/v1/audit?operation=restore_postback_version").await.expect(200);
    assert_eq!(log["items"][0]["actor"], person.id);
}

async fn staff_approve_and_refuse_postbacks_of_affiliates(db: Database) {
    let t = TestApp::start(db).await;
    let admin = t.person("admin").await.client;
    let affiliate = t.affiliate().await;
    let client = t.person_of(&affiliate.id).await.client;
    let saved = submit(&admin, "/settings/postbacks", &[("affiliates_need_approval", "yes")]).await;
    assert_eq!(saved.header("location"), Some("/settings/postbacks?done=saved"), "{}", saved.text);
    assert!(admin.get("/settings/postbacks").await.text.contains(" checked"));
    let created = affiliate.client.post("/api/v1/postbacks", &t.postback("/p").body).await.expect(201);
    let path = format!("/postbacks/{}", text(&created, "id"));

    let own = client.get(&path).await;
    assert!(own.text.contains("It awaits approval by the program.") && !own.text.contains("/approve"), "{}", own.text);
    let list = admin.get("/postbacks?status=awaiting_approval").await;
    assert!(list.text.contains(&format!("{path}/approve")), "{}", list.text);
    assert_eq!(hidden(&list.text, "version"), "1");

    let empty = submit(&admin, &format!("{path}/refuse"), &[("version", "1"), ("reason", "")]).await;
    assert_eq!(empty.status, 422);
    assert!(empty.text.contains("id=\"reason-error\""), "{}", empty.text);
    let refused = submit(&admin, &format!("{path}/refuse"), &[("version", "1"), ("reason", "not <yours>")]).await;
    assert_eq!(refused.header("location"), Some(format!("{path}?done=refused").as_str()), "{}", refused.text);
    let own = client.get(&path).await;
    assert!(own.text.contains("The program refused it: not &lt;yours&gt;"), "{}", own.text);
    assert!(client.get("/postbacks").await.text.contains("not &lt;yours&gt;"));

    let late = submit(&admin, &format!("{path}/approve"), &[("version", "1")]).await;
    assert_eq!(late.status, 409, "{}", late.text);
    let approved = submit(&admin, &format!("{path}/approve"), &[("version", "2"), ("in_list", "true")]).await;
    assert_eq!(approved.header("location"), Some("/postbacks?done=approved"), "{}", approved.text);
    assert!(client.get(&path).await.text.contains("It is live."));
    let off = submit(&admin, "/settings/postbacks", &[]).await;
    assert_eq!(off.status, 303);
    assert!(!admin.get("/settings/postbacks").await.text.contains(" checked"));
    let support = t.person("support").await.client;
    let forbidden = submit(&support, &format!("{path}/refuse"), &[("version", "3"), ("reason", "x")]).await;
    assert_eq!(forbidden.status, 403);
}

async fn postbacks_of_others_are_neither_listed_nor_found(db: Database) {
    let t = TestApp::start(db).await;
    let (owner, other) = (t.affiliate().await, t.affiliate().await);
    let id = t.postback("/p").owned_by(&owner).set("name", json!("Secret name")).save().await;
    t.postback("/program").set("name", json!("Program name")).save().await;
    let client = t.person_of(&other.id).await.client;
    let list = client.get("/postbacks").await;
    assert!(!list.text.contains("Secret name") && !list.text.contains("Program name"), "{}", list.text);
    for path in ["", "/versions", "/versions/1"] {
        assert_eq!(client.get(&format!("/postbacks/{id}{path}")).await.status, 404, "{path}");
    }
    for path in ["test", "duplicate", "archive", "versions/1/restore"] {
        assert_eq!(submit(&client, &format!("/postbacks/{id}/{path}"), &[]).await.status, 404, "{path}");
    }
    let staff = t.person("support").await.client.get(&format!("/postbacks/{id}")).await;
    assert!(staff.text.contains("Secret name") && !staff.text.contains("/archive"), "{}", staff.text);
}
