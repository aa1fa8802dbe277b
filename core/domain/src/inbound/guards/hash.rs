//! Hashes of parameters with a secret among them, for networks that do not use HMAC.

use serde::{Deserialize, Serialize};
use sha1::Sha1;
use sha2::{Digest, Sha256, Sha512};

use super::place::{Place, TEXT_CHARS, fill, has_name, hex, is_signature, same};
use super::request::{Credentials, NotAdmitted};

/// The allowed number of characters of the pattern of one parameter.
const EACH_CHARS: std::ops::RangeInclusive<usize> = 1..=100;
/// The names that are no parameters in a hashed text.
const SECRET: &str = "secret";
const EACH: &str = "each";

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

impl HashGuard {
    /// The header or parameter with the hash.
    pub fn place(&self) -> Place<'_> {
        Place { header: self.header.as_deref(), parameter: self.parameter.as_deref() }
    }

    pub(super) fn admit(&self, given: &Credentials<'_>, token: Option<&str>) -> Result<(), NotAdmitted> {
        let place = self.place();
        let value = place.value(given)?;
        let signed = place.signed(given, token)?;
        let each = self.each.as_deref().map(|each| self.all_parameters(each, &signed));
        // Without the secret in the text, everybody could compute the hash.
        if !has_name(&self.text, SECRET) && each.as_ref().is_none_or(String::is_empty) {
            return Err(place.wrong());
        }
        let text = fill(&self.text, |name| match (name, &each) {
            (SECRET, _) => Some(self.secret.clone()),
            (EACH, Some(each)) => Some(each.clone()),
            _ => (given.parameter)(name),
        });
        let hash = self.algorithm.hash(text.as_bytes());
        let is_hash = match self.characters {
            Some(characters) => {
                let hex = hex(&hash);
                let beginning = &hex[..hex.len().min(characters.into())];
                same(value.trim().to_ascii_lowercase().as_bytes(), beginning.as_bytes())
            }
            None => is_signature(&value, &hash),
        };
        if is_hash { Ok(()) } else { Err(place.wrong()) }
    }

    fn all_parameters(&self, each: &str, signed: &[(String, String)]) -> String {
        let write = |(name, value): &(String, String)| {
            fill(each, |part| match part {
                SECRET => Some(self.secret.clone()),
                "name" => Some(name.clone()),
                "value" => Some(value.clone()),
                _ => None,
            })
        };
        signed.iter().filter(|(_, value)| !self.without_empty || !value.is_empty()).map(write).collect()
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
        let has_each = has_name(&self.text, EACH);
        match (has_each, &self.each) {
            (true, None) => add("/each", "{each} in the text needs each, such as {name}={value}"),
            (false, Some(_)) => add("/each", "has no effect, because {each} is not in the text"),
            _ => {}
        }
        let has_secret = has_name(&self.text, SECRET) || has_each && has_name(each, SECRET);
        if !has_secret {
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

#[cfg(test)]
mod tests {
    use super::super::request::samples::credentials;
    use super::*;

    /// Whether the guard admits a request with these parameters.
    fn is_admitted(guard: &HashGuard, pairs: &[(&str, &str)]) -> bool {
        let all: Vec<_> = pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        let parameter = |name: &str| all.iter().find(|(known, _)| known == name).map(|(_, value)| value.clone());
        let list = || Some(all.clone());
        let header = |_: &str| None;
        let given = Credentials { parameters: &list, body: b"", ..credentials(&parameter, &header) };
        guard.admit(&given, None).is_ok()
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
        // The hash of nothing needs no secret.
        let nothing = Sha512::digest(b"").iter().map(|byte| format!("{byte:02X}")).collect::<String>();
        assert!(!is_admitted(&digistore, &[("sha_sign", &nothing), ("custom", "")]));
        // JVZoo: the values and the secret, and the beginning of the hash in capitals.
        let jvzoo = read(serde_json::json!({
            "parameter": "cverify", "secret": "s3cret-word", "algorithm": "sha1",
            "text": "{each}{secret}", "each": "{value}|", "characters": 8,
        }));
        let verify = "49929A02";
        let pairs =
            |kind, verify| [("ctransaction", kind), ("cverify", verify), ("caffitid", ""), ("ctransamount", "4900")];
        assert!(is_admitted(&jvzoo, &pairs("SALE", verify)));
        assert!(!is_admitted(&jvzoo, &pairs("RFND", verify)));
        assert!(!is_admitted(&jvzoo, &pairs("SALE", &verify[..4])));
    }
}
