//! Additional headers of a request: allowed names, and allowed characters in values.

use std::borrow::Cow;

use crate::url;

/// In lower case.
const SERVERS_OWN: [&str; 11] = [
    "connection",
    "content-length",
    "content-type",
    "expect",
    "host",
    "keep-alive",
    "proxy-authorization",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
];

/// Whether the header with this name describes the connection or the message. The server sets these headers itself and
/// refuses a request of an adapter that sets one: a second content length or another host would make the request ambiguous.
pub fn is_servers_own(name: &str) -> bool {
    SERVERS_OWN.iter().any(|own| own.eq_ignore_ascii_case(name))
}

/// The problem with the last one of `names`: its characters, a header that the server sets, or a name that occurs before it.
///
/// ```
/// use postrider_sdk::headers;
///
/// assert_eq!(headers::name_problem(&["X-Key"]), None);
/// assert_eq!(headers::name_problem(&["X-Key", "x-key"]), Some("Another entry has this header already; remove one of them."));
/// assert!(headers::name_problem(&["Host"]).is_some());
/// ```
pub fn name_problem(names: &[&str]) -> Option<&'static str> {
    let (name, earlier) = names.split_last()?;
    let token = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
    if name.is_empty() || !name.bytes().all(token) {
        return Some("Use only letters, digits and hyphens in the name of a header.");
    }
    if is_servers_own(name) {
        return Some("The server sets this header itself; remove it.");
    }
    earlier
        .iter()
        .any(|it| it.eq_ignore_ascii_case(name))
        .then_some("Another entry has this header already; remove one of them.")
}

/// The problem with a header value as a user wrote it.
pub fn value_problem(value: &str) -> Option<&'static str> {
    let written = value.bytes().all(is_allowed);
    (!written).then_some("Use only printable ASCII characters in a header, on one line.")
}

/// The value of a macro for a header: characters that are not printable ASCII, such as line breaks, become `%XX` of their
/// UTF-8 bytes.
pub fn encode(value: Cow<'_, str>) -> Cow<'_, str> {
    if value.bytes().all(is_allowed) {
        return value;
    }
    let mut out = String::with_capacity(value.len() * 2);
    for c in value.chars() {
        if u8::try_from(c).is_ok_and(is_allowed) {
            out.push(c);
        } else {
            url::encode_into(&mut out, c.encode_utf8(&mut [0; 4]));
        }
    }
    Cow::Owned(out)
}

fn is_allowed(byte: u8) -> bool {
    (0x20..0x7f).contains(&byte)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_tokens_that_the_server_does_not_set() {
        for name in ["", "X Key", "X:Key", "ż", "Content-Type", "HOST", "te"] {
            assert!(name_problem(&[name]).is_some(), "{name}");
        }
        assert_eq!(name_problem(&["X-Key", "X_Key", "Authorization"]), None);
        assert_eq!(name_problem(&["A", "b", "B"]), Some("Another entry has this header already; remove one of them."));
        assert_eq!(name_problem(&[]), None);
    }

    #[test]
    fn a_value_stays_on_its_line() {
        assert_eq!(encode("Bearer a b~".into()), "Bearer a b~");
        assert_eq!(encode("a\r\nX: ż".into()), "a%0D%0AX: %C5%BC");
        assert!(value_problem("a\tb").is_some() && value_problem("ü").is_some());
        assert_eq!(value_problem("a b"), None);
    }
}
