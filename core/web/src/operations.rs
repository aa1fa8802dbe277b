//! The operations of the API with path, method and access rule, as the OpenAPI description states them.

use std::collections::HashMap;

use axum::extract::{MatchedPath, Request};
use axum::http::Method;
use serde_json::Value;
use utoipa::openapi::OpenApi;

use domain::nearest::nearest;
use domain::people::permission::Permission;
use engine::Error;

use super::errors::Problem;
use super::limits::{BODY_LIMIT, UNAUTHENTICATED_BODY_LIMIT};

/// Who may call an operation.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum AccessRule {
    /// `security(())`: everybody, such as for signing in.
    Public,
    /// `security(("api_key" = []))`: every key or session.
    Authenticated,
    /// `security(("api_key" = ["manage_offers"]))`: keys and sessions with this permission.
    /// A second requirement with another permission beside it says that the operation shows more with it.
    Permission(Permission),
}

#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Operation {
    /// The `operationId`, or `page PATH` for a page.
    pub id: String,
    pub access: AccessRule,
    path: String,
    /// The query parameters. `None` for pages and forms, which check theirs.
    parameters: Option<Vec<String>>,
    /// False if the operation is described without a body.
    takes_body: bool,
}

impl Operation {
    /// The maximum size of the request body, in bytes.
    pub fn body_limit(&self) -> usize {
        if self.access == AccessRule::Public { UNAUTHENTICATED_BODY_LIMIT } else { BODY_LIMIT }
    }

    /// Refuses a query with a parameter that the operation does not have, because a misspelled filter must not return
    /// everything.
    ///
    /// # Errors
    /// The first unknown parameter, and the known one that the caller probably meant.
    pub fn check_query(&self, query: &str) -> Result<(), Problem> {
        let Some(known) = &self.parameters else { return Ok(()) };
        let names = || known.iter().map(String::as_str);
        let mut given = url::form_urlencoded::parse(query.as_bytes()).map(|(name, _)| name);
        let Some(unknown) = given.find(|name| !names().any(|known| known == name)) else { return Ok(()) };
        let shown: String = unknown.chars().take(64).collect();
        let advice = match nearest(&unknown, names()) {
            Some(meant) => format!("did you mean {meant}?"),
            None if known.is_empty() => "this operation has none, so remove it".to_owned(),
            None => format!("use {}", known.join(", ")),
        };
        let detail = format!("there is no parameter \"{shown}\"; {advice}");
        Err(Problem::bad_request("invalid_parameter", detail))
    }

    /// Whether a body of a request must be empty.
    pub fn refuses_body(&self, method: &Method) -> bool {
        !self.takes_body && !method.is_safe()
    }

    /// Refuses a body of an operation that takes none, because its fields would be ignored.
    ///
    /// # Errors
    /// There is anything in the body.
    pub fn check_no_body(&self, body: &[u8]) -> Result<(), Error> {
        let is_empty = match serde_json::from_slice(body) {
            Ok(Value::Object(fields)) => fields.is_empty(),
            Ok(body) => body.is_null(),
            Err(_) => body.trim_ascii().is_empty(),
        };
        if is_empty { Ok(()) } else { Err(Error::invalid("", "this operation takes no body; remove it")) }
    }

    /// The first id in a path of this operation.
    pub fn object_in(&self, path: &str) -> Option<String> {
        let pairs = self.path.split('/').zip(path.split('/'));
        let mut ids = pairs.filter(|(pattern, _)| pattern.starts_with('{')).map(|(_, segment)| segment.to_owned());
        // A token in a path is a secret and must not get into the log.
        ids.next().filter(|_| !self.path.contains("{token}"))
    }
}

/// A row of the page table: a page, or a form with the operation of the API that it performs.
pub(crate) enum Row {
    Page { path: &'static str, access: AccessRule },
    Form { path: &'static str, operation: &'static str },
}

/// The operations of the API by path and method.
#[derive(Clone, Debug)]
pub struct Operations(HashMap<String, HashMap<Method, Operation>>);

impl Operations {
    /// Reads the operations of a description.
    ///
    /// # Panics
    /// A scope is not a permission. That is a programming error, found when the server starts.
    pub fn of(description: &OpenApi) -> Self {
        let description = serde_json::to_value(description).expect("a description is JSON");
        let mut paths: HashMap<String, HashMap<Method, Operation>> = HashMap::new();
        for (path, operations) in description["paths"].as_object().into_iter().flatten() {
            for (method, operation) in operations.as_object().into_iter().flatten() {
                let method = Method::from_bytes(method.to_ascii_uppercase().as_bytes());
                let (Ok(method), Some(id)) = (method, operation["operationId"].as_str()) else { continue };
                let access = access_rule(id, &operation["security"]);
                let parameters = Some(query_parameters(operation));
                let takes_body = operation.get("requestBody").is_some();
                let operation = Operation { id: id.to_owned(), access, path: path.clone(), parameters, takes_body };
                paths.entry(path.clone()).or_default().insert(method, operation);
            }
        }
        Self(paths)
    }

    /// Adds the pages and forms of a site.
    ///
    /// # Panics
    /// A form names an operation that the API does not have. That is a programming error, found when the server starts.
    pub(crate) fn with_rows(mut self, rows: Vec<Row>) -> Self {
        for row in rows {
            let (path, method, id, access) = match row {
                Row::Page { path, access } => (path, Method::GET, format!("page {path}"), access),
                Row::Form { path, operation } => (path, Method::POST, operation.to_owned(), self.access_of(operation)),
            };
            let operation = Operation { id, access, path: path.to_owned(), parameters: None, takes_body: true };
            self.0.entry(path.to_owned()).or_default().insert(method, operation);
        }
        self
    }

    fn access_of(&self, id: &str) -> AccessRule {
        let found = self.0.values().flat_map(HashMap::values).find(|it| it.id == id);
        found.unwrap_or_else(|| panic!("a form performs {id}, which is not an operation of the API")).access
    }

    /// The operation of a request; `None` if its path does not allow its method.
    pub fn find(&self, request: &Request) -> Option<&Operation> {
        let path = request.extensions().get::<MatchedPath>()?;
        // The router handles HEAD as GET.
        let method = if request.method() == Method::HEAD { &Method::GET } else { request.method() };
        self.0.get(path.as_str())?.get(method)
    }
}

fn query_parameters(operation: &Value) -> Vec<String> {
    let parameters = operation["parameters"].as_array().into_iter().flatten();
    parameters.filter(|it| it["in"] == "query").filter_map(|it| it["name"].as_str().map(str::to_owned)).collect()
}

fn access_rule(operation: &str, security: &Value) -> AccessRule {
    let requirements = security.as_array().map_or(&[][..], Vec::as_slice);
    let scopes = requirements.iter().find_map(|it| it["api_key"].as_array());
    match scopes.map(Vec::as_slice) {
        None if requirements.iter().any(|it| it.as_object().is_some_and(serde_json::Map::is_empty)) => {
            AccessRule::Public
        }
        None | Some([]) => AccessRule::Authenticated,
        Some([scope]) => {
            let permission = scope.as_str().and_then(Permission::from_word);
            let permission =
                permission.unwrap_or_else(|| panic!("{operation} needs {scope}, which is not a permission"));
            AccessRule::Permission(permission)
        }
        Some(_) => panic!("{operation} needs several permissions; give it one"),
    }
}
