//! Conditions for an answer in addition to its status, for destinations that answer 200 to everything.

use serde::{Deserialize, Deserializer};
use serde_json::Value;

use crate::adapter::classify_by_status;
use crate::types::{ConfigIssue, Outcome, Response};

/// A part of a configuration: either a text that the answer must contain, or a value at a position in the answer's JSON.
///
/// `true` and `"true"` are equal, and so are 1 and `"1"`, because services use both forms.
#[derive(Deserialize)]
pub struct Success {
    text: Option<String>,
    json_pointer: Option<String>,
    #[serde(default, deserialize_with = "present")]
    equals: Option<Value>,
}

/// `"equals": null` is a value to compare with, not a missing one.
fn present<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Value>, D::Error> {
    Value::deserialize(deserializer).map(Some)
}

/// Interprets an answer by its status and, if the status is 2xx, by the condition. For
/// [`Adapter::classify`](crate::Adapter::classify).
pub fn classify(success: Option<&Success>, response: &Response) -> Outcome {
    match (success, classify_by_status(response)) {
        (Some(success), Outcome::Accepted(_)) => success.classify(response),
        (_, outcome) => outcome,
    }
}

impl Success {
    /// The problem with the condition. `path` is its JSON pointer in the configuration.
    pub fn issue(&self, path: &str) -> Option<ConfigIssue> {
        let (path, message) = match (&self.text, &self.json_pointer, &self.equals) {
            (Some(_), None, None) | (None, Some(_), Some(_)) => return None,
            (None, Some(_), None) => {
                (format!("{path}/equals"), "Enter the value that the answer must have at this JSON pointer.")
            }
            _ => (
                path.to_owned(),
                "Enter either a text, or a JSON pointer and the value that the answer must have there.",
            ),
        };
        Some(ConfigIssue::new(path, message))
    }

    /// Interprets an answer with a 2xx status. The reasons quote only true, false and null from the answer: anything else
    /// may be a buyer's data.
    fn classify(&self, response: &Response) -> Outcome {
        let status = response.status;
        let body = String::from_utf8_lossy(&response.body);
        let cut = if response.truncated { "; the answer is too long, only its beginning was read" } else { "" };
        let not_success = |message| Outcome::refused("answer_not_success", message);
        if let Some(text) = &self.text {
            if body.contains(text.as_str()) {
                return Outcome::Accepted(None);
            }
            return not_success(format!(
                "the destination answered {status}, but the answer does not contain '{text}'{cut}"
            ));
        }
        let pointer = self.json_pointer.as_deref().unwrap_or_default();
        let equals = self.equals.as_ref().unwrap_or(&Value::Null);
        let Ok(answer) = serde_json::from_str::<Value>(body.trim_start_matches('\u{feff}')) else {
            let message = format!(
                "the destination answered {status}, but the answer is not JSON; {pointer} must be {equals}{cut}"
            );
            return Outcome::refused("answer_not_json", message);
        };
        let found = match answer.pointer(pointer) {
            Some(found) if same(found, equals) => return Outcome::Accepted(None),
            None => "missing".to_owned(),
            Some(found @ (Value::Bool(_) | Value::Null)) => found.to_string(),
            Some(_) => "another value".to_owned(),
        };
        not_success(format!("the destination answered {status}, but {pointer} is {found}; it must be {equals}"))
    }
}

fn same(found: &Value, expected: &Value) -> bool {
    fn text(value: &Value) -> Option<String> {
        match value {
            Value::String(text) => Some(text.clone()),
            Value::Bool(_) | Value::Number(_) => Some(value.to_string()),
            Value::Null | Value::Array(_) | Value::Object(_) => None,
        }
    }
    found == expected || text(found).is_some_and(|found| text(expected) == Some(found))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn success(value: Value) -> Success {
        serde_json::from_value(value).expect("it is readable")
    }

    fn outcome(value: Value, status: u16, body: &str) -> Result<(), String> {
        let response = Response { status, headers: vec![], body: body.into(), truncated: false };
        match classify(Some(&success(value)), &response) {
            Outcome::Accepted(_) => Ok(()),
            Outcome::Refused(refusal) => Err(refusal.message),
            Outcome::Retry(_) => Err("retry".into()),
        }
    }

    #[test]
    fn an_answer_with_200_can_be_a_refusal() {
        let pointer = || json!({"json_pointer": "/ok", "equals": true});
        for body in [r#"{"ok": true}"#, r#"{"ok": "true"}"#, "\u{feff}{\"ok\":true}"] {
            assert_eq!(outcome(pointer(), 200, body), Ok(()), "{body}");
        }
        let problem = |body| outcome(pointer(), 200, body).expect_err("it is not a success");
        assert_eq!(problem(r#"{"ok": false}"#), "the destination answered 200, but /ok is false; it must be true");
        assert!(problem("{}").contains("/ok is missing"));
        let private = problem(r#"{"ok": "grace@example.com"}"#);
        assert!(private.contains("another value") && !private.contains("grace"), "{private}");
        assert!(problem("<html>").contains("is not JSON"));
        assert_eq!(outcome(json!({"text": "OK"}), 200, "it is OK"), Ok(()));
        assert!(outcome(json!({"text": "OK"}), 200, "ok").is_err());
        assert_eq!(outcome(json!({"text": "OK"}), 503, "OK"), Err("retry".into()), "the status comes first");
        assert_eq!(outcome(json!({"json_pointer": "/e", "equals": null}), 200, r#"{"e": null}"#), Ok(()));
    }

    #[test]
    fn a_condition_has_either_a_text_or_a_pointer() {
        let path = |value| success(value).issue("/success").map(|issue| issue.path);
        assert_eq!(path(json!({"text": "OK"})), None);
        assert_eq!(path(json!({"json_pointer": "/a", "equals": null})), None);
        assert_eq!(path(json!({"json_pointer": "/a"})).as_deref(), Some("/success/equals"));
        for value in [json!({}), json!({"text": "OK", "json_pointer": "/a", "equals": 1})] {
            assert_eq!(path(value).as_deref(), Some("/success"));
        }
    }
}
