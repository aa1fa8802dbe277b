//! Secrets of configurations: sealed where they are stored, `••••` where they are shown, a placeholder where an
//! adapter sees them, and themselves only in a finished request to where they may go.

mod disguise;
#[cfg(test)]
mod tests;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use chacha20poly1305::aead::{Aead, KeyInit, Payload};
use chacha20poly1305::{XChaCha20Poly1305, XNonce};
use hmac::{Hmac, Mac};
use serde_json::{Map, Value, json};
use sha2::Sha256;

use crate::adapters::Schema;
use crate::domain::guards::{self, Guards};

use super::FieldIssue;

use disguise::Secret;
pub use disguise::{Destinations, Disguise};

/// A sealed secret is an object with this one member.
const SEALED: &str = "$sealed";
const NONCE_BYTES: usize = 24;
const DOTS: &str = "••••";
/// Shorter secrets are shown without their end.
const CHARS_TO_SHOW_END: usize = 12;
const SHOWN_END: usize = 4;

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
