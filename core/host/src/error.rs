//! Why an adapter could not be loaded or run, each with a sentence for people.

/// Why an adapter could not be loaded or run. [`code`](Self::code) is stable and goes into APIs and logs; the sentence
/// may change.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AdapterError {
    #[error("The adapter engine cannot start on this machine: {reason}.")]
    Engine { reason: String },
    #[error("This is {what}; an adapter is a WebAssembly component, built with the Postrider SDK.")]
    NotAComponent { what: &'static str },
    #[error("The component has {bytes} bytes; at most {max} are allowed.")]
    TooLarge { bytes: usize, max: usize },
    #[error(
        "The component imports '{import}', but an adapter can import only 'postrider:adapter/log'. Build it for wasm32-unknown-unknown, without WASI."
    )]
    ImportRefused { import: String },
    #[error("The file ends after {bytes} bytes, in the middle of the component; upload the complete file.")]
    CutOff { bytes: usize },
    #[error("The component does not implement the adapter contract 0.1: {reason}.")]
    ContractMismatch { reason: String },
    #[error("The adapter's description is invalid: {reason}.")]
    InvalidDescriptor { reason: String },

    #[error("Compiling the component needed more than {limit} and was stopped; make it smaller or simpler.")]
    CompileTooCostly { limit: String },

    #[error("The configuration has {bytes} bytes; at most {max} are allowed.")]
    ConfigTooLarge { bytes: usize, max: usize },
    #[error("The configuration has more than {max} values, which is too many for the schema of this adapter.")]
    ConfigTooManyValues { max: usize },
    #[error("The adapter did not finish '{call}' in {limit_ms} ms and was stopped.")]
    Timeout { call: &'static str, limit_ms: u128 },
    #[error("The adapter used up its computing budget of {fuel} steps in '{call}' and was stopped.")]
    OutOfFuel { call: &'static str, fuel: u64 },
    #[error("The adapter requested more than {} MiB of memory in '{call}' and was stopped.", max >> 20)]
    OutOfMemory { call: &'static str, max: usize },
    #[error("The adapter logged more than {max_lines} lines or {max_bytes} bytes in '{call}' and was stopped.")]
    LogFlood { call: &'static str, max_lines: usize, max_bytes: usize },
    #[error(
        "The adapter crashed in '{call}': {reason}. The log of the attempt has the lines that the adapter logged before; `postrider adapter run` shows them for any event."
    )]
    Trap { call: &'static str, reason: String },
    #[error(
        "The adapter returned {what} in '{call}'; at most {max} are allowed. A value in its input may be too long."
    )]
    OutputTooLarge { call: &'static str, what: String, max: usize },
    #[error("The adapter returned an invalid result in '{call}': {reason}.")]
    InvalidOutput { call: &'static str, reason: String },
    #[error("The adapter's request goes to '{host}', which is not one of its hosts: {allowed}.")]
    HostRefused { host: String, allowed: String },
    #[error("All instances for adapters are in use; try again in a moment.")]
    Busy,

    /// The adapter returned an error.
    #[error("{message}")]
    Refused { kind: RefusedKind, message: String, path: Option<String> },
}

/// The kind of an error that an adapter returned: the contract's `error-kind`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RefusedKind {
    /// The configuration is invalid.
    InvalidConfig,
    /// The event lacks a value that the adapter needs.
    InvalidEvent,
    /// An inbound request is not authentic.
    Unauthenticated,
    /// The adapter does not implement the call.
    Unsupported,
    /// An internal error.
    Internal,
}

impl AdapterError {
    /// The stable error code.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Engine { .. } => "adapter_engine_unavailable",
            Self::NotAComponent { .. } => "adapter_not_a_component",
            Self::TooLarge { .. } => "adapter_too_large",
            Self::ImportRefused { .. } => "adapter_import_refused",
            Self::CutOff { .. } => "adapter_cut_off",
            Self::ContractMismatch { .. } => "adapter_contract_mismatch",
            Self::InvalidDescriptor { .. } => "adapter_invalid_descriptor",
            Self::CompileTooCostly { .. } => "adapter_compile_too_costly",
            Self::ConfigTooLarge { .. } => "adapter_config_too_large",
            Self::ConfigTooManyValues { .. } => "adapter_config_too_many_values",
            Self::Timeout { .. } => "adapter_timeout",
            Self::OutOfFuel { .. } => "adapter_out_of_fuel",
            Self::OutOfMemory { .. } => "adapter_memory",
            Self::LogFlood { .. } => "adapter_log_flood",
            Self::Trap { .. } => "adapter_trap",
            Self::OutputTooLarge { .. } => "adapter_output_too_large",
            Self::InvalidOutput { .. } => "adapter_invalid_output",
            Self::HostRefused { .. } => "adapter_host_refused",
            Self::Busy => "adapter_busy",
            Self::Refused { kind, .. } => match kind {
                RefusedKind::InvalidConfig => "adapter_invalid_config",
                RefusedKind::InvalidEvent => "adapter_invalid_event",
                RefusedKind::Unauthenticated => "adapter_unauthenticated",
                RefusedKind::Unsupported => "adapter_unsupported",
                RefusedKind::Internal => "adapter_internal",
            },
        }
    }

    /// Whether the same call may succeed later, without any change. Adapters are pure functions, so only problems of
    /// the machine are transient.
    pub fn is_transient(&self) -> bool {
        matches!(self, Self::Busy | Self::Timeout { .. })
    }

    /// Whether the error is a fault of the adapter. Errors that it returned are deliberate. Errors of the machine or of a
    /// configuration are not faults of the adapter, and neither is too much output, because its size depends on data from
    /// visitors and networks.
    pub fn is_fault(&self) -> bool {
        matches!(
            self,
            Self::Timeout { .. }
                | Self::OutOfFuel { .. }
                | Self::OutOfMemory { .. }
                | Self::LogFlood { .. }
                | Self::Trap { .. }
                | Self::InvalidOutput { .. }
        )
    }
}
