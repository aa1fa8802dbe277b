//! The contract's types as they are written in a case: field names as in `adapter.wit`, bytes as text.
//!
//! Optional values and empty lists may be absent. A name that the contract does not have is an error.

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::{Value, json};

use host::wire;

/// Converts between a type of this file and the contract's type of the same name, in both directions.
pub trait Convert<T> {
    fn convert(self) -> T;
}

impl<A: Convert<B>, B> Convert<Option<B>> for Option<A> {
    fn convert(self) -> Option<B> {
        self.map(Convert::convert)
    }
}

impl<A: Convert<B>, B> Convert<Vec<B>> for Vec<A> {
    fn convert(self) -> Vec<B> {
        self.into_iter().map(Convert::convert).collect()
    }
}

macro_rules! same_type {
    ($($name:ty),+) => { $(
        impl Convert<$name> for $name {
            fn convert(self) -> $name {
                self
            }
        }
    )+ };
}

same_type!(String, bool, u16, u32, u64, i64);

macro_rules! record {
    ($name:ident { $($(#[$option:meta])* $field:ident: $kind:ty),+ $(,)? }) => {
        #[derive(Clone, Debug, Serialize, Deserialize)]
        #[serde(rename_all = "kebab-case", deny_unknown_fields)]
        pub struct $name { $($(#[$option])* $field: $kind),+ }

        impl Convert<wire::$name> for $name {
            fn convert(self) -> wire::$name {
                wire::$name { $($field: self.$field.convert()),+ }
            }
        }

        impl Convert<$name> for wire::$name {
            fn convert(self) -> $name {
                $name { $($field: self.$field.convert()),+ }
            }
        }
    };
}

macro_rules! plain_enum {
    ($name:ident { $($word:ident),+ $(,)? }) => {
        #[derive(Clone, Copy, Debug, Serialize, Deserialize)]
        #[serde(rename_all = "kebab-case")]
        pub enum $name { $($word),+ }

        impl Convert<wire::$name> for $name {
            fn convert(self) -> wire::$name {
                match self { $(Self::$word => wire::$name::$word),+ }
            }
        }

        impl Convert<$name> for wire::$name {
            fn convert(self) -> $name {
                match self { $(Self::$word => $name::$word),+ }
            }
        }
    };
}

plain_enum!(Action { Impression, Click, Conversion, CustomEvent });
plain_enum!(HttpMethod { Get, Post, Put, Patch, Delete });

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

impl Convert<wire::ConversionStatus> for ConversionStatus {
    fn convert(self) -> wire::ConversionStatus {
        match self {
            Self::Pending => wire::ConversionStatus::Pending,
            Self::Approved => wire::ConversionStatus::Approved,
            Self::Rejected(rejection) => wire::ConversionStatus::Rejected(rejection.convert()),
        }
    }
}

impl Convert<ConversionStatus> for wire::ConversionStatus {
    fn convert(self) -> ConversionStatus {
        match self {
            Self::Pending => ConversionStatus::Pending,
            Self::Approved => ConversionStatus::Approved,
            Self::Rejected(rejection) => ConversionStatus::Rejected(rejection.convert()),
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

impl Convert<wire::Verdict> for Verdict {
    fn convert(self) -> wire::Verdict {
        match self {
            Self::Fire => wire::Verdict::Fire,
            Self::FireAfter(delay_ms) => wire::Verdict::FireAfter(delay_ms),
            Self::Skip => wire::Verdict::Skip,
        }
    }
}

impl Convert<Verdict> for wire::Verdict {
    fn convert(self) -> Verdict {
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

impl Convert<Outcome> for wire::Outcome {
    fn convert(self) -> Outcome {
        Outcome(self)
    }
}

/// The long form of an outcome. The short form of one without a value is only its name.
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
            FullOutcome::Refused(refusal) => wire::Outcome::Refused(refusal.convert()),
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
            wire::Outcome::Refused(refusal) => FullOutcome::Refused(refusal.convert()),
        };
        full.serialize(to)
    }
}

/// A text, or `{"hex": "ff00"}` for bytes that are not UTF-8.
#[derive(Clone, Debug, Default)]
pub struct Bytes(Vec<u8>);

impl Convert<Vec<u8>> for Bytes {
    fn convert(self) -> Vec<u8> {
        self.0
    }
}

impl Convert<Bytes> for Vec<u8> {
    fn convert(self) -> Bytes {
        Bytes(self)
    }
}

impl<'de> Deserialize<'de> for Bytes {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let expected =
            || serde::de::Error::custom("expected a text, or {\"hex\": \"ff00\"} for bytes that are not UTF-8");
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

/// An error that the adapter returned.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct AdapterError {
    pub kind: ErrorKind,
    pub message: String,
    pub path: Option<String>,
}

/// The kind of an error that the adapter returned.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ErrorKind {
    InvalidConfig,
    InvalidEvent,
    Unauthenticated,
    Unsupported,
    Internal,
}

/// The value as answers are written and compared: without absent values and empty lists.
pub(crate) fn normalized(value: &impl Serialize) -> Value {
    let mut value = serde_json::to_value(value).expect("the types are plain data with text keys");
    remove_empty(&mut value);
    value
}

fn remove_empty(value: &mut Value) {
    match value {
        Value::Object(fields) => {
            fields.retain(|_, field| !field.is_null() && field.as_array().is_none_or(|items| !items.is_empty()));
            fields.values_mut().for_each(remove_empty);
        }
        Value::Array(items) => items.iter_mut().for_each(remove_empty),
        _ => {}
    }
}
