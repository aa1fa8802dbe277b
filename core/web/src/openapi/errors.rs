//! The responses of errors: one for each HTTP status, and `default` for all others.

use axum::http::StatusCode;
use serde_json::{Value, json};

use crate::errors::Problem;

/// A response for one status: the name of the component, and an example.
struct ErrorResponse {
    status: StatusCode,
    name: &'static str,
    description: &'static str,
    code: &'static str,
    detail: &'static str,
}

const fn response(
    status: StatusCode,
    name: &'static str,
    description: &'static str,
    (code, detail): (&'static str, &'static str),
) -> ErrorResponse {
    ErrorResponse { status, name, description, code, detail }
}

const RESPONSES: [ErrorResponse; 10] = [
    response(
        StatusCode::BAD_REQUEST,
        "BadRequest",
        "A parameter, a header or the syntax of the body is not valid.",
        ("invalid_parameter", "limit is 500; choose 1 to 200"),
    ),
    response(
        StatusCode::UNAUTHORIZED,
        "Unauthorized",
        "The credentials are missing, unknown, expired or revoked.",
        ("unauthorized", "send an API key as Authorization: Bearer prk_…; this one is missing, unknown or revoked"),
    ),
    response(
        StatusCode::FORBIDDEN,
        "Forbidden",
        "The caller does not have the permission of the operation.",
        ("needs_person", "this needs a person who signed in with a password; API keys cannot do it"),
    ),
    response(
        StatusCode::NOT_FOUND,
        "NotFound",
        "The object does not exist, or the caller may not see it.",
        ("not_found", "there is no offer ofr_06a5xk2m7q8r9stvwxyz012345 that this key may see"),
    ),
    response(
        StatusCode::CONFLICT,
        "Conflict",
        "The state of an object does not allow the change, or the `Idempotency-Key` was used before.",
        (
            "idempotency_key_reused",
            "this Idempotency-Key was used for a different request; use a new key for a new request",
        ),
    ),
    response(
        StatusCode::PAYLOAD_TOO_LARGE,
        "TooLarge",
        "The body is larger than the limit.",
        ("body_too_large", "the body is larger than 4 MiB; send it in parts"),
    ),
    response(
        StatusCode::UNSUPPORTED_MEDIA_TYPE,
        "UnsupportedMediaType",
        "The body is not JSON.",
        ("unsupported_media_type", "send the body as JSON, with Content-Type: application/json"),
    ),
    response(
        StatusCode::UNPROCESSABLE_ENTITY,
        "Unprocessable",
        "A field of the body is not valid, or a rule of the program does not allow the request.",
        ("unknown_click", "there is no click 06a5xk2m7q8r9stvwxyz012345; send the id that the landing page received"),
    ),
    response(
        StatusCode::TOO_MANY_REQUESTS,
        "TooManyRequests",
        "The caller sends too many requests of this kind. Wait for the time in `Retry-After`.",
        (
            "too_many_reports",
            "too many reports and exports are running, of this caller or of all; run fewer at a time, and send this \
             request again when another one has ended",
        ),
    ),
    response(
        StatusCode::SERVICE_UNAVAILABLE,
        "Unavailable",
        "The server cannot answer now. `detail` says whether the request may have been carried out. Wait for the time in \
         `Retry-After` before you send it again.",
        ("unavailable", "the database did not answer; nothing was changed, send the request again"),
    ),
];

/// `components.responses`.
pub fn responses() -> Value {
    RESPONSES.iter().map(|it| (it.name.to_owned(), component(it))).collect()
}

/// Any other error. Operations have it in full, because generators look for the content of `default` there.
fn other() -> Value {
    let description = "An error. docs/errors.md lists all codes; `Retry-After` is present with 429 and 503.";
    let headers =
        json!({"x-request-id": reference("headers", "RequestId"), "Retry-After": reference("headers", "RetryAfter")});
    let example = Problem::from(engine::Error::invalid("/name", "must have 1 to 200 characters"));
    body(description, headers, &example)
}

fn component(response: &ErrorResponse) -> Value {
    let mut headers = json!({"x-request-id": reference("headers", "RequestId")});
    match response.status {
        StatusCode::UNAUTHORIZED => headers["WWW-Authenticate"] = reference("headers", "WwwAuthenticate"),
        StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE => {
            headers["Retry-After"] = reference("headers", "RetryAfter");
        }
        _ => {}
    }
    body(response.description, headers, &Problem::new(response.status, response.code, response.detail))
}

fn body(description: &str, headers: Value, example: &Problem) -> Value {
    let content = json!({"schema": reference("schemas", "Problem"), "example": example});
    json!({"description": description, "headers": headers, "content": {"application/problem+json": content}})
}

pub fn reference(kind: &str, name: &str) -> Value {
    json!({"$ref": format!("#/components/{kind}/{name}")})
}

/// The properties of an operation on which its errors depend.
pub struct Traits {
    pub is_public: bool,
    pub is_safe: bool,
    pub has_id: bool,
    pub has_body: bool,
    pub has_json_body: bool,
    pub has_idempotency_key: bool,
    pub is_limited: bool,
}

/// The errors of an operation, by status.
pub fn of(traits: &Traits) -> impl Iterator<Item = (String, Value)> {
    let can_occur = |status: StatusCode| match status {
        StatusCode::UNAUTHORIZED => !traits.is_public,
        StatusCode::FORBIDDEN => !traits.is_public || !traits.is_safe,
        StatusCode::NOT_FOUND => traits.has_id,
        StatusCode::CONFLICT => traits.has_idempotency_key,
        StatusCode::PAYLOAD_TOO_LARGE | StatusCode::UNPROCESSABLE_ENTITY => traits.has_body,
        StatusCode::UNSUPPORTED_MEDIA_TYPE => traits.has_json_body,
        StatusCode::TOO_MANY_REQUESTS => traits.is_limited,
        _ => true,
    };
    let known = RESPONSES.iter().filter(move |it| can_occur(it.status));
    let known: Vec<_> = known.map(|it| (it.status.as_str().to_owned(), reference("responses", it.name))).collect();
    known.into_iter().chain([("default".to_owned(), other())])
}
