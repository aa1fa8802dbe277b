//! Who may call which operation. The description of the API says what each one needs; it is asked here, before the
//! handler and before anything is read of the body, so that no handler can forget it.

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

use super::auth::Origin;
use super::errors::Problem;
use super::limits::STRANGERS_BODY_LIMIT;
use super::operations::{Needs, Operation, Operations};
use super::{audit, auth};

/// Whoever only reads may still sign out.
fn may(actor: Actor, method: &Method, operation: &str, needs: Needs) -> Result<(), Denied> {
    if !method.is_safe() && operation != "logout" {
        actor.may_change()?;
    }
    match needs {
        Needs::Permission(permission) => actor.require(permission),
        Needs::SomeCaller | Needs::Nothing => Ok(()),
    }
}

/// At the level of errors like the span of the request, so that no filter of the log hides it from a line.
fn span(operation: &Operation, path: &str, actor: Option<Actor>) -> Span {
    tracing::error_span!(
        "use_case",
        operation = operation.id,
        object = operation.object_in(path),
        actor = actor.map(Actor::name),
        affiliate.id = actor.and_then(Actor::confined_to).map(field::display),
    )
}

/// Axum middleware over the API: leaves the [`Actor`] in the request's extensions, and
/// has every change recorded.
pub async fn layer(
    State((app, operations)): State<(App, Arc<Operations>)>,
    mut request: Request,
    next: Next,
) -> Response {
    // Without an operation it is a method that the path does not take, and told so.
    let Some(operation) = operations.find(&request) else { return next.run(request).await };
    let (method, headers) = (request.method(), request.headers());
    let actor = match (auth::authenticate(method, headers, &app).await, operation.needs) {
        // Signing in, too, must be what the person in front of the browser wants.
        (_, Needs::Nothing) if !method.is_safe() && auth::origin(headers, &app) == Origin::Another => {
            return Problem::from(Error::from(AuthError::CrossSite)).into_response();
        }
        (Ok(actor), Needs::Nothing) => Some(actor),
        (Ok(actor), needs) => match may(actor, method, &operation.id, needs) {
            Ok(()) => Some(actor),
            Err(denied) => return Problem::from(denied).into_response(),
        },
        (Err(_), Needs::Nothing) => None,
        (Err(problem), _) => return problem.into_response(),
    };
    if let Some(actor) = actor {
        request.extensions_mut().insert(actor);
    }
    if operation.needs == Needs::Nothing {
        DefaultBodyLimit::max(STRANGERS_BODY_LIMIT).apply(&mut request);
    }
    let span = span(operation, request.uri().path(), actor);
    if audit::is_recorded(request.method(), &operation.id) {
        return audit::record(app, operation, request, next).instrument(span).await;
    }
    next.run(request).instrument(span).await
}
