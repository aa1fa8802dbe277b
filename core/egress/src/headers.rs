//! The headers that a request may have. Headers that frame or route the message are set by the client; all others by
//! the postback.

use http::header::{HeaderMap, HeaderName, HeaderValue};

use super::error::EgressError;

const MAX_HEADERS: usize = 100;
const MAX_HEADER_BYTES: usize = 32 * 1024;

/// Framing, routing and hop-by-hop headers (RFC 9110, 7.6.1). With them a postback could smuggle a second request into
/// the connection or reach another virtual host.
const OWNED_BY_THE_CLIENT: &[&str] = &[
    "connection",
    "content-length",
    "expect",
    "host",
    "http2-settings",
    "keep-alive",
    "proxy-authenticate",
    "proxy-authorization",
    "proxy-connection",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
];

/// Validates names and values of headers. Names may repeat.
pub(super) fn check(headers: &[(String, String)]) -> Result<HeaderMap, EgressError> {
    let bytes: usize = headers.iter().map(|(name, value)| name.len() + value.len()).sum();
    if headers.len() > MAX_HEADERS || bytes > MAX_HEADER_BYTES {
        let header = format!("A request with {} headers of {bytes} bytes", headers.len());
        let problem = "at most 100 headers with 32 KiB in total are allowed";
        return Err(EgressError::InvalidHeader { header, problem });
    }
    let mut checked = HeaderMap::with_capacity(headers.len() + 4);
    for (index, (name, value)) in headers.iter().enumerate() {
        // An invalid name may contain anything, so the error has its number instead.
        let name = HeaderName::from_bytes(name.as_bytes()).map_err(|_| EgressError::InvalidHeader {
            header: format!("Header number {}", index + 1),
            problem: "its name has characters other than letters, digits and hyphens",
        })?;
        let refused = |problem| EgressError::InvalidHeader { header: format!("The header {name}"), problem };
        if OWNED_BY_THE_CLIENT.contains(&name.as_str()) {
            return Err(refused("it is set by the HTTP client itself"));
        }
        let value = HeaderValue::from_bytes(value.as_bytes())
            .map_err(|_| refused("its value has line breaks or control characters"))?;
        checked.append(name, value);
    }
    Ok(checked)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check_one(name: &str, value: &str) -> Result<HeaderMap, EgressError> {
        check(&[(name.to_owned(), value.to_owned())])
    }

    #[test]
    fn ordinary_headers_pass_and_may_repeat() {
        let headers = [("X-Signature", "v1,abc="), ("x-signature", "v2"), ("X-Name", "Zoë"), ("X-Empty", "")];
        let headers = headers.map(|(name, value)| (name.to_owned(), value.to_owned()));
        let checked = check(&headers).expect("all are ordinary");
        assert_eq!(checked.get_all("x-signature").iter().count(), 2);
        assert_eq!(checked["x-name"].as_bytes(), "Zoë".as_bytes());
    }

    #[test]
    fn injection_and_framing_are_refused_without_repeating_values() {
        let table = [
            ("X-A", "b\r\nHost: evil.example"),
            ("X-A", "b\nc"),
            ("X-A", "b\0"),
            ("X-A\r\nHost", "secret"),
            ("X A", "secret"),
            ("X-A:", "secret"),
            ("", "secret"),
            ("Host", "secret"),
            ("hOsT", "secret"),
            ("Content-Length", "7"),
            ("Transfer-Encoding", "chunked"),
            ("Connection", "close"),
            ("Keep-Alive", "secret"),
            ("Upgrade", "h2c"),
            ("HTTP2-Settings", "secret"),
            ("TE", "trailers"),
            ("Trailer", "secret"),
            ("Expect", "100-continue"),
            ("Proxy-Authorization", "secret"),
            ("Proxy-Connection", "secret"),
        ];
        for (name, value) in table {
            let error = check_one(name, value).expect_err(name);
            assert_eq!(error.code(), "invalid_header", "{name:?}");
            assert!(!error.retryable());
            assert!(!error.to_string().contains("secret"), "{error}");
            assert!(!error.to_string().contains("evil"), "{error}");
        }
    }

    #[test]
    fn too_many_or_too_long_headers_are_refused() {
        let many = vec![("x-a".to_owned(), "b".to_owned()); MAX_HEADERS + 1];
        assert_eq!(check(&many).expect_err("too many").code(), "invalid_header");
        assert!(check(&many[1..]).is_ok());
        assert!(check_one("x-a", &"b".repeat(MAX_HEADER_BYTES)).is_err());
    }
}
