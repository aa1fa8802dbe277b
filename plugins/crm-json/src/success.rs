//! What an answer must say beside its status, for services that answer 200 to everything.

use postrider_sdk::prelude::*;
use serde::{Deserialize, Deserializer};
use serde_json::Value;

/// Either a text that the answer contains, or a value that its JSON has at a place.
#[derive(Deserialize)]
pub struct Success {
    text: Option<String>,
    json_pointer: Option<String>,
    #[serde(default, deserialize_with = "present")]
    equals: Option<Value>,
}

/// `"equals": null` is a value to wait for, not a missing one.
fn present<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Value>, D::Error> {
    Value::deserialize(deserializer).map(Some)
}

impl Success {
    pub fn issue(&self) -> Option<ConfigIssue> {
        match (&self.text, &self.json_pointer, &self.equals) {
            (Some(_), None, None) | (None, Some(_), Some(_)) => None,
            (None, Some(_), None) => {
                Some(ConfigIssue::new("/success/equals", "Say which value the answer must have at this place."))
            }
            _ => Some(ConfigIssue::new("/success", "Say either a text, or a JSON pointer and the value it must have.")),
        }
    }

    /// What an answer with a status of success means. The reasons quote nothing of the answer, which may hold a
    /// buyer's data.
    pub fn classify(&self, response: &Response) -> Outcome {
        let body = String::from_utf8_lossy(&response.body);
        let status = response.status;
        let cut = if response.truncated { "; the answer was too long to be read to its end" } else { "" };
        if let Some(text) = &self.text {
            if body.contains(text.as_str()) {
                return Outcome::Accepted(None);
            }
            let message =
                format!("the destination answered {status} without the text '{text}' that means success{cut}");
            return Outcome::refused("answer_not_success", message);
        }
        let pointer = self.json_pointer.as_deref().unwrap_or_default();
        let equals = self.equals.as_ref().unwrap_or(&Value::Null);
        let Ok(answer) = serde_json::from_str::<Value>(body.trim_start_matches('\u{feff}')) else {
            let message = format!("the destination answered {status} without JSON; {pointer} must be {equals}{cut}");
            return Outcome::refused("answer_not_json", message);
        };
        if answer.pointer(pointer) == Some(equals) {
            return Outcome::Accepted(None);
        }
        let message = format!("the destination answered {status}, but {pointer} is not {equals}");
        Outcome::refused("answer_not_success", message)
    }
}
