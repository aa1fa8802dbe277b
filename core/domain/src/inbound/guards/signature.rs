//! Signatures of networks: HMAC, and hashes of parameters with a secret among them.

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD as BASE64, URL_SAFE};
use hmac::digest::KeyInit;
use hmac::{Hmac, Mac};
use serde::{Deserialize, Serialize};
use sha1::Sha1;
use sha2::{Digest, Sha256, Sha512};

use super::request::{Credentials, NotAdmitted};
use crate::timestamp::Timestamp;

/// The tolerance of a time that is signed, if the guard names none.
const TOLERANCE_SECS: u32 = 300;
/// The allowed number of characters of a signed text, and of one parameter in it.
const TEXT_CHARS: std::ops::RangeInclusive<usize> = 1..=500;
const EACH_CHARS: std::ops::RangeInclusive<usize> = 1..=100;
/// The names that are no parameters in a hashed text.
const SECRET: &str = "secret";
const EACH: &str = "each";

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
    /// With `text`: the signed text, 1 to 500 characters, in which the name of a parameter in braces stands for its value:
    /// `{user_id}:{amount}`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(min_length = 1, max_length = 500, example = "{user_id}:{amount}")]
    pub text: Option<String>,
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
    /// The pattern in `text`.
    Text,
    /// An id, a time and the body, as Standard Webhooks and Svix sign them. The headers of id and time are named like that of
    /// the signature: `webhook-id`, `webhook-timestamp` and `webhook-signature`. The secret is base64, with or without
    /// `whsec_`.
    StandardWebhooks,
}

/// A header or parameter that must contain a hash of parameters and a secret, for networks that do not use HMAC: in hexadecimal or
/// base64.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct HashGuard {
    /// Name of the header with the hash; absent if a parameter has it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub header: Option<String>,
    /// Name of the parameter with the hash, in query, form or JSON; absent if a header has it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(min_length = 1, max_length = 100)]
    pub parameter: Option<String>,
    /// The secret in the hashed text, with 8 to 200 characters; masked in responses.
    #[schema(min_length = 8, max_length = 200)]
    pub secret: String,
    /// The hash function.
    pub algorithm: HashAlgorithm,
    /// The hashed text, 1 to 500 characters: `{secret}` stands for the secret, the name of a parameter in braces for its value, and
    /// `{each}` for all parameters.
    #[schema(min_length = 1, max_length = 500, example = "{user_id}-{amount}-{secret}")]
    pub text: String,
    /// How `{each}` writes one parameter, 1 to 100 characters: `{name}` and `{value}` stand for its name and value, `{secret}`
    /// for the secret. The parameters are sorted by name; the hash is not one of them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(min_length = 1, max_length = 100, example = "{name}={value}{secret}")]
    pub each: Option<String>,
    /// Whether `{each}` leaves out parameters without a value; false if absent.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub without_empty: bool,
    /// How many characters of the hexadecimal hash the network sends, 8 to 128; all if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(minimum = 8, maximum = 128)]
    pub characters: Option<u8>,
}

/// A hash function.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum HashAlgorithm {
    /// MD5. It is broken for other purposes, but many networks offer nothing else.
    Md5,
    /// SHA-1.
    Sha1,
    /// SHA-256.
    Sha256,
    /// SHA-512.
    Sha512,
}

fn is_header_name(name: &str) -> bool {
    !name.is_empty() && name.len() <= 100 && name.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_".contains(&b))
}

/// Compares in constant time.
pub(super) fn same(a: &[u8], b: &[u8]) -> bool {
    let (a, b) = (Sha256::digest(a), Sha256::digest(b));
    a.iter().zip(b.iter()).fold(0, |differences, (a, b)| differences | (a ^ b)) == 0
}

impl HmacGuard {
    /// The header or parameter with the signature.
    pub fn place(&self) -> Place<'_> {
        Place { header: self.header.as_deref(), parameter: self.parameter.as_deref() }
    }

    pub(super) fn admit(&self, given: &Credentials<'_>) -> Result<(), NotAdmitted> {
        let missing = |place: &str| NotAdmitted::SignatureMissing(place.to_owned());
        let place = self.place();
        let value = place.value(given)?;
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
            Signed::SortedParameters => {
                let pairs: Vec<_> = place.sorted(given).iter().map(|(name, value)| format!("{name}={value}")).collect();
                vec![pairs.join("&").into_bytes()]
            }
            Signed::Text => {
                let value = |name: &str| (given.parameter)(name);
                vec![fill(self.text.as_deref().unwrap_or_default(), value).into_bytes()]
            }
            Signed::TimestampAndBody => {
                let time = match &self.timestamp_header {
                    Some(header) => {
                        let found = (given.header)(&header.to_ascii_lowercase()).map(str::trim);
                        found.ok_or_else(|| missing(header))?
                    }
                    None => time_in(&value).ok_or_else(|| missing(place.name()))?,
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
            false => Err(NotAdmitted::SignatureWrong(place.name().to_owned())),
        }
    }

    /// Everything that is invalid: JSON pointers within the guard, and sentences.
    pub(super) fn issues(&self) -> Vec<(&'static str, &'static str)> {
        let mut issues: Vec<_> = self.place().issue().into_iter().collect();
        let mut add = |path, sentence| issues.push((path, sentence));
        let is_named = |header: &String| header.to_ascii_lowercase().ends_with("signature");
        if self.signed == Signed::StandardWebhooks && !self.header.as_ref().is_some_and(is_named) {
            add("/header", "standard_webhooks needs the header of the signature, such as webhook-signature");
        }
        if self.timestamp_header.as_ref().is_some_and(|it| !is_header_name(it)) {
            add("/timestamp_header", "must be the name of a header, such as X-Timestamp");
        }
        if self.tolerance_secs.is_some_and(|secs| !(1..=86_400).contains(&secs)) {
            add("/tolerance_secs", "must be 1 to 86400 seconds");
        }
        match &self.text {
            Some(text) if !TEXT_CHARS.contains(&text.chars().count()) => add("/text", "must have 1 to 500 characters"),
            None if self.signed == Signed::Text => add("/text", "write the signed text, such as {user_id}:{amount}"),
            _ => {}
        }
        issues
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

impl HashGuard {
    /// The header or parameter with the hash.
    pub fn place(&self) -> Place<'_> {
        Place { header: self.header.as_deref(), parameter: self.parameter.as_deref() }
    }

    pub(super) fn admit(&self, given: &Credentials<'_>) -> Result<(), NotAdmitted> {
        let place = self.place();
        let value = place.value(given)?;
        let hash = self.algorithm.hash(self.hashed_text(given).as_bytes());
        let is_hash = match self.characters {
            Some(characters) => {
                let hex = hex(&hash);
                let beginning = &hex[..hex.len().min(characters.into())];
                same(value.trim().to_ascii_lowercase().as_bytes(), beginning.as_bytes())
            }
            None => is_signature(&value, &hash),
        };
        match is_hash {
            true => Ok(()),
            false => Err(NotAdmitted::SignatureWrong(place.name().to_owned())),
        }
    }

    fn hashed_text(&self, given: &Credentials<'_>) -> String {
        fill(&self.text, |name| match (name, &self.each) {
            (SECRET, _) => Some(self.secret.clone()),
            (EACH, Some(each)) => Some(self.all_parameters(each, given)),
            _ => (given.parameter)(name),
        })
    }

    fn all_parameters(&self, each: &str, given: &Credentials<'_>) -> String {
        let write = |(name, value): &(String, String)| {
            fill(each, |part| match part {
                SECRET => Some(self.secret.clone()),
                "name" => Some(name.clone()),
                "value" => Some(value.clone()),
                _ => None,
            })
        };
        let sorted = self.place().sorted(given);
        sorted.iter().filter(|(_, value)| !self.without_empty || !value.is_empty()).map(write).collect()
    }

    /// Everything that is invalid: JSON pointers within the guard, and sentences.
    pub(super) fn issues(&self) -> Vec<(&'static str, &'static str)> {
        let mut issues: Vec<_> = self.place().issue().into_iter().collect();
        let mut add = |path, sentence| issues.push((path, sentence));
        let each = self.each.as_deref().unwrap_or_default();
        if !TEXT_CHARS.contains(&self.text.chars().count()) {
            add("/text", "must have 1 to 500 characters");
        }
        if self.each.is_some() && !EACH_CHARS.contains(&each.chars().count()) {
            add("/each", "must have 1 to 100 characters");
        }
        match (self.text.contains("{each}"), &self.each) {
            (true, None) => add("/each", "{each} in the text needs each, such as {name}={value}"),
            (false, Some(_)) => add("/each", "has no effect, because {each} is not in the text"),
            _ => {}
        }
        // Without it, everybody could compute the hash.
        if !self.text.contains("{secret}") && !each.contains("{secret}") {
            add("/text", "must contain {secret}, so that only the network can compute the hash");
        }
        if self.characters.is_some_and(|it| !(8..=128).contains(&it)) {
            add("/characters", "must be 8 to 128");
        }
        issues
    }
}

impl HashAlgorithm {
    fn hash(self, text: &[u8]) -> Vec<u8> {
        match self {
            Self::Md5 => <md5::Md5 as md5::Digest>::digest(text).to_vec(),
            Self::Sha1 => Sha1::digest(text).to_vec(),
            Self::Sha256 => Sha256::digest(text).to_vec(),
            Self::Sha512 => Sha512::digest(text).to_vec(),
        }
    }
}

/// The header or parameter in which a network sends a signature.
#[derive(Clone, Copy, Debug)]
pub struct Place<'a> {
    header: Option<&'a str>,
    parameter: Option<&'a str>,
}

impl<'a> Place<'a> {
    /// Its name.
    pub fn name(self) -> &'a str {
        self.header.or(self.parameter).unwrap_or_default()
    }

    fn value(self, given: &Credentials<'_>) -> Result<String, NotAdmitted> {
        let value = match (self.header, self.parameter) {
            (Some(header), _) => (given.header)(&header.to_ascii_lowercase()).map(str::to_owned),
            (None, Some(parameter)) => (given.parameter)(parameter),
            (None, None) => None,
        };
        value.filter(|it| !it.is_empty()).ok_or_else(|| NotAdmitted::SignatureMissing(self.name().to_owned()))
    }

    /// The parameters without the signature, sorted by name.
    fn sorted(self, given: &Credentials<'_>) -> Vec<(String, String)> {
        let mut pairs = (given.parameters)();
        pairs.retain(|(name, _)| !self.parameter.is_some_and(|it| it.eq_ignore_ascii_case(name)));
        pairs.sort();
        pairs
    }

    fn issue(self) -> Option<(&'static str, &'static str)> {
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
fn fill(pattern: &str, value: impl Fn(&str) -> Option<String>) -> String {
    let mut filled = String::new();
    let mut rest = pattern;
    while let Some((before, after)) = rest.split_once('{') {
        let Some((name, tail)) = after.split_once('}') else { break };
        filled.push_str(before);
        filled.push_str(&value(name).unwrap_or_default());
        rest = tail;
    }
    filled + rest
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
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

    /// Whether the guard admits a request with these parameters.
    fn is_admitted(guard: &HashGuard, pairs: &[(&str, &str)]) -> bool {
        let all: Vec<_> = pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        let parameter = |name: &str| all.iter().find(|(known, _)| known == name).map(|(_, value)| value.clone());
        let list = || all.clone();
        guard.admit(&Credentials { parameters: &list, ..credentials(&parameter, &|_| None) }).is_ok()
    }

    /// The hashes were computed by another program.
    #[test]
    fn a_hash_is_one_of_the_parameters_and_the_secret() {
        let read = |guard| serde_json::from_value::<HashGuard>(guard).unwrap();
        // Reward networks: MD5 of a few parameters.
        let rewards = read(serde_json::json!({
            "parameter": "sig", "secret": "s3cret-word", "algorithm": "md5", "text": "{user}-{amount}-{secret}",
        }));
        let sig = "f41e986739822ed81ae0aae0bc98d7cf";
        assert!(is_admitted(&rewards, &[("user", "u1"), ("amount", "12.50"), ("sig", sig)]));
        assert!(is_admitted(&rewards, &[("user", "u1"), ("amount", "12.50"), ("sig", &sig.to_ascii_uppercase())]));
        assert!(!is_admitted(&rewards, &[("user", "u1"), ("amount", "99.50"), ("sig", sig)]));
        assert!(!is_admitted(&rewards, &[("user", "u1"), ("amount", "12.50"), ("sig", &sig[..8])]));
        // Digistore24: names and values, each followed by the secret, without empty values.
        let digistore = read(serde_json::json!({
            "parameter": "sha_sign", "secret": "s3cret-word", "algorithm": "sha512",
            "text": "{each}", "each": "{name}={value}{secret}", "without_empty": true,
        }));
        let sign = "2C6FBE2971F62144128C7D058B864B5E76824BC76C7019E5A716D4295D1EBE3954DC97D545BEE8ED34CABD9A160CC37D2892ADF05D53CC95EF04C2C907B89AB0";
        let pairs = |amount| [("event", "on_payment"), ("sha_sign", sign), ("amount", amount), ("custom", "")];
        assert!(is_admitted(&digistore, &pairs("49.00")));
        assert!(!is_admitted(&digistore, &pairs("4900")));
        // JVZoo: the values and the secret, and the beginning of the hash in capitals.
        let jvzoo = read(serde_json::json!({
            "parameter": "cverify", "secret": "s3cret-word", "algorithm": "sha1",
            "text": "{each}{secret}", "each": "{value}|", "characters": 8,
        }));
        let verify = "49929A02";
        let pairs = |kind, verify| [("ctransaction", kind), ("cverify", verify), ("caffitid", ""), ("ctransamount", "4900")];
        assert!(is_admitted(&jvzoo, &pairs("SALE", verify)));
        assert!(!is_admitted(&jvzoo, &pairs("RFND", verify)));
        assert!(!is_admitted(&jvzoo, &pairs("SALE", &verify[..4])));
    }

    #[test]
    fn an_hmac_can_sign_a_pattern() {
        let guard = guard(serde_json::json!({"parameter": "sign", "signed": "text", "text": "{user}:{amount}"}));
        let signature = hex(&guard.algorithm.sign(b"Jefe1234", b"u1:12.50"));
        let parameter = |name: &str| match name {
            "user" => Some("u1".to_owned()),
            "amount" => Some("12.50".to_owned()),
            "sign" => Some(signature.clone()),
            _ => None,
        };
        assert_eq!(guard.admit(&credentials(&parameter, &|_| None)), Ok(()));
        let other = |name: &str| if name == "user" { Some("u2".to_owned()) } else { parameter(name) };
        assert_eq!(guard.admit(&credentials(&other, &|_| None)).unwrap_err().code(), "signature_wrong");
    }
}
