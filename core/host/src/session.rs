//! One instance of an adapter and the calls to it.

use std::sync::Arc;
use std::time::{Duration, Instant};

use serde_json::Value;

use super::adapter::Adapter;
use super::error::AdapterError;
use super::guest::LogLine;
use super::instance::{Instance, grant, stopped};
use super::{limits, output, wire};

/// A conversation with one adapter on behalf of one postback. The instance is made by the first call
/// and dropped with the session; a call that was stopped drops it at once, and the next one starts afresh.
///
/// Never share a session between postbacks: an instance could remember what it has seen.
pub struct Session {
    adapter: Arc<Adapter>,
    live: Option<Instance>,
    log: Vec<LogLine>,
    cost: Cost,
}

/// What one call took, to be held against [`Limits`].
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Cost {
    pub fuel: u64,
    /// The most that the instance has held so far; its memory never shrinks.
    pub memory_bytes: usize,
    /// The first call of a session includes the making of the instance.
    pub elapsed: Duration,
}

impl Adapter {
    /// A conversation with this adapter, for one postback. Nothing runs until the first call.
    pub fn session(self: &Arc<Self>) -> Session {
        Session::new(Arc::clone(self))
    }

    /// Everything wrong with a configuration: what its schema says, and then what the adapter itself
    /// says, which sees the secrets hidden. Paths are JSON pointers. Messages never quote a value.
    pub fn check_config(self: &Arc<Self>, config: &Value) -> Result<Vec<wire::ConfigIssue>, AdapterError> {
        self.check_config_in(&mut self.session(), config)
    }

    /// The same in a session of the caller, who wants to know what was logged and what it took.
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
            // The schema has told already, field by field, why the whole cannot be read.
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

    /// Whether this event goes out, and why. Ask only after the host's own rules said yes.
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

    /// The request to send. It is within all bounds and goes to a host that the adapter declared.
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

    /// What the network's answer means. The caller bounds `response.body` and says if it was cut.
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

    /// What to add to the landing URL of a click.
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

    /// What a network's request reports, in its own words.
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

    /// What the adapter logged during the last call, also if that call failed.
    pub fn log(&self) -> &[LogLine] {
        &self.log
    }

    pub fn adapter(&self) -> &Adapter {
        &self.adapter
    }

    /// What the last call took, also if it failed.
    pub fn cost(&self) -> Cost {
        self.cost
    }

    /// Runs one call within its own budget, in an instance that has survived every call before.
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
