//! Answers to pages that ask whether something changed: `hx-trigger="poll from:body"`.

use axum::http::{HeaderName, StatusCode, header};
use axum::response::{IntoResponse, Response};

/// Nothing changed, and the page stays as it is.
pub fn unchanged() -> Response {
    (StatusCode::NO_CONTENT, [(header::CACHE_CONTROL, "no-store")]).into_response()
}

/// So much changed that the browser loads the page again.
pub fn reload() -> Response {
    let headers = [(header::CACHE_CONTROL, "no-store"), (HeaderName::from_static("hx-refresh"), "true")];
    (headers, String::new()).into_response()
}
