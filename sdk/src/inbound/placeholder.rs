//! Recognizes values without information: empty values, unreplaced macros, and test values.

use crate::marks;

/// The reason why a value carries no information.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Placeholder {
    /// An empty text, or only white space.
    Empty,
    /// A macro that the network did not replace: `{click_id}`, `[[[sub1]]]`, `%7Bclick_id%7D`.
    Unreplaced,
    /// A test of the URL: `test`, `test_click_id`, `TEST-1`.
    Test,
}

/// The reason why the value carries no information; `None` for a real value.
pub fn placeholder(value: &str) -> Option<Placeholder> {
    let value = value.trim();
    if value.is_empty() {
        Some(Placeholder::Empty)
    } else if marks::is_unreplaced(value) {
        Some(Placeholder::Unreplaced)
    } else {
        is_test(value).then_some(Placeholder::Test)
    }
}

fn is_test(value: &str) -> bool {
    const WORDS: [&str; 9] =
        ["test", "testing", "testclick", "testclickid", "testsubid", "testlead", "testtransaction", "example", "ping"];
    let letters: String =
        value.chars().filter(|c| !matches!(c, '_' | '-' | ' ')).map(|c| c.to_ascii_lowercase()).collect();
    WORDS.contains(&letters.trim_end_matches(|c: char| c.is_ascii_digit()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unreplaced_macros_are_recognized() {
        for value in ["{click_id}", "[[[sub]]]", "##CLICK_ID##", "%7Bclick_id%7D", " {click_id} "] {
            assert_eq!(placeholder(value), Some(Placeholder::Unreplaced), "{value}");
        }
    }

    #[test]
    fn empty_values_and_tests_are_recognized() {
        assert_eq!(placeholder(""), Some(Placeholder::Empty));
        assert_eq!(placeholder("  "), Some(Placeholder::Empty));
        for value in ["test", "TEST", "test_click_id", "Test-1", "testclick123", "test_transaction_7", "ping"] {
            assert_eq!(placeholder(value), Some(Placeholder::Test), "{value}");
        }
    }

    #[test]
    fn real_values_are_not_placeholders() {
        for value in [
            "06bq3x8k2m7v1d5r9t4w6y8z0a",
            "12.50",
            "0",
            "testimonial-page",
            "protest",
            "contest1",
            "50%",
            "100%25",
            "a%b%c",
            "{\"a\":1}",
            "(12.50)",
            "[1]",
            "#17#",
            "C#",
            "<b>bold</b>",
            "grace@example.com",
            "{}",
            "latest",
            "1 < 2 > 1",
        ] {
            assert_eq!(placeholder(value), None, "{value}");
        }
    }
}
