//! Admission: which requests a source processes. A request is checked twice: before it is stored, and each time that it is
//! processed, because settings and guards may have changed.

use std::cell::LazyCell;

use serde_json::Value;

use super::guards::{Credentials, Guards, NotAdmitted};
use super::inbound_request::{OutcomeDetails, RawRequest};
use super::notification::{Issue, Outcome};
use super::source::Source;

/// Why a request is refused before it is stored as one to process: its source is disabled, or its guards do not admit it. An
/// admitted request is always stored, whatever else is wrong with it.
pub fn refusal(source: &Source, guards: &Guards, raw: &RawRequest) -> Option<OutcomeDetails> {
    // A large body is parsed only if it may contain the token.
    let parameters = LazyCell::new(|| parameters(raw));
    match admit(guards, raw, &|| parameters.as_slice()) {
        Err(error) if source.enabled && !raw.truncated => Some(refused(error.code(), error.to_string())),
        Err(_) => rejection(source, guards, raw),
        Ok(()) if !source.enabled => rejection(source, guards, raw),
        Ok(()) => None,
    }
}

/// Why a request is not passed to the adapter: its source is disabled, its body was cut, its guards do not admit it, or it is
/// empty or a test.
pub fn rejection(source: &Source, guards: &Guards, raw: &RawRequest) -> Option<OutcomeDetails> {
    if !source.enabled {
        let sentence = "this source is disabled; enable it, or have the network stop";
        return Some(refused("source_disabled", sentence));
    }
    if raw.truncated {
        let sentence = "the body is larger than what is kept of it, 64 KiB, or 4 KiB of what a guard refuses; have the network send less, or report again";
        return Some(refused("body_too_large", sentence));
    }
    let parameters = parameters(raw);
    if let Err(error) = admit(guards, raw, &|| &parameters) {
        return Some(refused(error.code(), error.to_string()));
    }
    let token = guards.token.as_ref().map(|guard| guard.parameter.as_str());
    let mut names = parameters.iter().map(|(name, _)| name.as_str()).filter(|name| Some(*name) != token).peekable();
    if names.peek().is_none() && (raw.body.is_empty() || !parameters.is_empty()) {
        return Some(Issue::EmptyRequest.into());
    }
    let is_test = |name: &str| ["test", "ping"].iter().any(|word| name.eq_ignore_ascii_case(word));
    (names.peek().is_some() && names.all(is_test)).then(|| Issue::TestPing.into())
}

fn refused(code: &str, sentence: impl Into<String>) -> OutcomeDetails {
    OutcomeDetails::new(Outcome::Refused, code, sentence)
}

fn admit<'a>(
    guards: &Guards,
    raw: &RawRequest,
    parameters: &dyn Fn() -> &'a [(String, String)],
) -> Result<(), NotAdmitted> {
    let signed = if raw.body.is_empty() { raw.query.as_bytes() } else { &raw.body };
    let header = |name: &str| raw.headers.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str());
    let parameter =
        |name: &str| parameters().iter().find(|(known, _)| known == name).map(|(_, value)| value.to_owned());
    guards.admit(&Credentials { parameter: &parameter, header: &header, remote_ip: raw.remote_ip, signed })
}

/// The parameters of the query, then those of the body: a form, or a flat JSON object.
fn parameters(raw: &RawRequest) -> Vec<(String, String)> {
    let pairs = |bytes: &[u8]| url::form_urlencoded::parse(bytes).into_owned().collect::<Vec<_>>();
    let mut found = pairs(raw.query.as_bytes());
    if let Ok(Value::Object(fields)) = serde_json::from_slice::<Value>(&raw.body) {
        found.extend(fields.into_iter().map(|(name, value)| match value {
            Value::String(text) => (name, text),
            other => (name, other.to_string()),
        }));
    } else {
        found.extend(pairs(&raw.body));
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::AffiliateId;
    use crate::inbound::guards::TokenGuard;
    use crate::inbound::source::SourceKey;
    use crate::timestamp::Timestamp;

    #[test]
    fn a_request_is_processed_if_its_source_and_its_guards_admit_it_and_it_says_something() {
        let at = Timestamp::from_millis(1);
        let token = Some(TokenGuard { parameter: "token".into(), value: "s3cret-token".into() });
        let guards = Guards { token, ..Guards::default() };
        // Enabled; query; body; the body was cut; code before storing; code when it is processed.
        for (enabled, query, body, truncated, before, later) in [
            (true, "token=s3cret-token&click_id=1", "", false, "", ""),
            (true, "click_id=1", "", false, "token_missing", "token_missing"),
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
            let raw = RawRequest {
                method: "GET".into(),
                path: "/in/key".into(),
                query: query.into(),
                headers: vec![],
                body: body.into(),
                truncated,
                remote_ip: None,
            };
            let code = |it: Option<OutcomeDetails>| it.and_then(|it| it.code).unwrap_or_default();
            assert_eq!(code(refusal(&source, &guards, &raw)), before, "{query} {body}");
            assert_eq!(code(rejection(&source, &guards, &raw)), later, "{query} {body}");
        }
    }
}
