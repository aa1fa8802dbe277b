//! A tracker for postbacks: a real server that records every request and gives the configured answers.
//!
//! `Receiver` uses correct HTTP, with any status and any body, including slow, long or malicious ones.
//! `RawReceiver` violates HTTP.

use std::collections::{HashMap, VecDeque};
use std::convert::Infallible;
use std::io::Write;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::{Request, State};
use axum::http::HeaderMap;
use axum::response::Response;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpSocket};
use tokio::sync::Semaphore;
use tokio::task::JoinHandle;

use crate::wait::eventually;

/// A recorded request.
#[derive(Clone, Debug)]
pub struct Recorded {
    pub method: String,
    pub path: String,
    /// The query as it was sent, encoded; empty without a query.
    pub query: String,
    pub headers: HeaderMap,
    pub body: String,
    pub at: Instant,
}

impl Recorded {
    /// The decoded parameters of the query, in order.
    pub fn parameters(&self) -> Vec<(String, String)> {
        url::form_urlencoded::parse(self.query.as_bytes()).into_owned().collect()
    }

    /// The value of a header, if present.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }

    /// The decoded parameters of a form body, in order.
    pub fn form(&self) -> Vec<(String, String)> {
        url::form_urlencoded::parse(self.body.as_bytes()).into_owned().collect()
    }

    /// The one value of a parameter of the query.
    #[track_caller]
    pub fn parameter(&self, name: &str) -> String {
        let values: Vec<String> =
            self.parameters().into_iter().filter_map(|(key, value)| (key == name).then_some(value)).collect();
        let [value] = values.as_slice() else { panic!("{name} occurs {} times in {}", values.len(), self.query) };
        value.clone()
    }
}

/// An answer of the receiver.
#[derive(Clone, Debug)]
pub enum Reply {
    /// A status, headers and a whole body.
    Plain { status: u16, headers: Vec<(&'static str, String)>, body: Bytes },
    /// 200, then one byte per interval, without end.
    SlowDrip { interval: Duration },
    /// 200, then 64 KiB chunks without end, as fast as the other side reads.
    NeverEnding,
    /// No answer until `Receiver::release` is called, then 200.
    Held,
}

impl Reply {
    /// An answer with this status and a short text.
    pub fn status(status: u16) -> Reply {
        Reply::Plain { status, headers: Vec::new(), body: Bytes::from_static(b"so be it") }
    }

    /// An answer with this status and body.
    pub fn body(status: u16, body: impl Into<Bytes>) -> Reply {
        Reply::Plain { status, headers: Vec::new(), body: body.into() }
    }

    /// A small gzip body that has `size` bytes, all zero, after decompression. It is compressed in advance, because the client
    /// has a deadline.
    pub fn gzip_bomb(size: usize) -> Reply {
        Reply::body(200, gzip_of_zeros(size)).header("Content-Encoding", "gzip")
    }

    /// Adds a header to a plain reply.
    pub fn header(self, name: &'static str, value: impl Into<String>) -> Reply {
        let Reply::Plain { status, mut headers, body } = self else { panic!("only a plain reply can have headers") };
        headers.push((name, value.into()));
        Reply::Plain { status, headers, body }
    }
}

#[derive(Default)]
struct Script {
    next: VecDeque<Reply>,
    always: Option<Reply>,
}

#[derive(Default)]
struct Shared {
    recorded: Mutex<Vec<Recorded>>,
    scripts: Mutex<HashMap<String, Script>>,
    bytes_taken: AtomicU64,
    gate: Gate,
}

struct Gate(Semaphore);

impl Default for Gate {
    fn default() -> Self {
        Gate(Semaphore::new(0))
    }
}

/// A correct HTTP server with unusual answers.
pub struct Receiver {
    address: SocketAddr,
    shared: Arc<Shared>,
    server: JoinHandle<()>,
}

impl Receiver {
    pub async fn start() -> Receiver {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("loopback has a free port");
        let address = listener.local_addr().expect("it is bound");
        let shared = Arc::new(Shared::default());
        let router = Router::new().fallback(answer).with_state(shared.clone());
        let server = tokio::spawn(async move {
            axum::serve(listener, router).await.expect("it serves for ever");
        });
        Receiver { address, shared, server }
    }

    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The absolute URL of a path of this server.
    pub fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    /// Sets the answer for all later requests of this path. Without it, the answer is 200.
    pub fn always(&self, path: &str, reply: Reply) {
        let mut scripts = self.shared.scripts.lock().expect("not poisoned");
        *scripts.entry(path.to_owned()).or_default() = Script { next: VecDeque::new(), always: Some(reply) };
    }

    /// Sets the answer for the next request of this path, then for the one after it, and so on.
    pub fn next(&self, path: &str, replies: impl IntoIterator<Item = Reply>) {
        let mut scripts = self.shared.scripts.lock().expect("not poisoned");
        let script = scripts.entry(path.to_owned()).or_default();
        script.next.extend(replies);
    }

    /// Answers every held request, and later ones at once.
    pub fn release(&self) {
        self.shared.gate.0.close();
    }

    /// The requests of this path, in the order of arrival.
    pub fn requests(&self, path: &str) -> Vec<Recorded> {
        let mut all = self.all_requests();
        all.retain(|request| request.path == path);
        all
    }

    /// All requests, in the order of arrival.
    pub fn all_requests(&self) -> Vec<Recorded> {
        self.shared.recorded.lock().expect("not poisoned").clone()
    }

    /// The one request of this path.
    #[track_caller]
    pub fn only_request(&self, path: &str) -> Recorded {
        let mut requests = self.requests(path);
        assert_eq!(requests.len(), 1, "requests of {path}: {requests:#?}");
        requests.remove(0)
    }

    /// Deletes the recorded requests of this path.
    pub fn forget(&self, path: &str) {
        let mut recorded = self.shared.recorded.lock().expect("not poisoned");
        recorded.retain(|request| request.path != path);
    }

    /// Waits until at least this number of requests of this path have arrived.
    pub async fn wait_for(&self, path: &str, count: usize) -> Vec<Recorded> {
        eventually(&format!("{count} requests of {path}"), async || {
            let requests = self.requests(path);
            (requests.len() >= count).then_some(requests)
        })
        .await
    }

    /// The number of bytes of slow or endless bodies that the other side has read.
    pub fn bytes_taken(&self) -> u64 {
        self.shared.bytes_taken.load(Ordering::Relaxed)
    }
}

impl Drop for Receiver {
    fn drop(&mut self) {
        self.server.abort();
    }
}

async fn answer(State(shared): State<Arc<Shared>>, request: Request) -> Response {
    let at = Instant::now();
    let (head, body) = request.into_parts();
    let body = axum::body::to_bytes(body, 16 << 20).await.unwrap_or_default();
    let path = head.uri.path().to_owned();
    let reply = reply_for(&shared, &path);
    let recorded = Recorded {
        method: head.method.to_string(),
        path,
        query: head.uri.query().unwrap_or_default().to_owned(),
        headers: head.headers,
        body: String::from_utf8_lossy(&body).into_owned(),
        at,
    };
    shared.recorded.lock().expect("not poisoned").push(recorded);
    perform(shared, reply).await
}

fn reply_for(shared: &Shared, path: &str) -> Reply {
    let mut scripts = shared.scripts.lock().expect("not poisoned");
    let Some(script) = scripts.get_mut(path) else {
        return Reply::body(200, "OK");
    };
    let next = script.next.pop_front();
    next.or_else(|| script.always.clone()).unwrap_or_else(|| Reply::body(200, "OK"))
}

async fn perform(shared: Arc<Shared>, reply: Reply) -> Response {
    match reply {
        Reply::Plain { status, headers, body } => {
            let mut response = Response::builder().status(status);
            for (name, value) in headers {
                response = response.header(name, value);
            }
            response.body(Body::from(body)).expect("a valid response")
        }
        Reply::SlowDrip { interval } => endless(shared, Bytes::from_static(b"."), Some(interval)),
        Reply::NeverEnding => endless(shared, Bytes::from(vec![b'x'; 64 << 10]), None),
        Reply::Held => {
            // No permit is ever added, so this waits until the gate is closed.
            let _ = shared.gate.0.acquire().await;
            Response::new(Body::from("OK"))
        }
    }
}

fn endless(shared: Arc<Shared>, chunk: Bytes, interval: Option<Duration>) -> Response {
    let chunks = futures::stream::unfold((), move |()| {
        let (shared, chunk) = (shared.clone(), chunk.clone());
        async move {
            if let Some(interval) = interval {
                tokio::time::sleep(interval).await;
            }
            shared.bytes_taken.fetch_add(chunk.len() as u64, Ordering::Relaxed);
            Some((Ok::<_, Infallible>(chunk), ()))
        }
    });
    Response::new(Body::from_stream(chunks))
}

fn gzip_of_zeros(size: usize) -> Vec<u8> {
    let zeros = vec![0; 1 << 20];
    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    for _ in 0..size / zeros.len() {
        gzip.write_all(&zeros).expect("writing into memory");
    }
    gzip.finish().expect("writing into memory")
}

/// The behaviour of a server that violates HTTP, after it has read the first bytes of a connection.
#[derive(Clone, Copy, Debug)]
pub enum Raw {
    /// Sends these bytes and closes.
    Send(&'static [u8]),
    /// Closes at once.
    Close,
    /// Keeps the connection open without an answer.
    Silence,
}

/// A TCP server that answers its first request correctly, so that a postback to it can be saved, and then
/// violates HTTP.
pub struct RawReceiver {
    address: SocketAddr,
    /// A bound socket that never listens. It keeps the port, so that no other process gets it after the listener is closed.
    _port: TcpSocket,
    connections: Arc<AtomicU64>,
    server: JoinHandle<()>,
}

impl RawReceiver {
    pub async fn start(behaviour: Raw) -> RawReceiver {
        let port = TcpSocket::new_v4().expect("there are sockets");
        // With this option on both sockets, one socket can listen on the port to which the other is bound.
        port.set_reuseaddr(true).expect("it is not bound yet");
        port.bind(SocketAddr::from(([127, 0, 0, 1], 0))).expect("loopback has a free port");
        let address = port.local_addr().expect("it is bound");
        let listener = TcpListener::bind(address).await.expect("the port is ours");
        let connections = Arc::new(AtomicU64::new(0));
        let counter = connections.clone();
        let server = tokio::spawn(async move {
            loop {
                let (mut socket, _) = listener.accept().await.expect("it accepts");
                let behaviour = match counter.fetch_add(1, Ordering::Relaxed) {
                    0 => Raw::Send(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nOK"),
                    _ => behaviour,
                };
                tokio::spawn(async move {
                    let mut request = [0; 4096];
                    let _ = socket.read(&mut request).await;
                    match behaviour {
                        Raw::Send(bytes) => {
                            let _ = socket.write_all(bytes).await;
                        }
                        Raw::Close => {}
                        // Ends when the other side closes the connection.
                        Raw::Silence => while socket.read(&mut request).await.is_ok_and(|n| n > 0) {},
                    }
                });
            }
        });
        RawReceiver { address, _port: port, connections, server }
    }

    pub fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    /// Refuses all later connections.
    pub async fn close(&mut self) {
        self.server.abort();
        let _ = (&mut self.server).await;
    }

    /// The number of connections, including the first one.
    pub fn connections(&self) -> u64 {
        self.connections.load(Ordering::Relaxed)
    }
}

impl Drop for RawReceiver {
    fn drop(&mut self) {
        self.server.abort();
    }
}
