//! HMAC signatures of networks.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use hmac::digest::KeyInit;
use hmac::{Hmac, Mac};
use serde::{Deserialize, Serialize};
use sha1::Sha1;
use sha2::{Sha256, Sha512};

use super::place::{Place, TEXT_CHARS, fill, hex, is_header_name, is_signature};
use super::request::{Credentials, NotAdmitted};
use crate::timestamp::Timestamp;

/// The tolerance of a time that is signed, if the guard names none.
const TOLERANCE_SECS: u32 = 300;
/// The header of [`HmacGuard::proof`], which only stored requests have.
pub(crate) const PROOF: &str = "postrider-signed-url";

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
    /// The whole address with its query as the network called it, without the parameter of the signature. The request has no
    /// body.
    Url,
    /// An id, a time and the body, as Standard Webhooks and Svix sign them. The headers of id and time are named like that of
    /// the signature: `webhook-id`, `webhook-timestamp` and `webhook-signature`. The secret is base64, with or without
    /// `whsec_`.
    StandardWebhooks,
}

impl HmacGuard {
    /// The header or parameter with the signature.
    pub fn place(&self) -> Place<'_> {
        Place { header: self.header.as_deref(), parameter: self.parameter.as_deref() }
    }

    pub(super) fn admit(&self, given: &Credentials<'_>, token: Option<&str>) -> Result<(), NotAdmitted> {
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
                let signed = place.signed(given, token)?;
                let pairs: Vec<_> = signed.iter().map(|(name, value)| format!("{name}={value}")).collect();
                vec![pairs.join("&").into_bytes()]
            }
            Signed::Text => {
                place.signed(given, token)?;
                let value = |name: &str| (given.parameter)(name);
                vec![fill(self.text.as_deref().unwrap_or_default(), value).into_bytes()]
            }
            Signed::Url if !given.body.is_empty() => return Err(place.wrong()),
            Signed::Url if given.addresses.is_empty() => {
                let is_proved =
                    (given.header)(PROOF).is_some_and(|proof| is_signature(proof, &self.prove(given.query)));
                return if is_proved { Ok(()) } else { Err(place.wrong()) };
            }
            Signed::Url => {
                let query = place.query_without(given.query).ok_or_else(|| place.wrong())?;
                let address = |address: &String| match query.as_str() {
                    "" => address.clone().into_bytes(),
                    query => format!("{address}?{query}").into_bytes(),
                };
                given.addresses.iter().map(address).collect()
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
        if messages.iter().any(is_signed) { Ok(()) } else { Err(place.wrong()) }
    }

    /// The header with the proof that an admitted request was signed, for [`Signed::Url`]: the stored request lacks the address,
    /// which holds the source's key, and its guards are checked again each time it is processed.
    pub(super) fn proof(&self, query: &str) -> Option<(String, String)> {
        (self.signed == Signed::Url).then(|| (PROOF.to_owned(), hex(&self.prove(query))))
    }

    /// No network signs such a text, because an address does not begin like this.
    fn prove(&self, query: &str) -> Vec<u8> {
        HmacAlgorithm::Sha256.sign(self.secret.as_bytes(), format!("admitted:{query}").as_bytes())
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

fn hmac<M: Mac + KeyInit>(secret: &[u8], message: &[u8]) -> Vec<u8> {
    let mut signature = <M as Mac>::new_from_slice(secret).expect("HMAC takes keys of any length");
    signature.update(message);
    signature.finalize().into_bytes().to_vec()
}

#[cfg(test)]
mod tests {
    use base64::engine::general_purpose::URL_SAFE;

    use super::super::request::samples::credentials;
    use super::*;

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
                assert_eq!(guard.admit(&credentials(&|_| None, &given), None), Ok(()), "{value}");
            }
            for value in ["00", &hex[1..], &format!("x{hex}"), ""] {
                let given = |_: &str| Some(value);
                assert!(guard.admit(&credentials(&|_| None, &given), None).is_err(), "{value}");
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
            let found = guard.admit(&credentials(&|_| None, &given), None).map_err(|error| error.code());
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
            guard.admit(&credentials(&|_| None, &header), None).err().map_or("", |error| error.code())
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
        let (parameter, all) = (|_: &str| Some(signature.clone()), || Some(pairs.to_vec()));
        let given = Credentials { parameters: &all, ..credentials(&parameter, &|_| None) };
        assert_eq!(guard.admit(&given, None), Ok(()));
        let none = Credentials { parameters: &|| Some(Vec::new()), ..credentials(&parameter, &|_| None) };
        assert_eq!(guard.admit(&none, None).unwrap_err().code(), "signature_wrong");
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
        assert_eq!(guard.admit(&credentials(&parameter, &|_| None), None), Ok(()));
        let other = |name: &str| if name == "user" { Some("u2".to_owned()) } else { parameter(name) };
        assert_eq!(guard.admit(&credentials(&other, &|_| None), None).unwrap_err().code(), "signature_wrong");
    }

    #[test]
    fn the_address_is_signed_with_its_query() {
        let guard = guard(serde_json::json!({"parameter": "hash", "algorithm": "sha1", "signed": "url"}));
        let address = "https://postbacks.example.com/in/k";
        let sign = |text: &str| hex(&HmacAlgorithm::Sha1.sign(b"Jefe1234", text.as_bytes()));
        let signature = sign(&format!("{address}?uid=u%201&val=12.50"));
        let addresses = ["https://other.example.com/in/k".to_owned(), address.to_owned()];
        let code = |query: &str, body: &[u8], addresses: &[String], proof: Option<&str>| {
            let parameter = |name: &str| (name == "hash").then(|| signature.clone());
            let header = |name: &str| proof.filter(|_| name == PROOF);
            let given = Credentials { query, body, addresses, ..credentials(&parameter, &header) };
            guard.admit(&given, None).err().map_or("", |error| error.code())
        };
        let query = format!("uid=u%201&val=12.50&hash={signature}");
        assert_eq!(code(&query, b"", &addresses, None), "");
        assert_eq!(code(&format!("hash={signature}&uid=u%201&val=12.50"), b"", &addresses, None), "");
        assert_eq!(code(&query.replace("12.50", "99"), b"", &addresses, None), "signature_wrong");
        assert_eq!(code(&query, b"status=approved", &addresses, None), "signature_wrong");
        assert_eq!(code(&query, b"", &addresses[..1], None), "signature_wrong");
        // Nothing hides in or beside the signature, which is not signed.
        for hidden in ["?val=99", "%3Fval=99", "¤cy=EUR", "%C2%A4cy=EUR", "&hash=1", "&HASH=1"] {
            assert_eq!(code(&format!("{query}{hidden}"), b"", &addresses, None), "signature_wrong", "{hidden}");
        }
        // A stored request has its proof instead of the address; another request has no use for one.
        let (_, proof) = guard.proof(&query).expect("the address is signed");
        assert_eq!(code(&query, b"", &[], Some(&proof)), "");
        assert_eq!(code(&query, b"", &addresses[..1], Some(&proof)), "signature_wrong");
        assert_eq!(code(&query, b"", &[], None), "signature_wrong");
        assert_eq!(code(&query.replace("12.50", "99"), b"", &[], Some(&proof)), "signature_wrong");
    }
}
