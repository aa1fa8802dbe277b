//! Every change goes into the audit log here, around the handler and before the answer is sent, so that no handler
//! can forget it.
//!
//! What programs report in bulk is not in it row by row: the conversion with its events, and the raw request of a
//! source, are that record themselves.

use axum::body::{Body, to_bytes};
use axum::extract::Request;
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use serde_json::Value;

use crate::app::App;
use crate::domain::actor::Actor;
use crate::services::audit::{self, Change};

use super::access::Operation;
use super::auth;
use super::errors::Problem;
use super::router::{BODY_LIMIT, internal_error};

const REQUEST_ID: &str = "x-request-id";

/// Reports in bulk, and what changes nothing although it is a POST.
const NOT_RECORDED: [&str; 4] = ["create_conversions", "create_event", "parse_postback", "test_postback"];

pub fn is_recorded(method: &Method, operation: &str) -> bool {
    !method.is_safe() && !NOT_RECORDED.contains(&operation)
}

/// Runs the handler in a task of its own: a caller who hangs up must not get around the log.
pub async fn record(app: App, operation: &Operation, request: Request, next: Next) -> Response {
    let (parts, body) = request.into_parts();
    let is_json =
        parts.headers.get(header::CONTENT_TYPE).is_none_or(|it| it.to_str().is_ok_and(|it| it.contains("json")));
    let mut sent = Value::Null;
    // A component that is uploaded is no field of anything; its name and digest are in the answer.
    let body = if is_json {
        let Ok(bytes) = to_bytes(body, BODY_LIMIT).await else {
            let detail = "the body is larger than 4 MiB; send it in parts";
            return Problem::new(StatusCode::PAYLOAD_TOO_LARGE, "body_too_large", detail).into_response();
        };
        sent = serde_json::from_slice(&bytes).unwrap_or_default();
        Body::from(bytes)
    } else {
        body
    };
    let request_id = request_id(&parts.headers, &app);
    let visitor = auth::visitor(&parts.headers, &parts.extensions, &app);
    let caller = parts.extensions.get::<Actor>().copied();
    let change = Change {
        operation: operation.id.clone(),
        object: operation.object_in(parts.uri.path()),
        body: sent,
        status: 0,
        address: Some(visitor.address.to_string()),
        request_id: Some(request_id.clone()),
    };
    let work = tokio::spawn(async move {
        let response = next.run(Request::from_parts(parts, body)).await;
        let mut response = conclude(&app, caller, change, response).await;
        if let Ok(value) = HeaderValue::from_str(&request_id) {
            response.headers_mut().insert(REQUEST_ID, value);
        }
        response
    });
    work.await.unwrap_or_else(|_| internal_error())
}

async fn conclude(app: &App, caller: Option<Actor>, mut change: Change, response: Response) -> Response {
    let status = response.status();
    // Whoever signs in is known by the answer.
    let actor = response.extensions().get::<Actor>().copied().or(caller);
    let changed = status.is_success() || status.is_redirection();
    let repeated = response.headers().contains_key("idempotency-replayed");
    let (Some(actor), true, false) = (actor, changed, repeated) else { return response };
    let (parts, body) = response.into_parts();
    let body = to_bytes(body, usize::MAX).await.unwrap_or_default();
    if change.object.is_none() {
        let answer: Value = serde_json::from_slice(&body).unwrap_or_default();
        change.object = answer["id"].as_str().map(str::to_owned);
    }
    change.status = status.as_u16();
    let operation = change.operation.clone();
    if let Err(error) = audit::record(app, actor, change).await {
        tracing::error!(operation, %error, "A change is not in the audit log");
        let detail = "the change was made, but could not be written into the audit log; tell the operator";
        return Problem::new(StatusCode::INTERNAL_SERVER_ERROR, "not_audited", detail).into_response();
    }
    Response::from_parts(parts, Body::from(body))
}

/// The caller's own, so that it finds its request again, or a new one.
fn request_id(headers: &HeaderMap, app: &App) -> String {
    let given = headers.get(REQUEST_ID).and_then(|value| value.to_str().ok());
    let given = given.filter(|id| (1..=100).contains(&id.len()) && id.bytes().all(|byte| byte.is_ascii_graphic()));
    given.map_or_else(|| crate::ids::encode(crate::ids::new_uuid(app.clock.now())), str::to_owned)
}
