//! Recognizes values without information: empty values, unreplaced macros, and test values.

use crate::{marks, url};

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
    } else if is_macro(value) || (value.contains('%') && is_macro(&url::decode(value))) {
        Some(Placeholder::Unreplaced)
    } else {
        is_test(value).then_some(Placeholder::Test)
    }
}

fn is_macro(value: &str) -> bool {
    marks::insides(value).any(is_name) || has_curly_macro(value)
}

/// Whether a text can be the name of a macro: `sub1`, `click.publisher.id`, `url(sid)`, `Commission Amount`.
fn is_name(text: &str) -> bool {
    let inner = match text.split_once('(') {
        Some((function, rest)) if !function.is_empty() => rest.strip_suffix(')').unwrap_or_default(),
        _ => text,
    };
    let part = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.' | ' ' | '%');
    inner.len() <= 64 && inner.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_') && inner.chars().all(part)
}

/// Whether a longer value contains a macro, as in `{goal}x{status}`. There, only braces indicate a macro reliably.
fn has_curly_macro(value: &str) -> bool {
    value.split('{').skip(1).any(|rest| rest.split_once('}').is_some_and(|(inner, _)| is_name(inner)))
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
        for value in [
            "{click_id}",
            "{{sub1}}",
            "{!subid!}",
            "${clickid}",
            "${(id)!}",
            "#{click.publisher.clickId}",
            "[ml_sub1]",
            "[[[sub]]]",
            "#s2#",
            "##CLICK_ID##",
            "%TRACKER%",
            "%subid1%",
            "!!afftrack!!",
            "!!!clickRef!!!",
            "<click_id>",
            "(S_CLICK_ID)",
            "{url(sid)}",
            "{lead.Sub1}",
            "{{link.query.clickid}}",
            "{goal}x{status}",
            "%7Bclick_id%7D",
            "%5Bml_sub1%5D",
            "{amount50%}",
            "%%CLICK%%",
            "__CLICK__",
            " {click_id} ",
        ] {
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
