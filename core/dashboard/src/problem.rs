//! Errors of the API as pages: the same statuses, as sentences for people.

use axum::http::StatusCode;
use axum::response::{IntoResponse, Redirect, Response};
use web::errors::Problem;

use super::page::{Message, Reply};

/// The page for an error that a handler or the access rules answered.
pub fn show(problem: &Problem) -> Response {
    match problem.status() {
        StatusCode::UNAUTHORIZED => Redirect::to("/login").into_response(),
        StatusCode::NOT_FOUND => not_found().into_response(),
        _ => refused(problem).into_response(),
    }
}

pub fn refused(problem: &Problem) -> Reply<Message> {
    Reply::new("This was refused", Message::default()).alert(problem)
}

/// The page for an address that nothing has.
fn not_found() -> Reply<Message> {
    let message = Message::new("The address may have been mistyped, or the page was removed.");
    Reply::new("Page not found", message.with_link("/", "Go to the start page")).with_status(StatusCode::NOT_FOUND)
}
