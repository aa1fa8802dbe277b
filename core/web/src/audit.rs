//! Every change, and every export of what is personal, goes into the audit log here: that it is asked for before the handler runs, what came of it before the
//! answer is sent. So no handler can forget it, and no crash can lose it.
//!
//! What programs report in bulk is not in it row by row: the conversion with its events, and the raw request of a
//! source, are that record themselves.

use axum::body::{Body, to_bytes};
use axum::extract::Request;
use axum::http::{Method, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use axum::{Extension, Json};
use serde::Serialize;
use serde_json::Value;
use tracing::Instrument;

use domain::people::actor::Actor;
use domain::people::audit::{Ending, Outcome};
use domain::people::changes::{self, Changed, FieldChange};
use engine::app::App;
use engine::people::audit::{self, Change};

use super::auth;
use super::errors::Problem;
use super::errors::internal_error;
use super::extract;
use super::operations::{Needs, Operation};

/// Reports in bulk, and what changes nothing although it is a POST.
const NOT_RECORDED: [&str; 4] = ["create_conversions", "create_event", "parse_postback", "test_postback"];

/// What hands out buyers' data or whole payout details.
const RECORDED_READS: [&str; 2] = ["export", "export_withdrawal_batch"];

pub fn is_recorded(method: &Method, operation: &str) -> bool {
    match method.is_safe() {
        true => method == Method::GET && RECORDED_READS.contains(&operation),
        false => !NOT_RECORDED.contains(&operation),
    }
}

/// What a handler tells the log along with its answer.
#[derive(Clone)]
pub struct AuditedChanges(pub Vec<FieldChange>);

impl AuditedChanges {
    /// Of an operation on many things.
    pub fn many(changes: impl IntoIterator<Item = FieldChange>) -> Extension<Self> {
        Extension(Self(changes::bounded(changes.into_iter().collect())))
    }
}

/// Shows a thing as it is now, and tells the log what it was.
pub struct Audited<T>(pub Changed<T>);

impl<T: Serialize> IntoResponse for Audited<T> {
    fn into_response(self) -> Response {
        (Extension(AuditedChanges(self.0.fields())), Json(self.0.now)).into_response()
    }
}

/// Shows nothing of what is gone, and tells the log what it was.
pub struct Deleted<T>(pub T);

impl<T: Serialize> IntoResponse for Deleted<T> {
    fn into_response(self) -> Response {
        (StatusCode::NO_CONTENT, Extension(AuditedChanges(changes::deleted(&self.0)))).into_response()
    }
}

/// Runs the handler in a task of its own: a caller who hangs up must not get around the log.
pub async fn record(app: App, operation: &Operation, request: Request, next: Next) -> Response {
    let (parts, body) = request.into_parts();
    let content_type = parts.headers.get(header::CONTENT_TYPE).map(|it| it.to_str().unwrap_or_default());
    let is_json = content_type.is_none_or(|it| it.contains("json"));
    let is_form = content_type.is_some_and(|it| it.starts_with("application/x-www-form-urlencoded"));
    let mut sent = Value::Null;
    // A component that is uploaded is no field of anything; its name and digest are in the answer.
    let reads = parts.method.is_safe();
    let body = if reads {
        sent = fields(parts.uri.query().unwrap_or_default().as_bytes());
        body
    } else if is_json || is_form {
        let bytes = match extract::whole(body, operation.body_limit()).await {
            Ok(bytes) => bytes,
            Err(problem) => return problem.into_response(),
        };
        sent = if is_form { fields(&bytes) } else { serde_json::from_slice(&bytes).unwrap_or_default() };
        Body::from(bytes)
    } else {
        body
    };
    let visitor = auth::visitor(&parts.headers, &parts.extensions, &app);
    let object = operation.object_in(parts.uri.path());
    let change = Change { body: sent, ..Change::by(&visitor, &operation.id, object) };
    // Whoever is not known yet is recorded by what makes them known, in its transaction.
    let caller = parts.extensions.get::<Actor>().copied().filter(|_| operation.needs != Needs::Nothing);
    let work = async move {
        let request = Request::from_parts(parts, body);
        match caller {
            Some(actor) if reads => recorded_read(&app, actor, change, request, next).await,
            Some(actor) => recorded(&app, actor, change, request, next).await,
            None => next.run(request).await,
        }
    };
    let work = tokio::spawn(work.in_current_span());
    work.await.unwrap_or_else(|_| internal_error())
}

/// The fields of a query or a form.
fn fields(encoded: &[u8]) -> Value {
    let pairs = url::form_urlencoded::parse(encoded);
    Value::Object(pairs.map(|(name, value)| (name.into_owned(), Value::from(value.into_owned()))).collect())
}

/// The answer may be large and is sent while it is read: its outcome is that it begins.
async fn recorded_read(app: &App, actor: Actor, change: Change, request: Request, next: Next) -> Response {
    let operation = change.operation.clone();
    let asked = match audit::begin(app, actor, change).await {
        Ok(asked) => asked,
        Err(error) => return Problem::from(error).into_response(),
    };
    let response = next.run(request).await;
    let status = response.status();
    let ending = Ending { status: Some(status.as_u16()), ..Ending::of(outcome(status), app.clock.now()) };
    if let Err(error) = audit::conclude(app, asked, ending).await {
        tracing::error!(operation, audit.id = %asked, %error, "The outcome of an export is not in the audit log");
    }
    response
}

fn outcome(status: StatusCode) -> Outcome {
    match status {
        status if status.is_server_error() => Outcome::Failed,
        status if status.is_client_error() => Outcome::Refused,
        _ => Outcome::Done,
    }
}

async fn recorded(app: &App, actor: Actor, change: Change, request: Request, next: Next) -> Response {
    let (operation, named) = (change.operation.clone(), change.object.is_some());
    let asked = match audit::begin(app, actor, change).await {
        Ok(asked) => asked,
        Err(error) => return Problem::from(error).into_response(),
    };
    let (mut parts, body) = next.run(request).await.into_parts();
    let body = to_bytes(body, usize::MAX).await.unwrap_or_default();
    let outcome = match outcome(parts.status) {
        Outcome::Done if parts.headers.contains_key("idempotency-replayed") => Outcome::Repeated,
        outcome => outcome,
    };
    let answer: Value = if named { Value::Null } else { serde_json::from_slice(&body).unwrap_or_default() };
    let made = answer["id"].as_str().map(str::to_owned);
    let changes = parts.extensions.remove::<AuditedChanges>().map(|it| it.0).unwrap_or_default();
    let ending =
        Ending { status: Some(parts.status.as_u16()), object: made, changes, ..Ending::of(outcome, app.clock.now()) };
    if let Err(error) = audit::conclude(app, asked, ending).await {
        // The log has the change, and says that its outcome is unknown.
        tracing::error!(operation, audit.id = %asked, %error, "The outcome of a change is not in the audit log");
    }
    Response::from_parts(parts, Body::from(body))
}
