//! `postrider receiver`: a destination on the same machine, which shows what arrives and answers as told.

use postrider_tests::database::Database;
use postrider_tests::process::Installation;
use postrider_tests::wait::eventually;
use serde_json::{Value, json};

const SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";

/// The requests that the receiver has stored.
fn stored(installation: &Installation) -> Vec<Value> {
    let text = std::fs::read_to_string(installation.data_dir().join("received.jsonl")).unwrap_or_default();
    text.lines().map(|line| serde_json::from_str(line).expect("a line is JSON")).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_receiver_shows_and_stores_a_signed_postback() {
    let installation = Installation::new(Database::sqlite());
    let receiver = installation.start_receiver(&["--secret", SECRET, "--store", "received.jsonl"]).await;
    let server = installation.start().await;
    let postback = json!({
        "name": "Signed", "adapter": "crm-json", "firing_status": "any",
        "config": {
            "url": format!("{}/hook?kind=sale", receiver.url), "body": "{\"order\": {{json transaction_id}}}",
            "signing_secrets": [SECRET],
        },
    });
    server.client.post("/api/v1/postbacks", &postback).await.expect(201);

    let requests = stored(&installation);
    assert_eq!(requests.len(), 1, "the test request: {requests:?}");
    assert_eq!((&requests[0]["method"], &requests[0]["path"]), (&json!("POST"), &json!("/hook")));
    assert_eq!(requests[0]["query"], json!([{"name": "kind", "value": "sale"}]));
    assert_eq!((&requests[0]["status"], &requests[0]["signature_valid"]), (&json!(200), &json!(true)));
    let body: Value = serde_json::from_str(requests[0]["body"].as_str().expect("a body")).expect("JSON");
    assert!(body["order"].is_string(), "{body}");
    let log = installation.log();
    for shown in ["POST /hook", "kind = sale", "webhook-id: ", "signature   valid"] {
        assert!(log.contains(shown), "{shown} is missing in:\n{log}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_receiver_answers_as_told_and_tells_a_wrong_signature() {
    let installation = Installation::new(Database::sqlite());
    let answers = ["--status", "202", "--body", "so be it", "--answer", "/fail=500", "--answer", "/flaky=200,503,204"];
    let more = ["--secret", SECRET, "--store", "received.jsonl"];
    let receiver = installation.start_receiver(&[&answers[..], &more].concat()).await;
    let stranger = receiver.client.with_key(None);

    let answer = stranger.get("/p?a=%1b%5B2J").await;
    assert_eq!((answer.status, answer.text.as_str()), (202, "so be it"));
    assert_eq!(stranger.post("/fail", &json!({"a": 1})).await.status, 500);
    for status in [200, 503, 204, 204] {
        assert_eq!(stranger.get("/flaky").await.status, status);
    }

    eventually("all requests to be shown", async || (stored(&installation).len() == 6).then_some(())).await;
    assert_eq!(stored(&installation)[0]["signature_valid"], json!(false));
    let log = installation.log();
    assert!(log.contains("missing: there is no valid header webhook-id"), "{log}");
    assert!(log.contains("a = \\u{1b}[2J") && !log.contains('\u{1b}'), "control characters are escaped:\n{log}");
}
