//! The description of the API: served, committed, complete.

use postrider_tests::app::TestApp;
use postrider_tests::database::Database;
use reqwest::Method;
use serde_json::Value;

const COMMITTED: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../schemas/openapi.json");

/// Updated by `POSTRIDER_UPDATE_SCHEMAS=1 tests/run`.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_committed_description_is_the_served_one() {
    let t = TestApp::start(Database::sqlite()).await;
    let served = t.anonymous().get("/api/openapi.json").await.expect(200);
    let pretty = serde_json::to_string_pretty(&served).expect("it was JSON") + "\n";
    if std::env::var_os("POSTRIDER_UPDATE_SCHEMAS").is_some() {
        std::fs::write(COMMITTED, &pretty).expect("schemas/ can be written");
    }
    let committed = std::fs::read_to_string(COMMITTED).unwrap_or_default();
    assert!(
        committed == pretty,
        "schemas/openapi.json is not what the server serves; run POSTRIDER_UPDATE_SCHEMAS=1 tests/run and read the diff"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_description_is_complete() {
    let t = TestApp::start(Database::sqlite()).await;
    let description = t.anonymous().get("/api/openapi.json").await.expect(200);
    let paths = description["paths"].as_object().expect("paths");
    for path in [
        "/api/v1/affiliates",
        "/api/v1/affiliates/{id}",
        "/api/v1/offers",
        "/api/v1/offers/{id}",
        "/api/v1/offers/{id}/payout-overrides",
        "/api/v1/offers/{id}/applications",
        "/api/v1/payout-overrides/{id}",
        "/api/v1/applications",
        "/api/v1/applications/{id}",
        "/api/v1/applications/{id}/approve",
        "/api/v1/applications/{id}/refuse",
        "/api/v1/links",
        "/api/v1/links/{id}",
        "/api/v1/postbacks",
        "/api/v1/postbacks/{id}",
        "/api/v1/postbacks/parse",
        "/api/v1/postbacks/{id}/test",
        "/api/v1/templates",
        "/api/v1/templates/{id}",
        "/api/v1/conversions",
        "/api/v1/conversions/{id}",
        "/api/v1/conversions/{id}/approve",
        "/api/v1/conversions/{id}/reject",
        "/api/v1/clicks",
        "/api/v1/clicks/{id}",
        "/api/v1/events",
        "/api/v1/events/{id}",
        "/api/v1/deliveries",
        "/api/v1/deliveries/{id}",
        "/api/v1/deliveries/{id}/retry",
        "/api/v1/sources",
        "/api/v1/sources/{id}",
        "/api/v1/sources/{id}/rotate-key",
        "/api/v1/sources/{id}/activity",
        "/api/v1/inbound-requests",
        "/api/v1/inbound-requests/{id}",
        "/api/v1/inbound-requests/{id}/replay",
        "/api/v1/inbound-requests/replay",
        "/api/v1/inbound-requests/replay/count",
        "/api/v1/payout-methods",
        "/api/v1/payout-methods/{id}",
        "/api/v1/payout-details",
        "/api/v1/payout-details/{id}",
        "/api/v1/withdrawals",
        "/api/v1/withdrawals/approve",
        "/api/v1/withdrawals/{id}",
        "/api/v1/withdrawals/{id}/approve",
        "/api/v1/withdrawals/{id}/refuse",
        "/api/v1/withdrawals/{id}/pay",
        "/api/v1/withdrawals/{id}/fail",
        "/api/v1/withdrawals/{id}/cancel",
        "/api/v1/withdrawal-batches",
        "/api/v1/withdrawal-batches/{id}",
        "/api/v1/withdrawal-batches/{id}/export",
        "/api/v1/withdrawal-batches/{id}/results",
        "/api/v1/settings/withdrawals",
        "/api/v1/reports",
        "/api/v1/reports/series",
        "/api/v1/reports/revenue-map",
        "/api/v1/exports/{subject}",
        "/api/v1/api-keys",
    ] {
        assert!(paths.contains_key(path), "{path} is missing; there are {:?}", paths.keys());
    }
    for (path, operations) in paths {
        for (verb, operation) in operations.as_object().expect("operations") {
            let summary = operation["summary"].as_str().or(operation["description"].as_str());
            assert!(summary.is_some_and(|text| !text.is_empty()), "{verb} {path} does not say what it does");
            let answers = operation["responses"].as_object().expect("responses");
            assert!(answers.keys().any(|status| status.starts_with(['2', '3'])), "{verb} {path} has no good answer");
        }
    }
    let dangling: Vec<_> = references(&description)
        .into_iter()
        .filter(|pointer| description.pointer(pointer.trim_start_matches('#')).is_none())
        .collect();
    assert_eq!(dangling, [""; 0], "every reference leads somewhere");
}

/// An operation that names only the session as its security refuses every key, and no other operation does.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn operations_for_people_name_the_session() {
    let t = TestApp::start(Database::sqlite()).await;
    let description = t.anonymous().get("/api/openapi.json").await.expect(200);
    for (path, operations) in description["paths"].as_object().expect("paths") {
        for (verb, operation) in operations.as_object().expect("operations") {
            let method = Method::from_bytes(verb.to_ascii_uppercase().as_bytes()).expect("a method");
            let example = operation["requestBody"]["content"]["application/json"].get("example");
            let mut request = t.admin.request(method, &path.replace("{id}", "06a5xk2m7q8r9stvwxyz012345"));
            if let Some(body) = example {
                request = request.json(body);
            }
            let is_for_people = operation["security"] == serde_json::json!([{"session": []}]);
            if is_for_people {
                t.admin.send(request).await.expect_problem(403, "needs_person");
            } else if verb == "get" {
                let answer = t.admin.send(request).await;
                assert!(!answer.text.contains("needs_person"), "{path} refuses keys: {}", answer.text);
            }
        }
    }
}

/// The example of each request body can be read: the request fails, if at all, because of the objects that it names.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn examples_of_requests_are_readable() {
    let t = TestApp::start(Database::sqlite()).await;
    let description = t.anonymous().get("/api/openapi.json").await.expect(200);
    for (path, operations) in description["paths"].as_object().expect("paths") {
        for (verb, operation) in operations.as_object().expect("operations") {
            let Some(example) = operation["requestBody"]["content"]["application/json"].get("example") else {
                continue;
            };
            let method = Method::from_bytes(verb.to_ascii_uppercase().as_bytes()).expect("a method");
            let path = path.replace("{id}", "06a5xk2m7q8r9stvwxyz012345");
            let answer = t.admin.send(t.admin.request(method, &path).json(example)).await;
            let code = answer.json()["code"].as_str().unwrap_or_default().to_owned();
            let unreadable = ["invalid_json", "invalid_field", "invalid_amount", "invalid_rule", "invalid_config"];
            assert!(!unreadable.contains(&code.as_str()), "{verb} {path}: {}", answer.text);
        }
    }
}

fn references(value: &Value) -> Vec<String> {
    match value {
        Value::Object(fields) => fields
            .iter()
            .flat_map(|(name, value)| match (name.as_str(), value) {
                ("$ref", Value::String(pointer)) => vec![pointer.clone()],
                _ => references(value),
            })
            .collect(),
        Value::Array(items) => items.iter().flat_map(references).collect(),
        _ => Vec::new(),
    }
}

/// The page that renders it works offline.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_page_that_renders_it_loads_nothing_from_elsewhere() {
    let t = TestApp::start(Database::sqlite()).await;
    let page = t.anonymous().get("/api/docs").await;
    assert_eq!(page.status, 200, "{}", page.text);
    assert!(page.header("content-type").unwrap().starts_with("text/html"));
    assert!(page.text.contains("/api/openapi.json") || page.text.contains("openapi.json"), "{}", page.text);
    let mut assets = 0;
    for attribute in ["src=\"", "href=\""] {
        for piece in page.text.split(attribute).skip(1) {
            let address = piece.split('"').next().expect("a split has a first part");
            if address.starts_with('#') || address.starts_with("data:") {
                continue;
            }
            let address = url::Url::parse("http://here.invalid/api/docs").unwrap().join(address).unwrap();
            assert_eq!(address.host_str(), Some("here.invalid"), "{address}");
            let answer = t.anonymous().get(address.path()).await;
            assert_eq!(answer.status, 200, "{address}");
            assets += 1;
        }
    }
    assert!(assets > 0 || page.text.contains("<script"), "something renders it");
}
