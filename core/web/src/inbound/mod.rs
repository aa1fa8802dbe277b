//! `/in/{source_key}`: the notifications of networks. The route is public; the key and the guards of the source decide
//! who may send.

mod reply;

use std::net::SocketAddr;
use std::time::Duration;

use axum::body::Body;
use axum::extract::{ConnectInfo, Request, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::Response;
use futures::StreamExt;
use tracing::Instrument;

use domain::inbound::inbound_request::RawRequest;
use domain::inbound::source::mask_addresses;
use engine::app::App;

use super::tracking::client;

/// The maximum size of a stored body. Networks send less.
const BODY_MAX_BYTES: usize = 64 * 1024;
const BODY_TIMEOUT: Duration = Duration::from_secs(10);
const HEADERS_MAX: usize = 64;
const HEADER_MAX_CHARS: usize = 1024;
/// Headers with credentials, which are not stored.
const SECRET_HEADERS: [header::HeaderName; 3] = [header::AUTHORIZATION, header::PROXY_AUTHORIZATION, header::COOKIE];

/// `GET /in/{source_key}`, `POST /in/{source_key}`
pub async fn receive(State(app): State<App>, request: Request) -> Response {
    let key = key_of(&request);
    let raw = match read(&app, request).await {
        Ok(raw) => raw,
        Err(refusal) => return refusal,
    };
    // A task of its own, because the notification of a network that disconnects must be processed too.
    let receiving = async move { engine::inbound::receive::receive(&app, &key, raw).await };
    let work = tokio::spawn(receiving.in_current_span());
    match work.await {
        Ok(Ok(Some(received))) => reply::of(received),
        Ok(Ok(None)) => reply::no_source(),
        Ok(Err(error)) => reply::of_error(error),
        Err(_) => super::errors::internal_error(),
    }
}

/// `HEAD /in/{source_key}`: whether the source exists. Nothing is processed.
pub async fn head(State(app): State<App>, request: Request) -> Response {
    match engine::inbound::receive::is_source(&app, &key_of(&request)).await {
        Ok(true) => reply::text(StatusCode::OK, String::new()),
        Ok(false) => reply::no_source(),
        Err(error) => reply::of_error(error),
    }
}

fn key_of(request: &Request) -> String {
    let key = request.uri().path().trim_start_matches("/in/").trim_end_matches('/');
    // Keys are case-insensitive and shorter than 64 characters.
    key.chars().take(64).collect::<String>().to_ascii_lowercase()
}

async fn read(app: &App, request: Request) -> Result<RawRequest, Response> {
    let (parts, body) = request.into_parts();
    let peer = parts.extensions.get::<ConnectInfo<SocketAddr>>();
    let remote_ip = peer.map(|peer| client::origin(app, peer.0.ip(), &parts.headers).address);
    let incomplete = || {
        let sentence = "the request body was incomplete; send it again";
        reply::text(StatusCode::BAD_REQUEST, sentence.to_owned())
    };
    let read = tokio::time::timeout(BODY_TIMEOUT, read_body(body)).await;
    let (body, truncated) = read.ok().flatten().ok_or_else(incomplete)?;
    Ok(RawRequest {
        method: parts.method.to_string(),
        // The key is a secret and is not stored.
        path: mask_addresses(parts.uri.path()),
        query: parts.uri.query().unwrap_or_default().to_owned(),
        headers: headers(&parts.headers),
        body,
        truncated,
        remote_ip,
    })
}

/// The first [`BODY_MAX_BYTES`] of a body, and whether there are more. `None`: the connection was closed.
async fn read_body(body: Body) -> Option<(Vec<u8>, bool)> {
    let mut stream = body.into_data_stream();
    let mut bytes = Vec::new();
    while let Some(chunk) = stream.next().await {
        bytes.extend_from_slice(&chunk.ok()?);
        if bytes.len() > BODY_MAX_BYTES {
            bytes.truncate(BODY_MAX_BYTES);
            return Some((bytes, true));
        }
    }
    Some((bytes, false))
}

fn headers(headers: &HeaderMap) -> Vec<(String, String)> {
    let stored = headers.iter().filter(|(name, _)| !SECRET_HEADERS.contains(name));
    let text = |bytes: &[u8]| mask_addresses(&String::from_utf8_lossy(bytes)).chars().take(HEADER_MAX_CHARS).collect();
    stored.take(HEADERS_MAX).map(|(name, value)| (name.to_string(), text(value.as_bytes()))).collect()
}
