//! Placeholders: replaces them by secrets in a finished request, and masks secrets in answers, errors and logs.

use std::borrow::Cow;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use hmac::Mac;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::Value;
use url::Url;

use crate::delivery::wire;
use domain::people::masking;
use domain::timestamp::Timestamp;
use egress::{Answer, Outgoing};
use host::{AdapterError, wire as contract};

use super::SecretError;
use super::key::mac;

/// Secrets with fewer bytes are not masked, because they occur in texts by chance.
const SHORTEST_TO_MASK: usize = 6;

/// The unreserved characters of RFC 3986 are not encoded.
const URL_VALUE: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');
const URL_PATH: &AsciiSet = &URL_VALUE.remove(b'/');

/// A secret in plain text, and its placeholder.
#[derive(Clone)]
pub(super) struct Secret {
    pub placeholder: String,
    pub value: String,
}

/// The placeholders of one configuration, with their secrets.
#[derive(Clone, Default)]
pub struct Placeholders {
    pub(super) secrets: Vec<Secret>,
}

/// The destinations to which the secrets of a request may be sent.
pub struct Destinations<'a> {
    /// Host names that the adapter declares. "*" permits the host of the configuration.
    pub hosts: &'a [String],
    /// Origins to which the secrets are bound.
    pub origins: &'a [String],
}

impl Destinations<'_> {
    fn check(&self, url: &Url) -> Result<(), SecretError> {
        let origin = url.origin().ascii_serialization();
        let host = url.host_str().unwrap_or_default();
        let declared = self.hosts.iter().any(|it| it != "*" && it.eq_ignore_ascii_case(host));
        if declared || (self.hosts.iter().any(|it| it == "*") && self.origins.contains(&origin)) {
            return Ok(());
        }
        let mut allowed: Vec<_> = self.hosts.iter().filter(|it| *it != "*").cloned().collect();
        allowed.extend_from_slice(self.origins);
        let allowed = if allowed.is_empty() { "nowhere yet".to_owned() } else { allowed.join(", ") };
        Err(SecretError::OriginRefused { origin, allowed })
    }
}

impl Placeholders {
    /// Whether a request contains a secret or is signed with one.
    pub(crate) fn uses_secrets(&self, request: &contract::Request) -> bool {
        let in_text = |text: &str| self.secrets.iter().any(|it| text.contains(&it.placeholder));
        !request.sign_with.is_empty()
            || in_text(&request.url)
            || request.headers.iter().any(|it| in_text(&it.value))
            || request
                .body
                .as_ref()
                .is_some_and(|it| in_text(&it.content_type) || in_text(&String::from_utf8_lossy(&it.bytes)))
    }

    /// The finished request: with its secrets, and signed if the adapter requested a signature.
    ///
    /// # Errors
    ///
    /// A secret may not be sent to this destination, or it cannot be used at its place.
    pub fn reveal(
        &self,
        request: &contract::Request,
        destinations: &Destinations<'_>,
        id: &str,
        now: Timestamp,
    ) -> Result<Outgoing, SecretError> {
        let mut outgoing = wire::request(request);
        if !self.uses_secrets(request) {
            return Ok(outgoing);
        }
        let unusable = |place, reason| SecretError::Unusable { place, reason };
        let url = Url::parse(&request.url).map_err(|_| unusable("in the URL", "the URL is not valid"))?;
        destinations.check(&url)?;
        if self.secrets.iter().any(|it| url.host_str().is_some_and(|host| host.contains(&it.placeholder))) {
            return Err(unusable("as a host name", "it would determine the destination of the request"));
        }
        outgoing.url = self.replace_in_url(&outgoing.url);
        for (_, value) in &mut outgoing.headers {
            *value = self.replace(value, str::to_owned);
            if !value.bytes().all(|byte| byte == b'\t' || (0x20..0x7f).contains(&byte)) {
                return Err(unusable("in a header", "it has characters that HTTP does not allow there"));
            }
        }
        if let Some((content_type, bytes)) = &mut outgoing.body {
            let kind = content_type.to_ascii_lowercase();
            if let Ok(text) = std::str::from_utf8(bytes) {
                *bytes = self.replace(text, |value| encoded_for(&kind, value)).into_bytes();
            }
        }
        if !request.sign_with.is_empty() {
            self.sign(request, &mut outgoing, id, now)?;
        }
        Ok(outgoing)
    }

    /// Standard Webhooks 1.0: `webhook-id`, `webhook-timestamp` and a `webhook-signature` for each secret.
    fn sign(
        &self,
        request: &contract::Request,
        outgoing: &mut Outgoing,
        id: &str,
        now: Timestamp,
    ) -> Result<(), SecretError> {
        let timestamp = now.millis().div_euclid(1_000);
        let body = outgoing.body.as_ref().map_or(&[][..], |(_, bytes)| bytes);
        let content = [format!("{id}.{timestamp}.").as_bytes(), body].concat();
        let mut signatures = Vec::with_capacity(request.sign_with.len());
        for placeholder in &request.sign_with {
            let secret =
                self.secrets.iter().find(|it| it.placeholder == *placeholder).ok_or(SecretError::Unusable {
                    place: "to sign",
                    reason: "the adapter named something that is not a secret of the configuration",
                })?;
            let key = signing_key(&secret.value)?;
            let mut signature = mac(&key);
            signature.update(&content);
            signatures.push(format!("v1,{}", BASE64.encode(signature.finalize().into_bytes())));
        }
        let headers = [
            ("webhook-id", id.to_owned()),
            ("webhook-timestamp", timestamp.to_string()),
            ("webhook-signature", signatures.join(" ")),
        ];
        outgoing.headers.retain(|(name, _)| !headers.iter().any(|(ours, _)| name.eq_ignore_ascii_case(ours)));
        outgoing.headers.extend(headers.map(|(name, value)| (name.to_owned(), value)));
        Ok(())
    }

    /// Replaces placeholders in a URL. A whole path may be a secret, as for webhooks, so slashes in the path are not
    /// encoded.
    fn replace_in_url(&self, url: &str) -> String {
        let (path, query) = url.split_at(url.find('?').unwrap_or(url.len()));
        let path = self.replace(path, |value| utf8_percent_encode(value, URL_PATH).to_string());
        path + &self.replace(query, |value| utf8_percent_encode(value, URL_VALUE).to_string())
    }

    fn replace(&self, text: &str, write: impl Fn(&str) -> String) -> String {
        let mut text = text.to_owned();
        for secret in &self.secrets {
            if text.contains(&secret.placeholder) {
                text = text.replace(&secret.placeholder, &write(&secret.value));
            }
        }
        text
    }

    /// Masks placeholders and secrets, in any encoding, in a text that people or adapters read.
    pub fn mask<'a>(&self, text: &'a str) -> Cow<'a, str> {
        if self.secrets.is_empty() {
            return Cow::Borrowed(text);
        }
        let values = self.secrets.iter().map(|it| it.value.as_str()).filter(|it| it.len() >= SHORTEST_TO_MASK);
        let names: Vec<&str> = self.secrets.iter().map(|it| it.placeholder.as_str()).chain(values).collect();
        let masked = masking::mask(text, &names);
        if masked == text { Cow::Borrowed(text) } else { Cow::Owned(masked) }
    }

    /// Masks placeholders that an adapter quoted in an error.
    pub(crate) fn redact(&self, error: AdapterError) -> AdapterError {
        let hide = |text: String| self.mask(&text).into_owned();
        match error {
            AdapterError::Refused { kind, message, path } => {
                AdapterError::Refused { kind, message: hide(message), path: path.map(hide) }
            }
            other => other,
        }
    }

    /// Masks secrets in an answer, which may quote the request.
    pub(crate) fn mask_answer(&self, answer: &mut Answer) {
        if self.secrets.is_empty() {
            return;
        }
        for (_, value) in &mut answer.headers {
            *value = self.mask(value).into_owned();
        }
        let text = String::from_utf8_lossy(&answer.body);
        if let Cow::Owned(masked) = self.mask(&text) {
            answer.body = masked.into_bytes();
        }
    }
}

/// A secret in the encoding of a body's content type.
fn encoded_for(content_type: &str, value: &str) -> String {
    if content_type.contains("json") {
        let text = Value::from(value).to_string();
        text[1..text.len() - 1].to_owned()
    } else if content_type.contains("x-www-form-urlencoded") {
        url::form_urlencoded::byte_serialize(value.as_bytes()).collect()
    } else {
        value.to_owned()
    }
}

/// The signing key: a secret is `whsec_` with the key in base64, or the key itself.
fn signing_key(secret: &str) -> Result<Vec<u8>, SecretError> {
    let Some(text) = secret.strip_prefix("whsec_") else { return Ok(secret.as_bytes().to_vec()) };
    BASE64
        .decode(text)
        .map_err(|_| SecretError::Unusable { place: "to sign", reason: "what follows whsec_ is not base64" })
}
