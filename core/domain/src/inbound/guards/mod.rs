//! Guards of a source: who may send notifications to it. Networks are checked first, then the token, then the
//! signatures.

mod encryption;
mod hash;
mod hmac;
mod place;
mod request;

use std::net::IpAddr;

use ipnet::IpNet;
use serde::{Deserialize, Serialize};

pub use encryption::{EncryptionGuard, EncryptionScheme};
pub use hash::{HashAlgorithm, HashGuard};
pub(crate) use hmac::PROOF;
pub use hmac::{HmacAlgorithm, HmacGuard, Signed};
pub use place::Place;
use place::same;
pub use request::{Credentials, NotAdmitted};

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
    /// An HMAC of the request in a header or parameter.
    pub hmac: Option<Box<HmacGuard>>,
    /// A hash of parameters and a secret, for networks that do not use HMAC.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hash: Option<Box<HashGuard>>,
    /// A secret with which the network encrypts bodies.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub encryption: Option<Box<EncryptionGuard>>,
}

fn networks<'de, D: serde::Deserializer<'de>>(from: D) -> Result<Vec<IpNet>, D::Error> {
    Ok(Vec::<Network>::deserialize(from)?.into_iter().map(|it| it.0).collect())
}

struct Network(IpNet);

impl<'de> Deserialize<'de> for Network {
    /// A single address is a network of one address.
    fn deserialize<D: serde::Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let text = std::borrow::Cow::<'de, str>::deserialize(from)?;
        let network = text.parse().ok().or_else(|| text.parse::<IpAddr>().ok().map(IpNet::from)).map(unmapped);
        network.map(Self).ok_or_else(|| {
            let shown: String = text.chars().take(60).collect();
            serde::de::Error::custom(format!(
                "\"{shown}\" is not a network; write it in CIDR notation, such as 203.0.113.0/24, or write one address, such as 203.0.113.7"
            ))
        })
    }
}

/// The IPv4 network, if it is written as one of IPv6: `::ffff:203.0.113.0/120`.
fn unmapped(network: IpNet) -> IpNet {
    let mapped = match network {
        IpNet::V6(it) if it.prefix_len() >= 96 => it.addr().to_ipv4_mapped().zip(Some(it.prefix_len() - 96)),
        _ => None,
    };
    let plain = mapped.and_then(|(address, length)| IpNet::new(address.into(), length).ok());
    plain.unwrap_or(network)
}

/// A parameter that must have a secret value.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct TokenGuard {
    /// Name of the parameter in query, form or JSON, or of a header, with 1 to 100 characters.
    #[schema(min_length = 1, max_length = 100)]
    pub parameter: String,
    /// The secret value, with 8 to 200 characters; masked in responses.
    #[schema(min_length = 8, max_length = 200)]
    pub value: String,
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
            let header = || (given.header)(&guard.parameter.to_ascii_lowercase()).map(str::to_owned);
            match (given.parameter)(&guard.parameter).or_else(header).filter(|value| !value.is_empty()) {
                None => return Err(NotAdmitted::TokenMissing(guard.parameter.clone())),
                Some(value) if !same(value.as_bytes(), guard.value.as_bytes()) => {
                    return Err(NotAdmitted::TokenWrong(guard.parameter.clone()));
                }
                Some(_) => {}
            }
        }
        let token = self.token.as_ref().map(|it| it.parameter.as_str());
        self.hmac.as_ref().map_or(Ok(()), |guard| guard.admit(given, token))?;
        self.hash.as_ref().map_or(Ok(()), |guard| guard.admit(given, token))
    }

    /// A header for a request that is admitted, if its guards need one to admit the stored request again.
    pub fn proof(&self, query: &str) -> Option<(String, String)> {
        self.hmac.as_ref().and_then(|guard| guard.proof(query))
    }

    /// Whether requests have a signature.
    pub fn is_signed(&self) -> bool {
        self.hmac.is_some() || self.hash.is_some()
    }

    /// Whether only the arrival of a request can show that it is signed, because a stored request lacks the address.
    pub fn sign_address(&self) -> bool {
        self.hmac.as_ref().is_some_and(|it| it.signed == Signed::Url)
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
        if let Some(hmac) = &self.hmac {
            hmac.issues().into_iter().for_each(|(path, sentence)| add(&format!("/hmac{path}"), sentence));
        }
        if self.encryption.is_some() && (self.token.is_some() || self.is_signed()) {
            add(
                "/encryption",
                "cannot be combined with token, hmac or hash; the encryption shows who sent the request",
            );
        }
        if let Some(hash) = &self.hash {
            hash.issues().into_iter().for_each(|(path, sentence)| add(&format!("/hash{path}"), sentence));
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
        let hash = self.hash.as_mut().map(|it| ("/hash/secret", &mut it.secret));
        let encryption = self.encryption.as_mut().map(|it| ("/encryption/secret", &mut it.secret));
        token.into_iter().chain(hmac).chain(hash).chain(encryption)
    }

    /// The values of the secrets, which must not be shown.
    pub fn secret_values(&self) -> Vec<&str> {
        let token = self.token.as_ref().map(|it| it.value.as_str());
        let hmac = self.hmac.as_ref().map(|it| it.secret.as_str());
        let hash = self.hash.as_ref().map(|it| it.secret.as_str());
        let encryption = self.encryption.as_ref().map(|it| it.secret.as_str());
        token.into_iter().chain(hmac).chain(hash).chain(encryption).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::request::samples::credentials;
    use super::*;

    #[test]
    fn an_ipv4_network_may_be_written_as_one_of_ipv6() {
        for (text, wanted) in [
            ("::ffff:203.0.113.0/120", "203.0.113.0/24"),
            ("::ffff:203.0.113.7", "203.0.113.7/32"),
            ("2001:db8::/32", "2001:db8::/32"),
            ("203.0.113.7", "203.0.113.7/32"),
        ] {
            let guards: Guards = serde_json::from_value(serde_json::json!({"networks": [text]})).unwrap();
            assert_eq!(guards.networks[0].to_string(), wanted);
        }
    }

    #[test]
    fn a_signature_has_one_place() {
        let issues = |mut hmac: serde_json::Value| {
            hmac["secret"] = "Jefe1234".into();
            serde_json::from_value::<Guards>(serde_json::json!({"hmac": hmac})).unwrap().issues()
        };
        assert_eq!(issues(serde_json::json!({"header": "X-S"})), []);
        assert_eq!(issues(serde_json::json!({"parameter": "sign"})), []);
        for (extra, path) in [
            (serde_json::json!({}), "/hmac/header"),
            (serde_json::json!({"header": "X-S", "parameter": "sign"}), "/hmac/header"),
            (serde_json::json!({"header": "a b"}), "/hmac/header"),
            (serde_json::json!({"header": "X-S", "timestamp_header": "a b"}), "/hmac/timestamp_header"),
            (serde_json::json!({"header": "X-S", "tolerance_secs": 0}), "/hmac/tolerance_secs"),
            (serde_json::json!({"header": "X-S", "signed": "text"}), "/hmac/text"),
        ] {
            assert_eq!(issues(extra)[0].0, path);
        }
    }

    #[test]
    fn a_hash_has_a_secret_in_its_text() {
        let issues = |mut hash: serde_json::Value| {
            for (name, value) in [("parameter", "sig"), ("secret", "s3cret-word"), ("algorithm", "md5")] {
                hash[name] = value.into();
            }
            serde_json::from_value::<Guards>(serde_json::json!({"hash": hash})).unwrap().issues()
        };
        assert_eq!(issues(serde_json::json!({"text": "{user}{secret}"})), []);
        assert_eq!(issues(serde_json::json!({"text": "{each}", "each": "{name}={value}{secret}"})), []);
        for (hash, path) in [
            (serde_json::json!({"text": ""}), "/hash/text"),
            (serde_json::json!({"text": "{user}"}), "/hash/text"),
            // A name that is not closed takes the secret with it.
            (serde_json::json!({"text": "{user-{secret}"}), "/hash/text"),
            (serde_json::json!({"text": "{each}{secret}"}), "/hash/each"),
            (serde_json::json!({"text": "{secret}", "each": "{value}"}), "/hash/each"),
            (serde_json::json!({"text": "{secret}", "characters": 4}), "/hash/characters"),
        ] {
            assert_eq!(issues(hash.clone())[0].0, path, "{hash}");
        }
    }

    #[test]
    fn the_error_names_the_guard_that_failed() {
        let guards: Guards = serde_json::from_value(serde_json::json!({
            "token": {"parameter": "token", "value": "first-secret"},
            "networks": ["203.0.113.0/24"],
            "hmac": {"header": "X-Signature", "secret": "Jefe1234"},
        }))
        .unwrap();
        let hex = "bb8113497fc02cfda8595289f5fb60a9edae0bd28dc8cc2b3e621582fc0e82c4";
        let code = |ip: Option<&str>, token: Option<&str>, header: Option<&str>| {
            let parameter = |name: &str| token.filter(|_| name == "token").map(str::to_owned);
            let header = |name: &str| header.filter(|_| name == "x-signature");
            let remote_ip = ip.map(|ip| ip.parse().unwrap());
            let given = Credentials { remote_ip, ..credentials(&parameter, &header) };
            guards.admit(&given).err().map_or("", |error| error.code())
        };
        let (ip, token) = (Some("203.0.113.9"), Some("first-secret"));
        assert_eq!(code(ip, token, Some(hex)), "");
        assert_eq!(code(Some("198.51.100.1"), token, Some(hex)), "network_not_allowed");
        assert_eq!(code(None, token, Some(hex)), "network_not_allowed");
        assert_eq!(code(ip, None, Some(hex)), "token_missing");
        assert_eq!(code(ip, Some("first-secreT"), Some(hex)), "token_wrong");
        assert_eq!(code(ip, token, None), "signature_missing");
        assert_eq!(code(ip, token, Some("00")), "signature_wrong");
    }
}
