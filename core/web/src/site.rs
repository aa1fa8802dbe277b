//! The pages that a dashboard adds, one row each. A row names what a page needs, and a form names the operation of the API that it
//! performs, so that pages have the access rules and the audit log of the API.

use axum::Router;
use axum::extract::{Request, State};
use axum::handler::Handler;
use axum::middleware::Next;
use axum::response::Response;
use axum::routing::{get, post};
use engine::app::App;

use super::errors::Problem;
use super::operations::{Needs, Row};

/// Shows an error to a person.
pub type ShowProblem = fn(&Problem) -> Response;

/// Pages and forms, and how errors are shown.
pub struct Site {
    pub(crate) routes: Router<App>,
    pub(crate) rows: Vec<Row>,
    pub(crate) show_problem: ShowProblem,
}

impl Site {
    pub fn new(show_problem: ShowProblem) -> Self {
        Self { routes: Router::new(), rows: Vec::new(), show_problem }
    }

    /// A page at `GET path`.
    pub fn page<H: Handler<T, App>, T: 'static>(mut self, path: &'static str, needs: Needs, handler: H) -> Self {
        self.rows.push(Row::Page { path, needs });
        Self { routes: self.routes.route(path, get(handler)), ..self }
    }

    /// A form at `POST path`. It needs what the operation needs, and is recorded as that operation. The server does not start when the
    /// API has no such operation.
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

/// Axum middleware over the pages: answers with a [`Problem`] become pages.
pub(crate) async fn show_problems(State(show): State<ShowProblem>, request: Request, next: Next) -> Response {
    let response = next.run(request).await;
    match response.extensions().get::<Problem>() {
        Some(problem) => show(problem),
        None => response,
    }
}
