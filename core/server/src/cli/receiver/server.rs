//! The HTTP server of the receiver and of the demo's tracker: reads every request to any path, passes it to a function,
//! and gives the chosen answer. Stores and prints nothing by itself.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::body::{Body, Bytes, to_bytes};
use axum::extract::{Request, State};
use axum::http::HeaderMap;
use axum::response::Response;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

use domain::timestamp::Timestamp;
use storage::clock::Clock;

use super::answers::{Answer, Answers};

/// A longer body is not kept.
const BODY_MAX_BYTES: usize = 1024 * 1024;

/// A request as it was received, with the answer to it.
#[derive(Clone, Debug)]
pub struct Received {
    pub at: Timestamp,
    pub method: String,
    pub path: String,
    /// The query as it was sent, encoded; empty without a query.
    pub query: String,
    pub headers: HeaderMap,
    /// Empty if the body is longer than 1 MiB or did not arrive completely.
    pub body: Bytes,
    /// Whether the body was too long or incomplete.
    pub body_missing: bool,
    pub answer: Answer,
}

impl Received {
    /// The value of a header; empty without it.
    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).and_then(|it| it.to_str().ok()).unwrap_or_default()
    }

    /// The decoded parameters of the query, in order.
    pub fn query_parameters(&self) -> Vec<(String, String)> {
        url::form_urlencoded::parse(self.query.as_bytes()).into_owned().collect()
    }

    /// The decoded parameters of a form body, in order.
    pub fn form_parameters(&self) -> Option<Vec<(String, String)>> {
        let is_form = self.header("content-type").starts_with("application/x-www-form-urlencoded");
        is_form.then(|| url::form_urlencoded::parse(&self.body).into_owned().collect())
    }
}

/// A running server. Dropping it stops it.
pub struct Receiver {
    address: SocketAddr,
    shared: Arc<Shared>,
    serving: JoinHandle<()>,
}

struct Shared {
    clock: Clock,
    answers: Mutex<Answers>,
    on_request: Box<dyn Fn(&Received) + Send + Sync>,
}

impl Receiver {
    /// Serves the listener; calls `on_request` for every request before it is answered.
    pub fn start(
        listener: TcpListener,
        answers: Answers,
        on_request: impl Fn(&Received) + Send + Sync + 'static,
    ) -> anyhow::Result<Self> {
        let address = listener.local_addr()?;
        let shared =
            Arc::new(Shared { clock: Clock::system(), answers: Mutex::new(answers), on_request: Box::new(on_request) });
        let router = Router::new().fallback(receive).with_state(shared.clone());
        let serving = tokio::spawn(async move {
            if let Err(error) = axum::serve(listener, router).await {
                tracing::error!(%error, "The receiver has stopped");
            }
        });
        Ok(Self { address, shared, serving })
    }

    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Replaces the answers.
    pub fn set_answers(&self, answers: Answers) {
        *self.shared.answers.lock().expect("nothing panics while it holds this lock") = answers;
    }
}

impl Drop for Receiver {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

async fn receive(State(shared): State<Arc<Shared>>, request: Request) -> Response {
    let at = shared.clock.now();
    let (head, body) = request.into_parts();
    let body = to_bytes(body, BODY_MAX_BYTES).await;
    let path = head.uri.path().to_owned();
    let answer = shared.answers.lock().expect("nothing panics while it holds this lock").next(&path);
    let received = Received {
        at,
        method: head.method.to_string(),
        path,
        query: head.uri.query().unwrap_or_default().to_owned(),
        headers: head.headers,
        body_missing: body.is_err(),
        body: body.unwrap_or_default(),
        answer,
    };
    (shared.on_request)(&received);
    let Answer { status, body, delay } = received.answer;
    if delay > Duration::ZERO {
        tokio::time::sleep(delay).await;
    }
    // A response with one of these statuses has no body.
    let body = if matches!(status, 204 | 205 | 304) { Body::empty() } else { Body::from(body) };
    Response::builder().status(status).body(body).expect("a status from 200 to 599 is valid")
}
