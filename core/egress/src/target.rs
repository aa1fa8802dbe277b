//! The destination of a request: validates URLs without DNS lookups.
//!
//! Literal addresses must be checked here, because the HTTP client connects to them without calling its resolver. Names
//! are checked when they are resolved (`names.rs`).

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use url::{Host, Url};

use super::addresses::Allow;
use super::error::EgressError;

/// Many servers refuse request lines longer than 8 KiB. Twice that length is a mistake in a template.
const MAX_URL_BYTES: usize = 16 * 1024;

/// Parses a URL and refuses destinations to which no postback should be sent.
pub(super) fn check(text: &str, allow: &Allow) -> Result<Url, EgressError> {
    if text.len() > MAX_URL_BYTES {
        let length = text.len();
        return Err(EgressError::invalid_url(format!(
            "it is {length} bytes long; at most {MAX_URL_BYTES} are allowed"
        )));
    }
    // The URL standard removes tabs and line breaks silently. In a rendered template they come from a value that was
    // not encoded, so removing them would change the request.
    if text.contains(char::is_control) {
        return Err(EgressError::invalid_url("it contains a line break, tab or control character"));
    }
    let url = Url::parse(text).map_err(|error| match error {
        url::ParseError::RelativeUrlWithoutBase => {
            EgressError::invalid_url("it does not start with http:// or https://")
        }
        other => EgressError::invalid_url(other.to_string()),
    })?;
    if !matches!(url.scheme(), "http" | "https") {
        let scheme = url.scheme().chars().take(20).collect();
        return Err(EgressError::SchemeRefused { scheme });
    }
    let authority = written_authority(text)?;
    if authority.contains('@') || !url.username().is_empty() || url.password().is_some() {
        return Err(EgressError::UserInfoRefused);
    }
    check_host(&url, authority, allow)?;
    if url.port() == Some(0) {
        return Err(EgressError::invalid_url("port 0 cannot be called"));
    }
    Ok(url)
}

/// The text between `//` and the path. The parser is lenient: it also accepts `http:host`, `http:\\host` and
/// `http:///host`, which are refused here.
fn written_authority(text: &str) -> Result<&str, EgressError> {
    let unclear = || EgressError::invalid_url("write it as https://host/path");
    let (_, rest) = text.split_once(':').ok_or_else(unclear)?;
    let rest = rest.strip_prefix("//").ok_or_else(unclear)?;
    let end = rest.find(['/', '\\', '?', '#']).unwrap_or(rest.len());
    if end == 0 || rest[end..].starts_with('\\') {
        return Err(unclear());
    }
    Ok(&rest[..end])
}

fn check_host(url: &Url, authority: &str, allow: &Allow) -> Result<(), EgressError> {
    match url.host() {
        Some(Host::Ipv4(address)) => {
            check_address(url, address.into(), allow)?;
            check_plain_ipv4(address, authority)
        }
        Some(Host::Ipv6(address)) => check_address(url, address.into(), allow),
        Some(Host::Domain(name)) => {
            check_name(name)?;
            check_localhost(url, name, allow)
        }
        None => Err(EgressError::invalid_url("it has no host")),
    }
}

fn check_address(url: &Url, address: IpAddr, allow: &Allow) -> Result<(), EgressError> {
    let refused =
        |kind| EgressError::AddressRefused { host: url.host_str().unwrap_or_default().to_owned(), address, kind };
    allow.check(address).map_err(refused)
}

/// Refuses `2130706433`, `0x7f.1`, `0177.0.0.1`, `127.1` and similar forms. Programs interpret them differently, and
/// they have no legitimate use.
fn check_plain_ipv4(address: Ipv4Addr, authority: &str) -> Result<(), EgressError> {
    match authority.strip_prefix(&address.to_string()) {
        Some(rest) if rest.is_empty() || rest.starts_with(':') => Ok(()),
        _ => Err(EgressError::invalid_url(format!("write its address as {address}"))),
    }
}

/// Refuses hosts that the URL standard allows, but DNS and HTTP do not.
fn check_name(name: &str) -> Result<(), EgressError> {
    let name = name.strip_suffix('.').unwrap_or(name);
    let label_is_sound = |label: &str| {
        (1..=63).contains(&label.len())
            && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'))
    };
    if name.len() > 253 || !name.split('.').all(label_is_sound) {
        return Err(EgressError::invalid_url("its host is not a valid name"));
    }
    Ok(())
}

/// `localhost` always means this machine (RFC 6761), so it is refused when a postback is saved. Whether it may
/// be called still depends on the addresses that it resolves to.
fn check_localhost(url: &Url, name: &str, allow: &Allow) -> Result<(), EgressError> {
    let name = name.strip_suffix('.').unwrap_or(name);
    if name != "localhost" && !name.ends_with(".localhost") {
        return Ok(());
    }
    check_address(url, Ipv6Addr::LOCALHOST.into(), allow)
        .or_else(|_| check_address(url, Ipv4Addr::LOCALHOST.into(), allow))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn code(allow: &[&str], text: &str) -> &'static str {
        let allow = Allow::new(allow.iter().map(|network| network.parse().expect("a network")).collect());
        match check(text, &allow) {
            Ok(_) => "ok",
            Err(error) => error.code(),
        }
    }

    #[test]
    fn ordinary_urls_pass() {
        for text in [
            "https://example.com",
            "HTTPS://Example.COM:8443/p?a=b#c",
            "https://tracker.example.com./pb?click=1&mail=a@b.c",
            "http://8.8.8.8/",
            "http://8.8.8.8:81?x",
            "http://[2606:4700::1111]:8080/",
            "https://münchen.example/",
            "https://under_score.example.com/",
            "https://example.com/a\\b",
        ] {
            assert_eq!(code(&[], text), "ok", "{text}");
        }
    }

    #[test]
    fn urls_that_cannot_be_called_are_refused() {
        let table = [
            ("", "invalid_url"),
            ("example.com/x", "invalid_url"),
            ("//example.com/x", "invalid_url"),
            ("http://", "invalid_url"),
            ("http:///example.com/", "invalid_url"),
            ("http:/example.com/", "invalid_url"),
            ("http:example.com/", "invalid_url"),
            ("http:\\\\example.com/", "invalid_url"),
            ("http://example.com\\@evil.example/", "invalid_url"),
            ("http://?x=1", "invalid_url"),
            ("http://exa mple.com/", "invalid_url"),
            ("http://exa$mple.com/", "invalid_url"),
            ("http://a..example.com/", "invalid_url"),
            ("http://example.com:0/", "invalid_url"),
            ("http://example.com:65536/", "invalid_url"),
            ("http://example.com/a\r\nHost: b", "invalid_url"),
            ("http://example.com/a\tb", "invalid_url"),
            ("http://[fe80::1%25eth0]/", "invalid_url"),
            ("ftp://example.com/", "scheme_refused"),
            ("file:///etc/passwd", "scheme_refused"),
            ("javascript:alert(1)", "scheme_refused"),
            ("gopher://127.0.0.1:6379/_x", "scheme_refused"),
            ("http://user:secret@example.com/", "userinfo_refused"),
            ("http://user@example.com/", "userinfo_refused"),
            ("http://@example.com/", "userinfo_refused"),
            ("http://:@example.com/", "userinfo_refused"),
            ("http://example.com@127.0.0.1/", "userinfo_refused"),
        ];
        for (text, expected) in table {
            assert_eq!(code(&[], text), expected, "{text}");
        }
        let long = format!("https://example.com/?q={}", "x".repeat(MAX_URL_BYTES));
        assert_eq!(code(&[], &long), "invalid_url");
    }

    #[test]
    fn internal_addresses_are_refused_in_every_notation() {
        for host in [
            "127.0.0.1",
            "127.0.0.1.",
            "127.1",
            "127.0.1",
            "2130706433",
            "017700000001",
            "0x7f000001",
            "0x7F.1",
            "0177.0.0.1",
            "0177.0x0.0.1",
            "%31%32%37.0.0.1",
            "１２７.０.０.１",
            "127。0。0。1",
            "0",
            "0.0.0.0",
            "169.254.169.254",
            "0xa9fea9fe",
            "[::1]",
            "[0:0:0:0:0:0:0:1]",
            "[::ffff:127.0.0.1]",
            "[::ffff:7f00:1]",
            "[::7f00:1]",
            "[64:ff9b::7f00:1]",
            "[2002:7f00:1::]",
            "[fd00:ec2::254]",
            "localhost",
            "LOCALHOST.",
            "db.localhost",
        ] {
            let text = format!("http://{host}:8080/latest/meta-data");
            assert_eq!(code(&[], &text), "address_refused", "{host}");
        }
    }

    #[test]
    fn unusual_notations_are_refused_even_for_allowed_addresses() {
        for host in ["127.1", "2130706433", "0x7f.1", "0177.0.0.1", "127.0.0.1.", "%31%32%37.0.0.1"] {
            assert_eq!(code(&["127.0.0.0/8"], &format!("http://{host}/")), "invalid_url", "{host}");
        }
        assert_eq!(code(&[], "http://134744072/"), "invalid_url", "8.8.8.8 in decimal");
        assert_eq!(code(&[], "http://1.2.3.4.5/"), "invalid_url");
        assert_eq!(code(&[], "http://256.1.1.1/"), "invalid_url");
        assert_eq!(code(&[], "http://0xfffffffff/"), "invalid_url");
    }

    #[test]
    fn the_allow_list_admits_literals_and_localhost() {
        for host in ["127.0.0.1", "127.9.9.9", "[::ffff:127.0.0.1]", "localhost"] {
            assert_eq!(code(&["127.0.0.0/8"], &format!("http://{host}:1/")), "ok", "{host}");
        }
        assert_eq!(code(&["::1/128"], "http://localhost/"), "ok");
        assert_eq!(code(&["127.0.0.0/8"], "http://[::1]/"), "address_refused");
    }

    #[test]
    fn errors_contain_no_personal_data() {
        let allow = Allow::new(Vec::new());
        for text in [
            "http://user:hunter2@example.com/?mail=jane@example.org",
            "http://127.0.0.1/?mail=jane@example.org&k=hunter2",
            "http://exa mple.com/?mail=jane@example.org&k=hunter2",
            "example.com/?mail=jane@example.org&k=hunter2",
        ] {
            let error = format!("{0} {0:?}", check(text, &allow).expect_err("refused"));
            assert!(!error.contains("jane") && !error.contains("hunter2"), "{error}");
        }
    }
}
