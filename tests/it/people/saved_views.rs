//! Saved views: each person has its own, one name for one page and its filters.

use postrider_tests::app::TestApp;
use postrider_tests::client::text;
use postrider_tests::database::Database;
use postrider_tests::on_both_databases;
use serde_json::json;

on_both_databases!(a_person_saves_renames_and_deletes_views, a_view_is_a_page_of_this_server, views_are_limited);

const PATH: &str = "/api/v1/saved-views";

async fn a_person_saves_renames_and_deletes_views(db: Database) {
    let t = TestApp::start(db).await;
    let (one, other) = (t.person("support").await.client, t.person("support").await.client);
    let body = json!({"name": " Voluum 5xx ", "url": "/deliveries?status=failed&http_status=5xx&cursor=x"});
    let view = one.post(PATH, &body).await.expect(201);
    assert_eq!(view["name"], "Voluum 5xx");
    assert_eq!(view["url"], "/deliveries?status=failed&http_status=5xx", "the position is not kept");
    one.post(PATH, &json!({"name": "Clicks", "url": "/reports?by=offer"})).await.expect(201);
    one.post(PATH, &body).await.expect_problem(409, "taken");
    // The same name on another page, and of another person, is fine.
    one.post(PATH, &json!({"name": "Voluum 5xx", "url": "/clicks"})).await.expect(201);
    other.post(PATH, &body).await.expect(201);

    let names = async |query: &str| {
        one.list(&format!("{PATH}{query}")).await.iter().map(|it| text(it, "name")).collect::<Vec<_>>()
    };
    assert_eq!(names("").await, ["Voluum 5xx", "Clicks", "Voluum 5xx"]);
    assert_eq!(names("?page=/reports").await, ["Clicks"]);
    assert!(names("?page=/nowhere").await.is_empty());
    let path = format!("{PATH}/{}", text(&view, "id"));
    let renamed = one.patch(&path, &json!({"name": "Voluum is down"})).await.expect(200);
    assert_eq!((&renamed["name"], &renamed["url"]), (&json!("Voluum is down"), &view["url"]));
    one.patch(&path, &json!({"name": ""})).await.expect_problem(422, "invalid_field");
    // Nobody else sees or changes it, not even the owner.
    for stranger in [&other, &t.person("owner").await.client] {
        stranger.patch(&path, &json!({"name": "mine"})).await.expect_problem(404, "not_found");
        stranger.delete(&path).await.expect_problem(404, "not_found");
    }
    t.admin.get(PATH).await.expect_problem(403, "needs_person");
    one.delete(&path).await.expect(204);
    one.delete(&path).await.expect_problem(404, "not_found");
    assert_eq!(names("?page=/deliveries").await.len(), 0);
}

async fn a_view_is_a_page_of_this_server(db: Database) {
    let t = TestApp::start(db).await;
    let client = t.person("support").await.client;
    for url in ["https://evil.example/", "//evil.example/", "/\\evil.example", "deliveries", ""] {
        let problem = client.post(PATH, &json!({"name": "x", "url": url})).await.expect_problem(422, "invalid_field");
        assert_eq!(problem["errors"][0]["path"], "/url", "{url}");
    }
    for name in ["", "   ", &"x".repeat(61), "a\nb"] {
        client.post(PATH, &json!({"name": name, "url": "/"})).await.expect_problem(422, "invalid_field");
    }
}

async fn views_are_limited(db: Database) {
    let t = TestApp::start(db).await;
    let client = t.person("support").await.client;
    for n in 0..50 {
        client.post(PATH, &json!({"name": format!("{n}"), "url": "/deliveries"})).await.expect(201);
    }
    let more = json!({"name": "more", "url": "/deliveries"});
    client.post(PATH, &more).await.expect_problem(409, "too_many_saved_views");
    let first = client.list(PATH).await.remove(0);
    client.delete(&format!("{PATH}/{}", text(&first, "id"))).await.expect(204);
    client.post(PATH, &more).await.expect(201);
}
