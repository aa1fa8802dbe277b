//! The result of a test request, in responses and in errors.

use serde::Serialize;
use utoipa::ToSchema;

use domain::delivery::verification::Verification;

/// The destination's response to a test request with sample values.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct VerificationOut {
    /// Whether the destination accepted the request.
    accepted: bool,
    /// The method of the request.
    method: String,
    /// The URL of the request, with secrets masked.
    url: String,
    /// The HTTP status of the response; null without a response.
    http_status: Option<u16>,
    /// The first 16 KiB of the body of the response.
    body: Option<String>,
    /// Null if the request was accepted.
    error_code: Option<String>,
    /// The error as a sentence; null if the request was accepted.
    error: Option<String>,
    /// The duration of the request, in milliseconds.
    duration_ms: u64,
}

impl From<Verification> for VerificationOut {
    fn from(verification: Verification) -> Self {
        Self {
            accepted: verification.accepted,
            method: verification.method,
            url: verification.url,
            http_status: verification.status,
            body: verification.body,
            error_code: verification.error_code,
            error: verification.error,
            duration_ms: u64::try_from(verification.duration.as_millis()).unwrap_or(u64::MAX),
        }
    }
}
