//! The response to a network: the reply of the source's settings or of the adapter for an accepted notification,
//! otherwise a sentence as plain text.

use axum::body::Body;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};

use crate::errors::{Problem, status_of_outcome};
use domain::inbound::notification::Outcome;
use engine::Error;
use engine::inbound::receive::Received;
use host::wire as contract;

/// The content types that an adapter can choose. Others, such as HTML, become plain text, so that no browser runs them.
const CONTENT_TYPES: [&str; 5] = ["text/plain", "application/json", "application/xml", "text/xml", "image/gif"];

pub fn of(received: Received) -> Response {
    let result = &received.result;
    let sentence = result.sentence.clone().unwrap_or_default();
    match result.outcome {
        Outcome::Waiting if received.refuses_unknown && result.is("unknown_status") => {
            text(status_of_outcome(result), sentence)
        }
        Outcome::Refused
            if received.accepts_refused && status_of_outcome(result) == StatusCode::UNPROCESSABLE_ENTITY =>
        {
            accepted(received)
        }
        Outcome::Accepted | Outcome::Duplicate | Outcome::Waiting => accepted(received),
        Outcome::Ignored => match received.adapters_reply {
            Some(reply) => adapter_reply(reply),
            None => text(StatusCode::OK, sentence),
        },
        Outcome::Refused | Outcome::Failed => refused(status_of_outcome(result), sentence),
    }
}

fn refused(status: StatusCode, sentence: String) -> Response {
    let mut response = text(status, sentence);
    if status == StatusCode::METHOD_NOT_ALLOWED {
        response.headers_mut().insert(header::ALLOW, HeaderValue::from_static("GET, HEAD, POST"));
    }
    response
}

fn accepted(received: Received) -> Response {
    match (received.reply, received.adapters_reply) {
        (Some(reply), _) => text(StatusCode::from_u16(reply.status).unwrap_or(StatusCode::OK), reply.body),
        (None, Some(reply)) => adapter_reply(reply),
        (None, None) => text(StatusCode::OK, "OK".to_owned()),
    }
}

fn adapter_reply(reply: contract::Response) -> Response {
    let header = reply.headers.iter().find(|header| header.name.eq_ignore_ascii_case("content-type"));
    let requested = header.map(|header| header.value.as_str()).unwrap_or_default();
    let kind = requested.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    let kind = CONTENT_TYPES.into_iter().find(|known| *known == kind).unwrap_or("text/plain");
    response(StatusCode::from_u16(reply.status).unwrap_or(StatusCode::OK), kind, reply.body)
}

pub fn no_source() -> Response {
    let sentence = "no source has this address; copy the address of the source again";
    text(StatusCode::NOT_FOUND, sentence.to_owned())
}

pub fn of_error(error: Error) -> Response {
    let problem = Problem::from(error);
    let mut response = text(problem.status(), problem.detail.clone());
    if problem.status() == StatusCode::SERVICE_UNAVAILABLE {
        response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from_static("1"));
    }
    response
}

pub fn text(status: StatusCode, body: String) -> Response {
    response(status, "text/plain; charset=utf-8", body.into_bytes())
}

fn response(status: StatusCode, kind: &'static str, body: Vec<u8>) -> Response {
    let headers = [
        (header::CONTENT_TYPE, HeaderValue::from_static(kind)),
        (header::CACHE_CONTROL, HeaderValue::from_static("no-store")),
        (header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff")),
    ];
    (status, headers, Body::from(body)).into_response()
}
