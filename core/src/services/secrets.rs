//! Secrets of configurations: sealed where they are stored, `••••` where they are shown, a placeholder where an
//! adapter sees them, and themselves only in a finished request to where they may go.

use std::borrow::Cow;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use chacha20poly1305::aead::{Aead, KeyInit, Payload};
use chacha20poly1305::{XChaCha20Poly1305, XNonce};
use hmac::{Hmac, Mac};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::{Map, Value, json};
use sha2::Sha256;
use url::Url;

use crate::adapters::{AdapterError, Schema, wire as contract};
use crate::clock::Timestamp;
use crate::domain::guards::{self, Guards};
use crate::domain::masking;
use crate::egress::{Answer, Outgoing};

use super::{FieldIssue, wire};

/// A sealed secret is an object with this one member.
const SEALED: &str = "$sealed";
const NONCE_BYTES: usize = 24;
const DOTS: &str = "••••";
/// Shorter secrets are shown without their end.
const CHARS_TO_SHOW_END: usize = 12;
const SHOWN_END: usize = 4;
/// Shorter ones occur in any text by chance, and no destination takes them for a secret.
const SHORTEST_TO_MASK: usize = 6;

/// RFC 3986's unreserved characters stay as they are.
const URL_VALUE: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');
const URL_PATH: &AsciiSet = &URL_VALUE.remove(b'/');

#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SecretError {
    #[error(
        "a stored secret can't be opened with this server's key; start it with the secret_key that it was saved with, or enter the secret again"
    )]
    Unreadable,
    #[error(
        "a secret may not be sent to {origin}, only to {allowed}; enter the secret again to send it somewhere else"
    )]
    OriginRefused { origin: String, allowed: String },
    #[error("a secret can't be used {place}: {reason}; enter another one")]
    Unusable { place: &'static str, reason: &'static str },
}

impl SecretError {
    pub fn code(&self) -> &'static str {
        match self {
            Self::Unreadable => "secret_unreadable",
            Self::OriginRefused { .. } => "secret_host_refused",
            Self::Unusable { .. } => "secret_unusable",
        }
    }
}

/// Seals and opens with the key of this installation.
#[derive(Clone)]
pub struct Vault {
    cipher: XChaCha20Poly1305,
    placeholders: Hmac<Sha256>,
    signatures: Hmac<Sha256>,
}

impl Vault {
    pub fn new(key: [u8; 32]) -> Self {
        let mut placeholders = mac(&key);
        placeholders.update(b"placeholder\0");
        let mut signatures = mac(&key);
        signatures.update(b"signature\0");
        Self { cipher: XChaCha20Poly1305::new(&key.into()), placeholders, signatures }
    }

    /// Shows that we wrote `text` for this purpose; in hexadecimal.
    pub fn sign(&self, purpose: &str, text: &str) -> String {
        let mut signature = self.signatures.clone();
        signature.update(purpose.as_bytes());
        signature.update(b"\0");
        signature.update(text.as_bytes());
        signature.finalize().into_bytes().iter().map(|byte| format!("{byte:02x}")).collect()
    }

    /// Sealed for `holder` alone: copied to another, it does not open.
    pub fn seal(&self, secret: &str, holder: &str) -> String {
        let nonce: [u8; NONCE_BYTES] = rand::random();
        let payload = Payload { msg: secret.as_bytes(), aad: holder.as_bytes() };
        let sealed = self.cipher.encrypt(&XNonce::from(nonce), payload).expect("a secret fits into memory");
        BASE64.encode([&nonce[..], &sealed].concat())
    }

    pub fn open(&self, sealed: &str, holder: &str) -> Result<String, SecretError> {
        let bytes = BASE64.decode(sealed).map_err(|_| SecretError::Unreadable)?;
        let (nonce, sealed) = bytes.split_first_chunk::<NONCE_BYTES>().ok_or(SecretError::Unreadable)?;
        let payload = Payload { msg: sealed, aad: holder.as_bytes() };
        let opened = self.cipher.decrypt(&XNonce::from(*nonce), payload).map_err(|_| SecretError::Unreadable)?;
        String::from_utf8(opened).map_err(|_| SecretError::Unreadable)
    }

    /// Seals every secret of a configuration that is not sealed yet.
    pub fn seal_config(&self, schema: &Schema, config: &mut Value, holder: &str) {
        schema.visit_secrets(
            config,
            |it| it.is_string() || is_sealed(it),
            |_, secret| {
                if let Value::String(text) = secret {
                    *secret = json!({SEALED: self.seal(text, holder)});
                }
            },
        );
    }

    /// The configuration as it was entered.
    pub fn open_config(&self, config: &Value, holder: &str) -> Result<Value, SecretError> {
        replace_sealed(config, &mut |sealed| self.open(sealed, holder).map(Value::String))
    }

    /// Seals the secrets of guards that are not sealed yet.
    pub fn seal_guards(&self, guards: &mut Guards, holder: &str) {
        for (_, secret) in guards.secrets().filter(|(_, secret)| !secret.starts_with(guards::SEALED)) {
            *secret = format!("{}{}", guards::SEALED, self.seal(secret, holder));
        }
    }

    /// Guards as they were entered.
    pub fn open_guards(&self, guards: &Guards, holder: &str) -> Result<Guards, SecretError> {
        let mut opened = guards.clone();
        for (_, secret) in opened.secrets() {
            if let Some(sealed) = secret.strip_prefix(guards::SEALED) {
                *secret = self.open(sealed, holder)?;
            }
        }
        Ok(opened)
    }

    /// The configuration as people may see it. One that can't be opened is all dots.
    pub fn mask_config(&self, config: &Value, holder: &str) -> Value {
        let masked = replace_sealed::<SecretError>(config, &mut |sealed| {
            Ok(Value::String(self.open(sealed, holder).map_or_else(|_| DOTS.to_owned(), |secret| masked(&secret))))
        });
        masked.unwrap_or_default()
    }

    /// The configuration as an adapter may see it, and what its placeholders stand for.
    pub fn disguise(&self, config: &Value, holder: &str) -> Result<(Value, Disguise), SecretError> {
        let mut secrets = Vec::new();
        let config = replace_sealed(config, &mut |sealed| {
            let value = self.open(sealed, holder)?;
            let placeholder = self.placeholder(&value, holder);
            secrets.push(Secret { placeholder: placeholder.clone(), value });
            Ok::<_, SecretError>(Value::String(placeholder))
        })?;
        Ok((config, Disguise { secrets }))
    }

    /// Letters and digits only, so that no encoding changes it; nobody without the key can guess it.
    fn placeholder(&self, secret: &str, holder: &str) -> String {
        let mut name = self.placeholders.clone();
        name.update(holder.as_bytes());
        name.update(b"\0");
        name.update(secret.as_bytes());
        let digest = name.finalize().into_bytes();
        let hex: String = digest[..16].iter().map(|byte| format!("{byte:02x}")).collect();
        format!("secret{hex}")
    }

    /// Puts back what came as its mask: whoever changes a configuration sends what was shown. Says whether any secret
    /// was kept, and which masks stand for nothing.
    pub fn keep(
        &self,
        schema: &Schema,
        before: &Value,
        config: &mut Value,
        holder: &str,
    ) -> Result<bool, Vec<FieldIssue>> {
        let shown = self.mask_config(before, holder);
        let (mut kept, mut issues) = (false, Vec::new());
        schema.visit_secrets(config, Value::is_string, |place, secret| {
            if !secret.as_str().is_some_and(|text| text.starts_with(DOTS)) {
                return;
            }
            let found = if shown.pointer(place) == Some(secret) {
                before.pointer(place).cloned()
            } else {
                // An item of a list may have moved, which its mask alone must tell.
                only_sealed_as(before, &shown, secret)
            };
            match found.filter(is_sealed) {
                Some(sealed) => {
                    kept = true;
                    *secret = sealed;
                }
                None => {
                    let message = "this is the mask of a secret that is not there; send the secret itself";
                    issues.push(FieldIssue::new(format!("/config{place}"), "invalid_config", message));
                }
            }
        });
        if issues.is_empty() { Ok(kept) } else { Err(issues) }
    }
}

fn mac(key: &[u8]) -> Hmac<Sha256> {
    <Hmac<Sha256> as Mac>::new_from_slice(key).expect("HMAC takes keys of any length")
}

fn masked(secret: &str) -> String {
    let count = secret.chars().count();
    let end: String = secret.chars().skip(count - SHOWN_END.min(count)).collect();
    if count < CHARS_TO_SHOW_END { DOTS.to_owned() } else { format!("{DOTS}{end}") }
}

fn is_sealed(value: &Value) -> bool {
    sealed_text(value).is_some()
}

fn sealed_text(value: &Value) -> Option<&str> {
    value.as_object().filter(|it| it.len() == 1).and_then(|it| it.get(SEALED)).and_then(Value::as_str)
}

/// Whether somebody wrote the word that marks a sealed secret.
pub fn names_seal(config: &Value) -> bool {
    match config {
        Value::Object(members) => members.iter().any(|(name, member)| name == SEALED || names_seal(member)),
        Value::Array(items) => items.iter().any(names_seal),
        _ => false,
    }
}

fn replace_sealed<E>(config: &Value, replace: &mut impl FnMut(&str) -> Result<Value, E>) -> Result<Value, E> {
    if let Some(sealed) = sealed_text(config) {
        return replace(sealed);
    }
    Ok(match config {
        Value::Object(members) => {
            let members = members.iter().map(|(name, it)| Ok((name.clone(), replace_sealed(it, replace)?)));
            Value::Object(members.collect::<Result<Map<_, _>, E>>()?)
        }
        Value::Array(items) => {
            Value::Array(items.iter().map(|it| replace_sealed(it, replace)).collect::<Result<_, E>>()?)
        }
        other => other.clone(),
    })
}

/// The one sealed value that is shown as `mask`; none if several are.
fn only_sealed_as(before: &Value, shown: &Value, mask: &Value) -> Option<Value> {
    fn collect<'a>(before: &'a Value, shown: &Value, mask: &Value, found: &mut Vec<&'a Value>) {
        if is_sealed(before) {
            if shown == mask {
                found.push(before);
            }
            return;
        }
        match (before, shown) {
            (Value::Object(before), Value::Object(shown)) => {
                before.iter().for_each(|(name, it)| collect(it, &shown[name], mask, found));
            }
            (Value::Array(before), Value::Array(shown)) => {
                before.iter().zip(shown).for_each(|(it, shown)| collect(it, shown, mask, found));
            }
            _ => {}
        }
    }
    let mut found = Vec::new();
    collect(before, shown, mask, &mut found);
    if let [only] = found[..] { Some(only.clone()) } else { None }
}

#[derive(Clone)]
struct Secret {
    placeholder: String,
    value: String,
}

/// What the placeholders of one configuration stand for.
#[derive(Clone, Default)]
pub struct Disguise {
    secrets: Vec<Secret>,
}

/// Where the secrets of a request may go.
pub struct Destinations<'a> {
    /// Host names that the adapter declares; "*" leaves the choice to the configuration.
    pub hosts: &'a [String],
    /// Origins that the secrets were entered for.
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

impl Disguise {
    /// Whether a request carries or is signed with a secret.
    pub fn concerns(&self, request: &contract::Request) -> bool {
        let in_text = |text: &str| self.secrets.iter().any(|it| text.contains(&it.placeholder));
        !request.sign_with.is_empty()
            || in_text(&request.url)
            || request.headers.iter().any(|it| in_text(&it.value))
            || request
                .body
                .as_ref()
                .is_some_and(|it| in_text(&it.content_type) || in_text(&String::from_utf8_lossy(&it.bytes)))
    }

    /// The request that goes out: with its secrets, and signed if the adapter asked for that.
    pub fn reveal(
        &self,
        request: &contract::Request,
        destinations: &Destinations<'_>,
        id: &str,
        now: Timestamp,
    ) -> Result<Outgoing, SecretError> {
        let mut outgoing = wire::request(request);
        if !self.concerns(request) {
            return Ok(outgoing);
        }
        let unusable = |place, reason| SecretError::Unusable { place, reason };
        let url = Url::parse(&request.url).map_err(|_| unusable("in the URL", "the URL is not valid"))?;
        destinations.check(&url)?;
        if self.secrets.iter().any(|it| url.host_str().is_some_and(|host| host.contains(&it.placeholder))) {
            return Err(unusable("as a host name", "it would choose where the request goes"));
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
                *bytes = self.replace(text, |value| written_for(&kind, value)).into_bytes();
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
                    reason: "the adapter named something that is no secret of the configuration",
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

    /// A path may be a secret as a whole, as those of webhooks are: its slashes stay.
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

    /// Takes placeholders, and secrets however they are written, out of what people or adapters read.
    pub fn mask<'a>(&self, text: &'a str) -> Cow<'a, str> {
        if self.secrets.is_empty() {
            return Cow::Borrowed(text);
        }
        let values = self.secrets.iter().map(|it| it.value.as_str()).filter(|it| it.len() >= SHORTEST_TO_MASK);
        let names: Vec<&str> = self.secrets.iter().map(|it| it.placeholder.as_str()).chain(values).collect();
        let masked = masking::mask(text, &names);
        if masked == text { Cow::Borrowed(text) } else { Cow::Owned(masked) }
    }

    /// What an adapter said, without the placeholders that it may have quoted.
    pub fn hiding(&self, error: AdapterError) -> AdapterError {
        let hide = |text: String| self.mask(&text).into_owned();
        match error {
            AdapterError::Refused { kind, message, path } => {
                AdapterError::Refused { kind, message: hide(message), path: path.map(hide) }
            }
            other => other,
        }
    }

    /// An answer may quote the request that it answers.
    pub fn mask_answer(&self, answer: &mut Answer) {
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

fn written_for(content_type: &str, value: &str) -> String {
    if content_type.contains("json") {
        let text = Value::from(value).to_string();
        text[1..text.len() - 1].to_owned()
    } else if content_type.contains("x-www-form-urlencoded") {
        url::form_urlencoded::byte_serialize(value.as_bytes()).collect()
    } else {
        value.to_owned()
    }
}

/// `whsec_` and the key in base64, or the key itself.
fn signing_key(secret: &str) -> Result<Vec<u8>, SecretError> {
    let Some(text) = secret.strip_prefix("whsec_") else { return Ok(secret.as_bytes().to_vec()) };
    BASE64
        .decode(text)
        .map_err(|_| SecretError::Unusable { place: "to sign", reason: "what follows whsec_ is not base64" })
}

/// 32 bytes as 64 hexadecimal digits or in base64.
pub fn parse_key(text: &str) -> Option<[u8; 32]> {
    let text = text.trim();
    if text.len() == 64 && text.is_ascii() {
        let mut key = [0; 32];
        for (index, byte) in key.iter_mut().enumerate() {
            *byte = u8::from_str_radix(&text[2 * index..2 * index + 2], 16).ok()?;
        }
        return Some(key);
    }
    BASE64.decode(text).ok()?.try_into().ok()
}

#[cfg(test)]
mod tests;
