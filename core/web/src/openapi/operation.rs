//! What all operations have in common: headers, descriptions of responses, errors and credentials.

use serde_json::{Map, Value, json};

use domain::money::withdrawal::Status;
use domain::reports::calendar::Unit;
use domain::reports::ranking::Sort;
use domain::search::SEARCH_MAX_CHARS;
use engine::tracking::exports::Subject;

use super::errors::{self, Traits, reference};
use crate::extract;
use crate::idempotency;

/// Operations of which a caller can send too many: reports, guesses of passwords, test requests, retries. A test compares
/// them with the calls of the limits.
const LIMITED: &[&str] = &[
    "begin_second_factor",
    "change_email",
    "change_password",
    "change_postback",
    "confirm_second_factor",
    "create_api_key",
    "create_own_api_key",
    "create_postback",
    "create_test_conversion",
    "estimate_postback",
    "export",
    "get_report",
    "get_revenue_map",
    "get_series",
    "get_statement",
    "login",
    "preview_postback",
    "preview_postback_change",
    "register",
    "remove_payout_details",
    "remove_second_factor",
    "renew_recovery_codes",
    "replay_inbound_request",
    "replay_inbound_requests",
    "reset_password",
    "restore_postback_version",
    "retry_delivery",
    "set_password",
    "set_payout_details",
    "test_postback",
    "upgrade_adapter",
];

/// `components.headers`.
pub fn headers() -> Value {
    json!({
        "RequestId": {
            "description": "The id of the request, also in the log and in the audit log: the caller's own, or a new one.",
            "schema": {"type": "string", "maxLength": 100},
            "example": "06a5xk2m7q8r9stvwxyz012345",
        },
        "RetryAfter": {
            "description": "The time to wait before the request is sent again, in seconds.",
            "schema": {"type": "integer", "minimum": 0},
            "example": 5,
        },
        "WwwAuthenticate": {
            "description": "The scheme of the credentials.",
            "schema": {"type": "string", "const": "Bearer"},
            "example": "Bearer",
        },
        "IdempotencyReplayed": {
            "description": "`true` if this is the stored response of an earlier request with the same `Idempotency-Key`.",
            "schema": {"type": "string", "const": "true"},
            "example": "true",
        },
    })
}

/// `components.parameters`.
pub fn parameters() -> Value {
    json!({
        "IdempotencyKey": {
            "name": "Idempotency-Key",
            "in": "header",
            "description": "Any text that is new for each request. For 24 hours a repeated request gets the stored \
                            response, and a different request with the same key gets a 409. A refused request does not \
                            use up its key.",
            "schema": {"type": "string", "minLength": 1, "maxLength": idempotency::KEY_MAX_CHARS, "pattern": PRINTABLE},
            "example": "order-4711",
        },
        "RequestId": {
            "name": "x-request-id",
            "in": "header",
            "description": "The caller's own id of the request: 1 to 100 printable ASCII characters without spaces. The \
                            server makes one if it is absent or not valid.",
            "schema": {"type": "string"},
            "example": "checkout-4711",
        },
    })
}

/// Printable ASCII that begins and ends with a character other than a space.
const PRINTABLE: &str = "^[!-~]([ -~]*[!-~])?$";

/// Completes the operation at `path` with `method`.
pub fn complete(path: &str, method: &str, operation: &mut Value) {
    let id = operation["operationId"].as_str().unwrap_or_default().to_owned();
    let body = operation["requestBody"]["content"].as_object();
    let traits = Traits {
        is_public: operation["security"][0].as_object().is_some_and(Map::is_empty),
        is_safe: method == "get",
        has_id: path.contains('{'),
        has_body: body.is_some(),
        has_json_body: body.is_some_and(|it| it.contains_key("application/json")),
        has_idempotency_key: method == "post" && !idempotency::is_excluded(path),
        is_limited: LIMITED.contains(&id.as_str()),
    };
    for kind in ["application~1wasm", "text~1csv"] {
        if let Some(file) = operation.pointer_mut(&format!("/requestBody/content/{kind}")) {
            file["schema"] = json!({"type": "string", "format": "binary"});
        }
    }
    complete_parameters(path, &traits, operation);
    complete_responses(&traits, operation);
    add_session(operation);
}

fn complete_parameters(path: &str, traits: &Traits, operation: &mut Value) {
    let operation = operation.as_object_mut().expect("an operation is an object");
    let parameters = operation.entry("parameters").or_insert_with(|| json!([]));
    let parameters = parameters.as_array_mut().expect("parameters are an array");
    for parameter in parameters.iter_mut() {
        let name = parameter["name"].as_str().unwrap_or_default().to_owned();
        let has_rows = path.starts_with("/api/v1/reports");
        match name.as_str() {
            "limit" if !has_rows => bound(parameter, 1, extract::LIMIT_MAX, extract::LIMIT_DEFAULT),
            "limit" => bound(parameter, 1, crate::api::reports::LIMIT_MAX, crate::api::reports::LIMIT_DEFAULT),
            "cursor" => parameter["schema"]["maxLength"] = 100.into(),
            "currency" => parameter["schema"] = reference("schemas", "Currency"),
            "search" => parameter["schema"]["maxLength"] = SEARCH_MAX_CHARS.into(),
            "sort" => parameter["schema"]["enum"] = json!(Sort::WORDS),
            "subject" => parameter["schema"]["enum"] = json!(Subject::WORDS),
            "interval" => parameter["schema"]["enum"] = json!(Unit::WORDS),
            "status" if path == "/api/v1/withdrawals" => parameter["schema"]["enum"] = json!(Status::WORDS),
            _ => {}
        }
        if parameter["description"].as_str().is_none_or(str::is_empty) {
            parameter["description"] = match parameter["in"].as_str() {
                Some("path") => "The id of the object.".into(),
                _ => format!("Only this value of `{name}`.").into(),
            };
        }
    }
    if traits.has_idempotency_key {
        parameters.push(reference("parameters", "IdempotencyKey"));
    }
    parameters.push(reference("parameters", "RequestId"));
}

fn bound(parameter: &mut Value, minimum: u64, maximum: u64, default: u64) {
    let schema = &mut parameter["schema"];
    schema["minimum"] = minimum.into();
    schema["maximum"] = maximum.into();
    schema["default"] = default.into();
}

fn complete_responses(traits: &Traits, operation: &mut Value) {
    let responses = operation["responses"].as_object_mut().expect("an operation has responses");
    for (status, response) in responses.iter_mut() {
        if response["description"].as_str().is_none_or(str::is_empty) {
            response["description"] = description_of(status, response).into();
        }
        let mut headers = json!({"x-request-id": reference("headers", "RequestId")});
        if traits.has_idempotency_key {
            headers["idempotency-replayed"] = reference("headers", "IdempotencyReplayed");
        }
        response["headers"] = headers;
    }
    for (status, error) in errors::of(traits) {
        responses.insert(status, error);
    }
}

/// The description of a response whose handler gives none.
fn description_of(status: &str, response: &Value) -> &'static str {
    let schema = response["content"]["application/json"]["schema"]["$ref"].as_str().unwrap_or_default();
    match status {
        "201" => "The object was created.",
        "202" => "The message is sent; the change waits for the link in it.",
        "204" => "The change was made. The response has no body.",
        _ if schema.ends_with("Page") => "One page of the list.",
        _ => "The request was carried out.",
    }
}

/// A person can do with a session what a program can do with a key that has the same permission.
fn add_session(operation: &mut Value) {
    let Some(requirements) = operation["security"].as_array_mut() else { return };
    let sessions: Vec<_> =
        requirements.iter().filter_map(|it| it.get("api_key")).map(|scopes| json!({"session": scopes})).collect();
    requirements.extend(sessions);
}
