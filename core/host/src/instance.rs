//! One instance of a component: its memory, its budget, and why one of its calls was stopped.

use wasmtime::{PoolConcurrencyLimitError, Store, Trap};

use super::error::AdapterError;
use super::guest::{Guest, LogFlood, OutOfMemory};
use super::limits::{self, Limits};
use super::{output, v0_1, wire};

/// An instance. Its memory persists between calls.
pub(super) struct Instance {
    pub store: Store<Guest>,
    pub exports: v0_1::Adapter,
}

impl Instance {
    /// Creates an instance with the budget of one call.
    pub fn start(component: &v0_1::AdapterPre<Guest>, limits: &Limits) -> Result<Self, AdapterError> {
        let mut store = Store::new(component.engine(), Guest::new(limits));
        store.limiter(|guest| guest);
        store.set_hostcall_fuel(limits::OUTPUT_BYTES);
        store.set_max_component_handles(0);
        grant(&mut store, limits)?;
        let exports = component.instantiate(&mut store).map_err(|error| stopped("start", limits, &error))?;
        Ok(Self { store, exports })
    }

    /// The component's description, from an instance for this call only.
    pub fn describe(component: &v0_1::AdapterPre<Guest>, limits: &Limits) -> Result<wire::Descriptor, AdapterError> {
        let mut instance = Instance::start(component, limits)?;
        let api = instance.exports.postrider_adapter_adapter_api();
        api.call_describe(&mut instance.store).map_err(|error| stopped("describe", limits, &error))
    }
}

/// Sets the budget of one call, regardless of what earlier calls used.
pub(super) fn grant(store: &mut Store<Guest>, limits: &Limits) -> Result<(), AdapterError> {
    store.data_mut().begin_call();
    store.set_epoch_deadline(limits.deadline_ticks);
    store.set_fuel(limits.fuel).map_err(|error| AdapterError::Engine { reason: format!("{error:#}") })
}

/// Why the engine stopped a call. It contains no text of the adapter, which may quote the event: this sentence is
/// stored and logged.
pub(super) fn stopped(call: &'static str, limits: &Limits, error: &wasmtime::Error) -> AdapterError {
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
