//! What came of a test request, in answers and in errors.

use serde::Serialize;
use utoipa::ToSchema;

use domain::delivery::verification::Verification;

/// What the destination made of a test request with sample values.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct VerificationOut {
    accepted: bool,
    method: String,
    url: String,
    status: Option<u16>,
    /// The first 16 KiB of the answer.
    body: Option<String>,
    error_code: Option<String>,
    error: Option<String>,
    duration_ms: u64,
}

impl From<Verification> for VerificationOut {
    fn from(it: Verification) -> Self {
        Self {
            accepted: it.accepted,
            method: it.method,
            url: it.url,
            status: it.status,
            body: it.body,
            error_code: it.error_code,
            error: it.error,
            duration_ms: u64::try_from(it.duration.as_millis()).unwrap_or(u64::MAX),
        }
    }
}
