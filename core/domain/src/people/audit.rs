//! The audit log: who changed what, and when. It contains no secrets and no personal data.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::ids::{AuditId, UserId};
use crate::timestamp::Timestamp;

use super::changes::FieldChange;

/// An entry of the audit log.
#[derive(Clone, Debug)]
pub struct Record {
    /// Id of the entry.
    pub id: AuditId,
    /// When the operation began.
    pub at: Timestamp,
    /// The id of a key or of a user, "bootstrap", or "command line".
    pub actor: String,
    /// The person, even if a key of that person was used.
    pub user_id: Option<UserId>,
    /// The role of the caller.
    pub role: String,
    /// The operation id of the API: "reject_conversion".
    pub operation: String,
    /// The id of the object to be changed.
    pub object: Option<String>,
    /// The fields of the request: see [`super::redaction::asked`].
    pub fields: Value,
    /// The caller's address.
    pub address: Option<String>,
    /// Id of the HTTP request.
    pub request_id: Option<String>,
    /// `None` while the operation is running. If the process crashed, it stays `None`: the result is unknown.
    pub ending: Option<Ending>,
}

/// The result of an operation.
#[derive(Clone, Debug)]
pub struct Ending {
    /// When it ended.
    pub at: Timestamp,
    /// The outcome.
    pub outcome: Outcome,
    /// HTTP status of the response.
    pub status: Option<u16>,
    /// The id of the created object.
    pub object: Option<String>,
    /// The fields that changed.
    pub changes: Vec<FieldChange>,
}

impl Ending {
    /// A result without changes.
    pub fn of(outcome: Outcome, at: Timestamp) -> Self {
        Self { at, outcome, status: None, object: None, changes: Vec::new() }
    }
}

/// The outcome of an operation.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// It succeeded.
    Done,
    /// It was refused, and nothing changed.
    Refused,
    /// The response of an earlier request was repeated, and nothing changed again.
    Repeated,
    /// It failed by an internal error.
    Failed,
}

text_enum!(Outcome {
    Done => "done",
    Refused => "refused",
    Repeated => "repeated",
    Failed => "failed",
});
