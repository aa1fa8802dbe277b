//! Who may call which operation. The description of the API says what each one needs; it is asked here, before the
//! handler and before anything is read of the body, so that no handler can forget it.

use std::collections::HashMap;
use std::sync::Arc;

use axum::extract::{MatchedPath, Request, State};
use axum::http::Method;
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use serde_json::Value;
use utoipa::openapi::OpenApi;

use crate::app::App;
use crate::domain::permission::Permission;

use super::auth;
use super::errors::Problem;

/// What an operation needs.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Needs {
    /// `security(())`: it is how one gets in.
    Nothing,
    /// `security(("api_key" = []))`: any key or session.
    SomeCaller,
    /// `security(("api_key" = ["manage_offers"]))`
    Permission(Permission),
}

#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Operation {
    pub id: String,
    pub needs: Needs,
}

/// The operations of the API by path and method.
#[derive(Debug)]
pub struct Operations(HashMap<String, HashMap<Method, Operation>>);

impl Operations {
    /// Panics on a scope that is no permission: a program that starts has none.
    pub fn of(description: &OpenApi) -> Self {
        let description = serde_json::to_value(description).expect("a description is JSON");
        let paths = description["paths"].as_object().cloned().unwrap_or_default();
        let methods_of = |path: &Value| {
            let operations = path.as_object().cloned().unwrap_or_default().into_iter();
            operations.filter_map(|(method, operation)| {
                let method = Method::from_bytes(method.to_ascii_uppercase().as_bytes()).ok()?;
                let id = operation["operationId"].as_str()?.to_owned();
                let needs = needs(&id, &operation["security"]);
                Some((method, Operation { id, needs }))
            })
        };
        Self(paths.iter().map(|(path, operations)| (path.clone(), methods_of(operations).collect())).collect())
    }

    fn find(&self, request: &Request) -> Option<&Operation> {
        let path = request.extensions().get::<MatchedPath>()?;
        // A HEAD is answered by the GET.
        let method = if request.method() == Method::HEAD { &Method::GET } else { request.method() };
        self.0.get(path.as_str())?.get(method)
    }
}

fn needs(operation: &str, security: &Value) -> Needs {
    let requirements = security.as_array().map_or(&[][..], Vec::as_slice);
    let scopes = requirements.iter().find_map(|it| it["api_key"].as_array());
    match scopes.map(Vec::as_slice) {
        None if requirements.iter().any(|it| it.as_object().is_some_and(serde_json::Map::is_empty)) => Needs::Nothing,
        None | Some([]) => Needs::SomeCaller,
        Some([scope]) => {
            let permission = scope.as_str().and_then(Permission::from_word);
            Needs::Permission(permission.unwrap_or_else(|| panic!("{operation} needs {scope}, which is no permission")))
        }
        Some(_) => panic!("{operation} needs several permissions; give it one"),
    }
}

/// Axum middleware over the API: leaves the [`Actor`](crate::domain::actor::Actor) in the request's extensions.
pub async fn layer(
    State((app, operations)): State<(App, Arc<Operations>)>,
    mut request: Request,
    next: Next,
) -> Response {
    // Without an operation it is a method that the path does not take, and told so.
    let Some(operation) = operations.find(&request) else { return next.run(request).await };
    let actor = match (auth::authenticate(request.headers(), &app).await, operation.needs) {
        (Ok(actor), Needs::Permission(permission)) => match actor.require(permission) {
            Ok(()) => Some(actor),
            Err(denied) => return Problem::from(denied).into_response(),
        },
        (Ok(actor), _) => Some(actor),
        (Err(_), Needs::Nothing) => None,
        (Err(problem), _) => return problem.into_response(),
    };
    if let Some(actor) = actor {
        request.extensions_mut().insert(actor);
    }
    next.run(request).await
}
