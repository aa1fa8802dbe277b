//! Serves connections. Each connection has timeouts for headers, body, idle time and writing. The number of connections
//! has a limit below that of open files; beyond it, idle connections are closed for new ones. Does not read requests or
//! responses.

mod body;
mod connection;
mod files;
mod registry;
mod stream;
mod target;
mod timeouts;

use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::ConnectInfo;
use axum::http::{HeaderValue, header};
use hyper::body::{Body as _, Incoming};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::OwnedSemaphorePermit;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tower::Service;

pub use body::BodyTimeout;
pub use files::{connections_within, raise_file_limit};
pub use timeouts::Timeouts;

use body::{StreamedBody, TimedBody, UnreadBody};
use connection::Connection;
use registry::Registry;
use stream::MonitoredStream;
use timeouts::Phase;

/// The maximum size of the head of a request, and of the part of a body that is read ahead.
const BUFFER_BYTES: usize = 128 * 1024;
/// The interval at which a server without a free slot closes further connections.
const SLOT_RETRY_INTERVAL: Duration = Duration::from_millis(50);
/// The pause after an error of accept that does not concern a single connection, such as the limit of open files.
const ACCEPT_RETRY_DELAY: Duration = Duration::from_millis(100);

/// The limits of a server.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// The maximum number of open connections.
    pub connections: usize,
    pub timeouts: Timeouts,
}

/// Serves `router` until `stopping` is cancelled. Returns when the requests in progress are answered.
pub async fn serve(listener: TcpListener, router: Router, limits: Limits, stopping: CancellationToken) {
    let registry = Arc::new(Registry::new(limits));
    let tasks = TaskTracker::new();
    while let Some((stream, peer)) = accept(&listener, &registry, &stopping).await {
        let slot = tokio::select! {
            biased;
            () = stopping.cancelled() => break,
            slot = registry.acquire_slot() => slot,
        };
        // Without TCP_NODELAY, responses only take some milliseconds longer.
        let _ = stream.set_nodelay(true);
        tasks.spawn(serve_connection(stream, peer, router.clone(), registry.clone(), slot, stopping.clone()));
    }
    drop(listener);
    tasks.close();
    tasks.wait().await;
}

/// Accepts the next connection; `None` if the server stops.
async fn accept(
    listener: &TcpListener,
    registry: &Registry,
    stopping: &CancellationToken,
) -> Option<(TcpStream, SocketAddr)> {
    loop {
        let accepted = tokio::select! {
            biased;
            () = stopping.cancelled() => return None,
            accepted = listener.accept() => accepted,
        };
        match accepted {
            Ok(accepted) => return Some(accepted),
            // The peer closed the connection before it was accepted.
            Err(error) if is_of_connection(&error) => {}
            Err(error) => {
                tracing::error!(%error, "No connection can be accepted; idle ones are closed to make room. Raise the limit of open files");
                registry.evict_some();
                tokio::time::sleep(ACCEPT_RETRY_DELAY).await;
            }
        }
    }
}

fn is_of_connection(error: &std::io::Error) -> bool {
    use std::io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset};
    matches!(error.kind(), ConnectionAborted | ConnectionRefused | ConnectionReset)
}

/// Serves the requests of a connection until either side closes it, or a timeout ends.
async fn serve_connection(
    stream: TcpStream,
    peer: SocketAddr,
    router: Router,
    registry: Arc<Registry>,
    _slot: OwnedSemaphorePermit,
    stopping: CancellationToken,
) {
    let registered = registry.add(peer.ip());
    let connection = registered.connection();
    let timeouts = registry.limits.timeouts;
    let service = {
        let connection = connection.clone();
        service_fn(move |request| handle(router.clone(), request, peer, connection.clone(), timeouts))
    };
    let io = TokioIo::new(MonitoredStream::new(stream, connection.clone()));
    let mut serving = pin!(http1::Builder::new().max_buf_size(BUFFER_BYTES).serve_connection(io, service));
    let mut timer = pin!(tokio::time::sleep(timeouts.header));
    let mut shutting_down = false;
    loop {
        tokio::select! {
            biased;
            // An error of a connection is not logged: the peer may just have disconnected.
            _ = serving.as_mut() => return,
            () = connection.evicted() => return,
            () = stopping.cancelled(), if !shutting_down => {
                shutting_down = true;
                serving.as_mut().graceful_shutdown();
            }
            () = timer.as_mut() => match connection.check(timeouts) {
                Ok(next) => timer.as_mut().reset(tokio::time::Instant::now() + next),
                Err(reason) => {
                    registry::count_closed(reason);
                    return;
                }
            },
        }
    }
}

async fn handle(
    mut router: Router,
    mut request: hyper::Request<Incoming>,
    peer: SocketAddr,
    connection: Arc<Connection>,
    timeouts: Timeouts,
) -> Result<hyper::Response<Body>, std::convert::Infallible> {
    request.extensions_mut().insert(ConnectInfo(peer));
    let has_body = !request.body().is_end_stream();
    let client_waits = request.headers().contains_key(header::EXPECT);
    let unread = UnreadBody::default();
    connection.enter(if has_body { Phase::Body } else { Phase::Response });
    let request = request.map(|body| match has_body {
        true => Body::new(TimedBody::new(body, unread.clone(), connection.clone(), timeouts)),
        false => Body::new(body),
    });
    let mut response = router.call(request).await?;
    // A response can be ready before the body has arrived, such as a 401. The client may still send.
    if !unread.discard(client_waits).await {
        response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
        connection.linger();
    }
    if response.body().size_hint().exact().is_some() {
        connection.enter(Phase::Idle);
        return Ok(response);
    }
    // A streamed response: its body is computed while it is sent.
    connection.enter(Phase::Response);
    Ok(response.map(|body| Body::new(StreamedBody::new(body, connection))))
}
