//! The answer of a destination as a filter of deliveries: an HTTP status, a class of them, or none.

use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;

use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// The answer to the last attempt of a delivery.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum AnswerFilter {
    /// This HTTP status.
    Status(u16),
    /// A class: 5 for 500 to 599.
    Class(u8),
    /// There was an attempt, and no answer to it.
    None,
}

/// A text that is not such a filter.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("\"{given}\" is not an answer; use an HTTP status such as 404, a class such as 5xx, or none")]
pub struct InvalidAnswer {
    /// The text, cut to 20 characters.
    pub given: String,
}

impl AnswerFilter {
    /// The first and the last status; `None` without an answer.
    pub fn range(self) -> Option<(i32, i32)> {
        match self {
            Self::Status(status) => Some((status.into(), status.into())),
            Self::Class(class) => Some((i32::from(class) * 100, i32::from(class) * 100 + 99)),
            Self::None => None,
        }
    }
}

impl FromStr for AnswerFilter {
    type Err = InvalidAnswer;

    fn from_str(text: &str) -> Result<Self, InvalidAnswer> {
        let text = text.trim();
        let class = |text: &str| text.parse().ok().filter(|class| (1..=5).contains(class));
        let known = match text.to_ascii_lowercase().strip_suffix("xx") {
            Some(first) => class(first).map(Self::Class),
            None if text.eq_ignore_ascii_case("none") => Some(Self::None),
            None => text.parse().ok().filter(|status| (100..600).contains(status)).map(Self::Status),
        };
        known.ok_or_else(|| InvalidAnswer { given: text.chars().take(20).collect() })
    }
}

impl fmt::Display for AnswerFilter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Status(status) => write!(f, "{status}"),
            Self::Class(class) => write!(f, "{class}xx"),
            Self::None => f.write_str("none"),
        }
    }
}

impl Serialize for AnswerFilter {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for AnswerFilter {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        Cow::<'de, str>::deserialize(from)?.parse().map_err(D::Error::custom)
    }
}

impl utoipa::PartialSchema for AnswerFilter {
    fn schema() -> utoipa::openapi::RefOr<utoipa::openapi::schema::Schema> {
        utoipa::openapi::ObjectBuilder::new()
            .schema_type(utoipa::openapi::schema::Type::String)
            .description(Some("An HTTP status such as 404, a class such as 5xx, or `none` for no answer."))
            .pattern(Some("^([1-5][0-9]{2}|[1-5]xx|none)$"))
            .examples(["5xx"])
            .into()
    }
}

impl utoipa::ToSchema for AnswerFilter {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_is_a_status_a_class_or_none() {
        for (text, wanted, range) in [
            ("404", AnswerFilter::Status(404), Some((404, 404))),
            ("5xx", AnswerFilter::Class(5), Some((500, 599))),
            (" 5XX ", AnswerFilter::Class(5), Some((500, 599))),
            ("none", AnswerFilter::None, None),
        ] {
            let read: AnswerFilter = text.parse().unwrap();
            assert_eq!((read, read.range()), (wanted, range), "{text}");
            assert_eq!(read.to_string().parse(), Ok(read));
        }
        for text in ["", "6xx", "xx", "99", "600", "4o4", "5x"] {
            assert!(text.parse::<AnswerFilter>().is_err(), "{text}");
        }
    }
}
