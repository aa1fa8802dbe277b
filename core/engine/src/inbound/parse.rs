//! Parsing: the adapter of a source reads the notifications of a request.

use std::sync::Arc;

use crate::Error;
use crate::app::App;
use crate::delivery::adapters::fault_review::review_faults;
use crate::delivery::adapters::{AdapterUse, Call, CallLine, Subject};
use crate::delivery::secrets::SecretError;
use crate::delivery::wire;
use domain::delivery::delivery::{AdapterLine, Reason};
use domain::inbound::inbound_request::{InboundRequest, OutcomeDetails};
use domain::inbound::notification::{Issue, Notification, Outcome};
use domain::inbound::source::Source;
use host::{AdapterError, wire as contract};

use super::source_adapter::adapter_of;
use super::stop::Stop;

/// The result of parsing a request.
pub struct Parsed {
    /// The outcome of the whole request. `None` if there are notifications.
    pub result: Option<OutcomeDetails>,
    pub notifications: Vec<Notification>,
    /// The reply of the adapter to the network.
    pub reply: Option<contract::Response>,
    /// The log of the adapter.
    pub adapter_log: Vec<AdapterLine>,
}

impl Parsed {
    /// The result of a request without notifications.
    pub fn ended(result: OutcomeDetails, adapter_log: Vec<AdapterLine>) -> Self {
        Self { result: Some(result), notifications: Vec::new(), reply: None, adapter_log }
    }
}

/// Reads the notifications of a request. A refusal or fault of the adapter is the outcome of the request.
///
/// # Errors
/// The database or another part of the server failed.
pub async fn parse(app: &App, source: &Source, request: &InboundRequest) -> Result<Parsed, Error> {
    let mut adapter_log = Vec::new();
    let report = match call_adapter(app, source, request, &mut adapter_log).await {
        Ok(report) => report,
        Err(stop) => return Ok(Parsed::ended(stop.outcome()?, adapter_log)),
    };
    let result = report.conversions.is_empty().then(|| match report.ignored {
        Some(it) => OutcomeDetails::new(Issue::outcome_of_code(&it.code), it.code, it.message),
        None => Issue::NothingReported("its result is empty".into()).into(),
    });
    let notifications = report.conversions.into_iter().map(wire::notification).collect();
    Ok(Parsed { result, notifications, reply: report.reply, adapter_log })
}

async fn call_adapter(
    app: &App,
    source: &Source,
    request: &InboundRequest,
    log: &mut Vec<AdapterLine>,
) -> Result<contract::InboundReport, Stop> {
    let adapter = adapter_of(app, source).await.map_err(|error| match error {
        Error::AdapterWaits(reason) => Stop::Outcome(without_adapter(source, reason)),
        other => Stop::Failed(other),
    })?;
    let context = wire::context(request.received_at, request.tries + 1, false, request.id.to_string());
    let (binding, secrets) = wire::source_binding(&app.vault, source).map_err(|error| unreadable(&error))?;
    let request = wire::inbound_request(&request.raw);
    let (line, called) = (CallLine::of(source.affiliate_id, &adapter), adapter.clone());
    let call = move || {
        let mut session = called.session();
        (session.parse_inbound(&context, &binding, &request), session.log().to_vec())
    };
    let subject = Subject::Source(Arc::new(source.clone()));
    let (parsed, lines) = match app.adapters.pool().ask_for(line, subject, call).await {
        Ok((parsed, lines)) => (parsed, lines),
        Err(busy) => (Err(busy), Vec::new()),
    };
    *log = wire::log_lines(&lines, &secrets);
    app.adapters.faults().count(Call::ParseInbound, AdapterUse::source(source, &adapter), &parsed);
    review_faults(app).await;
    let mut report = parsed.map_err(|error| {
        let error = secrets.redact(error);
        let outcome = match &error {
            AdapterError::Refused { .. } => Outcome::Refused,
            error if error.is_transient() => Outcome::Waiting,
            _ => Outcome::Failed,
        };
        OutcomeDetails::new(outcome, error.code(), error.to_string())
    })?;
    if let Some(ignored) = &mut report.ignored {
        ignored.message = secrets.mask(&ignored.message).into_owned();
    }
    Ok(report)
}

/// The outcome of a request whose source has secrets that cannot be opened. The request waits for the right secret key.
pub fn unreadable(error: &SecretError) -> OutcomeDetails {
    OutcomeDetails::new(Outcome::Waiting, error.code(), error.to_string())
}

/// The outcome of a request without an adapter. A missing adapter must be installed by a person, so the request fails.
/// It waits for an adapter that is disabled or out of service.
fn without_adapter(source: &Source, reason: Reason) -> OutcomeDetails {
    if reason.code != "adapter_missing" {
        return OutcomeDetails::new(Outcome::Waiting, reason.code, reason.sentence);
    }
    let sentence = format!(
        "the adapter \"{}\" of this source is not installed on this server; install it and replay the request",
        source.adapter
    );
    OutcomeDetails::new(Outcome::Failed, reason.code, sentence)
}
