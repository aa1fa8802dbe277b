//! The audit log: who changed what, and when. It holds no secret and nobody's personal data.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::ids::{AuditId, UserId};
use crate::timestamp::Timestamp;

use super::changes::FieldChange;

#[derive(Clone, Debug)]
pub struct Record {
    pub id: AuditId,
    pub at: Timestamp,
    /// The id of a key or of a user, "bootstrap", or "command line".
    pub actor: String,
    /// The person, also when a key of theirs was used.
    pub user_id: Option<UserId>,
    pub role: String,
    /// As the description of the API calls it: "reject_conversion".
    pub operation: String,
    /// What was to be changed: an id.
    pub object: Option<String>,
    /// What was asked for, see [`asked`].
    pub fields: Value,
    pub address: Option<String>,
    pub request_id: Option<String>,
    /// `None` while it is under way, and for good if the process broke off: then nobody knows.
    pub ending: Option<Ending>,
}

/// What came of a change.
#[derive(Clone, Debug)]
pub struct Ending {
    pub at: Timestamp,
    pub outcome: Outcome,
    /// Of the answer.
    pub status: Option<u16>,
    /// The id of what was made.
    pub object: Option<String>,
    /// What is not as it was.
    pub changes: Vec<FieldChange>,
}

impl Ending {
    pub fn of(outcome: Outcome, at: Timestamp) -> Self {
        Self { at, outcome, status: None, object: None, changes: Vec::new() }
    }
}

#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    Done,
    /// Nothing was changed.
    Refused,
    /// The answer of an earlier request, once more; nothing was changed again.
    Repeated,
    /// Something broke on our side.
    Failed,
}

text_enum!(Outcome {
    Done => "done",
    Refused => "refused",
    Repeated => "repeated",
    Failed => "failed",
});
