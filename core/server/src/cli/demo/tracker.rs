//! The demo's tracker: an HTTP server that records the requests that it receives.
//!
//! It accepts all requests, except at two paths that demonstrate a retry and a permanent refusal.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use anyhow::Context;
use axum::Router;
use axum::body::to_bytes;
use axum::extract::{Request, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

use super::console::Console;

/// Answers 503 to the first delivery.
pub const FLAKY: &str = "/flaky";
/// Accepts the test request, and answers 410 to deliveries.
pub const GONE: &str = "/gone";

const BODY_MAX_BYTES: usize = 64 * 1024;

#[derive(Clone)]
pub struct ReceivedRequest {
    /// The time since the start of the demo.
    pub at: Duration,
    pub method: String,
    pub path: String,
    /// The query or the form, as it was sent.
    pub raw: String,
    /// The decoded query or form.
    pub parameters: Vec<(String, String)>,
    /// The status of the tracker's answer.
    pub status: u16,
}

pub struct Tracker {
    address: SocketAddr,
    shared: Arc<Shared>,
    serving: JoinHandle<()>,
}

struct Shared {
    console: Console,
    requests: Mutex<RequestLog>,
}

#[derive(Default)]
struct RequestLog {
    /// False while postbacks are created: their test requests are not recorded.
    is_recording: bool,
    received: Vec<ReceivedRequest>,
}

impl Tracker {
    pub async fn start(console: Console) -> anyhow::Result<Self> {
        let listener =
            TcpListener::bind("127.0.0.1:0").await.context("there is no free port for the demo's tracker")?;
        let address = listener.local_addr()?;
        let shared = Arc::new(Shared { console, requests: Mutex::default() });
        let router = Router::new().fallback(receive).with_state(shared.clone());
        let serving = tokio::spawn(async move {
            if let Err(error) = axum::serve(listener, router).await {
                tracing::error!(%error, "The demo's tracker has stopped");
            }
        });
        Ok(Self { address, shared, serving })
    }

    pub fn url(&self, path_and_query: &str) -> String {
        format!("http://{}{path_and_query}", self.address)
    }

    /// From now on, requests are recorded and shown.
    pub fn start_recording(&self) {
        self.shared.requests().is_recording = true;
    }

    /// The recorded requests, in the order of arrival.
    pub fn received(&self) -> Vec<ReceivedRequest> {
        self.shared.requests().received.clone()
    }
}

impl Drop for Tracker {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

impl Shared {
    fn requests(&self) -> MutexGuard<'_, RequestLog> {
        self.requests.lock().expect("nothing panics while it holds this lock")
    }
}

async fn receive(State(shared): State<Arc<Shared>>, request: Request) -> Response {
    let (head, body) = request.into_parts();
    let body = to_bytes(body, BODY_MAX_BYTES).await.unwrap_or_default();
    let query = head.uri.query().unwrap_or_default();
    let raw = if body.is_empty() { query.to_owned() } else { String::from_utf8_lossy(&body).into_owned() };
    let mut requests = shared.requests();
    let status = requests.status_for(head.uri.path());
    if requests.is_recording {
        let request = ReceivedRequest {
            at: shared.console.elapsed(),
            method: head.method.to_string(),
            path: head.uri.path().to_owned(),
            parameters: url::form_urlencoded::parse(raw.as_bytes()).into_owned().collect(),
            raw,
            status: status.as_u16(),
        };
        shared.console.step("", &format!("-> tracker {}", request.summary()));
        requests.received.push(request);
    }
    (status, status.canonical_reason().unwrap_or_default()).into_response()
}

impl RequestLog {
    fn status_for(&self, path: &str) -> StatusCode {
        let is_first = !self.received.iter().any(|request| request.path == path);
        match path {
            _ if !self.is_recording => StatusCode::OK,
            FLAKY if is_first => StatusCode::SERVICE_UNAVAILABLE,
            GONE => StatusCode::GONE,
            _ => StatusCode::OK,
        }
    }
}

impl ReceivedRequest {
    /// Method, path and the order or the click id.
    fn summary(&self) -> String {
        let named = |name| self.parameters.iter().find(|(key, _)| key == name);
        let key = named("order").or_else(|| named("cid")).map(|(name, value)| format!(" {name}={value}"));
        let Self { method, path, status, .. } = self;
        format!("{method} {path}{}, answers {status}", key.unwrap_or_default())
    }
}
