//! The audit log: who changed what, and when. It holds no secret and nobody's personal data.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::clock::Timestamp;
use crate::ids::{AuditId, UserId};

use super::changes::FieldChange;
use super::masking;

/// What one record may hold of a request.
const FIELDS_MAX_CHARS: usize = 4_000;
const TEXT_MAX_CHARS: usize = 200;
pub(super) const HIDDEN: &str = "•••";

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
    /// What was asked for, see [`shown`].
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

/// The fields of a request as the log keeps them: secrets, free-form configurations and everything about a person
/// are hidden, long text is cut off. What was changed stays visible, what it was changed to where that is harmless.
pub fn shown(body: &Value) -> Value {
    let mut shown = hide(body);
    // A second look at what is left, by the rules that hold for everything that networks send.
    if let Ok(masked) = serde_json::from_str(&masking::hide_people(&shown.to_string())) {
        shown = masked;
    }
    match shown.to_string().chars().count() {
        0..=FIELDS_MAX_CHARS => shown,
        length => Value::from(format!("{length} characters; too long to keep")),
    }
}

fn hide(value: &Value) -> Value {
    match value {
        Value::Object(fields) => {
            let one = |(name, value): (&String, &Value)| {
                let hidden = is_secret(name) && !value.is_null();
                (name.clone(), if hidden { HIDDEN.into() } else { hide(value) })
            };
            Value::Object(fields.iter().map(one).collect::<Map<_, _>>())
        }
        Value::Array(items) => items.iter().map(hide).collect(),
        Value::String(text) if text.chars().count() > TEXT_MAX_CHARS => Value::from(shortened(text)),
        other => other.clone(),
    }
}

pub(super) fn shortened(text: &str) -> String {
    text.chars().take(TEXT_MAX_CHARS).chain(['…']).collect()
}

/// Configurations and details are in the hands of whoever wrote their schema: nothing is known to be harmless there.
pub(super) fn is_secret(name: &str) -> bool {
    const PARTS: [&str; 12] = [
        "password", "secret", "token", "key", "code", "config", "fields", "guards", "details", "header", "current",
        "iban",
    ];
    const HARMLESS: [&str; 5] = ["referral_code", "error_code", "reason_code", "currency_code", "end_keys"];
    !HARMLESS.contains(&name) && PARTS.iter().any(|part| name.to_ascii_lowercase().contains(part))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn secrets_and_people_are_hidden() {
        let body = json!({
            "name": "Ada", "email": "ada@example.com", "password": "x", "status": "active", "config": {"a": "b"},
            "note": "write to ada@example.com", "api_key": null, "nested": [{"token": "t", "micros": 5}],
            "long": "x".repeat(500),
        });
        let shown = shown(&body);
        assert_eq!(shown["status"], "active");
        assert_eq!(shown["password"], HIDDEN);
        assert_eq!(shown["config"], HIDDEN);
        assert_eq!(shown["nested"], json!([{"token": HIDDEN, "micros": 5}]));
        assert_eq!(shown["api_key"], Value::Null);
        let text = shown.to_string();
        assert!(!text.contains("Ada") && !text.contains("ada@") && text.len() < 700, "{text}");
    }
}
