//! For operators: the id of a request in its answer, its log lines and the audit log; spans for a collector.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::routing::post;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::KeyValue;
use opentelemetry_proto::tonic::common::v1::any_value::Value as Kind;
use opentelemetry_proto::tonic::trace::v1::Span;
use postrider_tests::client::{Client, text};
use postrider_tests::database::Database;
use postrider_tests::on_both_databases;
use postrider_tests::process::Installation;
use postrider_tests::receiver::Receiver;
use postrider_tests::wait::eventually;
use prost::Message;
use reqwest::Method;
use serde_json::{Value, json};

on_both_databases!(every_answer_has_the_request_id, a_delivered_conversion_is_exported);

/// A collector: decodes what is exported to it.
#[derive(Clone, Default)]
struct Collector(Arc<Mutex<Vec<Exported>>>);

#[derive(Clone, Debug)]
struct Exported {
    service: String,
    span: Span,
    attributes: HashMap<String, String>,
}

impl Collector {
    /// The collector and its address.
    async fn start() -> (Self, String) {
        let collector = Self::default();
        let router = Router::new().route("/v1/traces", post(take)).with_state(collector.clone());
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = format!("http://{}", listener.local_addr().unwrap());
        tokio::spawn(async move { axum::serve(listener, router).await });
        (collector, address)
    }

    fn spans(&self, name: &str) -> Vec<Exported> {
        self.0.lock().unwrap().iter().filter(|it| it.span.name == name).cloned().collect()
    }

    async fn wait_for(&self, name: &str) -> Exported {
        eventually(name, async || self.spans(name).into_iter().next()).await
    }
}

async fn take(State(collector): State<Collector>, headers: HeaderMap, body: Bytes) -> StatusCode {
    assert_eq!(headers["content-type"], "application/x-protobuf");
    let request = ExportTraceServiceRequest::decode(body).expect("it is protobuf");
    let mut spans = collector.0.lock().unwrap();
    for of_resource in request.resource_spans {
        let resource = of_resource.resource.map(|it| words(&it.attributes)).unwrap_or_default();
        for span in of_resource.scope_spans.into_iter().flat_map(|it| it.spans) {
            let service = resource.get("service.name").cloned().unwrap_or_default();
            spans.push(Exported { service, attributes: words(&span.attributes), span });
        }
    }
    StatusCode::OK
}

fn words(attributes: &[KeyValue]) -> HashMap<String, String> {
    let word = |it: &KeyValue| match it.value.as_ref().and_then(|it| it.value.clone()) {
        Some(Kind::StringValue(text)) => text,
        Some(Kind::IntValue(number)) => number.to_string(),
        other => format!("{other:?}"),
    };
    attributes.iter().map(|it| (it.key.clone(), word(it))).collect()
}

/// An offer with an affiliate, whose referral code is returned, and a postback to the receiver.
async fn program(client: &Client, receiver: &Receiver) -> String {
    let affiliate = json!({"name": "Ann", "email": "ann@example.com"});
    let affiliate = client.post("/api/v1/affiliates", &affiliate).await.expect(201);
    let offer =
        json!({"name": "O", "landing_url": "https://shop.example/", "currency": "USD", "payout": {"fixed": "1"}});
    client.post("/api/v1/offers", &offer).await.expect(201);
    let postback = json!({
        "name": "p", "adapter": "macro-url", "action": "conversion", "firing_status": "any", "enabled": true,
        "config": {
            "base_url": receiver.url("/p"), "method": "GET",
            "parameters": [{"name": "transaction", "macro": "transaction_id"}],
        },
    });
    client.post("/api/v1/postbacks", &postback).await.expect(201);
    receiver.forget("/p");
    text(&affiliate, "referral_code")
}

async fn with_id(client: &Client, method: Method, path: &str, id: &str) -> Option<String> {
    let answer = client.send(client.request(method, path).header("x-request-id", id)).await;
    answer.header("x-request-id").map(str::to_owned)
}

async fn every_answer_has_the_request_id(db: Database) {
    let installation = Installation::new(db).with("POSTRIDER_LOG", "warn,postrider::server=info");
    let process = installation.start().await;
    let client = &process.client;
    let paths = [
        "/",
        "/login",
        "/nothing",
        "/healthz",
        "/readyz",
        "/metrics",
        "/api/docs",
        "/api/openapi.json",
        "/api/v1/nothing",
        "/api/v1/offers",
        "/c/nothing",
        "/r/nothing",
        "/i/nothing",
        "/in/nothing",
    ];
    for path in paths {
        assert_eq!(with_id(client, Method::GET, path, "call-1").await.as_deref(), Some("call-1"), "{path}");
        let made = client.get(path).await.header("x-request-id").map(str::to_owned);
        assert_eq!(made.map(|id| id.len()), Some(26), "{path}");
    }
    assert_eq!(with_id(client, Method::DELETE, "/login", "call-2").await.as_deref(), Some("call-2"));
    for invalid in ["", "two words", &"x".repeat(101)] {
        let made = with_id(client, Method::GET, "/healthz", invalid).await.expect("there is one");
        assert_ne!(made, invalid);
        assert_eq!(made.len(), 26, "{made}");
    }

    // A warning is logged for the first request from a proxy that is not listed.
    let body = json!({"name": "Ann", "email": "ann@example.com"});
    let request = client.request(Method::POST, "/api/v1/affiliates").json(&body);
    let request = request.header("x-request-id", "call-3").header("x-forwarded-for", "198.51.100.1");
    let affiliate = text(&client.send(request).await.expect(201), "id");
    let log = installation.log();
    let line = log.lines().find(|line| line.contains("TRUSTED_PROXIES")).unwrap_or_else(|| panic!("{log}"));
    let line: Value = serde_json::from_str(line).expect("a line is JSON");
    assert_eq!(line["spans"][0]["request_id"], "call-3", "{line}");
    assert_eq!(line["spans"][0]["route"], "/api/v1/affiliates", "{line}");
    assert_eq!(line["spans"][1]["operation"], "create_affiliate", "{line}");
    let audited = client.list(&format!("/api/v1/audit?object={affiliate}")).await;
    assert_eq!(audited[0]["request_id"], "call-3");
}

async fn a_delivered_conversion_is_exported(db: Database) {
    let (collector, address) = Collector::start().await;
    let receiver = Receiver::start().await;
    let installation = Installation::new(db).with("POSTRIDER_OTLP_ENDPOINT", &address);
    let mut process = installation.start().await;
    let code = program(&process.client, &receiver).await;
    let report = json!({"referral_code": code, "transaction_id": "T-1"});
    let request = process.client.request(Method::POST, "/api/v1/conversions").json(&report);
    process.client.send(request.header("x-request-id", "call-4")).await.expect(201);
    receiver.wait_for("/p", 1).await;

    let request = collector.wait_for("POST /api/v1/conversions").await;
    assert_eq!(request.service, "postrider");
    assert_eq!(request.attributes["request_id"], "call-4");
    assert_eq!(request.attributes["http.response.status_code"], "201");
    assert!(request.span.parent_span_id.is_empty());
    let use_case = collector.wait_for("create_conversions").await;
    assert_eq!(use_case.span.parent_span_id, request.span.span_id);
    assert_eq!(use_case.span.trace_id, request.span.trace_id);

    let delivery = collector.wait_for("delivery").await;
    let deliveries = process.client.list("/api/v1/deliveries").await;
    assert_eq!(delivery.attributes["delivery.id"], deliveries[0]["id"]);
    assert_eq!(delivery.attributes["event.id"], deliveries[0]["event_id"]);
    assert_eq!(delivery.attributes["postback.id"], deliveries[0]["postback_id"]);
    let sends = collector.spans("send");
    let send = sends.iter().find(|it| it.span.parent_span_id == delivery.span.span_id);
    assert_eq!(send.expect("it is exported before its parent").span.trace_id, delivery.span.trace_id);

    // The last spans are exported when the server stops.
    process.client.get("/api/v1/offers").await.expect(200);
    process.terminate();
    assert!(process.wait().await.success(), "{}", installation.log());
    assert_eq!(collector.spans("GET /api/v1/offers").len(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_dead_collector_costs_one_line() {
    let installation = Installation::new(Database::sqlite()).with("POSTRIDER_OTLP_ENDPOINT", "http://127.0.0.1:9");
    let mut process = installation.start().await;
    let failures = || installation.log().lines().filter(|line| line.contains("Spans can't be exported")).count();
    for _ in 0..3 {
        process.client.get("/api/v1/offers").await.expect(200);
        eventually("a failed export", async || (failures() > 0).then_some(())).await;
        tokio::time::sleep(Duration::from_millis(1_200)).await;
    }
    assert_eq!(failures(), 1, "{}", installation.log());
    let asked = Instant::now();
    process.terminate();
    assert!(process.wait().await.success(), "{}", installation.log());
    assert!(asked.elapsed() < Duration::from_secs(8), "{:?}", asked.elapsed());
}
