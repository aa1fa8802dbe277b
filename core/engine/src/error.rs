//! The errors of use cases. Each has a stable code and a sentence that says what to do.

use std::sync::Arc;

use sea_orm::{DbErr, RuntimeErr};

use domain::archive::ArchiveError;
use domain::delivery::approval::ApprovalNotRequired;
use domain::delivery::delivery::{NotRetryable, Reason};
use domain::delivery::retry_job::RetryJobError;
use domain::delivery::verification::Verification;
use domain::ids::{AffiliateId, OfferId};
use domain::inbound::replay::ReplayError;
use domain::money::exchange::ExchangeError;
use domain::money::ledger::{BalanceLimit, Insufficient};
use domain::money::withdrawal::{StepError, WithdrawalError};
use domain::money::withdrawal_batch::BatchError;
use domain::people::auth_error::AuthError;
use domain::people::permission::Denied;
use domain::people::user::NotInvited;
use domain::program::quota::QuotaError;
use domain::tracking::conversion::{IllegalMove, NotATest};
use domain::tracking::conversion_error::ConversionError;
use host::AdapterError;
use storage::base::failures::is_statement_timeout;
use storage::base::writer::Stopped;

use super::delivery::secrets::SecretError;

/// An invalid field of the request body.
#[derive(Clone, PartialEq, Eq, Debug, serde::Serialize, utoipa::ToSchema)]
pub struct FieldIssue {
    /// JSON pointer (RFC 6901) to the field in the body. Empty: the body itself.
    pub path: String,
    /// Stable code of the problem, such as `invalid_field`.
    pub code: &'static str,
    /// Sentence that says what is wrong and what to send instead.
    pub message: String,
}

impl FieldIssue {
    /// An issue with its place, code and sentence.
    pub fn new(path: impl Into<String>, code: &'static str, message: impl Into<String>) -> Self {
        Self { path: path.into(), code, message: message.into() }
    }
}

/// The errors of all use cases.
#[derive(Clone, Debug, thiserror::Error)]
pub enum Error {
    #[error("there is no {what} {id} that this key may see")]
    NotFound { what: &'static str, id: String },
    #[error("{0}")]
    Denied(#[from] Denied),
    #[error("{0}")]
    Auth(#[from] AuthError),
    #[error("{}", sentence(.0))]
    Invalid(Vec<FieldIssue>),
    #[error("there is no adapter \"{given}\"; use one of: {known}")]
    UnknownAdapter { given: String, known: String },
    #[error("there is no working version {given} of the adapter \"{id}\"; {known}")]
    UnknownAdapterVersion { id: String, given: String, known: String },
    #[error("version {version} of the adapter \"{id}\" is installed with other bytes; give the new one a new version")]
    AdapterVersionTaken { id: String, version: String },
    #[error("{}", .0.sentence)]
    AdapterWaits(Reason),
    #[error("{0}")]
    Secret(#[from] SecretError),
    #[error("{what} \"{value}\" is taken; choose another")]
    Taken { what: &'static str, value: String },
    #[error("affiliate {affiliate} may not promote offer {offer}; it needs an application that is approved")]
    NotAdmitted { affiliate: AffiliateId, offer: OfferId },
    #[error("{0}")]
    Archive(#[from] ArchiveError),
    #[error("{0}")]
    NotInvited(#[from] NotInvited),
    #[error("{what} {id} was changed by somebody else in the meantime; read it and send the change again")]
    ChangedMeanwhile { what: &'static str, id: String },
    #[error("{0}")]
    Conversion(#[from] ConversionError),
    #[error("{0}")]
    Insufficient(#[from] Insufficient),
    #[error("{0}")]
    Quota(#[from] QuotaError),
    #[error("{0}")]
    BalanceLimit(#[from] BalanceLimit),
    #[error("{0}")]
    Exchange(#[from] ExchangeError),
    #[error("{0}")]
    IllegalMove(#[from] IllegalMove),
    #[error("{0}")]
    ApprovalNotRequired(#[from] ApprovalNotRequired),
    #[error("{0}")]
    NotATest(#[from] NotATest),
    #[error("{0}")]
    NotRetryable(#[from] NotRetryable),
    #[error("{0}")]
    RetryJob(#[from] RetryJobError),
    #[error("{0}")]
    Replay(#[from] ReplayError),
    #[error("{0}")]
    Withdrawal(#[from] WithdrawalError),
    #[error("{0}")]
    Step(#[from] StepError),
    #[error("{0}")]
    Batch(#[from] BatchError),
    #[error("{}", .0.sentence())]
    VerificationFailed(Box<Verification>),
    #[error("{0}")]
    Adapter(#[from] AdapterError),
    #[error("{0}")]
    Stopped(#[from] Stopped),
    #[error(
        "too many reports and exports are running, of this caller or of all; run fewer at a time, and send this request \
        again when another one has ended"
    )]
    TooManyReports,
    #[error("this takes longer than one request may; request less data, such as a shorter period or fewer groups")]
    TookTooLong,
    #[error("the database did not answer")]
    Database(Arc<DbErr>),
}

impl From<DbErr> for Error {
    fn from(error: DbErr) -> Self {
        if is_statement_timeout(&error) { Self::TookTooLong } else { Self::Database(Arc::new(error)) }
    }
}

impl Error {
    /// Whether the database is unavailable.
    pub(crate) fn is_outage(&self) -> bool {
        matches!(self, Self::Database(error) if is_outage(error))
    }

    /// The technical cause, for the log. The sentence of a database error does not contain it.
    pub fn cause(&self) -> String {
        match self {
            Self::Database(error) => error.to_string(),
            other => other.to_string(),
        }
    }

    /// An error about one field, with the code `invalid_field`.
    pub fn invalid(path: impl Into<String>, message: impl Into<String>) -> Self {
        Self::Invalid(vec![FieldIssue::new(path, "invalid_field", message)])
    }

    /// An error about an object that does not exist or that the actor may not see.
    pub fn not_found(what: &'static str, id: impl std::fmt::Display) -> Self {
        Self::NotFound { what, id: id.to_string() }
    }
}

fn sentence(issues: &[FieldIssue]) -> String {
    let parts = issues.iter().map(|issue| match issue.path.as_str() {
        "" => format!("the body: {}", issue.message),
        path => format!("{path}: {}", issue.message),
    });
    parts.collect::<Vec<_>>().join("; ")
}

/// Whether the database is unavailable or stores nothing now. If so, storing the rows of a failed batch one by one
/// would only take longer.
pub(crate) fn is_outage(error: &DbErr) -> bool {
    match error {
        DbErr::Conn(_) | DbErr::ConnectionAcquire(_) => true,
        DbErr::Exec(RuntimeErr::SqlxError(error)) | DbErr::Query(RuntimeErr::SqlxError(error)) => match &**error {
            sqlx::Error::Database(error) => error.code().is_some_and(|code| is_out_of_service(&code)),
            sqlx::Error::Io(_) | sqlx::Error::PoolClosed | sqlx::Error::PoolTimedOut | sqlx::Error::WorkerCrashed => {
                true
            }
            _ => false,
        },
        _ => false,
    }
}

/// SQLSTATE classes and codes of PostgreSQL: connection, resources, shutdown and system; read-only (also a standby);
/// no right to write (also a file system that became read-only); the session or the transaction lasted too long.
const POSTGRES_OUTAGES: [&str; 8] = ["08", "53", "57P", "58", "25006", "42501", "25P03", "25P04"];

/// Primary result codes of SQLite: locked by another program for longer than the timeout, read-only, I/O error,
/// corrupt, full, can't open.
const SQLITE_OUTAGES: [u32; 6] = [5, 8, 10, 11, 13, 14];

fn is_out_of_service(code: &str) -> bool {
    if code.len() == 5 {
        return POSTGRES_OUTAGES.iter().any(|class| code.starts_with(class));
    }
    // SQLite: the lowest byte is the primary result code, the other bytes extend it.
    code.parse::<u32>().is_ok_and(|code| SQLITE_OUTAGES.contains(&(code & 0xff)))
}

/// Whether a unique key was violated: another transaction was faster, or the value is taken.
pub(crate) fn is_taken(error: &DbErr) -> bool {
    matches!(error.sql_err(), Some(sea_orm::SqlErr::UniqueConstraintViolation(_)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_outage_is_an_error_that_the_statement_did_not_cause() {
        for (code, wanted) in [
            ("08006", true),
            ("53100", true),
            ("57P01", true),
            ("58030", true),
            ("25006", true),
            ("42501", true),
            ("25P03", true),
            ("23505", false),
            ("25P02", false),
            ("40001", false),
            ("57014", false),
            ("5", true),
            ("8", true),
            ("10", true),
            ("778", true),
            ("13", true),
            ("19", false),
            ("2067", false),
        ] {
            assert_eq!(is_out_of_service(code), wanted, "{code}");
        }
    }
}
