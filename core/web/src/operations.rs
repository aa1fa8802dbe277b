//! The operations of the API, as its description has them: which path and method, and what each one needs.

use std::collections::HashMap;

use axum::extract::{MatchedPath, Request};
use axum::http::Method;
use serde_json::Value;
use utoipa::openapi::OpenApi;

use domain::people::permission::Permission;

use super::limits::{BODY_LIMIT, STRANGERS_BODY_LIMIT};

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
    path: String,
}

impl Operation {
    /// How large a body may be. Callers without credentials send little.
    pub fn body_limit(&self) -> usize {
        if self.needs == Needs::Nothing { STRANGERS_BODY_LIMIT } else { BODY_LIMIT }
    }

    /// The id in a path of this operation.
    pub fn object_in(&self, path: &str) -> Option<String> {
        let pairs = self.path.split('/').zip(path.split('/'));
        let mut ids = pairs.filter(|(pattern, _)| pattern.starts_with('{')).map(|(_, given)| given.to_owned());
        // What identifies itself by its secret is not written down.
        ids.next().filter(|_| !self.path.contains("{token}"))
    }
}

/// A page, or a form and the operation of the API that it performs.
pub(crate) enum Row {
    Page { path: &'static str, needs: Needs },
    Form { path: &'static str, operation: &'static str },
}

/// The operations of the API by path and method.
#[derive(Debug)]
pub struct Operations(HashMap<String, HashMap<Method, Operation>>);

impl Operations {
    /// Panics on a scope that is no permission: a program that starts has none.
    pub fn of(description: &OpenApi) -> Self {
        let description = serde_json::to_value(description).expect("a description is JSON");
        let mut paths: HashMap<String, HashMap<Method, Operation>> = HashMap::new();
        for (path, operations) in description["paths"].as_object().into_iter().flatten() {
            for (method, operation) in operations.as_object().into_iter().flatten() {
                let method = Method::from_bytes(method.to_ascii_uppercase().as_bytes());
                let (Ok(method), Some(id)) = (method, operation["operationId"].as_str()) else { continue };
                let needs = needs(id, &operation["security"]);
                let operation = Operation { id: id.to_owned(), needs, path: path.clone() };
                paths.entry(path.clone()).or_default().insert(method, operation);
            }
        }
        Self(paths)
    }

    /// Adds the pages and forms of a site. Panics on a form whose operation the API lacks: a program that starts has none.
    pub(crate) fn with_rows(mut self, rows: Vec<Row>) -> Self {
        for row in rows {
            let (path, method, id, needs) = match row {
                Row::Page { path, needs } => (path, Method::GET, format!("page {path}"), needs),
                Row::Form { path, operation } => (path, Method::POST, operation.to_owned(), self.needs_of(operation)),
            };
            let operation = Operation { id, needs, path: path.to_owned() };
            self.0.entry(path.to_owned()).or_default().insert(method, operation);
        }
        self
    }

    fn needs_of(&self, id: &str) -> Needs {
        let found = self.0.values().flat_map(HashMap::values).find(|it| it.id == id);
        found.unwrap_or_else(|| panic!("a form performs {id}, which is not an operation of the API")).needs
    }

    pub fn find(&self, request: &Request) -> Option<&Operation> {
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
