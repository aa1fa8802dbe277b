//! Where a signature is, how it is written, and the patterns of signed texts.

use std::ops::RangeInclusive;

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD as BASE64, URL_SAFE};
use sha2::{Digest, Sha256};

use super::request::{Credentials, NotAdmitted};

/// The allowed number of characters of a signed text.
pub(super) const TEXT_CHARS: RangeInclusive<usize> = 1..=500;

/// The header or parameter in which a network sends a signature.
#[derive(Clone, Copy, Debug)]
pub struct Place<'a> {
    pub(super) header: Option<&'a str>,
    pub(super) parameter: Option<&'a str>,
}

impl<'a> Place<'a> {
    /// Its name.
    pub fn name(self) -> &'a str {
        self.header.or(self.parameter).unwrap_or_default()
    }

    pub(super) fn value(self, given: &Credentials<'_>) -> Result<String, NotAdmitted> {
        let value = match (self.header, self.parameter) {
            (Some(header), _) => (given.header)(&header.to_ascii_lowercase()).map(str::to_owned),
            (None, Some(parameter)) => (given.parameter)(parameter),
            (None, None) => None,
        };
        value.filter(|it| !it.is_empty()).ok_or_else(|| NotAdmitted::SignatureMissing(self.name().to_owned()))
    }

    /// The parameters that the network signs: without the signature and the token in the address, sorted by name.
    ///
    /// # Errors
    /// The request has several reports, or a body that cannot be read: then not all of it would be signed.
    pub(super) fn signed(
        self,
        given: &Credentials<'_>,
        token: Option<&str>,
    ) -> Result<Vec<(String, String)>, NotAdmitted> {
        let mut pairs = (given.parameters)().ok_or_else(|| self.wrong())?;
        let not_signed = [self.parameter, token];
        pairs.retain(|(name, _)| !not_signed.iter().flatten().any(|it| it.eq_ignore_ascii_case(name)));
        pairs.sort();
        Ok(pairs)
    }

    /// A raw query without the pair of the signature. `None`: there is not exactly one such pair, or its value has characters
    /// that no signature has, in which other parameters could be hidden.
    pub(super) fn query_without(self, query: &str) -> Option<String> {
        let Some(parameter) = self.parameter else { return Some(query.to_owned()) };
        let is_of_signature = |c: char| c.is_ascii_alphanumeric() || "+/=_-".contains(c);
        let (mut signed, mut signatures) = (Vec::new(), 0);
        for pair in query.split('&') {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            if !parameter.eq_ignore_ascii_case(name) {
                signed.push(pair);
            } else if value.chars().all(is_of_signature) {
                signatures += 1;
            } else {
                return None;
            }
        }
        (signatures == 1).then(|| signed.join("&"))
    }

    pub(super) fn wrong(self) -> NotAdmitted {
        NotAdmitted::SignatureWrong(self.name().to_owned())
    }

    pub(super) fn issue(self) -> Option<(&'static str, &'static str)> {
        match (self.header, self.parameter) {
            (Some(header), None) if !is_header_name(header) => {
                Some(("/header", "must be the name of a header, such as X-Signature"))
            }
            (None, Some(parameter)) if parameter.is_empty() || parameter.len() > 100 => {
                Some(("/parameter", "must have 1 to 100 characters"))
            }
            (Some(_), None) | (None, Some(_)) => None,
            _ => Some(("/header", "name either a header or a parameter that has the signature")),
        }
    }
}

/// Replaces each name in braces by its value, or by nothing. A brace that is not closed is text.
pub(super) fn fill(pattern: &str, value: impl Fn(&str) -> Option<String>) -> String {
    let (mut filled, mut rest) = (String::new(), pattern);
    while let Some((before, name, after)) = next_name(rest) {
        filled.push_str(before);
        filled.push_str(&value(name).unwrap_or_default());
        rest = after;
    }
    filled + rest
}

/// Whether a pattern has this name in braces.
pub(super) fn has_name(pattern: &str, wanted: &str) -> bool {
    let mut rest = pattern;
    while let Some((_, name, after)) = next_name(rest) {
        if name == wanted {
            return true;
        }
        rest = after;
    }
    false
}

/// The text before the next name, the name, and the text after it.
fn next_name(pattern: &str) -> Option<(&str, &str, &str)> {
    let (before, after) = pattern.split_once('{')?;
    let (name, rest) = after.split_once('}')?;
    Some((before, name, rest))
}

pub(super) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Hexadecimal, base64 or base64url, with or without padding and a prefix. A header can have several signatures, separated
/// by commas, semicolons or spaces, while the network changes its secret.
pub(super) fn is_signature(value: &str, wanted: &[u8]) -> bool {
    let hex = hex(wanted);
    let encoded = [BASE64.encode(wanted), URL_SAFE.encode(wanted)];
    value.split([',', ';', ' ']).any(|part| {
        let part = without_prefix(part.trim());
        let is_base64 =
            |text: &String| same(part.trim_end_matches('=').as_bytes(), text.trim_end_matches('=').as_bytes());
        same(part.to_ascii_lowercase().as_bytes(), hex.as_bytes()) || encoded.iter().any(is_base64)
    })
}

/// Without a prefix such as `sha256=`, `v1=` or `hmac-sha1:`, in any case.
fn without_prefix(part: &str) -> &str {
    const PREFIXES: [&str; 13] = [
        "sha1",
        "sha256",
        "sha512",
        "hmac-sha1",
        "hmac-sha256",
        "hmac-sha512",
        "v0",
        "v1",
        "h1",
        "s",
        "sig",
        "signature",
        "hmac",
    ];
    match part.split_once(['=', ':']) {
        Some((prefix, rest)) if PREFIXES.iter().any(|it| it.eq_ignore_ascii_case(prefix)) => rest,
        _ => part,
    }
}

/// Compares in constant time.
pub(super) fn same(a: &[u8], b: &[u8]) -> bool {
    let (a, b) = (Sha256::digest(a), Sha256::digest(b));
    a.iter().zip(b.iter()).fold(0, |differences, (a, b)| differences | (a ^ b)) == 0
}

pub(super) fn is_header_name(name: &str) -> bool {
    !name.is_empty() && name.len() <= 100 && name.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_".contains(&b))
}
