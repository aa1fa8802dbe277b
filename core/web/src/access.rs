//! Authorization. The OpenAPI description states the access rule and the query parameters of each operation. Both are
//! checked here, before the handler runs and before the body is read, so that no handler can forget it.

use std::sync::Arc;

use axum::extract::{DefaultBodyLimit, Request, State};
use axum::http::Method;
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use tracing::{Instrument, Span, field};

use domain::people::actor::Actor;
use domain::people::auth_error::AuthError;
use domain::people::permission::Denied;
use engine::Error;
use engine::app::App;

use super::auth::RequestSite;
use super::errors::Problem;
use super::limits::UNAUTHENTICATED_BODY_LIMIT;
use super::operations::{AccessRule, Operation, Operations};
use super::{audit, auth, extract};

fn authorize(actor: Actor, method: &Method, operation: &str, access: AccessRule) -> Result<(), Denied> {
    // A read-only session can still sign out.
    if !method.is_safe() && operation != "logout" {
        actor.may_change()?;
    }
    match access {
        AccessRule::Permission(permission) => actor.require(permission),
        AccessRule::Authenticated | AccessRule::Public => Ok(()),
    }
}

/// The level is ERROR, as for the span of the request, so that no log filter removes the fields from a log line.
fn use_case_span(operation: &Operation, path: &str, actor: Option<Actor>) -> Span {
    tracing::error_span!(
        "use_case",
        operation = operation.id,
        object = operation.object_in(path),
        actor = actor.map(Actor::name),
        affiliate.id = actor.and_then(Actor::confined_to).map(field::display),
    )
}

/// Axum middleware over the API: puts the [`Actor`] into the request's extensions, and has every change recorded in the
/// audit log.
pub async fn layer(
    State((app, operations)): State<(App, Arc<Operations>)>,
    mut request: Request,
    next: Next,
) -> Response {
    // No operation: the path does not allow the method. The router answers with 405.
    let Some(operation) = operations.find(&request) else { return next.run(request).await };
    let (method, headers) = (request.method(), request.headers());
    let actor = match (auth::authenticate(method, headers, &app).await, operation.access) {
        // Login CSRF: another site must not sign a browser in with an account of its choice.
        (_, AccessRule::Public) if !method.is_safe() && auth::request_site(headers, &app) == RequestSite::Other => {
            return Problem::from(Error::from(AuthError::CrossSite)).into_response();
        }
        (Ok(actor), AccessRule::Public) => Some(actor),
        (Ok(actor), access) => match authorize(actor, method, &operation.id, access) {
            Ok(()) => Some(actor),
            Err(denied) => return Problem::from(denied).into_response(),
        },
        (Err(_), AccessRule::Public) => None,
        (Err(problem), _) => return problem.into_response(),
    };
    if let Err(problem) = operation.check_query(request.uri().query().unwrap_or_default()) {
        return problem.into_response();
    }
    if let Some(actor) = actor {
        request.extensions_mut().insert(actor);
    }
    if operation.access == AccessRule::Public {
        DefaultBodyLimit::max(UNAUTHENTICATED_BODY_LIMIT).apply(&mut request);
    }
    if operation.refuses_body(request.method()) {
        let (parts, body) = request.into_parts();
        let checked = match extract::read_body(body, operation.body_limit()).await {
            Ok(body) => operation.check_no_body(&body).map_err(Problem::from).map(|()| body),
            Err(problem) => Err(problem),
        };
        request = match checked {
            Ok(body) => Request::from_parts(parts, body.into()),
            Err(problem) => return problem.into_response(),
        };
    }
    let span = use_case_span(operation, request.uri().path(), actor);
    if audit::is_recorded(request.method(), &operation.id) {
        return audit::run_recorded(app, operation, request, next).instrument(span).await;
    }
    next.run(request).instrument(span).await
}
