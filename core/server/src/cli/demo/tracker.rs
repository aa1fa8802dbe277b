//! The demo's tracker: a receiver that records the requests that it gets.
//!
//! It accepts all requests, except at two paths that demonstrate a retry and a permanent refusal.

use std::collections::HashSet;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use anyhow::Context;
use tokio::net::TcpListener;

use crate::cli::console::Console;
use crate::cli::receiver::answers::{Answer, Answers, PathAnswers};
use crate::cli::receiver::server::{Received, Receiver};

/// Answers 503 to the first delivery.
pub const FLAKY: &str = "/flaky";
/// Accepts the test request, and answers 410 to deliveries.
pub const GONE: &str = "/gone";

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
    receiver: Receiver,
    log: Arc<Mutex<RequestLog>>,
    /// The paths that do not answer 200.
    refusing: Mutex<Vec<PathAnswers>>,
}

#[derive(Default)]
struct RequestLog {
    /// The paths whose requests are recorded. None while postbacks are created: their test requests are not recorded.
    recorded_paths: HashSet<&'static str>,
    received: Vec<ReceivedRequest>,
}

impl Tracker {
    /// Listens on `port` if it is free, otherwise on any free port.
    pub async fn start(console: Console, port: u16) -> anyhow::Result<Self> {
        let listener = match TcpListener::bind(("127.0.0.1", port)).await {
            Ok(listener) => listener,
            Err(_) => TcpListener::bind("127.0.0.1:0").await.context("there is no free port for the demo's tracker")?,
        };
        let log = Arc::<Mutex<RequestLog>>::default();
        let shared = log.clone();
        let accepting = Answers::new(Answer::status(200), []);
        let receiver = Receiver::start(listener, accepting, move |request| record(&shared, &console, request))?;
        Ok(Self { receiver, log, refusing: Mutex::default() })
    }

    pub fn port(&self) -> u16 {
        self.receiver.address().port()
    }

    pub fn url(&self, path_and_query: &str) -> String {
        format!("http://{}{path_and_query}", self.receiver.address())
    }

    /// From now on, requests to these paths are recorded and shown, and two of them refuse requests. Postbacks of the past
    /// have other paths.
    pub fn start_recording(&self, paths: impl Iterator<Item = &'static str>) {
        self.refuse(FLAKY, &[503, 200]);
        self.refuse(GONE, &[410]);
        lock(&self.log).recorded_paths = paths.collect();
    }

    /// From now on, a path answers with these statuses; the last one repeats.
    pub fn refuse(&self, path: &str, statuses: &[u16]) {
        let mut refusing = self.refusing.lock().expect("nothing panics while it holds this lock");
        refusing.push(PathAnswers::of(path, statuses));
        self.receiver.set_answers(Answers::new(Answer::status(200), refusing.clone()));
    }

    /// The recorded requests, in the order of arrival.
    pub fn received(&self) -> Vec<ReceivedRequest> {
        lock(&self.log).received.clone()
    }
}

fn lock(log: &Mutex<RequestLog>) -> MutexGuard<'_, RequestLog> {
    log.lock().expect("nothing panics while it holds this lock")
}

fn record(log: &Mutex<RequestLog>, console: &Console, received: &Received) {
    let mut log = lock(log);
    if !log.recorded_paths.contains(received.path.as_str()) {
        return;
    }
    let Received { query, body, .. } = received;
    let raw = if body.is_empty() { query.clone() } else { String::from_utf8_lossy(body).into_owned() };
    let request = ReceivedRequest {
        at: console.elapsed(),
        method: received.method.clone(),
        path: received.path.clone(),
        parameters: url::form_urlencoded::parse(raw.as_bytes()).into_owned().collect(),
        raw,
        status: received.answer.status,
    };
    console.step("", &format!("-> tracker {}", request.summary()));
    log.received.push(request);
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
