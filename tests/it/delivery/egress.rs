//! Egress: no postback reaches the internal network, with any notation of the URL, neither when it is saved nor when
//! it is sent.

use postrider_tests::app::TestApp;
use postrider_tests::client::text;
use postrider_tests::database::Database;
use postrider_tests::on_both_databases;
use serde_json::{Value, json};

on_both_databases!(
    an_inside_address_is_refused_when_saving,
    an_inside_address_is_refused_when_sending,
    an_allowed_network_is_matched_to_its_last_bit,
    a_value_cannot_inject_headers,
);

/// Every notation of an address that is not public, and every address that is not HTTP.
/// PORT is the port of a listening receiver, so a hole would show as a request.
const INSIDE: [&str; 44] = [
    // Loopback, in every notation that a resolver or parser accepts.
    "http://127.0.0.1:PORT/p",
    "http://127.0.0.2:PORT/p",
    "http://127.1:PORT/p",
    "http://127.0.1:PORT/p",
    "http://2130706433:PORT/p",
    "http://0x7f000001:PORT/p",
    "http://0x7f.0.0.1:PORT/p",
    "http://0177.0.0.1:PORT/p",
    "http://017700000001:PORT/p",
    "http://127.0.0.1.:PORT/p",
    "http://%31%32%37.0.0.1:PORT/p",
    "http://①②⑦.0.0.1:PORT/p",
    "http://localhost:PORT/p",
    "http://LOCALHOST.:PORT/p",
    "http://tracker.localhost:PORT/p",
    "http://[::1]:PORT/p",
    "http://[0:0:0:0:0:0:0:1]:PORT/p",
    // "This" network, and IPv4 inside IPv6.
    "http://0.0.0.0:PORT/p",
    "http://0:PORT/p",
    "http://[::]:PORT/p",
    "http://[::ffff:127.0.0.1]:PORT/p",
    "http://[::ffff:7f00:1]:PORT/p",
    "http://[::127.0.0.1]:PORT/p",
    "http://[64:ff9b::127.0.0.1]:PORT/p",
    "http://[64:ff9b:1::7f00:1]:PORT/p",
    "http://[2002:7f00:1::]:PORT/p",
    "http://[2001:0:7f00:1::]:PORT/p",
    // Private, link-local, CGNAT, cloud metadata, multicast, broadcast, documentation, benchmarks.
    "http://10.0.0.1/p",
    "http://172.16.0.1/p",
    "http://172.31.255.255/p",
    "http://192.168.1.1/p",
    "http://169.254.169.254/latest/meta-data/",
    "http://[fd00:ec2::254]/latest/meta-data/",
    "http://100.64.0.1/p",
    "http://224.0.0.1/p",
    "http://255.255.255.255/p",
    "http://192.0.2.1/p",
    "http://198.18.0.1/p",
    "http://[fe80::1]/p",
    "http://[fc00::1]/p",
    "http://[ff02::1]/p",
    "http://[::ffff:169.254.169.254]/p",
    "http://[::ffff:10.0.0.1]/p",
    "http://[64:ff9b::a9fe:a9fe]/p",
];

const NOT_THE_WEB: [&str; 10] = [
    "ftp://public.example/p",
    "file:///etc/passwd",
    "gopher://public.example/_x",
    "javascript:alert(1)",
    "//public.example/p",
    "http://user@public.example/p",
    "http://user:password@public.example/p",
    "http://127.0.0.1:PORT@public.example/p",
    "http://public.example\\@127.0.0.1:PORT/p",
    "http://:PORT/p",
];

async fn guarded(db: Database) -> TestApp {
    TestApp::start_with(db, |settings| {
        settings.egress_allow.clear();
        settings.tests_per_minute = 1_000;
    })
    .await
}

fn with_port(t: &TestApp, url: &str) -> String {
    url.replace("PORT", &t.receiver.address().port().to_string())
}

async fn an_inside_address_is_refused_when_saving(db: Database) {
    let t = guarded(db).await;
    let affiliate = t.affiliate().await;
    for url in INSIDE.iter().chain(&NOT_THE_WEB) {
        let url = with_port(&t, url);
        for postback in [t.postback("/p"), t.postback("/p").owned_by(&affiliate)] {
            let answer = postback.to(&url).try_save().await;
            assert_eq!(answer.status, 422, "{url}: {}", answer.text);
            let code = text(&answer.json(), "code");
            assert!(matches!(code.as_str(), "invalid_config" | "verification_failed"), "{url}: {}", answer.text);
        }
    }
    assert_eq!(t.database.count("postbacks").await, 0);
    assert!(t.receiver.all_requests().is_empty(), "{:#?}", t.receiver.all_requests());
}

/// Saved while it was allowed, or without a test: the address is checked again for each request.
async fn an_inside_address_is_refused_when_sending(db: Database) {
    let mut t = TestApp::start_with(db, |settings| {
        let everywhere = ["127.0.0.0/8", "::1/128"];
        settings.egress_allow = everywhere.map(|network| network.parse().unwrap()).to_vec();
    })
    .await;
    let port = t.receiver.address().port();
    let urls = [format!("http://127.0.0.1:{port}/p"), format!("http://localhost:{port}/p")];
    let mut postbacks = Vec::new();
    for url in &urls {
        postbacks.push(t.postback("/p").to(url).save().await);
    }
    let click = t.click().await;

    t.restart_with(|settings| settings.egress_allow.clear()).await;
    t.conversion(&click).send().await;
    t.deliver_all().await;

    assert!(t.receiver.all_requests().is_empty(), "{:#?}", t.receiver.all_requests());
    for (postback, url) in postbacks.iter().zip(&urls) {
        let delivery = t.only_delivery(postback).await;
        assert_eq!(delivery["status"], "failed", "{url}: {delivery}");
        let reason = text(&delivery, "reason");
        assert!(reason.contains("EGRESS_ALLOW"), "{url}: says what to do: {reason}");
    }
    // The test request of a saved postback is refused as well.
    let test = t.admin.post(&format!("/api/v1/postbacks/{}/test", postbacks[0]), &json!({})).await;
    assert!(test.status == 422 || test.json()["accepted"] == json!(false), "{}", test.text);
    assert!(t.receiver.all_requests().is_empty());
}

async fn an_allowed_network_is_matched_to_its_last_bit(db: Database) {
    let t = TestApp::start(db).await;
    let port = t.receiver.address().port();
    t.postback("/p").to(&format!("http://127.0.0.1:{port}/p")).save().await;
    for neighbour in ["127.0.0.2", "127.0.1.1", "[::1]", "0.0.0.0"] {
        let answer = t.postback("/p").to(&format!("http://{neighbour}:{port}/p")).try_save().await;
        assert_eq!(answer.status, 422, "{neighbour}: {}", answer.text);
    }
}

/// Line breaks in a buyer's name or a sub id remain within their value.
async fn a_value_cannot_inject_headers(db: Database) {
    let t = TestApp::start(db).await;
    let click = t.click().await;
    t.postback("/p").parameters(&[("name", "customer_name")]).save().await;
    let name = "Eve\r\nX-Injected: yes\r\n\r\nGET /admin HTTP/1.1";

    t.conversion(&click).set("customer_name", json!(name)).send().await;
    t.deliver_all().await;

    let request = t.receiver.only_request("/p");
    assert_eq!(request.parameter("name"), name);
    assert!(request.headers.get("x-injected").is_none());
    assert_eq!(t.receiver.all_requests().len(), 1);
    let nothing = Value::Null;
    let answer = t.postback("/p").set("config", nothing).try_save().await;
    assert!(matches!(answer.status, 400 | 422), "{}", answer.text);
}
