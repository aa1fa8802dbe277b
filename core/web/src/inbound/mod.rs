//! `/in/{source_key}`: where networks report. Public; the key and the source's guards say who may.

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

/// More than any network sends.
const BODY_MAX_BYTES: usize = 64 * 1024;
const BODY_TIME: Duration = Duration::from_secs(10);
const HEADERS_MAX: usize = 64;
const HEADER_MAX_CHARS: usize = 1024;
/// What opens other doors is not kept.
const SECRET_HEADERS: [header::HeaderName; 3] = [header::AUTHORIZATION, header::PROXY_AUTHORIZATION, header::COOKIE];

/// `GET /in/{source_key}`, `POST /in/{source_key}`
pub async fn receive(State(app): State<App>, request: Request) -> Response {
    let key = key_of(&request);
    let raw = match read(&app, request).await {
        Ok(raw) => raw,
        Err(refusal) => return refusal,
    };
    // A task of its own: a network that hangs up has reported all the same.
    let receiving = async move { engine::inbound::receive::receive(&app, &key, raw).await };
    let work = tokio::spawn(receiving.in_current_span());
    match work.await {
        Ok(Ok(Some(received))) => reply::of(received),
        Ok(Ok(None)) => reply::no_source(),
        Ok(Err(error)) => reply::of_error(error),
        Err(_) => super::errors::internal_error(),
    }
}

/// `HEAD /in/{source_key}`: as GET would find the source, and nothing else.
pub async fn head(State(app): State<App>, request: Request) -> Response {
    match engine::inbound::receive::is_source(&app, &key_of(&request)).await {
        Ok(true) => reply::text(StatusCode::OK, String::new()),
        Ok(false) => reply::no_source(),
        Err(error) => reply::of_error(error),
    }
}

fn key_of(request: &Request) -> String {
    let key = request.uri().path().trim_start_matches("/in/").trim_end_matches('/');
    // Keys have no case and no other characters; what has can't be one.
    key.chars().take(64).collect::<String>().to_ascii_lowercase()
}

async fn read(app: &App, request: Request) -> Result<RawRequest, Response> {
    let (parts, body) = request.into_parts();
    let peer = parts.extensions.get::<ConnectInfo<SocketAddr>>();
    let remote_ip = peer.map(|peer| client::origin(app, peer.0.ip(), &parts.headers).address);
    let incomplete = || {
        let sentence = "the body did not arrive whole; send it again";
        reply::text(StatusCode::BAD_REQUEST, sentence.to_owned())
    };
    let read = tokio::time::timeout(BODY_TIME, body_of(body)).await;
    let (body, truncated) = read.ok().flatten().ok_or_else(incomplete)?;
    Ok(RawRequest {
        method: parts.method.to_string(),
        // The key opens the source: it is kept nowhere.
        path: mask_addresses(parts.uri.path()),
        query: parts.uri.query().unwrap_or_default().to_owned(),
        headers: headers(&parts.headers),
        body,
        truncated,
        remote_ip,
    })
}

/// The first of a body, and whether there is more. `None`: the connection broke.
async fn body_of(body: Body) -> Option<(Vec<u8>, bool)> {
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
    let kept = headers.iter().filter(|(name, _)| !SECRET_HEADERS.contains(name));
    let text = |bytes: &[u8]| mask_addresses(&String::from_utf8_lossy(bytes)).chars().take(HEADER_MAX_CHARS).collect();
    kept.take(HEADERS_MAX).map(|(name, value)| (name.to_string(), text(value.as_bytes()))).collect()
}
