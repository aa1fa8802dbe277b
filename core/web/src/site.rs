//! The pages of a dashboard, one row each. A page has an access rule, and a form names the operation of the API that it
//! performs, so that pages have the access rules and the audit log of the API.

use axum::Router;
use axum::extract::{Request, State};
use axum::handler::Handler;
use axum::http::{HeaderMap, Method, Uri};
use axum::middleware::Next;
use axum::response::Response;
use axum::routing::{get, post};
use engine::app::App;

use super::errors::Problem;
use super::operations::{AccessRule, Row};

/// The request that an error page answers.
pub struct FailedRequest {
    pub method: Method,
    pub uri: Uri,
    pub headers: HeaderMap,
}

impl FailedRequest {
    pub fn of(request: &Request) -> Self {
        Self { method: request.method().clone(), uri: request.uri().clone(), headers: request.headers().clone() }
    }
}

/// Renders an error as a page for a person.
pub type ShowProblem = fn(&App, &Problem, &FailedRequest) -> Response;

/// The pages and forms of a dashboard, and the rendering of errors.
pub struct Site {
    pub(crate) routes: Router<App>,
    /// Files that are the same for everybody, such as style sheets. No caller is authenticated for them.
    pub(crate) files: Router<App>,
    pub(crate) rows: Vec<Row>,
    pub(crate) show_problem: ShowProblem,
}

impl Site {
    pub fn new(show_problem: ShowProblem) -> Self {
        Self { routes: Router::new(), files: Router::new(), rows: Vec::new(), show_problem }
    }

    /// A page at `GET path`.
    pub fn page<H: Handler<T, App>, T: 'static>(mut self, path: &'static str, access: AccessRule, handler: H) -> Self {
        self.rows.push(Row::Page { path, access });
        Self { routes: self.routes.route(path, get(handler)), ..self }
    }

    /// Files at `GET path` that are the same for everybody.
    pub fn files<H: Handler<T, App>, T: 'static>(self, path: &'static str, handler: H) -> Self {
        Self { files: self.files.route(path, get(handler)), ..self }
    }

    /// The paths of the pages.
    pub fn paths(&self) -> impl Iterator<Item = &'static str> {
        self.rows.iter().filter_map(|row| match row {
            Row::Page { path, .. } => Some(*path),
            Row::Form { .. } => None,
        })
    }

    /// A form at `POST path`. It has the access rule of the operation and is recorded in the audit log as that
    /// operation. The server does not start if the API has no such operation.
    pub fn form<H: Handler<T, App>, T: 'static>(
        mut self,
        path: &'static str,
        operation: &'static str,
        handler: H,
    ) -> Self {
        self.rows.push(Row::Form { path, operation });
        Self { routes: self.routes.route(path, post(handler)), ..self }
    }
}

/// Axum middleware over the pages: replaces responses that are a [`Problem`] by pages.
pub(crate) async fn show_problems(
    State((app, show)): State<(App, ShowProblem)>,
    request: Request,
    next: Next,
) -> Response {
    let failed = FailedRequest::of(&request);
    let response = next.run(request).await;
    match response.extensions().get::<Problem>() {
        Some(problem) => show(&app, problem, &failed),
        None => response,
    }
}
