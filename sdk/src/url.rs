//! Builds and parses URLs: a value is encoded exactly once, and the configured part of a URL is not changed.

/// Encodes every character except `A-Z a-z 0-9 - . _ ~` (RFC 3986, unreserved) as `%XX` of its UTF-8 bytes. A space becomes
/// `%20`, which is valid in a query and in a form body.
pub fn encode(value: &str) -> String {
    let mut out = String::with_capacity(value.len());
    encode_into(&mut out, value);
    out
}

/// Like [`encode`], but appends to a string.
pub fn encode_into(out: &mut String, value: &str) {
    const HEX: &[u8; 16] = b"0123456789ABCDEF";
    for &byte in value.as_bytes() {
        if byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~') {
            out.push(char::from(byte));
        } else {
            out.push('%');
            out.push(char::from(HEX[usize::from(byte >> 4)]));
            out.push(char::from(HEX[usize::from(byte & 15)]));
        }
    }
}

/// `name=value&name=value` with encoded names and values: a query, or an `application/x-www-form-urlencoded` body.
pub fn query<'a>(pairs: impl IntoIterator<Item = (&'a str, &'a str)>) -> String {
    let mut out = String::new();
    for (name, value) in pairs {
        push_pair(&mut out, name, value);
    }
    out
}

/// Encodes one pair and adds it to a query.
pub fn push_pair(query: &mut String, name: &str, value: &str) {
    if !query.is_empty() {
        query.push('&');
    }
    encode_into(query, name);
    query.push('=');
    encode_into(query, value);
}

/// `base` with the pairs added to its query. An existing query stays before the pairs, a fragment stays at the end.
pub fn append_query<'a>(base: &str, pairs: impl IntoIterator<Item = (&'a str, &'a str)>) -> String {
    append_encoded_query(base, &query(pairs))
}

/// Like [`append_query`] for a query that is already encoded.
pub fn append_encoded_query(base: &str, query: &str) -> String {
    if query.is_empty() {
        return base.to_owned();
    }
    let (before, fragment) = base.split_at(base.find('#').unwrap_or(base.len()));
    let joint = match before.find('?') {
        None => "?",
        Some(at) if at + 1 == before.len() || before.ends_with('&') => "",
        Some(_) => "&",
    };
    [before, joint, query, fragment].concat()
}

/// The part between `://` and the path; `None` unless this is an absolute HTTP URL with a host.
pub fn authority(url: &str) -> Option<&str> {
    let (scheme, rest) = url.split_once("://")?;
    let http = scheme.eq_ignore_ascii_case("http") || scheme.eq_ignore_ascii_case("https");
    let authority = rest.split(['/', '?', '#']).next().filter(|authority| !authority.is_empty())?;
    (http && !authority.starts_with(':')).then_some(authority)
}

/// Whether a path segment is `.` or `..`. URL parsers resolve such a segment, also if it is written with `%2e`, so encoding
/// does not make such a value safe: a visitor could choose another page of the tracker with it.
pub fn has_dot_segment(url: &str) -> bool {
    let path = url.split(['?', '#']).next().unwrap_or_default();
    path.split('/').skip(3).any(|segment| {
        let plain = segment.replace("%2e", ".").replace("%2E", ".");
        plain == "." || plain == ".."
    })
}

/// Decodes `%XX`, and `+` as a space, as in queries and forms. Text that is not UTF-8 is read as Latin-1, so that different
/// texts stay different.
pub fn decode(text: &str) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((&byte, after)) = rest.split_first() {
        let hex = after.get(..2).and_then(|hex| u8::from_str_radix(std::str::from_utf8(hex).ok()?, 16).ok());
        let (decoded, next) = match (byte, hex) {
            (b'%', Some(decoded)) if after[0] != b'+' => (decoded, &after[2..]),
            (b'+', _) => (b' ', after),
            _ => (byte, after),
        };
        bytes.push(decoded);
        rest = next;
    }
    String::from_utf8(bytes).unwrap_or_else(|error| error.as_bytes().iter().map(|byte| char::from(*byte)).collect())
}

/// The decoded pairs of a query or a form body, in order. A name without `=` has an empty value.
pub fn pairs(query: &str) -> impl Iterator<Item = (String, String)> + '_ {
    query.split('&').filter(|pair| !pair.is_empty()).map(|pair| {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        (decode(name), decode(value))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_encoded_once() {
        assert_eq!(encode("AZaz09-._~"), "AZaz09-._~");
        assert_eq!(encode("a b&c=d?e#f/g%h+i"), "a%20b%26c%3Dd%3Fe%23f%2Fg%25h%2Bi");
        assert_eq!(encode("%20"), "%2520");
        assert_eq!(encode("ż😀\r\n"), "%C5%BC%F0%9F%98%80%0D%0A");
    }

    #[test]
    fn pairs_are_added_to_the_query_of_the_base() {
        let append = |base| append_query(base, [("a", "1 2"), ("b&", "")]);
        assert_eq!(append("https://t.example/p"), "https://t.example/p?a=1%202&b%26=");
        assert_eq!(append("https://t.example/p?"), "https://t.example/p?a=1%202&b%26=");
        assert_eq!(append("https://t.example/p?x=1"), "https://t.example/p?x=1&a=1%202&b%26=");
        assert_eq!(append("https://t.example/p?x=1&"), "https://t.example/p?x=1&a=1%202&b%26=");
        assert_eq!(append("https://t.example/p?x=1#top"), "https://t.example/p?x=1&a=1%202&b%26=#top");
        assert_eq!(append("https://t.example/p#a?b"), "https://t.example/p?a=1%202&b%26=#a?b");
        assert_eq!(append_query("https://t.example/p?x", []), "https://t.example/p?x");
    }

    #[test]
    fn pairs_are_decoded_as_forms_write_them() {
        let read = |query| pairs(query).collect::<Vec<_>>();
        let pair = |name: &str, value: &str| (name.to_owned(), value.to_owned());
        assert_eq!(
            read("a=1+2&b%26=%C5%BC&&c&d=x=y"),
            [pair("a", "1 2"), pair("b&", "ż"), pair("c", ""), pair("d", "x=y")]
        );
        assert_eq!(
            read("a=%zz&b=%4&c=%&d=%+1&e=%ff"),
            [pair("a", "%zz"), pair("b", "%4"), pair("c", "%"), pair("d", "% 1"), pair("e", "ÿ"),]
        );
        assert_eq!(decode(&encode("a b&c=d?ż%20+")), "a b&c=d?ż%20+");
    }
}
