//! The error of a body or a query: the field, and a sentence for the caller. No name of a type of this program is in it.

use std::fmt::Display;

use serde::de::{Error, Expected, Unexpected};
use serde_json::Value;

use domain::nearest::nearest;
use engine::FieldIssue;

/// The maximum number of characters of a value in a sentence.
const SHOWN_CHARS: usize = 60;

/// The invalid field as a JSON pointer, and what to send instead.
#[derive(Debug)]
pub(crate) struct BodyError {
    pub(crate) path: String,
    pub(crate) message: String,
}

impl BodyError {
    pub(super) fn null() -> Self {
        Self::custom("is null; send an object with named fields")
    }

    pub(super) fn not_clearable() -> Self {
        Self::custom("cannot be cleared; send a value, or leave the field out to keep the present one")
    }

    pub(super) fn twice() -> Self {
        Self::custom("is there twice; send it once")
    }

    pub(crate) fn of_member(self, name: &str) -> Self {
        self.under(&format!("/{}", name.replace('~', "~0").replace('/', "~1")))
    }

    pub(super) fn of_item(self, index: usize) -> Self {
        self.under(&format!("/{index}"))
    }

    /// The same error, for the field within `place`.
    pub(super) fn under(self, place: &str) -> Self {
        Self { path: format!("{place}{}", self.path), message: self.message }
    }

    /// Names the default of the field as the value to send, if the error is that it cannot be cleared.
    pub(super) fn with_default(self, default: Option<&Value>) -> Self {
        match default {
            Some(default) if self.message == Self::not_clearable().message => {
                let advice =
                    format!("send {default}, which is the default, or leave the field out to keep the present one");
                Self { message: format!("cannot be cleared; {advice}"), ..self }
            }
            _ => self,
        }
    }
}

impl From<BodyError> for engine::Error {
    fn from(error: BodyError) -> Self {
        Self::Invalid(vec![FieldIssue::new(error.path, "invalid_field", error.message)])
    }
}

impl Display for BodyError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}: {}", self.path, self.message)
    }
}

impl std::error::Error for BodyError {}

impl Error for BodyError {
    fn custom<T: Display>(message: T) -> Self {
        Self { path: String::new(), message: message.to_string() }
    }

    fn invalid_type(found: Unexpected<'_>, expected: &dyn Expected) -> Self {
        Self::custom(format!("must be {}, not {}", expected_words(&expected.to_string()), found_words(found)))
    }

    fn invalid_value(found: Unexpected<'_>, expected: &dyn Expected) -> Self {
        Self::invalid_type(found, expected)
    }

    fn invalid_length(length: usize, expected: &dyn Expected) -> Self {
        let expected = expected_words(&expected.to_string());
        Self::custom(format!("has {length} entries; must be {expected}"))
    }

    fn unknown_variant(word: &str, known: &'static [&'static str]) -> Self {
        Self::custom(format!("\"{}\" is not a valid value; use {}", shortened(word), listed(known)))
    }

    fn unknown_field(name: &str, known: &'static [&'static str]) -> Self {
        let message = match (nearest(name, known.iter().copied()), known) {
            (_, []) => "there is no such field; leave it out".to_owned(),
            (Some(meant), _) => format!("there is no such field; did you mean {meant}?"),
            (None, known) => format!("there is no such field; use {}", listed(known)),
        };
        Self::custom(message).of_member(&shortened(name))
    }

    fn missing_field(name: &'static str) -> Self {
        Self::custom("is missing").of_member(name)
    }

    fn duplicate_field(name: &'static str) -> Self {
        Self::twice().of_member(name)
    }
}

fn listed(known: &[&str]) -> String {
    match known {
        [] => "nothing".to_owned(),
        [one] => (*one).to_owned(),
        [others @ .., last] => format!("{} or {last}", others.join(", ")),
    }
}

fn shortened(text: &str) -> String {
    text.chars().take(SHOWN_CHARS).collect()
}

/// What serde expects, in the words of JSON. Types with a sentence of their own keep it.
fn expected_words(expected: &str) -> String {
    let words = match expected {
        "a string" | "a borrowed string" | "string" | "str" => "text",
        "a boolean" => "true or false",
        "u8" => "a whole number from 0 to 255",
        "u16" => "a whole number from 0 to 65535",
        "u32" => "a whole number from 0 to 4294967295",
        "u64" | "usize" => "a whole number that is not negative",
        "i8" | "i16" | "i32" | "i64" | "isize" => "a whole number",
        "f32" | "f64" => "a number",
        "a sequence" => "a list",
        "a map" => "an object with named fields",
        "unit" => "null",
        "variant identifier" | "field identifier" => "a word",
        _ if expected.starts_with("struct ") => "an object with named fields",
        _ if expected.starts_with("enum ") => "a word",
        own => own,
    };
    words.to_owned()
}

fn found_words(found: Unexpected<'_>) -> String {
    match found {
        Unexpected::Bool(value) => value.to_string(),
        Unexpected::Unsigned(number) => number.to_string(),
        Unexpected::Signed(number) => number.to_string(),
        Unexpected::Float(number) => number.to_string(),
        Unexpected::Char(letter) => format!("\"{letter}\""),
        Unexpected::Str(text) => format!("\"{}\"", shortened(text)),
        Unexpected::Unit | Unexpected::Option => "null".to_owned(),
        Unexpected::Seq => "a list".to_owned(),
        Unexpected::Map => "an object".to_owned(),
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::super::{read, read_at};
    use engine::Error;

    #[derive(Debug, serde::Deserialize)]
    #[expect(dead_code, reason = "only the errors of reading are tested")]
    struct Cap {
        per: Per,
        conversions: Option<u32>,
    }

    #[derive(Debug, serde::Deserialize)]
    #[serde(rename_all = "snake_case")]
    enum Per {
        Offer,
        Affiliate,
    }

    #[derive(Debug, serde::Deserialize)]
    #[expect(dead_code, reason = "only the errors of reading are tested")]
    struct Offer {
        name: String,
        #[serde(default)]
        caps: Vec<Cap>,
        hold_days: Option<u16>,
        enabled: Option<bool>,
    }

    #[test]
    fn errors_name_the_field_in_words_of_json() {
        for (body, path, message) in [
            (json!(null), "", "is null; send an object with named fields"),
            (json!(["Pro", []]), "", "must be an object with named fields, not a list"),
            (json!("Pro"), "", "must be an object with named fields, not \"Pro\""),
            (json!({}), "/name", "is missing"),
            (json!({"name": 5}), "/name", "must be text, not 5"),
            (json!({"name": null}), "/name", "must be text, not null"),
            (json!({"name": "Pro", "hold_day": 5}), "/hold_day", "there is no such field; did you mean hold_days?"),
            (
                json!({"name": "Pro", "zzz": null}),
                "/zzz",
                "there is no such field; use name, caps, hold_days or enabled",
            ),
            (
                json!({"name": "Pro", "a/b~": 1}),
                "/a~1b~0",
                "there is no such field; use name, caps, hold_days or enabled",
            ),
            (
                json!({"name": "Pro", "hold_days": 70000}),
                "/hold_days",
                "must be a whole number from 0 to 65535, not 70000",
            ),
            (json!({"name": "Pro", "enabled": "yes"}), "/enabled", "must be true or false, not \"yes\""),
            (json!({"name": "Pro", "caps": {"per": "offer"}}), "/caps", "must be a list, not an object"),
            (
                json!({"name": "Pro", "caps": [["offer", 5]]}),
                "/caps/0",
                "must be an object with named fields, not a list",
            ),
            (
                json!({"name": "Pro", "caps": [{"per": "offer"}, {"per": "ofer"}]}),
                "/caps/1/per",
                "\"ofer\" is not a valid value; use offer or affiliate",
            ),
            (json!({"name": "Pro", "caps": [{"per": ["offer"]}]}), "/caps/0/per", "must be a word, not a list"),
        ] {
            let Err(Error::Invalid(issues)) = read::<Offer>(body.clone()) else { panic!("{body} was taken") };
            assert_eq!((issues[0].path.as_str(), issues[0].message.as_str()), (path, message), "{body}");
        }
    }

    #[test]
    fn within_a_body_null_counts_as_absent() {
        let body = json!({"name": "Pro", "caps": null, "hold_days": null});
        assert!(read::<Offer>(body).is_ok_and(|it| it.caps.is_empty() && it.hold_days.is_none()));
    }

    #[test]
    fn free_json_stays_as_it_is() {
        let free = json!({"a": [1, -2, 2.5, {"b": null}], "c": true});
        assert_eq!(read_at::<Value>("/config", free.clone()).unwrap(), free);
    }
}
