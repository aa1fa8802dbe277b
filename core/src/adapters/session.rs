//! One instance of an adapter and the calls to it.

use std::sync::Arc;
use std::time::Instant;

use wasmtime::{PoolConcurrencyLimitError, Store, Trap};

use super::adapter::Adapter;
use super::error::AdapterError;
use super::guest::{Guest, LogFlood, LogLine, OutOfMemory};
use super::limits::{self, Limits};
use super::{output, v0_1, wire};

/// A conversation with one adapter on behalf of one postback. The instance is made by the first call
/// and dropped with the session; a call that was stopped drops it at once, and the next one starts afresh.
///
/// Never share a session between postbacks: an instance could remember what it has seen.
pub struct Session {
    adapter: Arc<Adapter>,
    live: Option<Instance>,
    log: Vec<LogLine>,
}

struct Instance {
    store: Store<Guest>,
    exports: v0_1::Adapter,
}

impl Session {
    pub(super) fn new(adapter: Arc<Adapter>) -> Self {
        Self { adapter, live: None, log: Vec::new() }
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

    pub(super) fn describe(
        component: &v0_1::AdapterPre<Guest>,
        limits: &Limits,
    ) -> Result<wire::Descriptor, AdapterError> {
        let mut instance = Instance::start(component, limits)?;
        let api = instance.exports.postrider_adapter_adapter_api();
        api.call_describe(&mut instance.store).map_err(|error| stopped("describe", limits, &error))
    }

    /// Runs one call within its own budget, in an instance that has survived every call before.
    fn call<T>(
        &mut self,
        name: &'static str,
        run: impl FnOnce(&mut Instance) -> wasmtime::Result<T>,
    ) -> Result<T, AdapterError> {
        self.log.clear();
        let limits = &self.adapter.limits;
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
        match result {
            Ok(answer) => {
                self.live = Some(instance);
                Ok(answer)
            }
            Err(error) => Err(stopped(name, limits, &error)),
        }
    }
}

impl Instance {
    fn start(component: &v0_1::AdapterPre<Guest>, limits: &Limits) -> Result<Self, AdapterError> {
        let mut store = Store::new(component.engine(), Guest::new(limits));
        store.limiter(|guest| guest);
        store.set_hostcall_fuel(limits::OUTPUT_BYTES);
        store.set_max_component_handles(0);
        grant(&mut store, limits)?;
        let exports = component.instantiate(&mut store).map_err(|error| stopped("start", limits, &error))?;
        Ok(Self { store, exports })
    }
}

/// The budget of one call. What an earlier call left over does not count.
fn grant(store: &mut Store<Guest>, limits: &Limits) -> Result<(), AdapterError> {
    store.data_mut().begin_call();
    store.set_epoch_deadline(limits.deadline_ticks);
    store.set_fuel(limits.fuel).map_err(|error| AdapterError::Engine { reason: format!("{error:#}") })
}

/// Why the engine stopped a call. An adapter's own words do not come in here: they
/// may quote the event, and this sentence is stored and logged.
fn stopped(call: &'static str, limits: &Limits, error: &wasmtime::Error) -> AdapterError {
    if error.is::<PoolConcurrencyLimitError>() {
        return AdapterError::Busy;
    }
    if error.is::<OutOfMemory>() {
        return AdapterError::OutOfMemory { call, max: limits.memory_bytes };
    }
    if error.is::<LogFlood>() {
        let (max_lines, max_bytes) = (limits::LOG_CALLS, limits::LOG_BYTES);
        return AdapterError::LogFlood { call, max_lines, max_bytes };
    }
    match error.downcast_ref::<Trap>() {
        Some(Trap::OutOfFuel) => AdapterError::OutOfFuel { call, fuel: limits.fuel },
        Some(Trap::Interrupt) => {
            let limit_ms = limits::TICK.as_millis() * u128::from(limits.deadline_ticks);
            AdapterError::Timeout { call, limit_ms }
        }
        Some(trap) => AdapterError::Trap { call, reason: trap.to_string() },
        None => output::unreadable(call, error),
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
