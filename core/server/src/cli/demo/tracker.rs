//! The demo's tracker: an ordinary HTTP server that notes what it receives.
//!
//! It accepts everything, but for two destinations that show what happens when trackers do not.

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

use super::narrator::Narrator;

/// Answers 503 to its first real postback.
pub const STUMBLING: &str = "/stumbling";
/// Accepts the test request and is gone when the first real postback comes.
pub const GONE: &str = "/gone";

const BODY_MAX: usize = 64 * 1024;

/// One request as it came.
#[derive(Clone)]
pub struct Receipt {
    /// Since the demo began.
    pub at: Duration,
    pub method: String,
    pub path: String,
    /// Query or form, as it travelled.
    pub raw: String,
    /// The same, decoded once.
    pub parameters: Vec<(String, String)>,
    /// What the tracker answered.
    pub answered: u16,
}

pub struct Tracker {
    address: SocketAddr,
    book: Arc<Book>,
    serving: JoinHandle<()>,
}

struct Book {
    narrator: Narrator,
    pages: Mutex<Pages>,
}

#[derive(Default)]
struct Pages {
    /// Until then only test requests come.
    open: bool,
    receipts: Vec<Receipt>,
}

impl Tracker {
    pub async fn start(narrator: Narrator) -> anyhow::Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await.context("the demo's tracker finds no free port")?;
        let address = listener.local_addr()?;
        let book = Arc::new(Book { narrator, pages: Mutex::default() });
        let router = Router::new().fallback(receive).with_state(book.clone());
        let serving = tokio::spawn(async move {
            if let Err(error) = axum::serve(listener, router).await {
                tracing::error!(%error, "The demo's tracker ended");
            }
        });
        Ok(Self { address, book, serving })
    }

    pub fn url(&self, path_and_query: &str) -> String {
        format!("http://{}{path_and_query}", self.address)
    }

    /// From now on requests are real: they are noted and shown.
    pub fn open(&self) {
        self.book.pages().open = true;
    }

    /// What came since it opened, in order.
    pub fn receipts(&self) -> Vec<Receipt> {
        self.book.pages().receipts.clone()
    }
}

impl Drop for Tracker {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

impl Book {
    fn pages(&self) -> MutexGuard<'_, Pages> {
        self.pages.lock().expect("nothing panics while it holds this lock")
    }
}

async fn receive(State(book): State<Arc<Book>>, request: Request) -> Response {
    let (head, body) = request.into_parts();
    let body = to_bytes(body, BODY_MAX).await.unwrap_or_default();
    let query = head.uri.query().unwrap_or_default();
    let raw = if body.is_empty() { query.to_owned() } else { String::from_utf8_lossy(&body).into_owned() };
    let mut pages = book.pages();
    let answered = pages.answer_for(head.uri.path());
    if pages.open {
        let receipt = Receipt {
            at: book.narrator.elapsed(),
            method: head.method.to_string(),
            path: head.uri.path().to_owned(),
            parameters: url::form_urlencoded::parse(raw.as_bytes()).into_owned().collect(),
            raw,
            answered: answered.as_u16(),
        };
        book.narrator.step("", &format!("-> tracker {}", receipt.summary()));
        pages.receipts.push(receipt);
    }
    (answered, answered.canonical_reason().unwrap_or_default()).into_response()
}

impl Pages {
    fn answer_for(&self, path: &str) -> StatusCode {
        let is_first = !self.receipts.iter().any(|receipt| receipt.path == path);
        match path {
            _ if !self.open => StatusCode::OK,
            STUMBLING if is_first => StatusCode::SERVICE_UNAVAILABLE,
            GONE => StatusCode::GONE,
            _ => StatusCode::OK,
        }
    }
}

impl Receipt {
    /// Enough to recognise it by.
    fn summary(&self) -> String {
        let named = |name| self.parameters.iter().find(|(known, _)| known == name);
        let key = named("order").or_else(|| named("cid")).map(|(name, value)| format!(" {name}={value}"));
        let Self { method, path, answered, .. } = self;
        format!("{method} {path}{}, answers {answered}", key.unwrap_or_default())
    }
}
