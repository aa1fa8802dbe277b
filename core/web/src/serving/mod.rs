//! Serving connections. Each has a time for its headers, its body and its silence, and all together have a bound below the
//! file limit: beyond it, those that are idle make room for new ones. Knows nothing of what is asked and answered.

mod body;
mod connection;
mod files;
mod patience;
mod registry;
mod stream;

use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::ConnectInfo;
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
pub use patience::Patience;

use body::{Answering, TimedBody};
use connection::Connection;
use patience::Phase;
use registry::Registry;
use stream::Watched;

/// The head of a request with all its headers, and what is read ahead of a body.
const BUFFER_BYTES: usize = 128 * 1024;
/// How soon a full server looks again for somebody who can make room.
const LOOK_AGAIN: Duration = Duration::from_millis(50);
/// After an error that concerns no single connection, such as no file being left.
const AFTER_ACCEPT_ERROR: Duration = Duration::from_millis(100);

#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Connections that are open at once.
    pub connections: usize,
    pub patience: Patience,
}

/// Answers with `router` until `stopping`, and returns when what was asked by then is answered.
pub async fn serve(listener: TcpListener, router: Router, limits: Limits, stopping: CancellationToken) {
    let registry = Arc::new(Registry::new(limits));
    let tasks = TaskTracker::new();
    while let Some((stream, peer)) = accept(&listener, &registry, &stopping).await {
        let place = tokio::select! {
            biased;
            () = stopping.cancelled() => break,
            place = registry.place() => place,
        };
        // A failure to set TCP_NODELAY costs some milliseconds and nothing else.
        let _ = stream.set_nodelay(true);
        tasks.spawn(converse(stream, peer, router.clone(), registry.clone(), place, stopping.clone()));
    }
    drop(listener);
    tasks.close();
    tasks.wait().await;
}

/// The next connection; `None` when the server is to stop.
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
            // The peer was gone before it was its turn.
            Err(error) if is_of_connection(&error) => {}
            Err(error) => {
                tracing::error!(%error, "No connection can be accepted; idle ones are closed to make room. Raise the limit of open files");
                registry.make_room();
                tokio::time::sleep(AFTER_ACCEPT_ERROR).await;
            }
        }
    }
}

fn is_of_connection(error: &std::io::Error) -> bool {
    use std::io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset};
    matches!(error.kind(), ConnectionAborted | ConnectionRefused | ConnectionReset)
}

/// Answers one request after the other, until either side ends it or its time is up.
async fn converse(
    stream: TcpStream,
    peer: SocketAddr,
    router: Router,
    registry: Arc<Registry>,
    _place: OwnedSemaphorePermit,
    stopping: CancellationToken,
) {
    let open = registry.add(peer.ip());
    let connection = open.connection();
    let patience = registry.limits.patience;
    let service = {
        let connection = connection.clone();
        service_fn(move |request| answer(router.clone(), request, peer, connection.clone(), patience))
    };
    let io = TokioIo::new(Watched::new(stream, connection.clone()));
    let mut serving = pin!(http1::Builder::new().max_buf_size(BUFFER_BYTES).serve_connection(io, service));
    let mut alarm = pin!(tokio::time::sleep(patience.header));
    let mut told_to_stop = false;
    loop {
        tokio::select! {
            biased;
            // Whoever was at the other end may be gone: nobody is told.
            _ = serving.as_mut() => return,
            () = connection.evicted() => return,
            () = stopping.cancelled(), if !told_to_stop => {
                told_to_stop = true;
                serving.as_mut().graceful_shutdown();
            }
            () = alarm.as_mut() => match connection.check(patience) {
                Ok(next) => alarm.as_mut().reset(tokio::time::Instant::now() + next),
                Err(reason) => {
                    registry::count_closed(reason);
                    return;
                }
            },
        }
    }
}

async fn answer(
    mut router: Router,
    mut request: hyper::Request<Incoming>,
    peer: SocketAddr,
    connection: Arc<Connection>,
    patience: Patience,
) -> Result<hyper::Response<Body>, std::convert::Infallible> {
    request.extensions_mut().insert(ConnectInfo(peer));
    let has_body = !request.body().is_end_stream();
    connection.enter(if has_body { Phase::Body } else { Phase::Answer });
    let request = request.map(|body| match has_body {
        true => Body::new(TimedBody::new(body, connection.clone(), patience)),
        false => Body::new(body),
    });
    let response = router.call(request).await?;
    if response.body().size_hint().exact().is_some() {
        connection.enter(Phase::Idle);
        return Ok(response);
    }
    // It is still being made while it is sent.
    connection.enter(Phase::Answer);
    Ok(response.map(|body| Body::new(Answering::new(body, connection))))
}
