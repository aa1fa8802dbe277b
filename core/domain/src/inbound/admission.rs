//! Admission: which requests a source processes. A request is checked twice: before it is stored, and each time that it is
//! processed, because settings and guards may have changed.

use std::borrow::Cow;
use std::cell::LazyCell;

use postrider_sdk::inbound::Parameters;
use postrider_sdk::{Field, HttpMethod};

use crate::timestamp::Timestamp;

use super::guards::{Credentials, Guards, NotAdmitted};
use super::inbound_request::{OutcomeDetails, RawRequest};
use super::notification::{Issue, Outcome};
use super::source::Source;

/// Why a request is refused before it is stored as one to process: its source is disabled, or its guards do not admit it. An
/// admitted request is always stored, whatever else is wrong with it. `addresses`: by which the network may know the source;
/// `at`: when it arrived.
pub fn refusal(
    source: &Source,
    guards: &Guards,
    raw: &RawRequest,
    addresses: &[String],
    at: Timestamp,
) -> Option<OutcomeDetails> {
    let admitted = plain(guards, raw).and_then(|raw| {
        // A large body is parsed only if it may contain the token.
        let reports = LazyCell::new(|| read_all(&raw));
        admit(guards, &raw, addresses, at, &|| &**reports)
    });
    match admitted {
        Err(error) if source.enabled && !raw.truncated => Some(refused(error.code(), error.to_string())),
        Err(_) => open(source, guards, raw, at).err(),
        Ok(()) if !source.enabled => open(source, guards, raw, at).err(),
        Ok(()) => None,
    }
}

/// The request as it is passed to the adapter, with its body in plain text. `at`: when it arrived.
///
/// # Errors
/// Why it is not passed on: its source is disabled, its method is not one of notifications, its body was cut or cannot be read,
/// its guards do not admit it, or it is empty or a test.
pub fn open<'a>(
    source: &Source,
    guards: &Guards,
    raw: &'a RawRequest,
    at: Timestamp,
) -> Result<Cow<'a, RawRequest>, OutcomeDetails> {
    if !source.enabled {
        let sentence = "this source is disabled; enable it, or have the network stop";
        return Err(refused("source_disabled", sentence));
    }
    if raw.truncated {
        let sentence = "the body is larger than what is kept of it, 64 KiB, or 4 KiB of what a guard refuses; have the network send less, or report again";
        return Err(refused("body_too_large", sentence));
    }
    let opened = plain(guards, raw).map_err(|error| refused(error.code(), error.to_string()))?;
    match rejection(source, guards, &opened, at) {
        Some(rejection) => Err(rejection),
        None => Ok(opened),
    }
}

/// The request with its body in plain text, and without a query that is not encrypted like the body: anybody could add parameters
/// to the address, and they would take precedence.
fn plain<'a>(guards: &Guards, raw: &'a RawRequest) -> Result<Cow<'a, RawRequest>, NotAdmitted> {
    let Some(encryption) = &guards.encryption else { return Ok(Cow::Borrowed(raw)) };
    let body = encryption.decrypt(&raw.plain_body().unwrap_or_default())?;
    let mut headers = raw.headers.clone();
    headers.retain(|(name, _)| name != "content-encoding");
    Ok(Cow::Owned(RawRequest { body, headers, query: String::new(), ..raw.clone() }))
}

fn rejection(source: &Source, guards: &Guards, raw: &RawRequest, at: Timestamp) -> Option<OutcomeDetails> {
    let reports = read_all(raw);
    let parameters = &reports[0];
    if let Err(error) = admit(guards, raw, &[], at, &|| &*reports) {
        return Some(refused(error.code(), error.to_string()));
    }
    match raw.method.as_str() {
        "GET" | "POST" => {}
        "HEAD" => {
            let sentence = "a HEAD request asks only whether the address works, and it does";
            return Some(OutcomeDetails::new(Outcome::Ignored, "head_request", sentence));
        }
        other => {
            let shown: String = other.chars().take(20).collect();
            return Some(refused(
                "method_not_allowed",
                format!("{shown} is not a method of notifications; use GET or POST"),
            ));
        }
    }
    if let Err(error) = raw.plain_body() {
        return Some(refused("unreadable_body", error.to_string()));
    }
    let token = guards.token.as_ref().map(|guard| guard.parameter.as_str());
    let is_token = |name: &&str| token.is_some_and(|token| token.eq_ignore_ascii_case(name));
    let mut names = parameters.iter().map(|(name, _)| name).filter(|name| !is_token(name)).peekable();
    if names.peek().is_none() && (raw.body.is_empty() || parameters.iter().next().is_some()) {
        return Some(Issue::EmptyRequest.into());
    }
    let value = |name: &str| parameters.get(name).filter(|_| reports.len() == 1).map(str::to_owned);
    if let Some(name) = source.settings.ignoring_parameter(value) {
        return Some(Issue::IgnoredBySettings(name.to_owned()).into());
    }
    let is_test = |name: &str| ["test", "ping", "webhook_id"].iter().any(|word| name.eq_ignore_ascii_case(word));
    (names.peek().is_some() && names.all(is_test)).then(|| Issue::TestPing.into())
}

/// The header that proves to later checks of the stored request that it was signed, if its signature needs one.
pub fn proof(guards: &Guards, raw: &RawRequest, addresses: &[String], at: Timestamp) -> Option<(String, String)> {
    let reports = LazyCell::new(|| read_all(raw));
    let is_admitted = guards.sign_address() && admit(guards, raw, addresses, at, &|| &**reports).is_ok();
    guards.proof(&raw.query).filter(|_| is_admitted)
}

fn refused(code: &str, sentence: impl Into<String>) -> OutcomeDetails {
    OutcomeDetails::new(Outcome::Refused, code, sentence)
}

fn admit<'a>(
    guards: &Guards,
    raw: &RawRequest,
    addresses: &[String],
    at: Timestamp,
    reports: &dyn Fn() -> &'a [Parameters],
) -> Result<(), NotAdmitted> {
    let header = |name: &str| raw.header(name);
    let parameter = |name: &str| reports()[0].get(name).map(str::to_owned);
    let pairs = || match reports() {
        [only] if only.unreadable().is_none() => Some(pairs(only)),
        _ => None,
    };
    guards.admit(&Credentials {
        parameter: &parameter,
        parameters: &pairs,
        header: &header,
        remote_ip: raw.remote_ip,
        addresses,
        query: &raw.query,
        body: &raw.body,
        at,
    })
}

fn pairs(parameters: &Parameters) -> Vec<(String, String)> {
    parameters.iter().map(|(name, value)| (name.to_owned(), value.to_owned())).collect()
}

/// The parameters of the query, then those of the body; of the first report, if there are several.
pub fn parameters(raw: &RawRequest) -> Parameters {
    read_all(raw).swap_remove(0)
}

/// The parameters of each report; there is always at least one.
fn read_all(raw: &RawRequest) -> Vec<Parameters> {
    let field = |(name, value): (String, String)| Field { name, value };
    let request = postrider_sdk::InboundRequest {
        method: HttpMethod::Post,
        path: String::new(),
        query: raw.query_pairs().into_iter().map(field).collect(),
        headers: raw.headers.iter().cloned().map(field).collect(),
        body: raw.plain_body().unwrap_or_default().into_owned(),
        remote_ip: None,
    };
    Parameters::read_all(&request)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::AffiliateId;
    use crate::inbound::guards::TokenGuard;
    use crate::inbound::source::SourceKey;

    fn raw(method: &str, query: &str, body: &[u8]) -> RawRequest {
        RawRequest {
            method: method.into(),
            path: "/in/key".into(),
            query: query.into(),
            headers: vec![],
            body: body.into(),
            truncated: false,
            remote_ip: None,
        }
    }

    #[test]
    fn a_method_and_a_body_that_nobody_can_read_are_named() {
        let at = Timestamp::from_millis(1);
        let source = Source::first(AffiliateId::new(at), SourceKey::default(), at);
        let gzip = |raw: RawRequest| RawRequest { headers: vec![("content-encoding".into(), "br".into())], ..raw };
        for (raw, wanted) in [
            (raw("GET", "click_id=1", b""), None),
            (raw("HEAD", "click_id=1", b""), Some("head_request")),
            (raw("PUT", "click_id=1", b""), Some("method_not_allowed")),
            (raw("OPTIONS", "", b""), Some("method_not_allowed")),
            (gzip(raw("POST", "", b"\x00")), Some("unreadable_body")),
        ] {
            assert_eq!(refusal(&source, &Guards::default(), &raw, &[], at), None, "it is stored");
            let code = open(&source, &Guards::default(), &raw, at).err().and_then(|it| it.code);
            assert_eq!(code.as_deref(), wanted, "{}", raw.method);
        }
    }

    #[test]
    fn a_request_is_processed_if_its_source_and_its_guards_admit_it_and_it_says_something() {
        let at = Timestamp::from_millis(1);
        let token = Some(TokenGuard { parameter: "token".into(), value: "s3cret-token".into() });
        let guards = Guards { token, ..Guards::default() };
        // Enabled; query; body; the body was cut; code before storing; code when it is processed.
        for (enabled, query, body, truncated, before, later) in [
            (true, "token=s3cret-token&click_id=1", "", false, "", ""),
            (true, "click_id=1", "", false, "token_missing", "token_missing"),
            (true, "TOKEN=s3cret-token&click_id=1", "", false, "", ""),
            (true, "x=1&amp;Token=s3cret-token", "", false, "", ""),
            (true, "token=wrong&click_id=1", "", false, "token_wrong", "token_wrong"),
            (true, "", "token=s3cret-token&click_id=1", false, "", ""),
            (true, "", r#"{"token": "s3cret-token", "click_id": 1}"#, false, "", ""),
            (true, "token=s3cret-token", "{", true, "", "body_too_large"),
            (true, "click_id=1", "{", true, "body_too_large", "body_too_large"),
            (false, "token=s3cret-token&click_id=1", "", false, "source_disabled", "source_disabled"),
            (false, "click_id=1", "", false, "source_disabled", "source_disabled"),
            (true, "token=s3cret-token", "", false, "", "empty_request"),
            (true, "token=s3cret-token&Test=1", "", false, "", "test_ping"),
            (true, "token=s3cret-token&test=1&click_id=2", "", false, "", ""),
        ] {
            let source = Source { enabled, ..Source::first(AffiliateId::new(at), SourceKey::default(), at) };
            let raw = RawRequest { truncated, ..raw("GET", query, body.as_bytes()) };
            let code = |it: Option<OutcomeDetails>| it.and_then(|it| it.code).unwrap_or_default();
            assert_eq!(code(refusal(&source, &guards, &raw, &[], at)), before, "{query} {body}");
            assert_eq!(code(open(&source, &guards, &raw, at).err()), later, "{query} {body}");
        }
    }
}
