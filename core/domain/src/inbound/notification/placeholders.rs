//! Recognizes the words of a test.

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
