//! The catalogue of rejection reasons: the words with which the program rejects conversions, and what affiliates read. A
//! reason is retired and not deleted, because conversions and rules of postbacks name it.
//!
//! Networks report rejections in their own words, which need not be in the catalogue.

use crate::nearest::nearest;
use crate::timestamp::Timestamp;

/// The most characters of a code. A conversion has no longer reason.
pub const CODE_MAX_CHARS: usize = 50;
/// The most characters of the text for affiliates.
pub const TEXT_MAX_CHARS: usize = 200;
/// The most characters of the note that a person adds to a rejection.
pub const NOTE_MAX_CHARS: usize = 500;
/// The most reasons of a program, retired ones included.
pub const REASONS_MAX: usize = 200;

/// A reason of the catalogue.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct RejectionReason {
    /// Its word in conversions, rules and postbacks. It never changes.
    pub code: String,
    /// What affiliates read.
    pub text: String,
    /// When it was retired; it is then no longer offered.
    pub retired_at: Option<Timestamp>,
    /// When it was created.
    pub created_at: Timestamp,
    /// When it last changed.
    pub updated_at: Timestamp,
}

impl RejectionReason {
    /// Whether new rejections may use it.
    pub fn is_offered(&self) -> bool {
        self.retired_at.is_none()
    }

    /// Retires it or offers it again. Repeating it has no effect.
    pub fn set_retired(&mut self, retired: bool, now: Timestamp) {
        if retired == self.is_offered() {
            self.retired_at = retired.then_some(now);
        }
    }
}

/// Whether a text is a code: lower-case letters, digits and underscores.
pub fn is_code(text: &str) -> bool {
    let is_valid = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_';
    !text.is_empty() && text.len() <= CODE_MAX_CHARS && text.bytes().all(is_valid)
}

/// The code that a person meant: "Invalid lead" is `invalid_lead`.
fn as_code(text: &str) -> String {
    text.trim().to_lowercase().replace([' ', '-'], "_")
}

/// All reasons of the program.
#[derive(Clone, Default, Debug)]
pub struct Catalogue(Vec<RejectionReason>);

impl Catalogue {
    /// The catalogue with these reasons.
    pub fn new(reasons: Vec<RejectionReason>) -> Self {
        Self(reasons)
    }

    /// All reasons, retired ones included.
    pub fn all(&self) -> &[RejectionReason] {
        &self.0
    }

    /// The reasons that new rejections may use.
    pub fn offered(&self) -> impl Iterator<Item = &RejectionReason> {
        self.0.iter().filter(|it| it.is_offered())
    }

    /// The reason with this word, in any case and also retired; `None` if the word is not in the catalogue.
    pub fn find(&self, word: &str) -> Option<&RejectionReason> {
        let code = as_code(word);
        self.0.iter().find(|it| it.code == code)
    }

    /// The code of the reason that a person gives. A catalogue without reasons takes every word.
    ///
    /// # Errors
    /// The word is not in the catalogue, or the reason is retired.
    pub fn choose(&self, word: &str) -> Result<String, ReasonError> {
        let known = || self.offered().map(|it| it.code.as_str());
        match self.find(word) {
            Some(reason) if reason.is_offered() => Ok(reason.code.clone()),
            _ if known().next().is_none() => Ok(word.to_owned()),
            Some(reason) => Err(ReasonError::Retired { code: reason.code.clone(), known: list(known()) }),
            None => {
                let given: String = word.chars().take(100).collect();
                let meant = nearest(&as_code(word), known()).map(str::to_owned);
                Err(ReasonError::Unknown { given, meant, known: list(known()) })
            }
        }
    }
}

fn list<'a>(codes: impl Iterator<Item = &'a str>) -> String {
    codes.collect::<Vec<_>>().join(", ")
}

/// Why a conversion can't be rejected with a reason.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum ReasonError {
    /// The word is not in the catalogue.
    #[error("\"{given}\" is not a rejection reason; {}use one of: {known}", advice(.meant.as_deref()))]
    Unknown {
        /// The word.
        given: String,
        /// The code that is most similar.
        meant: Option<String>,
        /// The codes that can be used.
        known: String,
    },
    /// The reason is retired.
    #[error("the rejection reason {code} is retired; use another one: {known}")]
    Retired {
        /// The reason.
        code: String,
        /// The codes that can be used.
        known: String,
    },
}

fn advice(code: Option<&str>) -> String {
    code.map(|code| format!("did you mean {code}? Otherwise ")).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reason(code: &str, retired: bool) -> RejectionReason {
        let now = Timestamp::from_millis(1);
        RejectionReason {
            code: code.into(),
            text: String::new(),
            retired_at: retired.then_some(now),
            created_at: now,
            updated_at: now,
        }
    }

    #[test]
    fn a_slip_is_refused_with_the_code_that_was_meant() {
        let catalogue =
            Catalogue::new(vec![reason("fraud", false), reason("invalid_lead", false), reason("other", true)]);
        for (given, wanted) in [
            ("fraud", Ok("fraud")),
            ("Fraud", Ok("fraud")),
            (" Invalid lead", Ok("invalid_lead")),
            (
                "frad",
                Err(
                    "\"frad\" is not a rejection reason; did you mean fraud? Otherwise use one of: fraud, invalid_lead",
                ),
            ),
            ("zzz", Err("\"zzz\" is not a rejection reason; use one of: fraud, invalid_lead")),
            ("other", Err("the rejection reason other is retired; use another one: fraud, invalid_lead")),
        ] {
            let chosen = catalogue.choose(given).map_err(|error| error.to_string());
            assert_eq!(chosen.as_deref().map_err(String::as_str), wanted, "{given}");
        }
        assert_eq!(Catalogue::default().choose("any words"), Ok("any words".into()));
        assert_eq!(Catalogue::new(vec![reason("other", true)]).choose("other"), Ok("other".into()));
    }

    #[test]
    fn codes_are_words_that_fit_into_urls() {
        for (text, wanted) in [("fraud", true), ("a_1", true), ("", false), ("Fraud", false), ("a b", false)] {
            assert_eq!(is_code(text), wanted, "{text}");
        }
        assert!(!is_code(&"a".repeat(51)));
    }

    #[test]
    fn retiring_twice_keeps_the_first_time() {
        let mut it = reason("fraud", false);
        it.set_retired(true, Timestamp::from_millis(5));
        it.set_retired(true, Timestamp::from_millis(9));
        assert_eq!(it.retired_at, Some(Timestamp::from_millis(5)));
        it.set_retired(false, Timestamp::from_millis(9));
        assert!(it.is_offered());
    }
}
