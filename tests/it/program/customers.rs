//! Customers become affiliates only once, and a login link signs in only once.

use std::time::Duration;

use postrider_tests::app::TestApp;
use postrider_tests::client::{Answer, Client, text};
use postrider_tests::database::Database;
use postrider_tests::on_both_databases;
use reqwest::Method;
use serde_json::{Value, json};

on_both_databases!(
    a_customer_becomes_an_affiliate_once,
    twenty_calls_at_once_make_one_customer,
    a_customer_before_the_first_offer_gets_its_link_later,
    a_login_link_signs_in_once,
    looking_ahead_does_not_use_a_login_link_up,
    a_login_link_ends_after_five_minutes,
    a_login_link_does_not_lead_to_other_sites,
);

fn customer(external_id: &str) -> Value {
    json!({"external_id": external_id, "name": "Ada", "email": "ada@example.com"})
}

async fn a_customer_becomes_an_affiliate_once(db: Database) {
    let t = TestApp::start(db).await;
    t.offer().await;
    let made = t.admin.post("/api/v1/customers", &customer("u-1")).await.expect(201);
    assert_eq!(made["result"], "created");
    assert!(text(&made, "referral_code").starts_with("AF"));
    let link = url::Url::parse(&text(&made, "link_url")).unwrap();
    let visit = t.anonymous().get(link.path()).await;
    assert_eq!(visit.status, 302, "{}", visit.text);

    let again = t.admin.post("/api/v1/customers", &customer("u-1")).await.expect(200);
    assert_eq!(again["result"], "unchanged");
    assert_eq!(again["updated_at"], made["updated_at"]);
    t.advance(Duration::from_secs(1));
    let mut renamed = customer("u-1");
    renamed["name"] = json!("Ada Lovelace");
    let updated = t.admin.post("/api/v1/customers", &renamed).await.expect(200);
    assert_eq!(updated["result"], "updated");
    for field in ["id", "affiliate_id", "referral_code", "link_id"] {
        assert_eq!(updated[field], made[field], "{field}");
    }
    let affiliate = t.admin.get(&format!("/api/v1/affiliates/{}", text(&made, "affiliate_id"))).await.expect(200);
    assert_eq!(affiliate["name"], "Ada Lovelace");
    assert_eq!(t.database.count("affiliates").await, 1);
    assert_eq!(t.database.count("links").await, 1);

    let path = format!("/api/v1/customers/{}", text(&made, "id"));
    let changed = t.admin.patch(&path, &json!({"email": "lovelace@example.com"})).await.expect(200);
    assert_eq!(changed["email"], "lovelace@example.com");
    assert_eq!(t.admin.get(&path).await.expect(200), changed);
    let found = t.admin.list("/api/v1/customers?external_id=u-1").await;
    assert_eq!(found, [changed]);
    assert_eq!(t.admin.list("/api/v1/customers?external_id=u-2").await.len(), 0);
    let bad = json!({"external_id": " ", "name": "", "email": "x"});
    t.admin.post("/api/v1/customers", &bad).await.expect_problem(422, "invalid_field");
}

async fn twenty_calls_at_once_make_one_customer(db: Database) {
    let t = TestApp::start(db).await;
    t.offer().await;
    let body = customer("u-1");
    let calls = (0..20).map(|_| t.admin.post("/api/v1/customers", &body));
    let answers = futures::future::join_all(calls).await;
    assert_eq!(answers.iter().filter(|it| it.status == 201).count(), 1);
    let ids: std::collections::BTreeSet<_> = answers.iter().map(|it| text(&it.json(), "id")).collect();
    assert_eq!(ids.len(), 1, "{ids:?}");
    for table in ["customers", "affiliates", "links", "sources"] {
        assert_eq!(t.database.count(table).await, 1, "{table}");
    }
}

async fn a_customer_before_the_first_offer_gets_its_link_later(db: Database) {
    let t = TestApp::start(db).await;
    let made = t.admin.post("/api/v1/customers", &customer("u-1")).await.expect(201);
    assert_eq!(made["link_url"], json!(null));
    t.offer().await;
    let again = t.admin.post("/api/v1/customers", &customer("u-1")).await.expect(200);
    assert_eq!(again["result"], "updated");
    assert!(again["link_url"].is_string());
}

async fn login_path(t: &TestApp, next: Option<&str>) -> (String, String) {
    let made = t.admin.post("/api/v1/customers", &customer("u-1")).await.json();
    let path = format!("/api/v1/customers/{}/login-link", text(&made, "id"));
    let body = next.map_or_else(|| json!({}), |next| json!({"next": next}));
    let link = t.admin.post(&path, &body).await.expect(201);
    let url = url::Url::parse(&text(&link, "login_url")).unwrap();
    (url.path().to_owned(), text(&made, "affiliate_id"))
}

/// The headers of a browser when a person follows a link.
async fn navigate(client: &Client, path: &str) -> Answer {
    let request = client.request(Method::GET, path);
    let request = request.header("sec-fetch-mode", "navigate").header("sec-fetch-dest", "document");
    client.send(request.header("sec-fetch-site", "cross-site")).await
}

async fn a_login_link_signs_in_once(db: Database) {
    let t = TestApp::start(db).await;
    let (path, affiliate) = login_path(&t, Some("/statement?month=3")).await;
    let browser = t.anonymous();
    let entered = navigate(&browser, &path).await;
    assert_eq!(entered.status, 303, "{}", entered.text);
    assert_eq!(entered.header("location"), Some("/statement?month=3"));
    let customer = browser.with_session_of(&entered);
    let own = customer.list("/api/v1/affiliates").await;
    assert_eq!(own.len(), 1);
    assert_eq!(own[0]["id"], affiliate.as_str());
    customer.get("/api/v1/users").await.expect_problem(403, "forbidden");

    let replayed = navigate(&browser, &path).await;
    assert_eq!(replayed.status, 410);
    assert!(replayed.text.contains("no longer works"), "{}", replayed.text);
    assert_eq!(replayed.header("set-cookie"), None);
    let log = t.admin.get("/api/v1/audit?operation=sign_in_by_link").await.expect(200);
    assert_eq!(log["items"].as_array().unwrap().len(), 1);
    assert_eq!(log["items"][0]["actor"], affiliate.as_str());

    // Two at once: one of them is signed in.
    let (path, _) = login_path(&t, None).await;
    let both = tokio::join!(navigate(&browser, &path), navigate(&browser, &path));
    let mut statuses = [both.0.status, both.1.status];
    statuses.sort_unstable();
    assert_eq!(statuses, [303, 410]);
}

async fn looking_ahead_does_not_use_a_login_link_up(db: Database) {
    let t = TestApp::start(db).await;
    let (path, _) = login_path(&t, None).await;
    let stranger = t.anonymous();
    stranger.send(stranger.request(Method::HEAD, &path)).await;
    assert_eq!(stranger.get(&path).await.status, 200, "a scanner gets a page");
    let prefetch = stranger.request(Method::GET, &path).header("sec-fetch-mode", "navigate");
    let prefetch = prefetch.header("sec-fetch-dest", "document").header("sec-purpose", "prefetch;prerender");
    let page = stranger.send(prefetch).await;
    assert_eq!((page.status, page.header("set-cookie")), (200, None));
    assert!(page.text.contains("<form method=\"post\">"), "{}", page.text);
    // A person who is already signed in is asked first.
    let person = t.person("support").await;
    assert_eq!(navigate(&person.client, &path).await.status, 200);

    let forged = stranger.request(Method::POST, &path).header("origin", "https://evil.example");
    assert_eq!(stranger.send(forged).await.status, 403);
    let pressed = stranger.request(Method::POST, &path).header("sec-fetch-site", "same-origin");
    let entered = stranger.send(pressed).await;
    assert_eq!(entered.status, 303);
    assert_eq!(entered.header("location"), Some("/"));
    stranger.with_session_of(&entered).get("/api/v1/links").await.expect(200);
}

async fn a_login_link_ends_after_five_minutes(db: Database) {
    let t = TestApp::start(db).await;
    let (path, _) = login_path(&t, None).await;
    t.advance(Duration::from_secs(300));
    assert_eq!(navigate(&t.anonymous(), &path).await.status, 410);
}

async fn a_login_link_does_not_lead_to_other_sites(db: Database) {
    let t = TestApp::start(db).await;
    let made = t.admin.post("/api/v1/customers", &customer("u-1")).await.expect(201);
    let path = format!("/api/v1/affiliates/{}/login-link", text(&made, "affiliate_id"));
    for next in ["https://evil.example/", "//evil.example", "/\\evil.example", "javascript:alert(1)", "/a\nb", ""] {
        t.admin.post(&path, &json!({"next": next})).await.expect_problem(422, "invalid_field");
    }
    t.admin.post(&path, &json!({"next": "/ok"})).await.expect(201);
    let affiliate = t.affiliate().await;
    affiliate.client.post(&path, &json!({})).await.expect_problem(403, "forbidden");
}
