//! Validates and bounds everything that an adapter returns: it is untrusted data.

use postrider_sdk::headers;
use url::Url;

use super::error::AdapterError;
use super::{limits, wire};

/// One printable line of at most `max_chars` characters; control characters become spaces.
pub(super) fn clean(text: &str, max_chars: usize) -> String {
    let printable = |c: char| if c.is_control() || matches!(c, '\u{2028}' | '\u{2029}') { ' ' } else { c };
    text.chars().take(max_chars).map(printable).collect::<String>().trim_end().to_owned()
}

pub(super) fn check_decision(mut decision: wire::Decision) -> Result<wire::Decision, AdapterError> {
    at_most("decide", "checks", decision.checks.len(), limits::CHECKS)?;
    for check in &mut decision.checks {
        check.name = clean(&check.name, limits::CODE_CHARS);
        check.detail = clean(&check.detail, limits::SENTENCE_CHARS);
    }
    Ok(decision)
}

/// Checks the bounds, the headers, and that the adapter declared the host of the URL.
pub(super) fn check_request(request: &wire::Request, hosts: &[String]) -> Result<(), AdapterError> {
    at_most("render", "bytes of URL", request.url.len(), limits::URL_BYTES)?;
    check_url(&request.url, hosts)?;
    at_most("render", "headers", request.headers.len(), limits::HEADERS)?;
    let header_bytes = request.headers.iter().map(|header| header.name.len() + header.value.len()).sum();
    at_most("render", "bytes of headers", header_bytes, limits::HEADER_BYTES)?;
    request.headers.iter().try_for_each(check_header)?;
    at_most("render", "secrets to sign with", request.sign_with.len(), limits::SIGNING_SECRETS)?;
    if let Some(body) = &request.body {
        at_most("render", "bytes of body", body.bytes.len(), limits::BODY_BYTES)?;
        if !is_header_value(&body.content_type) || body.content_type.len() > 200 {
            return Err(unusable("render", "the content type is not a header value"));
        }
    }
    Ok(())
}

fn check_url(text: &str, hosts: &[String]) -> Result<(), AdapterError> {
    let url = Url::parse(text).map_err(|error| unusable("render", &format!("the URL is not valid ({error})")))?;
    if !matches!(url.scheme(), "http" | "https") {
        return Err(unusable("render", "the URL is neither http nor https"));
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err(unusable("render", "the URL contains a user name or password"));
    }
    let host = url.host_str().unwrap_or_default();
    if hosts.iter().any(|allowed| allowed == "*" || allowed.eq_ignore_ascii_case(host)) {
        return Ok(());
    }
    Err(AdapterError::HostRefused { host: clean(host, limits::SENTENCE_CHARS), allowed: hosts.join(", ") })
}

fn check_header(header: &wire::Field) -> Result<(), AdapterError> {
    let token = |c: u8| c.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&c);
    if header.name.is_empty() || !header.name.bytes().all(token) {
        return Err(unusable("render", "a header has a name that HTTP does not allow"));
    }
    let name = clean(&header.name, limits::CODE_CHARS);
    if headers::is_servers_own(&header.name) {
        return Err(unusable("render", &format!("the header '{name}' is set by the server itself")));
    }
    if !is_header_value(&header.value) {
        return Err(unusable("render", &format!("the header '{name}' has a value that HTTP does not allow")));
    }
    Ok(())
}

pub(super) fn is_header_value(value: &str) -> bool {
    value.bytes().all(|byte| byte == b'\t' || (0x20..0x7f).contains(&byte))
}

pub(super) fn bounded_outcome(outcome: wire::Outcome) -> wire::Outcome {
    match outcome {
        wire::Outcome::Accepted(reference) => {
            wire::Outcome::Accepted(reference.map(|reference| clean(&reference, limits::SENTENCE_CHARS)))
        }
        wire::Outcome::Refused(refusal) => wire::Outcome::Refused(wire::Refusal {
            code: clean(&refusal.code, limits::CODE_CHARS),
            message: clean(&refusal.message, limits::SENTENCE_CHARS),
        }),
        retry @ wire::Outcome::Retry(_) => retry,
    }
}

pub(super) fn check_decoration(fields: Vec<wire::Field>) -> Result<Vec<wire::Field>, AdapterError> {
    at_most("decorate-click", "parameters", fields.len(), limits::DECORATIONS)?;
    let bytes = fields.iter().map(|field| field.name.len() + field.value.len()).sum();
    at_most("decorate-click", "bytes of parameters", bytes, limits::DECORATION_BYTES)?;
    if fields.iter().any(|field| field.name.is_empty() || field.name.chars().any(char::is_control)) {
        return Err(unusable("decorate-click", "a parameter has no name, or one with control characters"));
    }
    Ok(fields)
}

pub(super) fn check_report(mut report: wire::InboundReport) -> Result<wire::InboundReport, AdapterError> {
    at_most("parse-inbound", "conversions", report.conversions.len(), limits::REPORTED)?;
    for it in &report.conversions {
        at_most("parse-inbound", "attributes", it.attributes.len(), limits::HEADERS)?;
    }
    if let Some(ignored) = &mut report.ignored {
        ignored.code = clean(&ignored.code, limits::CODE_CHARS);
        ignored.message = clean(&ignored.message, limits::SENTENCE_CHARS);
    }
    if let Some(reply) = &report.reply {
        at_most("parse-inbound", "bytes of reply", reply.body.len(), limits::REPLY_BYTES)?;
        if !(200..600).contains(&reply.status) {
            return Err(unusable("parse-inbound", "the status of the reply is not 200 to 599"));
        }
    }
    Ok(report)
}

pub(super) fn bounded_issues(issues: Vec<wire::ConfigIssue>) -> Vec<wire::ConfigIssue> {
    let bounded = |issue: wire::ConfigIssue| wire::ConfigIssue {
        path: clean(&issue.path, limits::SENTENCE_CHARS),
        message: clean(&issue.message, limits::SENTENCE_CHARS),
    };
    issues.into_iter().take(limits::CONFIG_ISSUES).map(bounded).collect()
}

pub(super) fn check_descriptor(descriptor: &wire::Descriptor) -> Result<(), AdapterError> {
    let wrong = |reason: &str| Err(AdapterError::InvalidDescriptor { reason: reason.to_owned() });
    let slug = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    if descriptor.id.is_empty() || descriptor.id.len() > limits::CODE_CHARS || !descriptor.id.chars().all(slug) {
        return wrong("its id must be 1 to 64 lower-case letters, digits and hyphens");
    }
    let word = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '+' | '_');
    let version = &descriptor.version;
    if version.is_empty() || version.len() > limits::CODE_CHARS || !version.chars().all(word) {
        return wrong("its version must be 1 to 64 letters, digits, dots, hyphens, underscores and plus signs");
    }
    let line = |text: &str| !text.is_empty() && clean(text, limits::SENTENCE_CHARS) == text;
    if !line(&descriptor.title) || !line(&descriptor.summary) {
        return wrong("its title and summary must each be one short line");
    }
    let web = |text: &String| Url::parse(text).is_ok_and(|url| matches!(url.scheme(), "http" | "https"));
    if !descriptor.docs_url.iter().all(web) {
        return wrong("the address of its documentation is neither http nor https");
    }
    if descriptor.hosts.len() > limits::HOSTS || !descriptor.hosts.iter().all(|host| line(host)) {
        return wrong("its hosts must be at most 100 short lines");
    }
    if descriptor.macros.len() > limits::MACROS {
        return wrong("it has too many macros");
    }
    if descriptor.rules.min_delay > descriptor.rules.max_delay {
        return wrong("its minimum delay is longer than its maximum delay");
    }
    Ok(())
}

/// The error if the engine stopped without a trap: the output was too large, or malformed (text that is not UTF-8, a
/// pointer outside the memory).
pub(super) fn unreadable(call: &'static str, error: &wasmtime::Error) -> AdapterError {
    let reason = error.root_cause().to_string();
    // The engine's error type is private, so only its message can be matched.
    if reason.contains("fuel allocated for hostcalls") {
        return AdapterError::OutputTooLarge { call, what: "too many bytes".into(), max: limits::OUTPUT_BYTES };
    }
    unusable(call, &clean(&reason, limits::SENTENCE_CHARS))
}

fn at_most(call: &'static str, unit: &str, found: usize, max: usize) -> Result<(), AdapterError> {
    if found <= max {
        return Ok(());
    }
    Err(AdapterError::OutputTooLarge { call, what: format!("{found} {unit}"), max })
}

fn unusable(call: &'static str, reason: &str) -> AdapterError {
    AdapterError::InvalidOutput { call, reason: reason.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(url: &str) -> wire::Request {
        wire::Request { method: wire::HttpMethod::Get, url: url.into(), headers: vec![], body: None, sign_with: vec![] }
    }

    fn code(request: &wire::Request, hosts: &[&str]) -> &'static str {
        let hosts: Vec<String> = hosts.iter().map(|host| (*host).to_owned()).collect();
        check_request(request, &hosts).err().map_or("", |error| error.code())
    }

    #[test]
    fn a_request_goes_to_a_declared_host_only() {
        assert_eq!(code(&request("https://T.example/pb"), &["x.example", "t.example"]), "");
        assert_eq!(code(&request("https://anything.example/"), &["*"]), "");
        for url in ["https://evil.example/", "https://t.example.evil.example/", "https://t.example:80@evil.example/"] {
            assert!(!code(&request(url), &["t.example"]).is_empty(), "{url}");
        }
        assert_eq!(code(&request("https://evil.example/"), &["t.example"]), "adapter_host_refused");
        assert_eq!(code(&request("https://t.example/"), &[]), "adapter_host_refused");
    }

    #[test]
    fn only_plain_web_addresses_are_accepted() {
        for url in
            ["", "t.example", "/pb", "ftp://t.example/", "file:///etc/passwd", "https://u:p@t.example/", "http://"]
        {
            assert_eq!(code(&request(url), &["*"]), "adapter_invalid_output", "{url}");
        }
        let long = format!("https://t.example/{}", "x".repeat(limits::URL_BYTES));
        assert_eq!(code(&request(&long), &["*"]), "adapter_output_too_large");
    }

    #[test]
    fn headers_cannot_forge_a_second_request() {
        let with = |name: &str, value: &str| {
            let header = wire::Field { name: name.into(), value: value.into() };
            code(&wire::Request { headers: vec![header], ..request("https://t.example/") }, &["*"])
        };
        assert_eq!(with("X-Api-Key", "abc def\t1"), "");
        for (name, value) in [("X", "a\r\nHost: b"), ("X", "a\0"), ("X\r\nY", "a"), ("", "a"), ("X Y", "a"), ("X", "ü")]
        {
            assert_eq!(with(name, value), "adapter_invalid_output", "{name:?}: {value:?}");
        }
        for name in ["Host", "content-length", "Transfer-Encoding", "CONNECTION"] {
            assert_eq!(with(name, "x"), "adapter_invalid_output", "{name}");
        }
        assert_eq!(with("X", &"a".repeat(limits::HEADER_BYTES)), "adapter_output_too_large");
        let many = vec![wire::Field { name: "X".into(), value: "1".into() }; limits::HEADERS + 1];
        let many = wire::Request { headers: many, ..request("https://t.example/") };
        assert_eq!(code(&many, &["*"]), "adapter_output_too_large");
    }

    #[test]
    fn bodies_are_bounded_and_have_a_valid_type() {
        let with = |content_type: &str, bytes: usize| {
            let body = wire::Body { content_type: content_type.into(), bytes: vec![0; bytes] };
            code(&wire::Request { body: Some(body), ..request("https://t.example/") }, &["*"])
        };
        assert_eq!(with("application/json; charset=utf-8", limits::BODY_BYTES), "");
        assert_eq!(with("application/json", limits::BODY_BYTES + 1), "adapter_output_too_large");
        assert_eq!(with("a\r\nX: y", 0), "adapter_invalid_output");
    }

    #[test]
    fn texts_become_one_short_line() {
        assert_eq!(clean("a\r\nb\u{1b}[31mc\u{2028}d\n", 100), "a  b [31mc d");
        assert_eq!(clean(&"ü".repeat(20), 5), "üüüüü");
        let refusal = wire::Refusal { code: "c".repeat(1000), message: "m".repeat(1000) };
        let wire::Outcome::Refused(refusal) = bounded_outcome(wire::Outcome::Refused(refusal)) else {
            panic!("it stays a refusal")
        };
        assert_eq!((refusal.code.len(), refusal.message.len()), (limits::CODE_CHARS, limits::SENTENCE_CHARS));
    }
}
