//! Connections: the limits of each connection, and the closing of expensive ones to make room for others.

use postrider_tests::app::TestApp;
use postrider_tests::client::Client;
use postrider_tests::database::Database;
use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// The bytes until the server closes the connection.
async fn until_closed(mut stream: TcpStream) -> String {
    let mut text = Vec::new();
    // A reset counts as the end too.
    let _ = stream.read_to_end(&mut text).await;
    String::from_utf8_lossy(&text).into_owned()
}

async fn connect(t: &TestApp, says: &str) -> TcpStream {
    let mut stream = TcpStream::connect(t.address()).await.expect("it listens");
    stream.write_all(says.as_bytes()).await.expect("it takes it");
    stream
}

const LOGIN: &str = "POST /api/v1/auth/login HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn silent_and_slow_connections_are_closed() {
    let t = TestApp::start_with(Database::sqlite(), |settings| {
        settings.header_timeout_ms = 300;
        settings.idle_timeout_ms = 400;
        settings.body_timeout_ms = 300;
    })
    .await;
    assert_eq!(until_closed(connect(&t, "").await).await, "", "it never asked for anything");
    assert_eq!(until_closed(connect(&t, "GET /healthz HTTP/1.1\r\nX-Slow: ").await).await, "", "half a header");
    let idle = until_closed(connect(&t, "GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n").await).await;
    assert!(idle.starts_with("HTTP/1.1 200"), "an answer, and then an end: {idle}");
    let slow = until_closed(connect(&t, &format!("{LOGIN}Content-Length: 100\r\n\r\n{{")).await).await;
    assert!(slow.starts_with("HTTP/1.1 408") && slow.contains("body_timeout"), "{slow}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_body_that_is_too_large_is_refused_before_it_is_sent() {
    let t = TestApp::start(Database::sqlite()).await;
    let declared = until_closed(connect(&t, &format!("{LOGIN}Content-Length: 4000000\r\n\r\n{{")).await).await;
    assert!(declared.starts_with("HTTP/1.1 413") && declared.contains("16 KiB"), "{declared}");
    let email = "a".repeat(20_000);
    let body = json!({"email": email, "password": "x"});
    t.anonymous().post("/api/v1/auth/login", &body).await.expect_problem(413, "body_too_large");
    // With credentials it can be larger.
    let affiliate = json!({"name": "A", "email": "a@example.com", "unknown": email});
    t.admin.post("/api/v1/affiliates", &affiliate).await.expect_problem(422, "invalid_field");
    t.anonymous().post("/api/v1/affiliates", &affiliate).await.expect_problem(401, "unauthorized");
}

/// A proxy, and every client with a pool, sends the next request on the same connection.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_response_before_the_body_leaves_a_usable_connection() {
    let t = TestApp::start(Database::sqlite()).await;
    let affiliate = t.affiliate().await;
    let key = format!("Authorization: Bearer {}\r\n", affiliate.client.key().expect("a key"));
    for (request, key, status) in [
        ("POST /api/v1/affiliates", "", "401"),
        ("POST /api/v1/offers", key.as_str(), "403"),
        ("POST /api/v1/nothing-here", "", "404"),
        ("POST /nothing-here", "", "404"),
        ("PUT /api/v1/affiliates", "", "405"),
        ("POST /healthz", "", "405"),
    ] {
        let body = "x".repeat(50_000);
        let chunks = format!("c350\r\n{body}\r\n0\r\n\r\n");
        for (framing, body) in [("Content-Length: 50000", body), ("Transfer-Encoding: chunked", chunks)] {
            let first = format!("{request} HTTP/1.1\r\nHost: x\r\n{key}{framing}\r\n\r\n{body}");
            let second = "GET /healthz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n";
            let text = until_closed(connect(&t, &format!("{first}{second}")).await).await;
            assert!(text.starts_with(&format!("HTTP/1.1 {status}")), "{request}: {text}");
            assert!(text.contains("HTTP/1.1 200 OK"), "{request} with {framing}: {text}");
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_response_before_a_long_body_says_that_the_connection_closes() {
    let t = TestApp::start(Database::sqlite()).await;
    for headers in ["Content-Length: 4000000\r\n", "Content-Length: 10\r\nExpect: 100-continue\r\n"] {
        let head = format!("POST /api/v1/affiliates HTTP/1.1\r\nHost: x\r\n{headers}\r\n");
        let text = until_closed(connect(&t, &head).await).await;
        assert!(text.starts_with("HTTP/1.1 401"), "{headers}: {text}");
        assert!(text.to_ascii_lowercase().contains("connection: close\r\n"), "{headers}: {text}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn idle_connections_make_room_for_new_ones() {
    let t = TestApp::start_with(Database::sqlite(), |settings| settings.max_connections = 4).await;
    let link = t.any_link().await;
    let mut idle = Vec::new();
    for _ in 0..20 {
        idle.push(connect(&t, "GET /healthz HTTP/1.1\r\nX-Slow: ").await);
    }
    let bodies = connect(&t, &format!("{LOGIN}Content-Length: 100\r\n\r\n{{")).await;
    for _ in 0..5 {
        let visitor = Client::new(&format!("http://{}", t.address()), None);
        assert_eq!(visitor.get(&link.path).await.status, 302);
    }
    assert_eq!(until_closed(idle.remove(0)).await, "", "the first one made room");
    drop((idle, bodies));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn unchanged_files_are_sent_once() {
    let t = TestApp::start(Database::sqlite()).await;
    for path in ["/api/openapi.json", "/api/docs/swagger-ui-bundle.js", "/api/docs/swagger-ui.css"] {
        let first = t.anonymous().get(path).await;
        assert_eq!(first.status, 200, "{path}");
        let etag = first.header("etag").expect("it has a tag").to_owned();
        for known in [etag.clone(), format!("\"other\", W/{etag}")] {
            let request = t.anonymous().request(reqwest::Method::GET, path).header("if-none-match", known);
            let again = t.anonymous().send(request).await;
            assert_eq!((again.status, again.text.as_str(), again.header("etag")), (304, "", Some(etag.as_str())));
        }
    }
}
