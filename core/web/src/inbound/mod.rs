//! `/in/{source_key}`: the notifications of networks. The route is public; the key and the guards of the source decide
//! who may send.

mod reply;

use std::net::SocketAddr;
use std::time::Duration;

use axum::body::Body;
use axum::extract::{ConnectInfo, Request, State};
use axum::http::{HeaderMap, header};
use axum::response::Response;
use futures::StreamExt;
use tracing::Instrument;

use domain::inbound::body::BODY_MAX_BYTES;
use domain::inbound::inbound_request::RawRequest;
use domain::inbound::source::mask_addresses;
use engine::app::App;

use super::tracking::client;

const BODY_TIMEOUT: Duration = Duration::from_secs(10);
const HEADERS_MAX: usize = 64;
const HEADER_MAX_CHARS: usize = 1024;
/// Headers with credentials, which are not stored.
const SECRET_HEADERS: [header::HeaderName; 3] = [header::AUTHORIZATION, header::PROXY_AUTHORIZATION, header::COOKIE];

/// `/in/{source_key}`, with any method: each request that reaches a source is in its log.
pub async fn receive(State(app): State<App>, request: Request) -> Response {
    let key = key_of(&request);
    let (raw, is_complete) = read(&app, request).await;
    // A task of its own, because the notification of a network that disconnects must be processed too.
    let receiving = async move { engine::inbound::receive::receive(&app, &key, raw, is_complete).await };
    let work = tokio::spawn(receiving.in_current_span());
    match work.await {
        Ok(Ok(Some(received))) => reply::of(received),
        Ok(Ok(None)) => reply::no_source(),
        Ok(Err(error)) => reply::of_error(error),
        Err(_) => super::errors::internal_error(),
    }
}

fn key_of(request: &Request) -> String {
    let path = request.uri().path().trim_start_matches("/in/");
    let key = path.split('/').next().unwrap_or_default();
    // Keys are case-insensitive and shorter than 64 characters.
    key.chars().take(64).collect::<String>().to_ascii_lowercase()
}

/// Reads a request, and says whether its body arrived whole.
async fn read(app: &App, request: Request) -> (RawRequest, bool) {
    let (parts, body) = request.into_parts();
    let peer = parts.extensions.get::<ConnectInfo<SocketAddr>>();
    let remote_ip = peer.map(|peer| client::origin(app, peer.0.ip(), &parts.headers).address);
    let mut bytes = Vec::new();
    let end = tokio::time::timeout(BODY_TIMEOUT, read_body(body, &mut bytes)).await.unwrap_or(End::Missing);
    let raw = RawRequest {
        method: parts.method.to_string(),
        // The key is a secret and is not stored.
        path: mask_addresses(parts.uri.path()),
        query: parts.uri.query().unwrap_or_default().to_owned(),
        headers: headers(&parts.headers),
        body: bytes,
        truncated: end != End::Reached,
        remote_ip,
    };
    (raw, end != End::Missing)
}

/// How the reading of a body ended.
#[derive(Clone, Copy, PartialEq, Eq)]
enum End {
    /// The body was read to its end.
    Reached,
    /// There are more than [`BODY_MAX_BYTES`].
    TooFar,
    /// The connection was closed or idle before the end.
    Missing,
}

/// Reads the first [`BODY_MAX_BYTES`] of a body.
async fn read_body(body: Body, bytes: &mut Vec<u8>) -> End {
    let mut stream = body.into_data_stream();
    while let Some(chunk) = stream.next().await {
        let Ok(chunk) = chunk else { return End::Missing };
        bytes.extend_from_slice(&chunk);
        if bytes.len() > BODY_MAX_BYTES {
            bytes.truncate(BODY_MAX_BYTES);
            return End::TooFar;
        }
    }
    End::Reached
}

fn headers(headers: &HeaderMap) -> Vec<(String, String)> {
    let stored = headers.iter().filter(|(name, _)| !SECRET_HEADERS.contains(name));
    let text = |bytes: &[u8]| mask_addresses(&String::from_utf8_lossy(bytes)).chars().take(HEADER_MAX_CHARS).collect();
    stored.take(HEADERS_MAX).map(|(name, value)| (name.to_string(), text(value.as_bytes()))).collect()
}
