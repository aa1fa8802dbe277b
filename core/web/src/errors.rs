//! Errors as `application/problem+json` (RFC 9457). Only this file maps errors to HTTP status codes.

use std::time::Duration;

use axum::Json;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Serialize;

use domain::delivery::adapter::WAITING;
use domain::delivery::retry_job::RetryJobError;
use domain::inbound::inbound_request::OutcomeDetails;
use domain::inbound::notification::Outcome;
use domain::inbound::replay::ReplayError;
use domain::money::withdrawal_batch::BatchError;
use domain::people::auth_error;
use domain::people::auth_error::AuthError;
use domain::people::permission::Denied;
use engine::{Error, FieldIssue};
use host::AdapterError;
use storage::base::writes;

use super::verification::VerificationOut;

/// `Retry-After` if too many reports are being computed. Most reports take less time.
const REPORTS_RETRY_AFTER: Duration = Duration::from_secs(5);

pub type ApiResult<T> = Result<T, Problem>;

/// An error: a stable `code` for programs, and a `detail` for people that says what to do.
#[derive(Clone, Debug, Serialize, utoipa::ToSchema)]
pub struct Problem {
    #[serde(rename = "type")]
    #[schema(example = "about:blank")]
    kind: &'static str,
    /// The name of the HTTP status.
    #[schema(example = "Unprocessable Entity")]
    title: &'static str,
    /// The HTTP status.
    #[schema(example = 422)]
    status: u16,
    /// Stable; programs may rely on it.
    #[schema(example = "unknown_click")]
    pub code: &'static str,
    /// A sentence that says what to do.
    pub detail: String,
    /// The invalid fields of the request body.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    errors: Vec<FieldIssue>,
    /// The destination's response to a test request.
    #[serde(skip_serializing_if = "Option::is_none")]
    verification: Option<Box<VerificationOut>>,
    /// For the header `Retry-After`.
    #[serde(skip)]
    retry_after_secs: Option<u32>,
}

impl Problem {
    pub fn new(status: StatusCode, code: &'static str, detail: impl Into<String>) -> Self {
        Self {
            kind: "about:blank",
            title: status.canonical_reason().unwrap_or("Error"),
            status: status.as_u16(),
            code,
            detail: detail.into(),
            errors: Vec::new(),
            verification: None,
            retry_after_secs: None,
        }
    }

    pub fn bad_request(code: &'static str, detail: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, code, detail)
    }

    pub fn conflict(code: &'static str, detail: impl Into<String>) -> Self {
        Self::new(StatusCode::CONFLICT, code, detail)
    }

    pub fn unauthorized() -> Self {
        let detail = "send an API key as Authorization: Bearer prk_…; this one is missing, unknown or revoked";
        Self::new(StatusCode::UNAUTHORIZED, "unauthorized", detail)
    }

    /// The same problem with another status.
    pub fn with_status(self, status: StatusCode) -> Self {
        let title = status.canonical_reason().unwrap_or("Error");
        Self { status: status.as_u16(), title, ..self }
    }

    pub fn errors(&self) -> &[FieldIssue] {
        &self.errors
    }

    pub fn retry_after_secs(&self) -> Option<u32> {
        self.retry_after_secs
    }

    pub fn status(&self) -> StatusCode {
        StatusCode::from_u16(self.status).expect("made from a status code")
    }
}

impl From<Error> for Problem {
    fn from(error: Error) -> Self {
        let unprocessable = StatusCode::UNPROCESSABLE_ENTITY;
        let (status, code) = match &error {
            Error::NotFound { .. } | Error::UnknownAdapterVersion { .. } => (StatusCode::NOT_FOUND, "not_found"),
            Error::Denied(denied) => (StatusCode::FORBIDDEN, denied.code()),
            Error::Invalid(issues) => (unprocessable, common_code(issues)),
            Error::UnknownAdapter { .. } => (unprocessable, "unknown_adapter"),
            Error::Taken { .. } => (StatusCode::CONFLICT, "taken"),
            Error::NotAdmitted { .. } => (StatusCode::CONFLICT, "not_admitted"),
            Error::Archive(error) => (StatusCode::CONFLICT, error.code()),
            Error::NotInvited(error) => (StatusCode::CONFLICT, error.code()),
            Error::ChangedMeanwhile { .. } => (StatusCode::CONFLICT, "changed_meanwhile"),
            Error::Conversion(error) => (unprocessable, error.code()),
            Error::Insufficient(_) => (unprocessable, "insufficient_balance"),
            Error::Quota(error) if error.wait().is_some() => (StatusCode::TOO_MANY_REQUESTS, error.code()),
            Error::Quota(error) => (StatusCode::CONFLICT, error.code()),
            Error::BalanceLimit(_) => (unprocessable, "balance_limit"),
            Error::Exchange(error) => (unprocessable, error.code()),
            Error::IllegalMove(error) => (StatusCode::CONFLICT, error.code()),
            Error::NotATest(error) => (StatusCode::CONFLICT, error.code()),
            Error::ApprovalNotRequired(_) => (StatusCode::CONFLICT, "approval_not_required"),
            Error::NotRetryable(error) => (StatusCode::CONFLICT, error.code()),
            Error::RetryJob(error @ RetryJobError::NothingMatches) => (unprocessable, error.code()),
            Error::RetryJob(error) => (StatusCode::CONFLICT, error.code()),
            Error::Replay(error @ ReplayError::NothingMatches) => (unprocessable, error.code()),
            Error::Replay(error) => (StatusCode::CONFLICT, error.code()),
            Error::Withdrawal(error) => (unprocessable, error.code()),
            Error::Step(error) => (StatusCode::CONFLICT, error.code()),
            Error::Batch(error @ (BatchError::WrongFormat { .. } | BatchError::UnreadableResults(_))) => {
                (unprocessable, error.code())
            }
            Error::Batch(error) => (StatusCode::CONFLICT, error.code()),
            Error::VerificationFailed(_) => (unprocessable, "verification_failed"),
            Error::Adapter(error @ AdapterError::TooLarge { .. }) => (StatusCode::PAYLOAD_TOO_LARGE, error.code()),
            Error::Adapter(error @ (AdapterError::Engine { .. } | AdapterError::Busy)) => {
                (StatusCode::SERVICE_UNAVAILABLE, error.code())
            }
            Error::Adapter(error) => (unprocessable, error.code()),
            Error::AdapterVersionTaken { .. } => (StatusCode::CONFLICT, "adapter_version_taken"),
            Error::AdapterWaits(reason) => (StatusCode::CONFLICT, unavailable_code(&reason.code)),
            Error::Secret(error) => (unprocessable, error.code()),
            Error::Auth(error) => (status_of_auth(error), error.code()),
            Error::TooManyReports => (StatusCode::TOO_MANY_REQUESTS, "too_many_reports"),
            Error::TookTooLong => (unprocessable, "took_too_long"),
            Error::Stopped(_) | Error::Database(_) => (StatusCode::SERVICE_UNAVAILABLE, "unavailable"),
        };
        if let Error::Database(error) = &error {
            tracing::error!(%error, "A request failed in the database");
        }
        let detail = match &error {
            Error::Stopped(_) | Error::Database(_) => unfinished(&error, writes::may_have_stored()),
            _ => error.to_string(),
        };
        let mut problem = Self::new(status, code, detail);
        let wait = match &error {
            Error::Auth(AuthError::TooManyAttempts { wait }) => Some(*wait),
            Error::Quota(error) => error.wait(),
            Error::TooManyReports => Some(REPORTS_RETRY_AFTER),
            _ => None,
        };
        problem.retry_after_secs = wait.map(auth_error::whole_seconds);
        match error {
            Error::Invalid(issues) => problem.errors = issues,
            Error::VerificationFailed(verification) => problem.verification = Some(Box::new((*verification).into())),
            _ => {}
        }
        problem
    }
}

impl From<Denied> for Problem {
    fn from(denied: Denied) -> Self {
        Error::from(denied).into()
    }
}

/// The reply to a COMMIT can be lost, so a request that began to write may have been carried out.
fn unfinished(error: &Error, may_have_stored: bool) -> String {
    match may_have_stored {
        false => format!("{error}; nothing was changed, send the request again"),
        true => {
            format!("{error}, so the request may have been carried out; look whether it was before you send it again")
        }
    }
}

fn status_of_auth(error: &AuthError) -> StatusCode {
    use AuthError::*;
    match error {
        SignInFailed | SecondFactorNeeded => StatusCode::UNAUTHORIZED,
        TooManyAttempts { .. } => StatusCode::TOO_MANY_REQUESTS,
        WaitingForApproval | Disabled | RegistrationClosed | NeedsPerson | CrossSite | PasswordNeeded => {
            StatusCode::FORBIDDEN
        }
        LinkUsed => StatusCode::GONE,
        WrongPassword | WrongCode => StatusCode::UNPROCESSABLE_ENTITY,
        NoSecondFactor | HasSecondFactor | LastOwner => StatusCode::CONFLICT,
        Busy => StatusCode::SERVICE_UNAVAILABLE,
    }
}

fn unavailable_code(code: &str) -> &'static str {
    WAITING.into_iter().find(|known| *known == code).unwrap_or("adapter_unavailable")
}

/// The status of the response to a notification that was not accepted.
pub fn status_of_outcome(result: &OutcomeDetails) -> StatusCode {
    match result.code.as_deref().unwrap_or_default() {
        "token_missing"
        | "token_wrong"
        | "signature_missing"
        | "signature_wrong"
        | "signature_expired"
        | "body_not_encrypted"
        | "body_not_decrypted"
        | "adapter_unauthenticated" => StatusCode::UNAUTHORIZED,
        "incomplete_body" => StatusCode::BAD_REQUEST,
        "method_not_allowed" => StatusCode::METHOD_NOT_ALLOWED,
        "network_not_allowed" | "source_disabled" | "affiliate_suspended" => StatusCode::FORBIDDEN,
        "body_too_large" => StatusCode::PAYLOAD_TOO_LARGE,
        "adapter_missing" | "secret_unreadable" => StatusCode::SERVICE_UNAVAILABLE,
        _ if result.outcome == Outcome::Failed => StatusCode::INTERNAL_SERVER_ERROR,
        _ => StatusCode::UNPROCESSABLE_ENTITY,
    }
}

/// The code that all issues share.
fn common_code(issues: &[FieldIssue]) -> &'static str {
    match issues.split_first() {
        Some((first, rest)) if rest.iter().all(|it| it.code == first.code) => first.code,
        _ => "invalid_field",
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let status = self.status();
        let retry_after = self.retry_after_secs;
        let mut response = (status, Json(&self)).into_response();
        // The pages of the dashboard render it in their own way.
        response.extensions_mut().insert(self);
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
        if status == StatusCode::UNAUTHORIZED {
            headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        if let Some(seconds) = retry_after {
            headers.insert(header::RETRY_AFTER, seconds.into());
        }
        if status == StatusCode::SERVICE_UNAVAILABLE {
            headers.insert(header::RETRY_AFTER, HeaderValue::from_static("1"));
        }
        response
    }
}

/// The response after a panic, or if a task was aborted. It may have stored something before.
pub fn internal_error() -> Response {
    let detail = "an internal error occurred, and the request may have been carried out; look whether it was before you \
        send it again, and tell the operator if the error persists";
    Problem::new(StatusCode::INTERNAL_SERVER_ERROR, "internal", detail).into_response()
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use sea_orm::DbErr;
    use storage::base::writer::Stopped;

    use super::*;

    #[tokio::test]
    async fn an_unfinished_request_is_sent_again_only_if_it_changed_nothing() {
        for error in [Error::Stopped(Stopped), Error::Database(Arc::new(DbErr::Custom("closed".to_owned())))] {
            let detail = async |error| Problem::from(error).detail;
            let (unchanged, _) = writes::watch(detail(error.clone())).await;
            assert!(unchanged.ends_with("nothing was changed, send the request again"), "{unchanged}");
            // Nothing watches it, so it may have stored something.
            let open = detail(error).await;
            assert!(
                open.ends_with("may have been carried out; look whether it was before you send it again"),
                "{open}"
            );
        }
    }
}
