//! Why an adapter could not be loaded or did not answer, each in a sentence for the person who asks.

/// [`code`](Self::code) is stable and goes into APIs and logs; the sentence may change.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AdapterError {
    #[error("The adapter engine cannot start on this machine: {reason}.")]
    Engine { reason: String },
    #[error("This is {what}; an adapter is a WebAssembly component, built with the Postrider SDK.")]
    NotAComponent { what: &'static str },
    #[error("The component has {bytes} bytes, {max} are allowed.")]
    TooLarge { bytes: usize, max: usize },
    #[error(
        "The component imports '{import}', but an adapter may import only 'postrider:adapter/log'. Build it for wasm32-unknown-unknown, without WASI."
    )]
    ImportRefused { import: String },
    #[error("The file is cut off after {bytes} bytes, in the middle of the component; upload it once more, whole.")]
    CutOff { bytes: usize },
    #[error("The component does not fulfil the adapter contract 0.1: {reason}.")]
    ContractMismatch { reason: String },
    #[error("The adapter describes itself wrongly: {reason}.")]
    InvalidDescriptor { reason: String },

    #[error("Compiling the component needed more than {limit} and was stopped; make it smaller or simpler.")]
    CompileTooCostly { limit: String },

    #[error("The configuration has {bytes} bytes, {max} are allowed.")]
    ConfigTooLarge { bytes: usize, max: usize },
    #[error("The configuration has more than {max} values, which is too many for the schema of this adapter.")]
    ConfigTooManyValues { max: usize },
    #[error("The adapter did not finish '{call}' in {limit_ms} ms and was stopped.")]
    Timeout { call: &'static str, limit_ms: u128 },
    #[error("The adapter used up its computing budget of {fuel} steps in '{call}' and was stopped.")]
    OutOfFuel { call: &'static str, fuel: u64 },
    #[error("The adapter wanted more than {} MiB of memory in '{call}' and was stopped.", max >> 20)]
    OutOfMemory { call: &'static str, max: usize },
    #[error("The adapter logged more than {max_lines} lines or {max_bytes} bytes in '{call}' and was stopped.")]
    LogFlood { call: &'static str, max_lines: usize, max_bytes: usize },
    #[error(
        "The adapter crashed in '{call}': {reason}. What it logged before that is in the log of the attempt, and `postrider adapter run` shows it for any event."
    )]
    Trap { call: &'static str, reason: String },
    #[error("The adapter returned {what} in '{call}', {max} are allowed; a value that it was given may be too long.")]
    OutputTooLarge { call: &'static str, what: String, max: usize },
    #[error("The adapter returned something unusable in '{call}': {reason}.")]
    InvalidOutput { call: &'static str, reason: String },
    #[error("The adapter wanted to call '{host}', which is not among its own hosts: {allowed}.")]
    HostRefused { host: String, allowed: String },
    #[error("All places for running this adapter are taken; try again in a moment.")]
    Busy,

    /// The adapter understood the call and answered with an error of its own.
    #[error("{message}")]
    Refused { kind: RefusedKind, message: String, path: Option<String> },
}

/// Why an adapter said no; the contract's `error-kind`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RefusedKind {
    InvalidConfig,
    InvalidEvent,
    Unauthenticated,
    Unsupported,
    Internal,
}

impl AdapterError {
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

    /// Whether the same call may succeed later, without anyone changing anything. Adapters are
    /// pure functions, so only the machine's own trouble passes.
    pub fn is_transient(&self) -> bool {
        matches!(self, Self::Busy | Self::Timeout { .. })
    }

    /// Whether the adapter itself may be to blame. What it refuses it has understood, and what the machine or a configuration lacks
    /// is not its fault. Neither is size: how much it returns depends on what a visitor or a network sent.
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
