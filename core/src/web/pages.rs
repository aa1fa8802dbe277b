//! The few pages that visitors see.

use axum::http::{StatusCode, header};
use axum::response::{Html, IntoResponse, Response};

const NOT_FOUND: &str = include_str!("../../assets/not_found.html");

/// A plain page for a link that leads nowhere.
pub fn not_found() -> Response {
    (StatusCode::NOT_FOUND, [(header::CACHE_CONTROL, "no-store")], Html(NOT_FOUND)).into_response()
}
