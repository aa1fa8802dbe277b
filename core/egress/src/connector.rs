//! Opens connections: checked addresses, TLS, and a maximum number of open connections per destination.
//!
//! The client can ask for a connection although an idle one is about to become free. So the number of requests does not
//! limit the number of connections; the slots here do. A slot belongs to its connection until that is closed.

use std::collections::HashMap;
use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::task::{Context, Poll};
use std::time::Duration;

use futures::FutureExt;
use futures::future::BoxFuture;
use http::Uri;
use hyper::rt::{Read, ReadBufCursor, Write};
use hyper_rustls::{HttpsConnector, MaybeHttpsStream};
use hyper_util::client::legacy::connect::{Connected, Connection, HttpConnector};
use hyper_util::rt::TokioIo;
use rustls::ClientConfig;
use tokio::net::TcpStream;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tower::{BoxError, Service};

use super::error::EgressError;
use super::names::VettedNames;

/// For DNS, TCP and TLS together; the deadline of the request may end it earlier.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// For a slot. Waiting for it is not the fault of the destination.
const SLOT_TIMEOUT: Duration = Duration::from_secs(5);

type Inner = HttpsConnector<HttpConnector<VettedNames>>;
type Stream = MaybeHttpsStream<TokioIo<TcpStream>>;

/// Cheap to clone; clones share their slots.
#[derive(Clone)]
pub(super) struct Connector {
    inner: Inner,
    slots: Arc<Slots>,
}

impl Connector {
    pub(super) fn new(names: VettedNames, mut tls: ClientConfig, max_per_destination: usize) -> Self {
        let mut http = HttpConnector::new_with_resolver(names);
        http.enforce_http(false);
        http.set_nodelay(true);
        // Divided by the number of addresses, so that one address that does not answer leaves time for the next.
        http.set_connect_timeout(Some(CONNECT_TIMEOUT));
        tls.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        let slots = Slots { max: max_per_destination, open: Mutex::default() };
        Self { inner: HttpsConnector::from((http, tls)), slots: Arc::new(slots) }
    }
}

impl Service<Uri> for Connector {
    type Response = Counted;
    type Error = BoxError;
    type Future = BoxFuture<'static, Result<Counted, BoxError>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, uri: Uri) -> Self::Future {
        let slots = self.slots.of(&uri);
        let connecting = self.inner.call(uri.clone());
        async move {
            let slot = tokio::time::timeout(SLOT_TIMEOUT, slots.acquire_owned()).await.map_err(|_| no_slot(&uri))??;
            let stream = tokio::time::timeout(CONNECT_TIMEOUT, connecting).await.map_err(|_| too_slow(&uri))??;
            Ok(Counted { stream, _slot: slot })
        }
        .boxed()
    }
}

fn no_slot(uri: &Uri) -> EgressError {
    EgressError::LocalLimit {
        host: uri.host().unwrap_or_default().to_owned(),
        resource: "connections to one destination",
    }
}

fn too_slow(uri: &Uri) -> EgressError {
    let host = uri.host().unwrap_or_default().to_owned();
    let port = uri.port_u16().unwrap_or(if uri.scheme_str() == Some("https") { 443 } else { 80 });
    let problem = format!("no connection within {} seconds", CONNECT_TIMEOUT.as_secs());
    EgressError::ConnectFailed { host, port, problem }
}

/// The slots of the destinations that have connections.
struct Slots {
    max: usize,
    open: Mutex<HashMap<String, Weak<Semaphore>>>,
}

impl Slots {
    fn of(&self, uri: &Uri) -> Arc<Semaphore> {
        let scheme = uri.scheme_str().unwrap_or_default();
        let destination = format!("{scheme}://{}", uri.authority().map_or("", |it| it.as_str()));
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(slots) = open.get(&destination).and_then(Weak::upgrade) {
            return slots;
        }
        open.retain(|_, slots| slots.strong_count() > 0);
        let slots = Arc::new(Semaphore::new(self.max));
        open.insert(destination, Arc::downgrade(&slots));
        slots
    }
}

/// A connection with its slot.
pub(super) struct Counted {
    stream: Stream,
    _slot: OwnedSemaphorePermit,
}

impl Connection for Counted {
    fn connected(&self) -> Connected {
        self.stream.connected()
    }
}

impl Read for Counted {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: ReadBufCursor<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(cx, buffer)
    }
}

impl Write for Counted {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(cx, slices)
    }
}
