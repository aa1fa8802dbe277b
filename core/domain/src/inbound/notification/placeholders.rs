//! Recognizes values that are not real: placeholders that were not filled in, and the words of a test.

/// Whether a value is a placeholder in one of the notations of networks.
pub(crate) fn is_literal_macro(text: &str) -> bool {
    const BARE: [&str; 8] =
        ["session_id", "sessionid", "click_id", "clickid", "subid", "sub_id", "transaction_id", "commission"];
    if BARE.iter().any(|name| name.eq_ignore_ascii_case(text)) {
        return true;
    }
    let decoded = percent_encoding::percent_decode_str(text).decode_utf8_lossy();
    let encloses = |(open, close): (char, char)| {
        let Some((_, rest)) = decoded.split_once(open) else { return false };
        rest.split_once(close).is_some_and(|(name, _)| is_macro_name(name.trim_matches(open)))
    };
    let surrounds = |sign: &str| {
        decoded
            .strip_prefix(sign)
            .and_then(|rest| rest.strip_suffix(sign))
            .is_some_and(|name| is_macro_name(name.trim_matches(|c: char| sign.contains(c))))
    };
    [('{', '}'), ('[', ']'), ('<', '>')].into_iter().any(encloses)
        || ["#", "%", "!!", "__", "$$"].into_iter().any(surrounds)
}

fn is_macro_name(name: &str) -> bool {
    let letters = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.' | ' ' | ':' | '$');
    !name.is_empty()
        && name.len() <= 64
        && name.chars().all(letters)
        && name.contains(|c: char| c.is_ascii_alphabetic())
}

/// Whether this is the click id that networks send when a person presses "test".
pub(super) fn is_test_word(text: &str) -> bool {
    let text = text.to_ascii_lowercase();
    let rest = text.strip_prefix("test").or_else(|| text.strip_prefix("ping"));
    rest.is_some_and(|rest| {
        let rest = rest.trim_start_matches("ing").trim_start_matches(['-', '_', ' ']);
        ["", "click", "clickid", "click_id", "click-id", "id", "session", "sessionid", "session_id"].contains(&rest)
            || rest.bytes().all(|b| b.is_ascii_digit())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn placeholders_are_distinguished_from_values() {
        for text in [
            "{SESSION_ID}",
            "{{click.id}}",
            "[payout]",
            "#s2#",
            "##reqid##",
            "${CLICK}",
            "%clickid%",
            "!!sub1!!",
            "!!!id!!!",
            "<subid>",
            "%7Bsubid%7D",
            "x-{subid}",
            "__CLICKID__",
            "SESSION_ID",
            "%%subid%%",
        ] {
            assert!(is_literal_macro(text), "{text}");
        }
        for text in ["12.50", "06a5xk2m7q8r9stvwxyz012345", "order-1", "100%", "#1", "a<b", "{}", "[1]", "5!!"] {
            assert!(!is_literal_macro(text), "{text}");
        }
    }
}
