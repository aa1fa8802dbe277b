//! Errors of the API as pages: the same status, and a sentence for people.

use axum::http::StatusCode;
use axum::response::{IntoResponse, Redirect, Response};
use web::errors::Problem;

use super::page::{Message, Reply};

/// The page for an error of a handler or of the access rules. A visitor who is not signed in is redirected to the sign-in page.
pub fn show(problem: &Problem) -> Response {
    match problem.status() {
        StatusCode::UNAUTHORIZED => Redirect::to("/login").into_response(),
        StatusCode::NOT_FOUND => not_found().into_response(),
        _ => refused(problem).into_response(),
    }
}

pub fn refused(problem: &Problem) -> Reply<Message> {
    Reply::new("The request was refused", Message::default()).alert(problem)
}

fn not_found() -> Reply<Message> {
    let message = Message::new("Check the address for typing errors. The page may also have been removed.");
    Reply::new("Page not found", message.with_link("/", "Go to the start page")).with_status(StatusCode::NOT_FOUND)
}
