//! Why an adapter could not be loaded or run, each with a sentence for people.

/// Why an adapter could not be loaded or run. [`code`](Self::code) is stable and goes into APIs and logs; the sentence
/// may change.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AdapterError {
    /// The WebAssembly engine cannot start, or its cache folder cannot be used.
    #[error("The adapter engine cannot start on this machine: {reason}.")]
    Engine {
        /// The error, without a full stop.
        reason: String,
    },
    /// The bytes are not a WebAssembly component.
    #[error("This is {what}; an adapter is a WebAssembly component, built with the Postrider SDK.")]
    NotAComponent {
        /// The actual kind of the bytes, such as `a core WebAssembly module`.
        what: &'static str,
    },
    /// The component exceeds the limit of its size.
    #[error("The component has {bytes} bytes; at most {max} are allowed.")]
    TooLarge {
        /// The size of the component, in bytes.
        bytes: usize,
        /// The limit, in bytes.
        max: usize,
    },
    /// The component imports something other than the log.
    #[error(
        "The component imports '{import}', but an adapter can import only 'postrider:adapter/log'. Build it for wasm32-unknown-unknown, without WASI."
    )]
    ImportRefused {
        /// The name of the import.
        import: String,
    },
    /// The bytes end in the middle of the component.
    #[error("The file ends after {bytes} bytes, in the middle of the component; upload the complete file.")]
    CutOff {
        /// The number of bytes.
        bytes: usize,
    },
    /// The exports of the component differ from `wit/adapter.wit`.
    #[error("The component does not implement the adapter contract 0.1: {reason}.")]
    ContractMismatch {
        /// The first difference, without a full stop.
        reason: String,
    },
    /// `describe` returned invalid or contradictory data.
    #[error("The adapter's description is invalid: {reason}.")]
    InvalidDescriptor {
        /// The problem, without a full stop.
        reason: String,
    },

    /// Compiling exceeded the limit of CPU time, memory or file size.
    #[error("Compiling the component needed more than {limit} and was stopped; make it smaller or simpler.")]
    CompileTooCostly {
        /// The exceeded limit, with its unit.
        limit: String,
    },

    /// The configuration exceeds the limit of its size.
    #[error("The configuration has {bytes} bytes; at most {max} are allowed.")]
    ConfigTooLarge {
        /// The size of the configuration, in bytes.
        bytes: usize,
        /// The limit, in bytes.
        max: usize,
    },
    /// Validating this configuration against the schema would take too long.
    #[error("The configuration has more than {max} values, which is too many for the schema of this adapter.")]
    ConfigTooManyValues {
        /// The limit of values.
        max: usize,
    },
    /// The call exceeded its time limit.
    #[error("The adapter did not finish '{call}' in {limit_ms} ms and was stopped.")]
    Timeout {
        /// The function of the contract.
        call: &'static str,
        /// The limit, in milliseconds.
        limit_ms: u128,
    },
    /// The call exceeded its limit of WebAssembly instructions.
    #[error("The adapter used up its computing budget of {fuel} steps in '{call}' and was stopped.")]
    OutOfFuel {
        /// The function of the contract.
        call: &'static str,
        /// The limit, in units of fuel (about one per instruction).
        fuel: u64,
    },
    /// The call exceeded its memory limit.
    #[error("The adapter requested more than {} MiB of memory in '{call}' and was stopped.", max >> 20)]
    OutOfMemory {
        /// The function of the contract.
        call: &'static str,
        /// The limit, in bytes.
        max: usize,
    },
    /// The call exceeded its limits of log lines.
    #[error("The adapter logged more than {max_lines} lines or {max_bytes} bytes in '{call}' and was stopped.")]
    LogFlood {
        /// The function of the contract.
        call: &'static str,
        /// The limit of lines.
        max_lines: usize,
        /// The limit of the lines together, in bytes.
        max_bytes: usize,
    },
    /// The call ended with a trap, such as a panic.
    #[error(
        "The adapter crashed in '{call}': {reason}. The log of the attempt has the lines that the adapter logged before; `postrider adapter run` shows them for any event."
    )]
    Trap {
        /// The function of the contract.
        call: &'static str,
        /// The trap, without a full stop.
        reason: String,
    },
    /// The result of the call exceeds a limit.
    #[error(
        "The adapter returned {what} in '{call}'; at most {max} are allowed. A value in its input may be too long."
    )]
    OutputTooLarge {
        /// The function of the contract.
        call: &'static str,
        /// The size of the result with its unit, or `too many bytes`.
        what: String,
        /// The limit, in the unit of `what`.
        max: usize,
    },
    /// The result of the call is not usable, such as an invalid URL.
    #[error("The adapter returned an invalid result in '{call}': {reason}.")]
    InvalidOutput {
        /// The function of the contract.
        call: &'static str,
        /// The problem, without a full stop.
        reason: String,
    },
    /// The request goes to a host that the descriptor does not declare.
    #[error("The adapter's request goes to '{host}', which is not one of its hosts: {allowed}.")]
    HostRefused {
        /// The host of the request.
        host: String,
        /// The declared hosts, separated by commas.
        allowed: String,
    },
    /// No instance is free.
    #[error("All instances for adapters are in use; try again in a moment.")]
    Busy,

    /// The adapter returned an error.
    #[error("{message}")]
    Refused {
        /// The kind of the error.
        kind: RefusedKind,
        /// The message of the adapter.
        message: String,
        /// The JSON pointer of the field in the configuration that the message is about.
        path: Option<String>,
    },
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
