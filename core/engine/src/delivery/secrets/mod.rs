//! Secrets of configurations. The database contains them sealed, the API shows `••••`, and an adapter sees
//! placeholders. Plain text appears only in a finished request to a permitted destination.

mod key;
mod placeholders;
pub mod rotation;
pub(crate) mod sealed;
pub mod sealing;
pub mod server_keys;
#[cfg(test)]
mod tests;

use std::iter;
use std::sync::Arc;

use placeholders::Secret;
use serde_json::{Map, Value, json};

use crate::FieldIssue;
use domain::inbound::guards::{self, Guards};
use domain::people::api_key;
use host::Schema;
use key::Key;
pub use key::KeyId;
pub use placeholders::{Destinations, Placeholders};

/// A sealed secret is a JSON object with only this member.
const SEALED: &str = "$sealed";
pub(crate) const DOTS: &str = "••••";
/// Secrets with fewer characters are shown without their last characters.
const CHARS_TO_SHOW_END: usize = 12;
const SHOWN_END: usize = 4;

/// Why a secret cannot be used.
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
    /// The stable code of the error.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Unreadable => "secret_unreadable",
            Self::OriginRefused { .. } => "secret_host_refused",
            Self::Unusable { .. } => "secret_unusable",
        }
    }
}

/// The result of sealing a stored value again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Resealed<T> {
    /// The new value to be stored. `None` if nothing changes.
    pub new: Option<T>,
    /// Whether some part could be opened.
    pub opened: bool,
    /// Whether some part could not be opened.
    pub unreadable: bool,
}

impl<T> Resealed<T> {
    /// The result for a value that is sealed as a whole.
    pub(crate) fn of_whole(resealed: Result<Option<T>, SecretError>) -> Self {
        let opened = resealed.is_ok();
        Self { new: resealed.ok().flatten(), opened, unreadable: !opened }
    }
}

/// Counts of the sealed parts of one value.
#[derive(Default)]
struct Parts {
    changed: usize,
    opened: usize,
    unreadable: usize,
}

impl Parts {
    fn count(&mut self, resealed: Result<Option<String>, SecretError>) -> Option<String> {
        let Ok(new) = resealed else {
            self.unreadable += 1;
            return None;
        };
        self.opened += 1;
        self.changed += usize::from(new.is_some());
        new
    }
}

/// Seals and opens secrets. The first key seals; all keys open.
#[derive(Clone)]
pub struct Vault {
    keys: Arc<[Key]>,
}

impl Vault {
    /// A vault with one key.
    pub fn new(key: [u8; 32]) -> Self {
        Self::with_keys(key, [])
    }

    /// A vault that seals with `current` and also opens values that a key of `previous` sealed.
    pub(crate) fn with_keys(current: [u8; 32], previous: impl IntoIterator<Item = [u8; 32]>) -> Self {
        Self { keys: iter::once(current).chain(previous).map(Key::new).collect() }
    }

    fn current(&self) -> &Key {
        &self.keys[0]
    }

    /// The ids of the keys, the current one first.
    pub fn key_ids(&self) -> impl Iterator<Item = KeyId> {
        self.keys.iter().map(|key| key.id)
    }

    /// A signature which proves that this installation wrote `text` for this purpose, in hexadecimal.
    pub fn sign(&self, purpose: &str, text: &str) -> String {
        self.current().sign(purpose, text)
    }

    /// Whether a key of this vault signed `text` for this purpose.
    pub fn is_signed(&self, purpose: &str, text: &str, signature: &str) -> bool {
        // Hashes are compared, so that the time of the comparison reveals nothing.
        let given = api_key::hash(signature);
        self.keys.iter().any(|key| api_key::hash(&key.sign(purpose, text)) == given)
    }

    /// Seals a secret for one holder; it cannot be opened for another one. The sealed text begins with the id of the
    /// key.
    pub fn seal(&self, secret: &str, holder: &str) -> String {
        self.current().seal(secret, holder)
    }

    /// Like [`Self::seal`], with the key `id`. The current key if the vault does not have it.
    pub(crate) fn seal_with(&self, id: KeyId, secret: &str, holder: &str) -> String {
        self.keys.iter().find(|key| key.id == id).unwrap_or(self.current()).seal(secret, holder)
    }

    /// Opens a sealed secret of this holder.
    ///
    /// # Errors
    ///
    /// No key of the vault opens it.
    pub fn open(&self, sealed: &str, holder: &str) -> Result<String, SecretError> {
        // Values of older releases do not begin with a key id, so then all keys are tried.
        let named = self.keys.iter().find(|key| key.id.sealed(sealed));
        let opened = named.and_then(|key| key.open(sealed, holder));
        let opened = opened.or_else(|| self.keys.iter().find_map(|key| key.open(sealed, holder)));
        opened.ok_or(SecretError::Unreadable)
    }

    /// Seals a sealed secret again with the current key. `None` if the current key already sealed it.
    pub(crate) fn reseal(&self, sealed: &str, holder: &str) -> Result<Option<String>, SecretError> {
        let current = self.current();
        if current.id.sealed(sealed) && current.open(sealed, holder).is_some() {
            return Ok(None);
        }
        Ok(Some(current.seal(&self.open(sealed, holder)?, holder)))
    }

    /// Seals the sealed parts of a JSON value again with the current key: those of configurations and of guards. A
    /// part that no key opens is unchanged; the other parts are sealed again.
    pub(crate) fn reseal_parts(&self, value: &Value, holder: &str) -> Resealed<Value> {
        let (mut resealed, mut parts) = (value.clone(), Parts::default());
        self.reseal_in(&mut resealed, holder, &mut parts);
        Resealed {
            new: (parts.changed > 0).then_some(resealed),
            opened: parts.opened > 0,
            unreadable: parts.unreadable > 0,
        }
    }

    fn reseal_in(&self, value: &mut Value, holder: &str, parts: &mut Parts) {
        if let Some(sealed) = sealed_text(value) {
            if let Some(new) = parts.count(self.reseal(sealed, holder)) {
                *value = json!({SEALED: new});
            }
            return;
        }
        match value {
            Value::Object(members) => members.values_mut().for_each(|it| self.reseal_in(it, holder, parts)),
            Value::Array(items) => items.iter_mut().for_each(|it| self.reseal_in(it, holder, parts)),
            Value::String(text) => {
                if let Some(sealed) = text.strip_prefix(guards::SEALED)
                    && let Some(new) = parts.count(self.reseal(sealed, holder))
                {
                    *text = format!("{}{new}", guards::SEALED);
                }
            }
            _ => {}
        }
    }

    /// Seals the secrets of a configuration that are not sealed yet. The schema marks the secrets.
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

    /// The configuration with its secrets in plain text.
    pub(crate) fn open_config(&self, config: &Value, holder: &str) -> Result<Value, SecretError> {
        replace_sealed(config, &mut |sealed| self.open(sealed, holder).map(Value::String))
    }

    /// Seals the secrets of guards that are not sealed yet.
    pub(crate) fn seal_guards(&self, guards: &mut Guards, holder: &str) {
        for (_, secret) in guards.secrets().filter(|(_, secret)| !secret.starts_with(guards::SEALED)) {
            *secret = format!("{}{}", guards::SEALED, self.seal(secret, holder));
        }
    }

    /// The guards with their secrets in plain text.
    pub(crate) fn open_guards(&self, guards: &Guards, holder: &str) -> Result<Guards, SecretError> {
        let mut opened = guards.clone();
        for (_, secret) in opened.secrets() {
            if let Some(sealed) = secret.strip_prefix(guards::SEALED) {
                *secret = self.open(sealed, holder)?;
            }
        }
        Ok(opened)
    }

    /// The configuration with masked secrets. A secret that cannot be opened is shown as dots only.
    pub fn mask_config(&self, config: &Value, holder: &str) -> Value {
        let masked = replace_sealed::<SecretError>(config, &mut |sealed| {
            Ok(Value::String(self.open(sealed, holder).map_or_else(|_| DOTS.to_owned(), |secret| masked(&secret))))
        });
        masked.unwrap_or_default()
    }

    /// The configuration with placeholders in place of secrets, as an adapter sees it, and the secrets of the
    /// placeholders.
    pub(crate) fn with_placeholders(&self, config: &Value, holder: &str) -> Result<(Value, Placeholders), SecretError> {
        let mut secrets = Vec::new();
        let config = replace_sealed(config, &mut |sealed| {
            let value = self.open(sealed, holder)?;
            let placeholder = self.placeholder(&value, holder);
            secrets.push(Secret { placeholder: placeholder.clone(), value });
            Ok::<_, SecretError>(Value::String(placeholder))
        })?;
        Ok((config, Placeholders { secrets }))
    }

    /// A placeholder has only letters and digits, so that no encoding changes it. It cannot be guessed without the key.
    fn placeholder(&self, secret: &str, holder: &str) -> String {
        format!("secret{}", self.current().placeholder(secret, holder))
    }

    /// Replaces masks in a changed configuration by the stored secrets, because clients send back what they were
    /// shown. Returns whether any secret was kept.
    ///
    /// # Errors
    ///
    /// The masks that belong to no stored secret.
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
                // An item of a list may have moved; its mask must then identify it.
                only_sealed_as(before, &shown, secret)
            };
            match found.filter(is_sealed) {
                Some(sealed) => {
                    kept = true;
                    *secret = sealed;
                }
                None => {
                    let message = "this is the mask of a secret that is not stored here; send the secret itself";
                    issues.push(FieldIssue::new(format!("/config{place}"), "invalid_config", message));
                }
            }
        });
        if issues.is_empty() { Ok(kept) } else { Err(issues) }
    }
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

/// Whether a configuration contains the marker of sealed secrets.
pub(crate) fn names_seal(config: &Value) -> bool {
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

/// The sealed value that is shown as `mask`. `None` if there are several or none.
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
