//! The pages of one's own account, and the decisions about conversions.

use postrider_tests::app::TestApp;
use postrider_tests::client::text;
use postrider_tests::database::Database;
use postrider_tests::on_both_databases;
use postrider_tests::people::PASSWORD;
use serde_json::json;

use super::submit;

on_both_databases!(
    a_person_changes_password_sessions_keys_and_messages,
    staff_reject_conversions_and_the_affiliate_reads_why,
    staff_change_the_catalogue_of_reasons,
);

async fn a_person_changes_password_sessions_keys_and_messages(db: Database) {
    let t = TestApp::start(db).await;
    let person = t.person("admin").await;
    let client = &person.client;
    let account = client.get("/account").await;
    for path in ["password", "email", "sessions", "keys", "notifications", "second-factor"] {
        assert!(account.text.contains(&format!("href=\"/account/{path}\"")), "{path}: {}", account.text);
        assert_eq!(client.get(&format!("/account/{path}")).await.status, 200, "{path}");
    }
    let new = "seven purple elephants dance";
    let wrong = submit(client, "/account/password", &[("password", "wrong"), ("new", new)]).await;
    assert_eq!(wrong.status, 422);
    assert!(wrong.text.contains("id=\"password-error\""), "{}", wrong.text);
    let weak = submit(client, "/account/password", &[("password", PASSWORD), ("new", "aaaaaaaaaaaa")]).await;
    assert!(weak.text.contains("id=\"new-error\"") && !weak.text.contains(PASSWORD), "{}", weak.text);

    let other = t.signed_in(&person.email, PASSWORD).await;
    let sessions = client.get("/account/sessions").await;
    assert!(sessions.text.contains("This one") && sessions.text.contains("End all others"), "{}", sessions.text);
    let changed = submit(client, "/account/password", &[("password", PASSWORD), ("new", new)]).await;
    assert_eq!(changed.header("location"), Some("/account?done=password"), "{}", changed.text);
    other.get("/api/v1/auth/me").await.expect_problem(401, "unauthorized");
    let other = t.signed_in(&person.email, new).await;
    let listed = other.list("/api/v1/auth/sessions").await;
    let current = listed.iter().find(|it| it["current"] == true).expect("a session");
    let ended = submit(client, &format!("/account/sessions/{}/end", text(current, "id")), &[]).await;
    assert_eq!(ended.status, 303, "{}", ended.text);
    other.get("/api/v1/auth/me").await.expect_problem(401, "unauthorized");

    let form = [("name", "my sheet"), ("limited", "yes"), ("days", "30"), ("password", new)];
    let none = submit(client, "/account/keys", &form).await;
    assert_eq!(none.status, 422, "a key without permissions");
    let form = [&form[..], &[("scope", "read_reports"), ("scope", "read_program")]].concat();
    let created = submit(client, "/account/keys", &form).await;
    let secret = created.text.split("prk_").nth(1).expect("a key").split('<').next().expect("its end");
    let key = t.anonymous().with_key(Some(&format!("prk_{secret}")));
    key.get("/api/v1/conversions").await.expect(200);
    key.get("/api/v1/balances").await.expect_problem(403, "forbidden");
    let keys = client.get("/account/keys").await;
    assert!(keys.text.contains("my sheet") && !keys.text.contains(secret), "{}", keys.text);
    let id = text(&client.list("/api/v1/auth/keys").await[0], "id");
    assert_eq!(submit(client, &format!("/account/keys/{id}/revoke"), &[]).await.status, 303);
    key.get("/api/v1/conversions").await.expect_problem(401, "unauthorized");

    let saved = submit(client, "/account/notifications", &[("weekly_summary", "yes")]).await;
    assert_eq!(saved.status, 303);
    let me = client.get("/api/v1/auth/me").await.expect(200);
    let wanted = json!({"failing_postbacks": false, "withdrawals": false, "weekly_summary": true});
    assert_eq!(me["notifications"], wanted);
    let log = t.admin.list("/api/v1/audit?operation=change_me").await;
    let change = json!({"field": "notifications.weekly_summary", "from": false, "to": true});
    assert!(log[0]["changes"].as_array().expect("changes").contains(&change), "{}", log[0]);
}

async fn staff_reject_conversions_and_the_affiliate_reads_why(db: Database) {
    let t = TestApp::start(db).await;
    let affiliate = t.affiliate().await;
    let (owner, ada) = (t.person("owner").await, t.person_of(&affiliate.id).await);
    let offer = t.offer_with(json!({"payout": {"fixed": "12.50"}})).await;
    let click = t.click_on(&t.link(&affiliate, &offer).await, "").await;
    let mut ids = Vec::new();
    for (at, status) in ["pending", "approved", "pending"].into_iter().enumerate() {
        ids.push(t.conversion(&click).transaction(&format!("T-{at}")).status(status).send().await);
    }
    assert!(!ada.client.get("/conversions").await.text.contains("name=\"id\""));
    assert_eq!(ada.client.get("/conversions/decide").await.status, 403);
    let list = owner.client.get("/conversions?chosen=page").await;
    assert_eq!(list.text.matches("name=\"id\"").count(), 3, "{}", list.text);
    let query: String = ids.iter().map(|id| format!("&id={id}")).collect();
    let page = owner.client.get(&format!("/conversions/decide?decision=reject{query}")).await;
    assert!(page.text.contains("Reject 3 conversions") && page.text.contains("12.50\u{a0}USD"), "{}", page.text);
    let chosen: Vec<_> = ids.iter().map(|id| ("id", id.as_str())).collect();
    let without = submit(&owner.client, "/conversions/reject", &chosen).await;
    assert_eq!(without.status, 422);
    assert!(without.text.contains("Choose a reason."), "{}", without.text);
    let form = [&chosen[..], &[("reason", "fraud"), ("note", "Same <card>.")]].concat();
    let done = submit(&owner.client, "/conversions/reject", &form).await;
    let to = "/conversions?status=rejected&done=rejected&count=3";
    assert_eq!(done.header("location"), Some(to), "{}", done.text);
    assert!(owner.client.get(to).await.text.contains("3 conversions are rejected."));
    let log = t.admin.list("/api/v1/audit?operation=reject_conversions").await;
    let change = json!({"field": format!("{}.status", ids[1]), "from": "approved", "to": "rejected"});
    assert!(log[0]["changes"].as_array().expect("changes").contains(&change), "{}", log[0]);

    let list = ada.client.get("/conversions").await;
    assert_eq!(list.text.matches("The sale shows signs of fraud.").count(), 3, "{}", list.text);
    let page = ada.client.get(&format!("/conversions/{}", ids[0])).await;
    for shown in ["Rejected: The sale shows signs of fraud.", "Note: Same &lt;card&gt;."] {
        assert!(page.text.contains(shown), "{shown}: {}", page.text);
    }
    assert!(!page.text.contains("/conversions/decide"));
    // One is approved after all; the other one cannot be rejected with another reason.
    let approved = submit(&owner.client, "/conversions/approve", &chosen[..1]).await;
    assert_eq!(approved.header("location"), Some(format!("/conversions/{}?done=approved", ids[0]).as_str()));
    let form = [&chosen[1..2], &[("reason", "duplicate")]].concat();
    let refused = submit(&owner.client, "/conversions/reject", &form).await;
    assert_eq!(refused.status, 409, "{}", refused.text);
}

async fn staff_change_the_catalogue_of_reasons(db: Database) {
    let t = TestApp::start(db).await;
    let (owner, support) = (t.person("owner").await, t.person("support").await);
    let click = t.click().await;
    t.conversion(&click).rejected("declined by bank").send().await;
    let page = owner.client.get("/rejection-reasons").await;
    for shown in ["The sale shows signs of fraud.", "declined by bank", "Add the reason"] {
        assert!(page.text.contains(shown), "{shown}: {}", page.text);
    }
    assert!(!support.client.get("/rejection-reasons").await.text.contains("Add the reason"));
    let wrong = submit(&owner.client, "/rejection-reasons", &[("code", "Bad code"), ("text", "x")]).await;
    assert_eq!(wrong.status, 422);
    assert!(wrong.text.contains("id=\"code-error\"") && wrong.text.contains("value=\"Bad code\""), "{}", wrong.text);
    let new = [("code", "late"), ("text", "Too late.")];
    assert_eq!(submit(&owner.client, "/rejection-reasons", &new).await.status, 303);
    let saved = submit(&owner.client, "/rejection-reasons/late", &[("text", "Paid late."), ("retired", "yes")]).await;
    assert_eq!(saved.status, 303, "{}", saved.text);
    let listed = owner.client.get("/api/v1/rejection-reasons").await.expect(200);
    let late = listed["items"].as_array().expect("items").iter().find(|it| it["code"] == "late");
    let late = late.expect("the reason");
    assert!(late["text"] == "Paid late." && late["retired_at"].is_string(), "{late}");
    assert_eq!(owner.client.get("/rejection-reasons/nothing").await.status, 404);
}
