//! `Idempotency-Key` on every POST: a repeated request gets the stored response, a different request a 409.
//!
//! The key is inserted before the handler runs, and the response is stored after it. A request that certainly stored
//! nothing frees its key. If the process crashes in between, or if the request failed and may have stored something, such
//! as when the reply to its COMMIT was lost, the key stays without a response and a repeated request gets a 409. So no
//! request is carried out twice.

use std::borrow::Cow;

use axum::body::{Body, Bytes, to_bytes};
use axum::extract::{Request, State};
use axum::http::{HeaderValue, Method, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use sha2::{Digest, Sha256};
use tracing::Instrument;

use domain::inbound::source::mask_addresses;
use domain::people::actor::Actor;
use engine::Error;
use engine::app::App;
use storage::base::idempotency::KeyState;
use storage::base::writes;

use super::errors::Problem;
use super::extract;
use super::limits::BODY_LIMIT;

const HEADER: &str = "idempotency-key";
pub(crate) const KEY_MAX_CHARS: usize = 255;

/// Whether a request has an `Idempotency-Key`.
pub fn has_key(headers: &axum::http::HeaderMap) -> bool {
    headers.contains_key(HEADER)
}

/// Marks the response of a failed request that may have stored something.
#[derive(Clone, Copy)]
struct MayHaveStored;

/// Axum middleware around the handlers: finds out whether a failed request may have stored something.
pub async fn watch_writes(request: Request, next: Next) -> Response {
    let (mut response, may_have_stored) = writes::watch(next.run(request)).await;
    if may_have_stored && response.status().is_server_error() {
        response.extensions_mut().insert(MayHaveStored);
    }
    response
}

/// Axum middleware over the API.
pub async fn layer(State(app): State<App>, request: Request, next: Next) -> Response {
    let key = request.headers().get(HEADER).map(HeaderValue::to_str);
    match key {
        Some(key) if request.method() == Method::POST && !is_excluded(request.uri().path()) => {
            let key = match key {
                Ok(key) if (1..=KEY_MAX_CHARS).contains(&key.trim().len()) => key.trim().to_owned(),
                _ => {
                    let detail = format!("use an Idempotency-Key of 1 to {KEY_MAX_CHARS} printable ASCII characters");
                    return Problem::bad_request("invalid_idempotency_key", detail).into_response();
                }
            };
            run_once(&app, key, request, next).await.unwrap_or_else(IntoResponse::into_response)
        }
        _ => next.run(request).await,
    }
}

/// Whether the key is ignored. Requests of people contain passwords and codes, and pasted URLs contain tokens, so
/// neither their hashes nor their responses are stored. Parsing a pasted URL and checking payout details change nothing.
pub(crate) fn is_excluded(path: &str) -> bool {
    path.starts_with("/api/v1/auth/") || matches!(path, "/api/v1/postbacks/parse" | "/api/v1/payout-details/check")
}

async fn run_once(app: &App, key: String, request: Request, next: Next) -> Result<Response, Problem> {
    let Some(actor) = request.extensions().get::<Actor>().map(|actor| actor.name()) else {
        return Ok(next.run(request).await);
    };
    let (parts, body) = request.into_parts();
    let body = extract::read_body(body, BODY_LIMIT).await?;
    let hash = hash_of(parts.uri.path(), &without_credentials(parts.uri.path(), &body));
    let db = app.db.writer();
    match storage::base::idempotency::start(db, &actor, &key, &hash, app.clock.now()).await.map_err(Error::from)? {
        KeyState::Answered { request_hash, .. } | KeyState::Unfinished { request_hash, .. } if request_hash != hash => {
            Err(Problem::conflict(
                "idempotency_key_reused",
                "this Idempotency-Key was used for a different request; use a new key for a new request",
            ))
        }
        KeyState::Answered { status, body, .. } => Ok(replay(status, body)),
        KeyState::Unfinished { since, .. } => Err(Problem::conflict(
            "idempotency_key_in_progress",
            format!(
                "a request with this key began at {since} and has no response: it still runs, or it failed at a point where it may have been carried out. Wait a minute, look whether it was carried out, and use a new key only if it was not"
            ),
        )),
        KeyState::Started => {
            let has_secret = ["/api-keys", "/users", "/invite", "/login-link", "/sources", "/rotate-key"]
                .iter()
                .any(|end| parts.uri.path().ends_with(end));
            let app = app.clone();
            // A task of its own, because a client that disconnects must get the response when it repeats the request.
            let work = async move {
                let response = next.run(Request::from_parts(parts, Body::from(body))).await;
                store_response(&app, &actor, &key, response, has_secret).await
            };
            Ok(tokio::spawn(work.in_current_span()).await.unwrap_or_else(|_| super::errors::internal_error()))
        }
    }
}

async fn store_response(app: &App, actor: &str, key: &str, response: Response, has_secret: bool) -> Response {
    let (parts, body) = response.into_parts();
    let body = to_bytes(body, usize::MAX).await.unwrap_or_default();
    let db = app.db.writer();
    let stored = if parts.status.is_success() {
        let text = if has_secret { without_secrets(&body) } else { String::from_utf8_lossy(&body).into_owned() };
        storage::base::idempotency::finish(db, actor, key, parts.status.as_u16(), &text).await
    } else if parts.extensions.get::<MayHaveStored>().is_some() {
        Ok(())
    } else {
        // The request changed nothing, so the key can be used for the corrected or repeated request.
        storage::base::idempotency::delete(db, actor, key).await
    };
    if let Err(error) = stored {
        tracing::warn!(%error, "A response could not be stored for its Idempotency-Key");
    }
    Response::from_parts(parts, Body::from(body))
}

fn replay(status: u16, body: String) -> Response {
    let status = StatusCode::from_u16(status).unwrap_or(StatusCode::OK);
    let mut response = (status, body).into_response();
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response.headers_mut().insert("idempotency-replayed", HeaderValue::from_static("true"));
    response
}

/// Removes a new API key, the key in a source's URL or a login link, which are shown once, from a response.
fn without_secrets(body: &Bytes) -> String {
    let mut value: serde_json::Value = serde_json::from_slice(body).unwrap_or_default();
    for field in ["key", "invitation_url", "login_url"] {
        if let Some(secret) = value.get_mut(field) {
            *secret = serde_json::Value::Null;
        }
    }
    for field in ["url", "paste_url"] {
        if let Some(text) = value.get(field).and_then(serde_json::Value::as_str) {
            value[field] = mask_addresses(text).into();
            value["url_masked"] = true.into();
        }
    }
    for paste in value.get_mut("also_paste").and_then(serde_json::Value::as_array_mut).into_iter().flatten() {
        if let Some(text) = paste["url"].as_str() {
            paste["url"] = mask_addresses(text).into();
        }
    }
    value.to_string()
}

/// Removes password and code from a body before it is hashed, because a weak password could be guessed from the hash.
fn without_credentials<'a>(path: &str, body: &'a [u8]) -> Cow<'a, [u8]> {
    if !path.ends_with("/api-keys") {
        return Cow::Borrowed(body);
    }
    let mut value: serde_json::Value = serde_json::from_slice(body).unwrap_or_default();
    let Some(fields) = value.as_object_mut() else { return Cow::Borrowed(body) };
    if fields.remove("password").is_none() & fields.remove("code").is_none() {
        return Cow::Borrowed(body);
    }
    Cow::Owned(value.to_string().into_bytes())
}

fn hash_of(path: &str, body: &[u8]) -> String {
    let digest = Sha256::new().chain_update(path).chain_update([0]).chain_update(body).finalize();
    digest.iter().map(|byte| format!("{byte:02x}")).collect()
}
