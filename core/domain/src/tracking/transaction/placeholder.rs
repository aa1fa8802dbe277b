//! Words that programs write in place of an identifier that they do not have.

/// A click id has as many digits, and one of zeros has the form of a click id.
const ZEROS: usize = 25;

/// The words of programming languages and people for "none".
const NOTHING: [&str; 9] = ["null", "(null)", "undefined", "none", "nil", "nan", "n/a", "-", "--"];

/// Whether the text stands for no identifier: `null`, `undefined`, `None`, `nil`, `0`, `-`, `N/A`, in any case.
pub fn is_no_id(text: &str) -> bool {
    let text = text.trim();
    is_no_goal(text) || (text.len() <= ZEROS && text.bytes().all(|byte| byte == b'0'))
}

/// Whether the text stands for no goal. Networks number goals, so `0` is one.
pub fn is_no_goal(text: &str) -> bool {
    let text = text.trim();
    text.is_empty() || NOTHING.iter().any(|word| word.eq_ignore_ascii_case(text))
}

/// The identifier, unless it stands for none.
pub fn without_no_id(text: Option<String>) -> Option<String> {
    text.filter(|text| !is_no_id(text))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_for_nothing_are_no_identifiers() {
        for text in ["", " ", "null", "NULL", " Undefined ", "None", "nil", "0", "000", "-", "N/A", "n/a"] {
            assert!(is_no_id(text), "{text}");
        }
        for text in ["1", "T-0", "00A", "nullable", "nil-7", "0-1", "canadian", "00000000000000000000000000"] {
            assert!(!is_no_id(text), "{text}");
        }
        assert!(!is_no_goal("0") && is_no_goal("Null"));
        assert_eq!(without_no_id(Some("null".into())), None);
        assert_eq!(without_no_id(Some("T1".into())), Some("T1".into()));
    }
}
