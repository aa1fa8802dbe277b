//! Guards of a source: who may send notifications to it. Networks are checked first, then the token, then the
//! signature.

use std::net::IpAddr;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use hmac::{Hmac, Mac};
use ipnet::IpNet;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

/// The mask of a secret in responses. If a client sends it back, the stored secret is kept.
pub const MASKED: &str = "••••••••";

/// The prefix of a secret that is stored sealed. No entered secret may begin with it.
pub const SEALED: &str = "$sealed:";

/// The allowed number of characters of a token or secret. Templates that require one use the same bounds.
pub(crate) const SECRET_CHARS: std::ops::RangeInclusive<usize> = 8..=200;

/// The guards of a source: who may send notifications to it. A request must pass every guard that is set.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Guards {
    /// A secret token in a parameter.
    pub token: Option<TokenGuard>,
    /// Networks that may send, in CIDR notation: 203.0.113.0/24. At most 200; all networks if empty.
    #[schema(value_type = Vec<String>, max_items = 200)]
    #[serde(deserialize_with = "networks")]
    pub networks: Vec<IpNet>,
    /// A signature in a header.
    pub hmac: Option<HmacGuard>,
}

fn networks<'de, D: serde::Deserializer<'de>>(from: D) -> Result<Vec<IpNet>, D::Error> {
    Ok(Vec::<Network>::deserialize(from)?.into_iter().map(|it| it.0).collect())
}

struct Network(IpNet);

impl<'de> Deserialize<'de> for Network {
    /// A single address is a network of one address.
    fn deserialize<D: serde::Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let text = std::borrow::Cow::<'de, str>::deserialize(from)?;
        let network = text.parse().ok().or_else(|| text.parse::<IpAddr>().ok().map(IpNet::from));
        network.map(Self).ok_or_else(|| {
            let shown: String = text.chars().take(60).collect();
            serde::de::Error::custom(format!(
                "\"{shown}\" is not a network; write it in CIDR notation, such as 203.0.113.0/24, or write one address, such as 203.0.113.7"
            ))
        })
    }
}

/// A parameter that must have a secret value.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct TokenGuard {
    /// Name of the parameter in query, form or JSON, with 1 to 100 characters.
    #[schema(min_length = 1, max_length = 100)]
    pub parameter: String,
    /// The secret value, with 8 to 200 characters; masked in responses.
    #[schema(max_length = 200)]
    pub value: String,
}

/// A header that must contain the HMAC of the body, or of the raw query if there is no body, in hexadecimal or base64.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct HmacGuard {
    /// Name of the header.
    pub header: String,
    /// The secret of the HMAC, with 8 to 200 characters; masked in responses.
    #[schema(max_length = 200)]
    pub secret: String,
    /// The hash function of the HMAC; `sha256` if absent.
    #[serde(default)]
    pub algorithm: HmacAlgorithm,
}

/// The hash function of an HMAC.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum HmacAlgorithm {
    /// HMAC-SHA256.
    #[default]
    Sha256,
}

/// Why a request is refused. Each variant holds the name of a parameter or header, or the sender's address.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum NotAdmitted {
    /// The parameter is missing or empty.
    #[error("the request has no token; the network must send the parameter \"{0}\" with the source's token")]
    TokenMissing(String),
    /// The token in the parameter is wrong.
    #[error("the token in \"{0}\" is not the source's; copy it again from the source's settings")]
    TokenWrong(String),
    /// The sender's address is in none of the networks.
    #[error(
        "the request came from {0}, which is not among the source's networks; add it there if the network sends from it"
    )]
    NetworkNotAllowed(String),
    /// The header is missing or empty.
    #[error("the request has no signature; the network must send the header \"{0}\"")]
    SignatureMissing(String),
    /// The signature in the header is wrong.
    #[error(
        "the signature in \"{0}\" is wrong: it must be the HMAC-SHA256 of the body, or of the query when there is no body, with the source's secret"
    )]
    SignatureWrong(String),
}

impl NotAdmitted {
    /// The stable error code.
    pub fn code(&self) -> &'static str {
        match self {
            Self::TokenMissing(_) => "token_missing",
            Self::TokenWrong(_) => "token_wrong",
            Self::NetworkNotAllowed(_) => "network_not_allowed",
            Self::SignatureMissing(_) => "signature_missing",
            Self::SignatureWrong(_) => "signature_wrong",
        }
    }
}

/// The parts of a request that guards check.
pub struct Credentials<'a> {
    /// Returns the value of a parameter of the query, the form or the JSON object.
    pub parameter: &'a dyn Fn(&str) -> Option<String>,
    /// Returns the value of a header; the name is in lower case.
    pub header: &'a dyn Fn(&str) -> Option<&'a str>,
    /// The sender's address.
    pub remote_ip: Option<IpAddr>,
    /// The body, or the raw query if there is no body.
    pub signed: &'a [u8],
}

impl Guards {
    /// Checks every guard. Fails with the first that does not pass.
    pub fn admit(&self, given: &Credentials<'_>) -> Result<(), NotAdmitted> {
        if !self.networks.is_empty() {
            let known = |ip: &IpAddr| self.networks.iter().any(|network| network.contains(ip));
            if !given.remote_ip.as_ref().is_some_and(known) {
                let ip = given.remote_ip.map_or("an unknown address".to_owned(), |ip| ip.to_string());
                return Err(NotAdmitted::NetworkNotAllowed(ip));
            }
        }
        if let Some(guard) = &self.token {
            match (given.parameter)(&guard.parameter).filter(|value| !value.is_empty()) {
                None => return Err(NotAdmitted::TokenMissing(guard.parameter.clone())),
                Some(value) if !same(value.as_bytes(), guard.value.as_bytes()) => {
                    return Err(NotAdmitted::TokenWrong(guard.parameter.clone()));
                }
                Some(_) => {}
            }
        }
        if let Some(guard) = &self.hmac {
            let Some(value) = (given.header)(&guard.header.to_ascii_lowercase()).filter(|it| !it.is_empty()) else {
                return Err(NotAdmitted::SignatureMissing(guard.header.clone()));
            };
            if !is_signature(value, &hmac_sha256(guard.secret.as_bytes(), given.signed)) {
                return Err(NotAdmitted::SignatureWrong(guard.header.clone()));
            }
        }
        Ok(())
    }

    /// Replaces the secrets with [`MASKED`] for responses.
    pub fn mask(&mut self) {
        self.secrets().for_each(|(_, secret)| *secret = MASKED.to_owned());
    }

    /// Replaces masked values with the secrets of `before`.
    pub fn unmask(&mut self, before: &Self) {
        let mut before = before.clone();
        let known: Vec<_> = before.secrets().map(|(path, secret)| (path, secret.clone())).collect();
        for (path, secret) in self.secrets() {
            if secret == MASKED
                && let Some((_, stored)) = known.iter().find(|(known, _)| *known == path)
            {
                secret.clone_from(stored);
            }
        }
    }

    /// Everything that is invalid: JSON pointers and sentences.
    pub fn issues(&self) -> Vec<(String, String)> {
        let mut issues = Vec::new();
        let mut add = |path: &str, message: &str| issues.push((path.to_owned(), message.to_owned()));
        if self.networks.len() > 200 {
            add("/networks", "at most 200 networks");
        }
        if self.token.as_ref().is_some_and(|it| it.parameter.is_empty() || it.parameter.len() > 100) {
            add("/token/parameter", "must have 1 to 100 characters");
        }
        if self.hmac.as_ref().is_some_and(|it| !is_header_name(&it.header)) {
            add("/hmac/header", "must be the name of a header, such as X-Signature");
        }
        for (path, secret) in self.clone().secrets() {
            if secret == MASKED {
                add(path, "this is the masked value of a secret, but no secret is stored; send the secret itself");
            } else if !secret.starts_with(SEALED) && !SECRET_CHARS.contains(&secret.chars().count()) {
                add(path, "must have 8 to 200 characters");
            }
        }
        issues
    }

    /// The JSON pointer and value of each secret.
    pub fn secrets(&mut self) -> impl Iterator<Item = (&'static str, &mut String)> {
        let token = self.token.as_mut().map(|it| ("/token/value", &mut it.value));
        let hmac = self.hmac.as_mut().map(|it| ("/hmac/secret", &mut it.secret));
        token.into_iter().chain(hmac)
    }

    /// The values of the secrets, which must not be shown.
    pub fn secret_values(&self) -> Vec<&str> {
        let token = self.token.as_ref().map(|it| it.value.as_str());
        token.into_iter().chain(self.hmac.as_ref().map(|it| it.secret.as_str())).collect()
    }
}

fn is_header_name(name: &str) -> bool {
    !name.is_empty() && name.len() <= 100 && name.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_".contains(&b))
}

/// Compares in constant time.
fn same(a: &[u8], b: &[u8]) -> bool {
    let (a, b) = (Sha256::digest(a), Sha256::digest(b));
    a.iter().zip(b.iter()).fold(0, |differences, (a, b)| differences | (a ^ b)) == 0
}

/// Hexadecimal in either case or base64, with or without the prefix `sha256=`.
fn is_signature(value: &str, wanted: &[u8; 32]) -> bool {
    let value = value.trim();
    let value = value.strip_prefix("sha256=").unwrap_or(value);
    let hex: String = wanted.iter().map(|byte| format!("{byte:02x}")).collect();
    same(value.to_ascii_lowercase().as_bytes(), hex.as_bytes())
        || same(value.as_bytes(), BASE64.encode(wanted).as_bytes())
}

fn hmac_sha256(secret: &[u8], message: &[u8]) -> [u8; 32] {
    let mut signature = <Hmac<Sha256> as Mac>::new_from_slice(secret).expect("HMAC takes keys of any length");
    signature.update(message);
    signature.finalize().into_bytes().into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_error_names_the_guard_that_failed() {
        let guards: Guards = serde_json::from_value(serde_json::json!({
            "token": {"parameter": "token", "value": "first-secret"},
            "networks": ["203.0.113.0/24"],
            "hmac": {"header": "X-Signature", "secret": "Jefe1234"},
        }))
        .unwrap();
        let signature = hmac_sha256(b"Jefe1234", b"a=1");
        let hex: String = signature.iter().map(|byte| format!("{byte:02X}")).collect();
        let code = |ip: Option<&str>, token: Option<&str>, header: Option<&str>| {
            let parameter = |name: &str| token.filter(|_| name == "token").map(str::to_owned);
            let header = |name: &str| header.filter(|_| name == "x-signature");
            let remote_ip = ip.map(|ip| ip.parse().unwrap());
            let given = Credentials { parameter: &parameter, header: &header, remote_ip, signed: b"a=1" };
            guards.admit(&given).err().map_or("", |error| error.code())
        };
        let (ip, token) = (Some("203.0.113.9"), Some("first-secret"));
        assert_eq!(code(ip, token, Some(&hex)), "");
        assert_eq!(code(ip, token, Some(&format!("sha256={hex}"))), "");
        assert_eq!(code(ip, token, Some(&BASE64.encode(signature))), "");
        assert_eq!(code(Some("198.51.100.1"), token, Some(&hex)), "network_not_allowed");
        assert_eq!(code(None, token, Some(&hex)), "network_not_allowed");
        assert_eq!(code(ip, None, Some(&hex)), "token_missing");
        assert_eq!(code(ip, Some("first-secreT"), Some(&hex)), "token_wrong");
        assert_eq!(code(ip, token, None), "signature_missing");
        assert_eq!(code(ip, token, Some("00")), "signature_wrong");
    }

    /// RFC 4231, test cases 2 and 6.
    #[test]
    fn signatures_equal_the_test_vectors() {
        let hex = |bytes: [u8; 32]| bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
        assert_eq!(
            hex(hmac_sha256(b"Jefe", b"what do ya want for nothing?")),
            "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843"
        );
        assert_eq!(
            hex(hmac_sha256(&[0xaa; 131], b"Test Using Larger Than Block-Size Key - Hash Key First")),
            "60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54"
        );
    }
}
