//! One instance of an adapter and the calls to it.

use std::sync::Arc;
use std::time::{Duration, Instant};

use serde_json::Value;

use super::adapter::Adapter;
use super::error::AdapterError;
use super::guest::LogLine;
use super::instance::{Instance, grant, stopped};
use super::{limits, output, wire};

/// Calls to one adapter for one postback. The first call creates the instance, which is dropped with the session; after
/// a call that was stopped, the next call creates a new one.
///
/// Never share a session between postbacks: an instance could remember data of earlier calls.
pub struct Session {
    adapter: Arc<Adapter>,
    live: Option<Instance>,
    log: Vec<LogLine>,
    cost: Cost,
}

/// What one call used, for comparison with [`Limits`](limits::Limits).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Cost {
    /// Units of fuel.
    pub fuel: u64,
    /// The highest memory of the instance so far, in bytes; its memory never shrinks.
    pub memory_bytes: usize,
    /// Wall-clock time. For the first call of a session it includes the creation of the instance.
    pub elapsed: Duration,
}

impl Adapter {
    /// A session for one postback. Nothing runs until the first call.
    pub fn session(self: &Arc<Self>) -> Session {
        Session::new(Arc::clone(self))
    }

    /// All issues of a configuration: those of its schema, then those of the adapter, which gets the configuration without
    /// secrets. Paths are JSON pointers. Messages never quote a value.
    pub fn check_config(self: &Arc<Self>, config: &Value) -> Result<Vec<wire::ConfigIssue>, AdapterError> {
        self.check_config_in(&mut self.session(), config)
    }

    /// Like [`Self::check_config`], in the caller's session, for its log and cost.
    pub fn check_config_in(
        &self,
        session: &mut Session,
        config: &Value,
    ) -> Result<Vec<wire::ConfigIssue>, AdapterError> {
        let text = config.to_string();
        if text.len() > limits::CONFIG_BYTES {
            return Err(AdapterError::ConfigTooLarge { bytes: text.len(), max: limits::CONFIG_BYTES });
        }
        let mut issues = self.schema().issues(config)?;
        let mut own = session.validate(&self.schema().hidden(config).to_string())?;
        if !issues.is_empty() {
            // The issues of the schema name every field because of which the configuration cannot be read.
            own.retain(|issue| !issue.path.is_empty());
        }
        issues.append(&mut own);
        issues.truncate(limits::CONFIG_ISSUES);
        Ok(issues)
    }
}

impl Session {
    pub(super) fn new(adapter: Arc<Adapter>) -> Self {
        Self { adapter, live: None, log: Vec::new(), cost: Cost::default() }
    }

    /// Whether the event is sent, and why. Call this only after the postback's rule has matched the event.
    pub fn decide(
        &mut self,
        ctx: &wire::Context,
        binding: &wire::Binding,
        event: &wire::Event,
    ) -> Result<wire::Decision, AdapterError> {
        let decision = self.call("decide", |instance| {
            instance.exports.postrider_adapter_adapter_api().call_decide(&mut instance.store, ctx, binding, event)
        })?;
        output::check_decision(decision.map_err(refused)?)
    }

    /// The request to send. It is within all limits, and its host is one that the adapter declared.
    pub fn render(
        &mut self,
        ctx: &wire::Context,
        binding: &wire::Binding,
        event: &wire::Event,
    ) -> Result<wire::Request, AdapterError> {
        let request = self.call("render", |instance| {
            instance.exports.postrider_adapter_adapter_api().call_render(&mut instance.store, ctx, binding, event)
        })?;
        let request = request.map_err(refused)?;
        output::check_request(&request, &self.adapter.descriptor().hosts)?;
        Ok(request)
    }

    /// The meaning of the network's response. The caller bounds `response.body` and says whether it was cut.
    pub fn classify(
        &mut self,
        ctx: &wire::Context,
        binding: &wire::Binding,
        request: &wire::Request,
        response: &wire::Response,
    ) -> Result<wire::Outcome, AdapterError> {
        let outcome = self.call("classify", |instance| {
            let api = instance.exports.postrider_adapter_adapter_api();
            api.call_classify(&mut instance.store, ctx, binding, request, response)
        })?;
        Ok(output::bounded_outcome(outcome.map_err(refused)?))
    }

    /// The parameters to add to the landing page URL of a click.
    pub fn decorate_click(
        &mut self,
        ctx: &wire::Context,
        binding: &wire::Binding,
        click: &wire::Click,
    ) -> Result<Vec<wire::Field>, AdapterError> {
        let fields = self.call("decorate-click", |instance| {
            let api = instance.exports.postrider_adapter_adapter_api();
            api.call_decorate_click(&mut instance.store, ctx, binding, click)
        })?;
        output::check_decoration(fields.map_err(refused)?)
    }

    /// The notifications in a network's request, as raw fields.
    pub fn parse_inbound(
        &mut self,
        ctx: &wire::Context,
        binding: &wire::Binding,
        request: &wire::InboundRequest,
    ) -> Result<wire::InboundReport, AdapterError> {
        let report = self.call("parse-inbound", |instance| {
            let api = instance.exports.postrider_adapter_adapter_api();
            api.call_parse_inbound(&mut instance.store, ctx, binding, request)
        })?;
        output::check_report(report.map_err(refused)?)
    }

    pub(super) fn validate(&mut self, config: &wire::Json) -> Result<Vec<wire::ConfigIssue>, AdapterError> {
        let issues = self.call("validate", |instance| {
            instance.exports.postrider_adapter_adapter_api().call_validate(&mut instance.store, config)
        })?;
        Ok(output::bounded_issues(issues))
    }

    /// The lines that the adapter logged during the last call, even if the call failed.
    pub fn log(&self) -> &[LogLine] {
        &self.log
    }

    /// The adapter of the session.
    pub fn adapter(&self) -> &Adapter {
        &self.adapter
    }

    /// What the last call used, even if it failed.
    pub fn cost(&self) -> Cost {
        self.cost
    }

    /// Runs one call with its own budget, in the existing instance or in a new one.
    fn call<T>(
        &mut self,
        name: &'static str,
        run: impl FnOnce(&mut Instance) -> wasmtime::Result<T>,
    ) -> Result<T, AdapterError> {
        self.log.clear();
        self.cost = Cost::default();
        let limits = &self.adapter.limits;
        let begun = Instant::now();
        let mut instance = match self.live.take() {
            Some(mut instance) => {
                grant(&mut instance.store, limits)?;
                instance
            }
            None => Instance::start(&self.adapter.component, limits)?,
        };
        let started = Instant::now();
        let result = run(&mut instance);
        metrics::histogram!("postrider_adapter_seconds", "call" => name).record(started.elapsed());
        self.log.append(&mut instance.store.data_mut().log);
        self.cost = Cost {
            fuel: limits.fuel - instance.store.get_fuel().unwrap_or_default(),
            memory_bytes: instance.store.data().memory_peak_bytes,
            elapsed: begun.elapsed(),
        };
        match result {
            Ok(answer) => {
                self.live = Some(instance);
                Ok(answer)
            }
            Err(error) => Err(stopped(name, limits, &error)),
        }
    }
}

fn refused(error: wire::AdapterError) -> AdapterError {
    use super::error::RefusedKind as To;
    use wire::ErrorKind as From;
    let kind = match error.kind {
        From::InvalidConfig => To::InvalidConfig,
        From::InvalidEvent => To::InvalidEvent,
        From::Unauthenticated => To::Unauthenticated,
        From::Unsupported => To::Unsupported,
        From::Internal => To::Internal,
    };
    let sentence = |text: &str| output::clean(text, limits::SENTENCE_CHARS);
    AdapterError::Refused { kind, message: sentence(&error.message), path: error.path.as_deref().map(sentence) }
}
