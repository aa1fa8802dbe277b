//! Revoked access reaches other nodes immediately through notifications of PostgreSQL. Here cached data never expires, so
//! only a notification can have this effect.

use engine::config::Role;
use postrider_tests::app::TestApp;
use postrider_tests::client::{Client, text};
use postrider_tests::database::Database;
use postrider_tests::people::PASSWORD;
use postrider_tests::wait::eventually;
use serde_json::json;

async fn refused(what: &str, client: &Client, path: &str) {
    eventually(what, async || (client.get(path).await.status == 401).then_some(())).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn revoking_reaches_other_nodes() {
    let t = TestApp::start(Database::postgres().await).await;
    let (server, node) = t
        .start_beside(|settings| {
            settings.role = Role::Web;
            settings.catalog_max_age_secs = 86_400;
        })
        .await;
    let offers = "/api/v1/offers";
    let there = |key: &str| node.with_key(Some(key));

    let key = t.admin.post("/api/v1/api-keys", &json!({"name": "k", "role": "support"})).await.expect(201);
    let client = there(&text(&key, "key"));
    client.get(offers).await.expect(200);
    t.admin.delete(&format!("/api/v1/api-keys/{}", text(&key, "id"))).await.expect(204);
    refused("a revoked key to be refused", &client, offers).await;

    let person = t.person("admin").await;
    let users = format!("/api/v1/users/{}", person.id);
    let own = json!({"name": "mine", "password": PASSWORD});
    let own = there(&text(&person.client.post("/api/v1/auth/keys", &own).await.expect(201), "key"));
    own.get("/api/v1/users").await.expect(200);
    t.admin.patch(&users, &json!({"role": "support"})).await.expect(200);
    eventually("a changed role to count", async || (own.get("/api/v1/users").await.status == 403).then_some(())).await;
    own.get(offers).await.expect(200);
    t.admin.patch(&users, &json!({"status": "disabled"})).await.expect(200);
    refused("a disabled person's key to be refused", &own, offers).await;

    let affiliate = t.affiliate().await;
    let key = t
        .admin
        .post("/api/v1/api-keys", &json!({"name": "k", "role": "affiliate", "affiliate_id": affiliate.id}))
        .await
        .expect(201);
    let client = there(&text(&key, "key"));
    assert_eq!(client.get("/api/v1/auth/me").await.expect(200)["read_only"], false);
    let path = format!("/api/v1/affiliates/{}", affiliate.id);
    t.admin.patch(&path, &json!({"status": "suspended"})).await.expect(200);
    eventually("a suspended affiliate to read only", async || {
        (client.get("/api/v1/auth/me").await.expect(200)["read_only"] == true).then_some(())
    })
    .await;

    // A session that one node creates and the other ends.
    let person = t.person("support").await;
    let login = json!({"email": person.email, "password": PASSWORD});
    let session = node.with_session_of(&node.with_key(None).post("/api/v1/auth/login", &login).await);
    session.get(offers).await.expect(200);
    person.client.send(person.client.request(reqwest::Method::DELETE, "/api/v1/auth/sessions")).await.expect(204);
    refused("an ended session to be refused", &session, offers).await;
    server.stop().await;
}
