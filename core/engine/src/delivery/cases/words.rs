//! The contract's types as they are written in a case: field names as in `adapter.wit`, bytes as text.
//!
//! What is optional may be left out, an empty list too; a name that the contract does not have is an error.

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::{Value, json};

use host::wire;

/// Into the type of the same name on the other side.
pub trait Twin<T> {
    fn twin(self) -> T;
}

impl<A: Twin<B>, B> Twin<Option<B>> for Option<A> {
    fn twin(self) -> Option<B> {
        self.map(Twin::twin)
    }
}

impl<A: Twin<B>, B> Twin<Vec<B>> for Vec<A> {
    fn twin(self) -> Vec<B> {
        self.into_iter().map(Twin::twin).collect()
    }
}

macro_rules! same {
    ($($name:ty),+) => { $(
        impl Twin<$name> for $name {
            fn twin(self) -> $name {
                self
            }
        }
    )+ };
}

same!(String, bool, u16, u32, u64, i64);

macro_rules! record {
    ($name:ident { $($(#[$option:meta])* $field:ident: $kind:ty),+ $(,)? }) => {
        #[derive(Clone, Debug, Serialize, Deserialize)]
        #[serde(rename_all = "kebab-case", deny_unknown_fields)]
        pub struct $name { $($(#[$option])* $field: $kind),+ }

        impl Twin<wire::$name> for $name {
            fn twin(self) -> wire::$name {
                wire::$name { $($field: self.$field.twin()),+ }
            }
        }

        impl Twin<$name> for wire::$name {
            fn twin(self) -> $name {
                $name { $($field: self.$field.twin()),+ }
            }
        }
    };
}

macro_rules! words {
    ($name:ident { $($word:ident),+ $(,)? }) => {
        #[derive(Clone, Copy, Debug, Serialize, Deserialize)]
        #[serde(rename_all = "kebab-case")]
        pub enum $name { $($word),+ }

        impl Twin<wire::$name> for $name {
            fn twin(self) -> wire::$name {
                match self { $(Self::$word => wire::$name::$word),+ }
            }
        }

        impl Twin<$name> for wire::$name {
            fn twin(self) -> $name {
                match self { $(Self::$word => $name::$word),+ }
            }
        }
    };
}

words!(Action { Impression, Click, Conversion, CustomEvent });
words!(HttpMethod { Get, Post, Put, Patch, Delete });

record!(Field { name: String, value: String });
record!(Money { micros: i64, currency: String });
record!(Party {
    id: String,
    name: String,
    #[serde(default)]
    attributes: Vec<Field>,
});
record!(Click {
    id: String,
    external_id: Option<String>,
    at: u64,
    target_url: String,
    referrer: Option<String>,
    ip: Option<String>,
    user_agent: Option<String>,
    country: Option<String>,
    device: Option<String>,
    #[serde(default)]
    sub_ids: Vec<Field>,
    #[serde(default)]
    attributes: Vec<Field>,
});
record!(Rejection { reason: String, detail: Option<String> });
record!(Conversion {
    id: String,
    transaction_id: String,
    revision: u32,
    goal: Option<String>,
    status: ConversionStatus,
    previous_status: Option<ConversionStatus>,
    payout: Option<Money>,
    revenue: Option<Money>,
    sale: Option<Money>,
    customer_name: Option<String>,
    customer_email: Option<String>,
    product_name: Option<String>,
    occurred_at: u64,
    #[serde(default)]
    attributes: Vec<Field>,
});
record!(Event {
    id: String,
    action: Action,
    name: Option<String>,
    occurred_at: u64,
    affiliate: Party,
    offer: Option<Party>,
    click: Option<Click>,
    conversion: Option<Conversion>,
    #[serde(default)]
    attributes: Vec<Field>,
});
record!(Context { now: u64, attempt: u32, dry_run: bool, idempotency_key: String });
record!(Check { name: String, passed: bool, detail: String });
record!(Decision {
    verdict: Verdict,
    #[serde(default)]
    checks: Vec<Check>,
});
record!(Body {
    content_type: String,
    #[serde(rename = "text")]
    bytes: Bytes,
});
record!(Request {
    method: HttpMethod,
    url: String,
    #[serde(default)]
    headers: Vec<Field>,
    body: Option<Body>,
    #[serde(default)]
    sign_with: Vec<String>,
});
record!(Response {
    status: u16,
    #[serde(default)]
    headers: Vec<Field>,
    #[serde(default)]
    body: Bytes,
    #[serde(default)]
    truncated: bool,
});
record!(Refusal { code: String, message: String });
record!(InboundRequest {
    method: HttpMethod,
    #[serde(default)]
    path: String,
    #[serde(default)]
    query: Vec<Field>,
    #[serde(default)]
    headers: Vec<Field>,
    #[serde(default)]
    body: Bytes,
    remote_ip: Option<String>,
});
record!(ReportedAmount { text: String, currency: Option<String> });
record!(ReportedConversion {
    transaction_id: Option<String>,
    click_id: Option<String>,
    goal: Option<String>,
    status: Option<String>,
    rejection_reason: Option<String>,
    payout: Option<ReportedAmount>,
    revenue: Option<ReportedAmount>,
    sale: Option<ReportedAmount>,
    occurred_at: Option<String>,
    #[serde(default)]
    attributes: Vec<Field>,
});
record!(InboundReport {
    #[serde(default)]
    conversions: Vec<ReportedConversion>,
    ignored: Option<Refusal>,
    reply: Option<Response>,
});
record!(ConfigIssue { path: String, message: String });

/// `"pending"`, `"approved"` or `{"rejected": {"reason": "fraud"}}`.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ConversionStatus {
    Pending,
    Approved,
    Rejected(Rejection),
}

impl Twin<wire::ConversionStatus> for ConversionStatus {
    fn twin(self) -> wire::ConversionStatus {
        match self {
            Self::Pending => wire::ConversionStatus::Pending,
            Self::Approved => wire::ConversionStatus::Approved,
            Self::Rejected(rejection) => wire::ConversionStatus::Rejected(rejection.twin()),
        }
    }
}

impl Twin<ConversionStatus> for wire::ConversionStatus {
    fn twin(self) -> ConversionStatus {
        match self {
            Self::Pending => ConversionStatus::Pending,
            Self::Approved => ConversionStatus::Approved,
            Self::Rejected(rejection) => ConversionStatus::Rejected(rejection.twin()),
        }
    }
}

/// `"fire"`, `"skip"` or `{"fire-after": 120000}`.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Verdict {
    Fire,
    FireAfter(u64),
    Skip,
}

impl Twin<wire::Verdict> for Verdict {
    fn twin(self) -> wire::Verdict {
        match self {
            Self::Fire => wire::Verdict::Fire,
            Self::FireAfter(delay_ms) => wire::Verdict::FireAfter(delay_ms),
            Self::Skip => wire::Verdict::Skip,
        }
    }
}

impl Twin<Verdict> for wire::Verdict {
    fn twin(self) -> Verdict {
        match self {
            Self::Fire => Verdict::Fire,
            Self::FireAfter(delay_ms) => Verdict::FireAfter(delay_ms),
            Self::Skip => Verdict::Skip,
        }
    }
}

/// `"accepted"`, `{"accepted": "their reference"}`, `"retry"`, `{"retry": 30000}` or
/// `{"refused": {"code": …, "message": …}}`.
#[derive(Clone, Debug)]
pub struct Outcome(wire::Outcome);

impl Twin<Outcome> for wire::Outcome {
    fn twin(self) -> Outcome {
        Outcome(self)
    }
}

/// Without the word alone for what carries nothing.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum FullOutcome {
    Accepted(Option<String>),
    Retry(Option<u64>),
    Refused(Refusal),
}

impl<'de> Deserialize<'de> for Outcome {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let value = match Value::deserialize(from)? {
            Value::String(word) => json!({ word: null }),
            full => full,
        };
        Ok(Self(match serde_json::from_value(value).map_err(serde::de::Error::custom)? {
            FullOutcome::Accepted(reference) => wire::Outcome::Accepted(reference),
            FullOutcome::Retry(after_ms) => wire::Outcome::Retry(after_ms),
            FullOutcome::Refused(refusal) => wire::Outcome::Refused(refusal.twin()),
        }))
    }
}

impl Serialize for Outcome {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        let full = match self.0.clone() {
            wire::Outcome::Accepted(None) => return to.serialize_str("accepted"),
            wire::Outcome::Retry(None) => return to.serialize_str("retry"),
            wire::Outcome::Accepted(reference) => FullOutcome::Accepted(reference),
            wire::Outcome::Retry(after_ms) => FullOutcome::Retry(after_ms),
            wire::Outcome::Refused(refusal) => FullOutcome::Refused(refusal.twin()),
        };
        full.serialize(to)
    }
}

/// A text, or `{"hex": "ff00"}` for what is no text.
#[derive(Clone, Debug, Default)]
pub struct Bytes(Vec<u8>);

impl Twin<Vec<u8>> for Bytes {
    fn twin(self) -> Vec<u8> {
        self.0
    }
}

impl Twin<Bytes> for Vec<u8> {
    fn twin(self) -> Bytes {
        Bytes(self)
    }
}

impl<'de> Deserialize<'de> for Bytes {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let expected =
            || serde::de::Error::custom("expected a text, or {\"hex\": \"ff00\"} for bytes that are no text");
        match Value::deserialize(from)? {
            Value::String(text) => Ok(Self(text.into_bytes())),
            Value::Object(fields) => {
                let hex = fields.get("hex").filter(|_| fields.len() == 1).and_then(Value::as_str);
                hex.and_then(from_hex).map(Self).ok_or_else(expected)
            }
            _ => Err(expected()),
        }
    }
}

impl Serialize for Bytes {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        match std::str::from_utf8(&self.0) {
            Ok(text) => to.serialize_str(text),
            Err(_) => {
                let hex: String = self.0.iter().map(|byte| format!("{byte:02x}")).collect();
                json!({ "hex": hex }).serialize(to)
            }
        }
    }
}

fn from_hex(text: &str) -> Option<Vec<u8>> {
    let digits: Option<Vec<u8>> =
        text.chars().map(|c| c.to_digit(16).and_then(|digit| u8::try_from(digit).ok())).collect();
    let digits = digits.filter(|digits| digits.len() % 2 == 0)?;
    Some(digits.chunks(2).map(|pair| pair[0] << 4 | pair[1]).collect())
}

/// An adapter's own no.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct AdapterError {
    pub kind: ErrorKind,
    pub message: String,
    pub path: Option<String>,
}

#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ErrorKind {
    InvalidConfig,
    InvalidEvent,
    Unauthenticated,
    Unsupported,
    Internal,
}

/// As answers are written and compared: what is absent or an empty list is left out.
pub fn normal(words: &impl Serialize) -> Value {
    let mut value = serde_json::to_value(words).expect("words are plain data with text keys");
    leave_out_nothing(&mut value);
    value
}

fn leave_out_nothing(value: &mut Value) {
    match value {
        Value::Object(fields) => {
            fields.retain(|_, field| !field.is_null() && field.as_array().is_none_or(|items| !items.is_empty()));
            fields.values_mut().for_each(leave_out_nothing);
        }
        Value::Array(items) => items.iter_mut().for_each(leave_out_nothing),
        _ => {}
    }
}
