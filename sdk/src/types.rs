//! The contract's types by their short names, with constructors for common values.

pub use crate::bindings::exports::postrider::adapter::adapter_api::{Json, Response};
pub use crate::bindings::postrider::adapter::types::{
    Action, AdapterError, Binding, Body, Capabilities, Check, Click, ConfigIssue, Context, Conversion,
    ConversionStatus, Decision, Descriptor, ErrorKind, Event, Field, HttpMethod, InboundReport, InboundRequest,
    MacroDef, Money, Outcome, Party, Refusal, Rejection, ReportedAmount, ReportedConversion, Request, RulePolicy,
    Verdict,
};

impl Descriptor {
    /// An adapter that only sends requests, supports every action and rule, and permits delays of at most 30 days.
    /// Add the hosts (no host is allowed at first), the schema and the macros with `..Descriptor::outbound(…)`.
    pub fn outbound(id: &str, version: &str, title: &str) -> Self {
        Self {
            id: id.into(),
            version: version.into(),
            title: title.into(),
            summary: String::new(),
            docs_url: None,
            capabilities: Capabilities::OUTBOUND,
            rules: RulePolicy {
                actions: vec![Action::Impression, Action::Click, Action::Conversion, Action::CustomEvent],
                statuses: true,
                rejection_reasons: true,
                min_delay: 0,
                max_delay: time_ms::days(30),
            },
            hosts: Vec::new(),
            config_schema: "{}".into(),
            macros: Vec::new(),
        }
    }
}

/// Durations in milliseconds, the contract's unit.
mod time_ms {
    pub const fn days(days: u64) -> u64 {
        days * 24 * 60 * 60 * 1000
    }
}

impl Request {
    /// A GET request without headers.
    pub fn get(url: impl Into<String>) -> Self {
        Self { method: HttpMethod::Get, url: url.into(), headers: Vec::new(), body: None, sign_with: Vec::new() }
    }

    /// A POST request with a body and its content type.
    pub fn post(url: impl Into<String>, content_type: &str, bytes: impl Into<Vec<u8>>) -> Self {
        let body = Body { content_type: content_type.into(), bytes: bytes.into() };
        Self { method: HttpMethod::Post, url: url.into(), headers: Vec::new(), body: Some(body), sign_with: Vec::new() }
    }

    /// Adds a header. The server refuses the headers that it sets itself; see [`headers`](crate::headers).
    pub fn header(mut self, name: &str, value: impl Into<String>) -> Self {
        self.headers.push(Field { name: name.into(), value: value.into() });
        self
    }
}

impl Decision {
    /// Send the request now. The host has already checked its own rules; this adds no check.
    pub fn fire() -> Self {
        Self { verdict: Verdict::Fire, checks: Vec::new() }
    }

    /// Send the request now, with a check of the adapter that passed.
    pub fn fire_because(name: &str, detail: impl Into<String>) -> Self {
        Self::fire().and(true, name, detail)
    }

    /// Send nothing. `name` is the check in one or two words. `detail` is the reason for the user, as a sentence:
    /// `Decision::skip("trigger", "the conversion is pending; this postback fires for accepted ones")`.
    pub fn skip(name: &str, detail: impl Into<String>) -> Self {
        Self { verdict: Verdict::Skip, checks: Vec::new() }.and(false, name, detail)
    }

    /// Send nothing, because the event lacks a value that the destination requires. Unlike any other skip, this one is
    /// recorded: as a cancelled delivery with `detail` as its reason, because the owner expects this postback.
    pub fn missing(detail: impl Into<String>) -> Self {
        Self::skip("missing", detail)
    }

    /// Send the request after this time, in milliseconds. The host applies the longer one of this and the delay of the
    /// postback's rule.
    pub fn fire_after(duration_ms: u64, name: &str, detail: impl Into<String>) -> Self {
        Self { verdict: Verdict::FireAfter(duration_ms), checks: Vec::new() }.and(true, name, detail)
    }

    /// Adds a check that the verdict is based on.
    pub fn and(mut self, passed: bool, name: &str, detail: impl Into<String>) -> Self {
        self.checks.push(Check { name: name.into(), passed, detail: detail.into() });
        self
    }
}

impl Outcome {
    /// The network refused the request permanently. `code` is stable; `message` is a sentence without personal data.
    pub fn refused(code: &str, message: impl Into<String>) -> Self {
        Self::Refused(Refusal { code: code.into(), message: message.into() })
    }
}

impl InboundReport {
    /// A notification with these conversions.
    pub fn of(conversions: Vec<ReportedConversion>) -> Self {
        Self { conversions, ignored: None, reply: None }
    }

    /// A notification without a conversion, and the reason: a stable code and a sentence for the log.
    pub fn ignored(code: &str, message: impl Into<String>) -> Self {
        let ignored = Some(Refusal { code: code.into(), message: message.into() });
        Self { conversions: Vec::new(), ignored, reply: None }
    }
}

/// A conversion without any data. Set the fields that the network sends.
impl Default for ReportedConversion {
    fn default() -> Self {
        Self {
            transaction_id: None,
            click_id: None,
            goal: None,
            status: None,
            rejection_reason: None,
            payout: None,
            revenue: None,
            sale: None,
            occurred_at: None,
            attributes: Vec::new(),
        }
    }
}

impl AdapterError {
    fn new(kind: ErrorKind, message: impl Into<String>, path: Option<String>) -> Self {
        Self { kind, message: message.into(), path }
    }

    /// The configuration is invalid; `path` is a JSON pointer such as `/parameters/2/macro`.
    pub fn invalid_config(path: impl Into<String>, message: impl Into<String>) -> Self {
        Self::new(ErrorKind::InvalidConfig, message, Some(path.into()))
    }

    /// The event lacks a value that the network requires.
    pub fn invalid_event(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::InvalidEvent, message, None)
    }

    /// The adapter does not support this call.
    pub fn unsupported(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::Unsupported, message, None)
    }
}

impl ConfigIssue {
    /// A problem with a configuration. `path` is a JSON pointer into it, "" for the whole configuration. `message` is a
    /// sentence for the user.
    pub fn new(path: impl Into<String>, message: impl Into<String>) -> Self {
        Self { path: path.into(), message: message.into() }
    }
}

/// The value of the first field with exactly this name.
pub fn find<'a>(fields: &'a [Field], name: &str) -> Option<&'a str> {
    fields.iter().find(|field| field.name == name).map(|field| field.value.as_str())
}

impl Conversion {
    /// Whether it is a test conversion, which counts nowhere. Tell it to a network that can receive tests.
    pub fn is_test(&self) -> bool {
        find(&self.attributes, "test").is_some()
    }
}

impl ConversionStatus {
    /// The word in requests: pending, approved or rejected.
    pub fn as_str(&self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Approved => "approved",
            Self::Rejected(_) => "rejected",
        }
    }
}

impl Action {
    /// The word in requests: impression, click, conversion, or event for a custom event.
    pub fn as_str(&self) -> &'static str {
        match self {
            Self::Impression => "impression",
            Self::Click => "click",
            Self::Conversion => "conversion",
            Self::CustomEvent => "event",
        }
    }
}
