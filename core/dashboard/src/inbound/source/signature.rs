//! The part of a source's settings that says who may send: a token, and one signature. Secrets are never shown; an empty
//! field keeps the stored one. A field that a form leaves out stays as it is.

use domain::inbound::guards::{Guards, HashAlgorithm, Signed};
use engine::Error;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use super::reading::{choice, word};
use crate::parts::field::Field;
use crate::shell::texts::{Text, text};

/// The kinds of signatures.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
enum Kind {
    None,
    Hmac,
    Hash,
}

/// Where the signature is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
enum Place {
    Header,
    Parameter,
}

/// The fields, as they were typed.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct Signature {
    token_parameter: Option<String>,
    token_value: String,
    signature: Option<String>,
    signature_in: String,
    signature_name: String,
    signature_secret: String,
    signature_algorithm: String,
    signature_signed: String,
    signature_text: String,
    signature_each: String,
    /// `None` if the source has no encryption.
    encryption_secret: Option<String>,
}

impl Signature {
    pub fn of(guards: &Guards) -> Self {
        let token_parameter = guards.token.as_ref().map(|it| it.parameter.clone()).unwrap_or_default();
        let form = Self {
            token_parameter: Some(token_parameter),
            signature: Some(word(Kind::None)),
            signature_in: word(Place::Header),
            signature_algorithm: word(HashAlgorithm::Sha256),
            signature_signed: word(Signed::Body),
            encryption_secret: guards.encryption.as_ref().map(|_| String::new()),
            ..Self::default()
        };
        let lines = [guards.hmac.as_ref().and_then(|it| it.text.as_ref()), guards.hash.as_ref().map(|it| &it.text)];
        let lines = lines.into_iter().chain([guards.hash.as_ref().and_then(|it| it.each.as_ref())]).flatten();
        if lines.into_iter().any(|text| text.contains(char::is_control)) {
            // A field of one line would break it, so the signature has no fields.
            return Self { signature: None, ..form };
        }
        let place = |in_header: bool| word(if in_header { Place::Header } else { Place::Parameter });
        match (&guards.hmac, &guards.hash) {
            (Some(it), _) => Self {
                signature: Some(word(Kind::Hmac)),
                signature_in: place(it.header.is_some()),
                signature_name: it.place().name().to_owned(),
                signature_algorithm: word(it.algorithm),
                signature_signed: word(it.signed),
                signature_text: it.text.clone().unwrap_or_default(),
                ..form
            },
            (None, Some(it)) => Self {
                signature: Some(word(Kind::Hash)),
                signature_in: place(it.header.is_some()),
                signature_name: it.place().name().to_owned(),
                signature_algorithm: word(it.algorithm),
                signature_text: it.text.clone(),
                signature_each: it.each.clone().unwrap_or_default(),
                ..form
            },
            (None, None) => form,
        }
    }

    pub fn fields(&self) -> Vec<Field> {
        let secret =
            |name, label: &str| Field::password(name, label, "new-password").help("source_settings.secret_help");
        let algorithms = [HashAlgorithm::Md5, HashAlgorithm::Sha1, HashAlgorithm::Sha256, HashAlgorithm::Sha512];
        let signed = [
            Signed::Body,
            Signed::TimestampAndBody,
            Signed::SortedParameters,
            Signed::StandardWebhooks,
            Signed::Text,
            Signed::Url,
        ];
        // The encryption replaces the other guards.
        if self.encryption_secret.is_some() {
            return vec![secret("encryption_secret", "source_settings.encryption_secret")];
        }
        let token = vec![
            Field::text("token_parameter", "source_settings.token_parameter")
                .value(self.token_parameter.clone().unwrap_or_default())
                .length(None, 100)
                .help("source_settings.token_parameter_help"),
            secret("token_value", "source_settings.token_value"),
        ];
        let Some(kind) = &self.signature else { return token };
        let signature = [
            choice("signature", kind, [Kind::None, Kind::Hmac, Kind::Hash]),
            choice("signature_in", &self.signature_in, [Place::Header, Place::Parameter]),
            Field::text("signature_name", "source_settings.signature_name")
                .value(&self.signature_name)
                .length(None, 100)
                .help("source_settings.signature_name_help"),
            secret("signature_secret", "source_settings.signature_secret"),
            choice("signature_algorithm", &self.signature_algorithm, algorithms),
            choice("signature_signed", &self.signature_signed, signed).help("source_settings.signature_signed_help"),
            Field::text("signature_text", "source_settings.signature_text")
                .value(&self.signature_text)
                .length(None, 500)
                .helped(Some(with_each("source_settings.signature_text_help", "{user_id}-{amount}-{secret}"))),
            Field::named("text", "signature_each", with_each("source_settings.signature_each", ""))
                .value(&self.signature_each)
                .length(None, 100)
                .helped(Some(with_each("source_settings.signature_each_help", "{name}={value}"))),
        ];
        token.into_iter().chain(signature).collect()
    }

    /// The guards as the fields say. What has no field stays, such as a tolerance.
    pub fn apply(&self, stored: &Guards) -> Result<Guards, Error> {
        let mut guards = serde_json::to_value(stored).expect("guards are JSON");
        if let Some(typed) = &self.encryption_secret
            && let Some(stored) = guards["encryption"].get("secret").cloned()
        {
            guards["encryption"]["secret"] = typed_or(typed, &stored);
        }
        if let Some(parameter) = &self.token_parameter {
            let token = guards["token"].take();
            guards["token"] = match parameter.trim() {
                "" => Value::Null,
                parameter => {
                    json!({"parameter": parameter, "value": typed_or(&self.token_value, &token["value"])})
                }
            };
        }
        if let Some(kind) = &self.signature {
            let stored = |kind: &str| guards[kind].as_object().cloned().unwrap_or_default();
            let (mut hmac, mut hash) = (stored("hmac"), stored("hash"));
            match kind.as_str() {
                "hmac" => {
                    if hmac.is_empty() {
                        hash.clear();
                    }
                    self.set_common(&mut hmac);
                    hmac.insert("signed".into(), self.signature_signed.as_str().into());
                    set_or_remove(&mut hmac, "text", &self.signature_text);
                }
                "hash" => {
                    self.set_common(&mut hash);
                    hash.insert("text".into(), self.signature_text.as_str().into());
                    set_or_remove(&mut hash, "each", &self.signature_each);
                    hmac.clear();
                }
                "none" => (hmac, hash) = Default::default(),
                _ => return Err(Error::invalid("/signature", "is not one of the choices")),
            }
            let present = |guard: Map<String, Value>| if guard.is_empty() { Value::Null } else { guard.into() };
            guards["hmac"] = present(hmac);
            guards["hash"] = present(hash);
        }
        serde_json::from_value(guards).map_err(|error| {
            // The only values that are not free text.
            let path = if error.to_string().contains("md5") { "/signature_algorithm" } else { "/signature_signed" };
            Error::invalid(path, "does not fit the kind of the signature; choose another one")
        })
    }

    fn set_common(&self, guard: &mut Map<String, Value>) {
        let (own, other) = match self.signature_in.as_str() {
            "parameter" => ("parameter", "header"),
            _ => ("header", "parameter"),
        };
        guard.remove(other);
        guard.insert(own.into(), self.signature_name.trim().into());
        guard.insert("algorithm".into(), self.signature_algorithm.as_str().into());
        let secret = typed_or(&self.signature_secret, &guard.get("secret").cloned().unwrap_or_default());
        guard.insert("secret".into(), secret);
    }
}

/// A text about patterns, whose braces are not those of a text.
fn with_each(key: &str, example: &str) -> Text {
    text(key).with("each", "{each}").with("example", example)
}

/// What was typed, or else the stored secret.
fn typed_or(typed: &str, stored: &Value) -> Value {
    match (typed.trim(), stored) {
        ("", Value::String(stored)) => stored.as_str().into(),
        (typed, _) => typed.into(),
    }
}

fn set_or_remove(guard: &mut Map<String, Value>, name: &str, value: &str) {
    match value {
        "" => drop(guard.remove(name)),
        value => drop(guard.insert(name.to_owned(), value.into())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn guards(json: Value) -> Guards {
        serde_json::from_value(json).unwrap()
    }

    #[test]
    fn fields_that_were_not_changed_change_nothing() {
        for stored in [
            json!({}),
            json!({"token": {"parameter": "key", "value": "12345678"}}),
            json!({"hash": {"parameter": "sig", "secret": "12345678", "algorithm": "md5", "text": "{a}\n{secret}"}}),
            json!({"hmac": {"header": "X-S", "secret": "12345678", "algorithm": "sha1", "tolerance_secs": 60}}),
            json!({"hash": {"parameter": "sig", "secret": "12345678", "algorithm": "md5", "text": "{each}", "each": "{value}{secret}",
                "without_empty": true}}),
            json!({"encryption": {"scheme": "clickbank", "secret": "12345678"}}),
        ] {
            let stored = guards(stored);
            assert_eq!(Signature::of(&stored).apply(&stored).unwrap(), stored);
            assert_eq!(Signature::default().apply(&stored).unwrap(), stored, "a form without these fields");
        }
    }

    #[test]
    fn one_kind_of_signature_replaces_the_other() {
        let hmac = guards(json!({"hmac": {"header": "X-S", "secret": "12345678"}}));
        let form = Signature {
            signature: Some("hash".into()),
            signature_in: "parameter".into(),
            signature_name: "sig".into(),
            signature_secret: "s3cret-word".into(),
            signature_algorithm: "md5".into(),
            signature_text: "{user}{secret}".into(),
            ..Signature::of(&hmac)
        };
        let changed = form.apply(&hmac).unwrap();
        let hash = json!({"parameter": "sig", "secret": "s3cret-word", "algorithm": "md5", "text": "{user}{secret}"});
        assert_eq!(changed, guards(json!({"hash": hash})));
        let back = Signature {
            signature: Some("hmac".into()),
            signature_algorithm: "sha256".into(),
            signature_secret: "12345678".into(),
            signature_signed: "body".into(),
            signature_text: String::new(),
            ..Signature::of(&changed)
        };
        assert_eq!(back.apply(&changed).unwrap(), guards(json!({"hmac": {"parameter": "sig", "secret": "12345678"}})));
        let none = Signature { signature: Some("none".into()), ..Signature::of(&changed) };
        assert_eq!(none.apply(&changed).unwrap(), Guards::default());
        let wrong = Signature { signature: Some("hmac".into()), ..form };
        let Err(Error::Invalid(issues)) = wrong.apply(&hmac) else { panic!("HMAC has no MD5") };
        assert_eq!(issues[0].path, "/signature_algorithm");
        let encrypted = |secret: &str| guards(json!({"encryption": {"scheme": "clickbank", "secret": secret}}));
        let typed =
            Signature { encryption_secret: Some("another-key".into()), ..Signature::of(&encrypted("12345678")) };
        assert_eq!(typed.apply(&encrypted("12345678")).unwrap(), encrypted("another-key"));
    }
}
