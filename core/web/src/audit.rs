//! Records every change and every export of personal data in the audit log: the request before the handler runs, the
//! outcome before the response is sent. So no handler can forget the record, and no crash can lose it.
//!
//! Conversions and events that programs report, and notifications of networks, have no audit records: a conversion with
//! its events, and a stored inbound request, are the record.

use axum::body::{Body, to_bytes};
use axum::extract::Request;
use axum::http::{Method, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use axum::{Extension, Json};
use serde::Serialize;
use serde_json::{Map, Value};
use tracing::Instrument;

use domain::people::actor::Actor;
use domain::people::audit::{Ending, Outcome};
use domain::people::changes::{self, Changed, FieldChange};
use engine::app::App;
use engine::people::audit::{self, RequestedChange};

use super::auth;
use super::errors::Problem;
use super::errors::internal_error;
use super::extract;
use super::operations::{AccessRule, Operation};

/// Reports of conversions and events, and operations that change nothing although they are a POST.
const NOT_RECORDED: [&str; 11] = [
    "check_payout_details",
    "count_replays",
    "count_retries",
    "create_conversions",
    "create_event",
    "estimate_postback",
    "parse_postback",
    "preview_decision",
    "preview_postback",
    "preview_postback_change",
    "test_postback",
];

/// Reads that return data of buyers or unmasked payout details.
const RECORDED_READS: [&str; 2] = ["export", "export_withdrawal_batch"];

/// Whether requests of an operation are recorded.
pub fn is_recorded(method: &Method, operation: &str) -> bool {
    match method.is_safe() {
        true => method == Method::GET && RECORDED_READS.contains(&operation),
        false => !NOT_RECORDED.contains(&operation),
    }
}

/// The changed fields for the audit log, which a handler returns as an extension of its response.
#[derive(Clone)]
pub struct AuditedChanges(pub Vec<FieldChange>);

impl AuditedChanges {
    /// The changes of an operation on several objects.
    pub fn many(changes: impl IntoIterator<Item = FieldChange>) -> Extension<Self> {
        Extension(Self(changes::bounded(changes.into_iter().collect())))
    }
}

/// The id of a created object for the audit log, which a handler returns as an extension of its response if the body is a
/// page.
#[derive(Clone)]
pub struct CreatedId(pub String);

/// Responds with an object after a change, and passes the changed fields to the audit log.
pub struct Audited<T>(pub Changed<T>);

impl<T: Serialize> IntoResponse for Audited<T> {
    fn into_response(self) -> Response {
        (Extension(AuditedChanges(self.0.fields())), Json(self.0.now)).into_response()
    }
}

/// Responds with 204 after a deletion, and passes the fields of the deleted object to the audit log.
pub struct Deleted<T>(pub T);

impl<T: Serialize> IntoResponse for Deleted<T> {
    fn into_response(self) -> Response {
        (StatusCode::NO_CONTENT, Extension(AuditedChanges(changes::deleted(&self.0)))).into_response()
    }
}

/// Runs the handler and records its request and its outcome. A task of its own does it, because a request whose client
/// disconnects must be recorded too.
pub async fn run_recorded(app: App, operation: &Operation, request: Request, next: Next) -> Response {
    let (parts, body) = request.into_parts();
    let content_type = parts.headers.get(header::CONTENT_TYPE).map(|it| it.to_str().unwrap_or_default());
    let is_json = content_type.is_none_or(|it| it.contains("json"));
    let is_form = content_type.is_some_and(|it| it.starts_with("application/x-www-form-urlencoded"));
    let is_read = parts.method.is_safe();
    // The body of an uploaded component is not recorded; the response has its name and digest.
    let mut recorded_fields = Value::Null;
    let body = if is_read {
        recorded_fields = fields(parts.uri.query().unwrap_or_default().as_bytes());
        body
    } else if is_json || is_form {
        let bytes = match extract::read_body(body, operation.body_limit()).await {
            Ok(bytes) => bytes,
            Err(problem) => return problem.into_response(),
        };
        recorded_fields = if is_form { fields(&bytes) } else { serde_json::from_slice(&bytes).unwrap_or_default() };
        Body::from(bytes)
    } else {
        body
    };
    let visitor = auth::visitor(&parts.headers, &parts.extensions, &app);
    let object = operation.object_in(parts.uri.path());
    let change = RequestedChange { body: recorded_fields, ..RequestedChange::by(&visitor, &operation.id, object) };
    // A person who becomes known by the request, such as by a password or a link, is recorded in the transaction of the
    // change.
    let caller = parts.extensions.get::<Actor>().copied().filter(|_| operation.access != AccessRule::Public);
    let work = async move {
        let request = Request::from_parts(parts, body);
        match caller {
            Some(actor) if is_read => run_recorded_read(&app, actor, change, request, next).await,
            Some(actor) => run_recorded_change(&app, actor, change, request, next).await,
            None => next.run(request).await,
        }
    };
    let work = tokio::spawn(work.in_current_span());
    work.await.unwrap_or_else(|_| internal_error())
}

/// The fields of a query or a form.
fn fields(encoded: &[u8]) -> Value {
    let mut fields: Map<String, Value> = Map::new();
    for (name, value) in url::form_urlencoded::parse(encoded) {
        let value = Value::from(value.into_owned());
        match fields.get_mut(&*name) {
            // Boxes of one name, of which several are checked.
            Some(Value::Array(values)) => values.push(value),
            Some(first) => *first = Value::Array(vec![first.take(), value]),
            None => {
                fields.insert(name.into_owned(), value);
            }
        }
    }
    Value::Object(fields)
}

/// Runs a read. The response may be large and is streamed, so the outcome is that of its head.
async fn run_recorded_read(app: &App, actor: Actor, change: RequestedChange, request: Request, next: Next) -> Response {
    let operation = change.operation.clone();
    let record = match audit::begin(app, actor, change).await {
        Ok(record) => record,
        Err(error) => return Problem::from(error).into_response(),
    };
    let response = next.run(request).await;
    let status = response.status();
    let ending = Ending { status: Some(status.as_u16()), ..Ending::of(outcome_of(status), app.clock.now()) };
    if let Err(error) = audit::conclude(app, record, ending).await {
        tracing::error!(operation, audit.id = %record, %error, "The outcome of an export is not in the audit log");
    }
    response
}

fn outcome_of(status: StatusCode) -> Outcome {
    match status {
        status if status.is_server_error() => Outcome::Failed,
        status if status.is_client_error() => Outcome::Refused,
        _ => Outcome::Done,
    }
}

async fn run_recorded_change(
    app: &App,
    actor: Actor,
    change: RequestedChange,
    request: Request,
    next: Next,
) -> Response {
    let (operation, has_object) = (change.operation.clone(), change.object.is_some());
    let record = match audit::begin(app, actor, change).await {
        Ok(record) => record,
        Err(error) => return Problem::from(error).into_response(),
    };
    let (mut parts, body) = next.run(request).await.into_parts();
    let body = to_bytes(body, usize::MAX).await.unwrap_or_default();
    let outcome = match outcome_of(parts.status) {
        Outcome::Done if parts.headers.contains_key("idempotency-replayed") => Outcome::Repeated,
        outcome => outcome,
    };
    let response: Value = if has_object { Value::Null } else { serde_json::from_slice(&body).unwrap_or_default() };
    let created_id = response["id"].as_str().map(str::to_owned);
    let created_id = parts.extensions.remove::<CreatedId>().map(|it| it.0).or(created_id);
    let changes = parts.extensions.remove::<AuditedChanges>().map(|it| it.0).unwrap_or_default();
    let ending = Ending {
        status: Some(parts.status.as_u16()),
        object: created_id,
        changes,
        ..Ending::of(outcome, app.clock.now())
    };
    if let Err(error) = audit::conclude(app, record, ending).await {
        // The record without an outcome is shown as unknown.
        tracing::error!(operation, audit.id = %record, %error, "The outcome of a change is not in the audit log");
    }
    Response::from_parts(parts, Body::from(body))
}
