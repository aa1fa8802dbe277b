//! The contract's types by their short names, with constructors for common values.

pub use crate::bindings::exports::postrider::adapter::adapter_api::{Json, Response};
pub use crate::bindings::postrider::adapter::types::{
    Action, AdapterError, Binding, Body, Capabilities, Check, Click, ConfigIssue, Context, Conversion,
    ConversionStatus, Decision, Descriptor, ErrorKind, Event, Field, HttpMethod, InboundReport, InboundRequest,
    MacroDef, Money, Outcome, Party, Refusal, Rejection, ReportedAmount, ReportedConversion, Request, RulePolicy,
    Verdict,
};

impl Descriptor {
    /// An adapter that only sends, allows every rule, and permits delays of at most 30 days.
    /// Complete it with `..`: hosts (none are allowed yet), schema and macros.
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

/// Durations in the contract are in milliseconds.
mod time_ms {
    pub const fn days(days: u64) -> u64 {
        days * 24 * 60 * 60 * 1000
    }
}

impl Request {
    pub fn get(url: impl Into<String>) -> Self {
        Self { method: HttpMethod::Get, url: url.into(), headers: Vec::new(), body: None, sign_with: Vec::new() }
    }

    pub fn post(url: impl Into<String>, content_type: &str, bytes: impl Into<Vec<u8>>) -> Self {
        let body = Body { content_type: content_type.into(), bytes: bytes.into() };
        Self { method: HttpMethod::Post, url: url.into(), headers: Vec::new(), body: Some(body), sign_with: Vec::new() }
    }

    pub fn header(mut self, name: &str, value: impl Into<String>) -> Self {
        self.headers.push(Field { name: name.into(), value: value.into() });
        self
    }
}

impl Decision {
    /// Fire now. The host has already checked its own rules; this adds no check.
    pub fn fire() -> Self {
        Self { verdict: Verdict::Fire, checks: Vec::new() }
    }

    /// Fire now, with the adapter's own check that passed.
    pub fn fire_because(name: &str, detail: impl Into<String>) -> Self {
        Self::fire().and(true, name, detail)
    }

    /// Do not fire. `name` is the rule in one or two words, `detail` the sentence that answers "why did it not fire?":
    /// `Decision::skip("trigger", "the conversion is pending; this postback waits for accepted ones")`.
    pub fn skip(name: &str, detail: impl Into<String>) -> Self {
        Self { verdict: Verdict::Skip, checks: Vec::new() }.and(false, name, detail)
    }

    /// Do not fire, because the event lacks a value that the destination requires. Unlike any other skip, this one is recorded in the
    /// delivery log, as cancelled with `detail` as its reason, because the owner expects that postback.
    pub fn missing(detail: impl Into<String>) -> Self {
        Self::skip("missing", detail)
    }

    /// Fire, but not before this time has passed. The host's own delay applies too: the longer one counts.
    pub fn fire_after(duration_ms: u64, name: &str, detail: impl Into<String>) -> Self {
        Self { verdict: Verdict::FireAfter(duration_ms), checks: Vec::new() }.and(true, name, detail)
    }

    /// Adds a check that led to the verdict.
    pub fn and(mut self, passed: bool, name: &str, detail: impl Into<String>) -> Self {
        self.checks.push(Check { name: name.into(), passed, detail: detail.into() });
        self
    }
}

impl Outcome {
    /// The network refused permanently. `code` is stable; `message` is a sentence without personal data.
    pub fn refused(code: &str, message: impl Into<String>) -> Self {
        Self::Refused(Refusal { code: code.into(), message: message.into() })
    }
}

impl InboundReport {
    /// Conversions to process.
    pub fn of(conversions: Vec<ReportedConversion>) -> Self {
        Self { conversions, ignored: None, reply: None }
    }

    /// Nothing to process, and the reason: a stable code and a sentence for the log.
    pub fn ignored(code: &str, message: impl Into<String>) -> Self {
        let ignored = Some(Refusal { code: code.into(), message: message.into() });
        Self { conversions: Vec::new(), ignored, reply: None }
    }
}

/// Nothing known yet: set the fields that the network sends.
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

    pub fn unsupported(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::Unsupported, message, None)
    }
}

impl ConfigIssue {
    /// `path` is a JSON pointer into the configuration, "" for the whole configuration.
    pub fn new(path: impl Into<String>, message: impl Into<String>) -> Self {
        Self { path: path.into(), message: message.into() }
    }
}

/// The value of the first field with this name; names are compared exactly.
pub fn find<'a>(fields: &'a [Field], name: &str) -> Option<&'a str> {
    fields.iter().find(|field| field.name == name).map(|field| field.value.as_str())
}

impl ConversionStatus {
    /// The value in requests: pending, approved or rejected.
    pub fn as_str(&self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Approved => "approved",
            Self::Rejected(_) => "rejected",
        }
    }
}

impl Action {
    /// The value in requests; a custom event is an `event`.
    pub fn as_str(&self) -> &'static str {
        match self {
            Self::Impression => "impression",
            Self::Click => "click",
            Self::Conversion => "conversion",
            Self::CustomEvent => "event",
        }
    }
}
