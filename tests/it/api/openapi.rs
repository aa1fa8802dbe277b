//! The description of the API: served, committed, complete.

use postrider_tests::app::TestApp;
use postrider_tests::database::Database;
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
        "/api/v1/inbound-requests",
        "/api/v1/inbound-requests/{id}",
        "/api/v1/inbound-requests/{id}/replay",
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
