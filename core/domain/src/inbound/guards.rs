//! Guards of a source: who may send notifications to it. Networks are checked first, then the token, then the
//! signature.

use std::net::IpAddr;

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD as BASE64, URL_SAFE};
use hmac::digest::KeyInit;
use hmac::{Hmac, Mac};
use ipnet::IpNet;
use serde::{Deserialize, Serialize};
use sha1::Sha1;
use sha2::{Digest, Sha256, Sha512};

use crate::timestamp::Timestamp;

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
    pub hmac: Option<Box<HmacGuard>>,
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

/// A header or parameter that must contain the HMAC of the request: in hexadecimal, base64 or base64url, with or without a
/// prefix such as `sha256=` or `v1=`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct HmacGuard {
    /// Name of the header with the signature; absent if a parameter has it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub header: Option<String>,
    /// Name of the parameter with the signature, in query, form or JSON; absent if a header has it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(min_length = 1, max_length = 100)]
    pub parameter: Option<String>,
    /// The secret of the HMAC, with 8 to 200 characters; masked in responses.
    #[schema(min_length = 8, max_length = 200)]
    pub secret: String,
    /// The hash function of the HMAC; `sha256` if absent.
    #[serde(default)]
    pub algorithm: HmacAlgorithm,
    /// What is signed; `body` if absent.
    #[serde(default, skip_serializing_if = "is_default")]
    pub signed: Signed,
    /// With `timestamp_and_body`: name of the header with the Unix time in seconds or milliseconds; if absent, the
    /// signature's header has it (`t=1795183500,v1=…`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timestamp_header: Option<String>,
    /// With `timestamp_and_body`: how many seconds the time may differ from the arrival, 1 to 86,400; 300 if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(minimum = 1, maximum = 86_400)]
    pub tolerance_secs: Option<u32>,
}

fn is_default(signed: &Signed) -> bool {
    *signed == Signed::default()
}

/// The hash function of an HMAC.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum HmacAlgorithm {
    /// HMAC-SHA1.
    Sha1,
    /// HMAC-SHA256.
    #[default]
    Sha256,
    /// HMAC-SHA512.
    Sha512,
}

/// The text that is signed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
#[schema(as = HmacSigned)]
pub enum Signed {
    /// The body, or the raw query if there is no body.
    #[default]
    Body,
    /// A time and the body (or the raw query), separated by a point, a colon or nothing. The request is refused if the time
    /// differs too much from its arrival.
    TimestampAndBody,
    /// All parameters without the signature, sorted by name: `a=1&b=2`, decoded.
    SortedParameters,
    /// An id, a time and the body, as Standard Webhooks and Svix sign them. The headers of id and time are named like that of
    /// the signature: `webhook-id`, `webhook-timestamp` and `webhook-signature`. The secret is base64, with or without
    /// `whsec_`.
    StandardWebhooks,
}

/// The tolerance of a time that is signed, if the guard names none.
const TOLERANCE_SECS: u32 = 300;

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
        "the signature in \"{0}\" is wrong; compare the secret, the algorithm and what is signed in the source's guards with the network's settings"
    )]
    SignatureWrong(String),
    /// The signed time differs too much from the arrival; holds the seconds that are allowed.
    #[error(
        "the signed time differs from the arrival by more than {0} seconds; the network must sign each request when it sends it"
    )]
    SignatureExpired(u32),
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
            Self::SignatureExpired(_) => "signature_expired",
        }
    }
}

/// The parts of a request that guards check.
pub struct Credentials<'a> {
    /// Returns the value of a parameter of the query, the form or the JSON object.
    pub parameter: &'a dyn Fn(&str) -> Option<String>,
    /// Returns the value of a header; the name is in lower case.
    pub header: &'a dyn Fn(&str) -> Option<&'a str>,
    /// Returns all parameters.
    pub parameters: &'a dyn Fn() -> Vec<(String, String)>,
    /// The sender's address.
    pub remote_ip: Option<IpAddr>,
    /// The raw query.
    pub query: &'a str,
    /// The body, as it was sent.
    pub body: &'a [u8],
    /// When the request arrived.
    pub at: Timestamp,
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
        self.hmac.as_ref().map_or(Ok(()), |guard| guard.admit(given))
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
            match (&hmac.header, &hmac.parameter) {
                (Some(header), None) if !is_header_name(header) => {
                    add("/hmac/header", "must be the name of a header, such as X-Signature");
                }
                (None, Some(parameter)) if parameter.is_empty() || parameter.len() > 100 => {
                    add("/hmac/parameter", "must have 1 to 100 characters");
                }
                (Some(_), None) | (None, Some(_)) => {}
                _ => add("/hmac/header", "name either a header or a parameter that has the signature"),
            }
            let is_named = |header: &String| header.to_ascii_lowercase().ends_with("signature");
            if hmac.signed == Signed::StandardWebhooks && !hmac.header.as_ref().is_some_and(is_named) {
                add("/hmac/header", "standard_webhooks needs the header of the signature, such as webhook-signature");
            }
            if hmac.timestamp_header.as_ref().is_some_and(|it| !is_header_name(it)) {
                add("/hmac/timestamp_header", "must be the name of a header, such as X-Timestamp");
            }
            if hmac.tolerance_secs.is_some_and(|secs| !(1..=86_400).contains(&secs)) {
                add("/hmac/tolerance_secs", "must be 1 to 86400 seconds");
            }
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

impl HmacGuard {
    /// The name of the header or parameter with the signature.
    pub fn place(&self) -> &str {
        self.header.as_deref().or(self.parameter.as_deref()).unwrap_or_default()
    }

    fn admit(&self, given: &Credentials<'_>) -> Result<(), NotAdmitted> {
        let missing = |place: &str| NotAdmitted::SignatureMissing(place.to_owned());
        let value = match (&self.header, &self.parameter) {
            (Some(header), _) => (given.header)(&header.to_ascii_lowercase()).map(str::to_owned),
            (None, Some(parameter)) => (given.parameter)(parameter),
            (None, None) => None,
        };
        let value = value.filter(|it| !it.is_empty()).ok_or_else(|| missing(self.place()))?;
        let content = if given.body.is_empty() { given.query.as_bytes() } else { given.body };
        let mut secret = self.secret.as_bytes().to_vec();
        let messages = match self.signed {
            Signed::StandardWebhooks => {
                let header = self.header.as_deref().unwrap_or_default().to_ascii_lowercase();
                let beginning = header.trim_end_matches("signature");
                let beside = |name: &str| {
                    let name = format!("{beginning}{name}");
                    (given.header)(&name).map(str::to_owned).ok_or_else(|| missing(&name))
                };
                let (id, time) = (beside("id")?, beside("timestamp")?);
                let tolerance = self.tolerance_secs.unwrap_or(TOLERANCE_SECS);
                if !is_near(&time, given.at, tolerance) {
                    return Err(NotAdmitted::SignatureExpired(tolerance));
                }
                let encoded = self.secret.strip_prefix("whsec_").unwrap_or(&self.secret);
                secret = BASE64.decode(encoded).unwrap_or(secret);
                vec![[id.as_bytes(), b".", time.as_bytes(), b".", content].concat()]
            }
            Signed::Body => vec![content.to_vec()],
            Signed::SortedParameters => vec![self.sorted(&(given.parameters)()).into_bytes()],
            Signed::TimestampAndBody => {
                let time = match &self.timestamp_header {
                    Some(header) => {
                        let found = (given.header)(&header.to_ascii_lowercase()).map(str::trim);
                        found.ok_or_else(|| missing(header))?
                    }
                    None => time_in(&value).ok_or_else(|| missing(self.place()))?,
                };
                let tolerance = self.tolerance_secs.unwrap_or(TOLERANCE_SECS);
                if !is_near(time, given.at, tolerance) {
                    return Err(NotAdmitted::SignatureExpired(tolerance));
                }
                [".", ":", ""].map(|separator| [time.as_bytes(), separator.as_bytes(), content].concat()).to_vec()
            }
        };
        let is_signed = |message: &Vec<u8>| is_signature(&value, &self.algorithm.sign(&secret, message));
        match messages.iter().any(is_signed) {
            true => Ok(()),
            false => Err(NotAdmitted::SignatureWrong(self.place().to_owned())),
        }
    }

    /// The parameters without the signature, sorted by name.
    fn sorted(&self, parameters: &[(String, String)]) -> String {
        let is_signature = |name: &str| self.parameter.as_ref().is_some_and(|it| it.eq_ignore_ascii_case(name));
        let mut signed: Vec<_> = parameters.iter().filter(|(name, _)| !is_signature(name)).collect();
        signed.sort();
        signed.iter().map(|(name, value)| format!("{name}={value}")).collect::<Vec<_>>().join("&")
    }
}

impl HmacAlgorithm {
    fn sign(self, secret: &[u8], message: &[u8]) -> Vec<u8> {
        match self {
            Self::Sha1 => hmac::<Hmac<Sha1>>(secret, message),
            Self::Sha256 => hmac::<Hmac<Sha256>>(secret, message),
            Self::Sha512 => hmac::<Hmac<Sha512>>(secret, message),
        }
    }
}

/// The time in a signature: `t=1795183500,v1=…`.
fn time_in(value: &str) -> Option<&str> {
    value.split([',', ';']).find_map(|part| {
        let (name, time) = part.split_once('=')?;
        ["t", "ts"].iter().any(|known| known.eq_ignore_ascii_case(name.trim())).then(|| time.trim())
    })
}

/// Whether a Unix time in seconds or milliseconds is at most `tolerance` seconds away from `at`.
fn is_near(time: &str, at: Timestamp, tolerance: u32) -> bool {
    let Ok(time) = time.parse::<i64>() else { return false };
    let millis = if time.unsigned_abs() > 100_000_000_000 { time } else { time * 1000 };
    at.millis().abs_diff(millis) <= u64::from(tolerance) * 1000
}

/// Hexadecimal, base64 or base64url, with or without padding and a prefix. A header can have several signatures, separated
/// by commas, semicolons or spaces, while the network changes its secret.
fn is_signature(value: &str, wanted: &[u8]) -> bool {
    let hex: String = wanted.iter().map(|byte| format!("{byte:02x}")).collect();
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

fn hmac<M: Mac + KeyInit>(secret: &[u8], message: &[u8]) -> Vec<u8> {
    let mut signature = <M as Mac>::new_from_slice(secret).expect("HMAC takes keys of any length");
    signature.update(message);
    signature.finalize().into_bytes().to_vec()
}

#[cfg(test)]
mod tests {
    use super::*;

    const AT: Timestamp = Timestamp::from_millis(1_795_183_500_000);

    fn credentials<'a>(
        parameter: &'a dyn Fn(&str) -> Option<String>,
        header: &'a dyn Fn(&str) -> Option<&'a str>,
    ) -> Credentials<'a> {
        Credentials { parameter, parameters: &Vec::new, header, remote_ip: None, query: "", body: b"a=1", at: AT }
    }

    fn guard(extra: serde_json::Value) -> HmacGuard {
        let mut guard = serde_json::json!({"secret": "Jefe1234"});
        guard.as_object_mut().unwrap().extend(extra.as_object().unwrap().clone());
        serde_json::from_value(guard).unwrap()
    }

    #[test]
    fn a_signature_is_read_in_every_encoding_and_with_every_prefix() {
        for algorithm in ["sha1", "sha256", "sha512"] {
            let guard = guard(serde_json::json!({"header": "X-S", "algorithm": algorithm}));
            let bytes = guard.algorithm.sign(b"Jefe1234", b"a=1");
            let hex: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
            let (base64, url) = (BASE64.encode(&bytes), URL_SAFE.encode(&bytes));
            for value in [
                hex.clone(),
                hex.to_ascii_uppercase(),
                format!("{algorithm}={hex}"),
                format!("{}={hex}", algorithm.to_ascii_uppercase()),
                format!("V1={hex}"),
                format!("hmac-{algorithm}={base64}"),
                base64.clone(),
                base64.trim_end_matches('=').to_owned(),
                url.clone(),
                url.trim_end_matches('=').to_owned(),
                format!("v1,{base64} v1,{base64}"),
                format!("v1=00,v1={hex}"),
            ] {
                let given = |name: &str| (name == "x-s").then_some(value.as_str());
                assert_eq!(guard.admit(&credentials(&|_| None, &given)), Ok(()), "{value}");
            }
            for value in ["00", &hex[1..], &format!("x{hex}"), ""] {
                let given = |_: &str| Some(value);
                assert!(guard.admit(&credentials(&|_| None, &given)).is_err(), "{value}");
            }
        }
    }

    #[test]
    fn a_standard_webhook_signs_its_id_and_time() {
        let json = serde_json::json!({
            "header": "Webhook-Signature", "signed": "standard_webhooks", "secret": "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw",
        });
        let guard: HmacGuard = serde_json::from_value(json).unwrap();
        let key = BASE64.decode("MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw").unwrap();
        let signature = |time: &str| {
            let message = format!("msg_1.{time}.a=1");
            format!("v1,{}", BASE64.encode(HmacAlgorithm::Sha256.sign(&key, message.as_bytes())))
        };
        let (now, old) = ("1795183500", "1795180000");
        for (time, signed, id, wanted) in [
            (now, now, "msg_1", Ok(())),
            (now, now, "msg_2", Err("signature_wrong")),
            (now, old, "msg_1", Err("signature_wrong")),
            (old, old, "msg_1", Err("signature_expired")),
            (now, now, "", Err("signature_missing")),
        ] {
            let value = signature(signed);
            let given = |name: &str| match name {
                "webhook-signature" => Some(value.as_str()),
                "webhook-timestamp" => Some(time),
                "webhook-id" => Some(id).filter(|id| !id.is_empty()),
                _ => None,
            };
            let found = guard.admit(&credentials(&|_| None, &given)).map_err(|error| error.code());
            assert_eq!(found, wanted, "{time} {signed} {id}");
        }
    }

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
    fn a_signed_time_must_be_near_the_arrival() {
        let sign = |text: &str| {
            let bytes = HmacAlgorithm::Sha256.sign(b"Jefe1234", text.as_bytes());
            bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>()
        };
        let code = |guard: &HmacGuard, signature: &str, time: Option<&str>| {
            let header = |name: &str| if name == "x-s" { Some(signature) } else { time };
            guard.admit(&credentials(&|_| None, &header)).err().map_or("", |error| error.code())
        };
        let inside = guard(serde_json::json!({"header": "X-S", "signed": "timestamp_and_body"}));
        let value = |time: &str| format!("t={time},v1={}", sign(&format!("{time}.a=1")));
        assert_eq!(code(&inside, &value("1795183500"), None), "");
        assert_eq!(code(&inside, &value("1795183201"), None), "");
        assert_eq!(code(&inside, &value("1795183199"), None), "signature_expired");
        assert_eq!(code(&inside, &value("1795183801"), None), "signature_expired");
        assert_eq!(code(&inside, &sign("1795183500.a=1"), None), "signature_missing");
        let other = serde_json::json!({"header": "X-S", "signed": "timestamp_and_body", "timestamp_header": "X-T", "tolerance_secs": 10});
        let other = guard(other);
        for (text, time, wanted) in [
            ("1795183500.a=1", Some("1795183500"), ""),
            ("1795183500000:a=1", Some("1795183500000"), ""),
            ("1795183500a=1", Some("1795183500"), ""),
            ("1795183500.a=1", Some("1795183501"), "signature_wrong"),
            ("1795183480.a=1", Some("1795183480"), "signature_expired"),
            ("1795183500.a=1", None, "signature_missing"),
        ] {
            assert_eq!(code(&other, &sign(text), time), wanted, "{text}");
        }
    }

    #[test]
    fn sorted_parameters_are_signed_without_the_signature() {
        let guard =
            guard(serde_json::json!({"parameter": "sign", "algorithm": "sha512", "signed": "sorted_parameters"}));
        let bytes = guard.algorithm.sign(b"Jefe1234", b"a=1&b=x y");
        let signature: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
        let pairs = [("b", "x y"), ("SIGN", &*signature), ("a", "1")].map(|(n, v)| (n.to_owned(), v.to_owned()));
        let (parameter, all) = (|_: &str| Some(signature.clone()), || pairs.to_vec());
        let given = Credentials { parameters: &all, ..credentials(&parameter, &|_| None) };
        assert_eq!(guard.admit(&given), Ok(()));
        let none = Credentials { parameters: &Vec::new, ..credentials(&parameter, &|_| None) };
        assert_eq!(guard.admit(&none).unwrap_err().code(), "signature_wrong");
    }

    #[test]
    fn a_signature_has_one_place() {
        let issues = |extra| Guards { hmac: Some(Box::new(guard(extra))), ..Guards::default() }.issues();
        assert_eq!(issues(serde_json::json!({"header": "X-S"})), []);
        assert_eq!(issues(serde_json::json!({"parameter": "sign"})), []);
        for (extra, path) in [
            (serde_json::json!({}), "/hmac/header"),
            (serde_json::json!({"header": "X-S", "parameter": "sign"}), "/hmac/header"),
            (serde_json::json!({"header": "a b"}), "/hmac/header"),
            (serde_json::json!({"header": "X-S", "timestamp_header": "a b"}), "/hmac/timestamp_header"),
            (serde_json::json!({"header": "X-S", "tolerance_secs": 0}), "/hmac/tolerance_secs"),
        ] {
            assert_eq!(issues(extra)[0].0, path);
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
        let signature = HmacAlgorithm::Sha256.sign(b"Jefe1234", b"a=1");
        let hex: String = signature.iter().map(|byte| format!("{byte:02X}")).collect();
        let code = |ip: Option<&str>, token: Option<&str>, header: Option<&str>| {
            let parameter = |name: &str| token.filter(|_| name == "token").map(str::to_owned);
            let header = |name: &str| header.filter(|_| name == "x-signature");
            let remote_ip = ip.map(|ip| ip.parse().unwrap());
            let given = Credentials { remote_ip, ..credentials(&parameter, &header) };
            guards.admit(&given).err().map_or("", |error| error.code())
        };
        let (ip, token) = (Some("203.0.113.9"), Some("first-secret"));
        assert_eq!(code(ip, token, Some(&hex)), "");
        assert_eq!(code(ip, token, Some(&format!("sha256={hex}"))), "");
        assert_eq!(code(ip, token, Some(&BASE64.encode(&signature))), "");
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
        let hex = |bytes: Vec<u8>| bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
        let hmac_sha256 = |secret: &[u8], message: &[u8]| HmacAlgorithm::Sha256.sign(secret, message);
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
