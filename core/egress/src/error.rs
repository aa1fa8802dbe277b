//! Why a request got no response, in sentences for support agents.
//!
//! The sentences contain only hosts, addresses and header names. Paths, query strings, credentials, header values and
//! bodies may contain personal data and never appear here.

use std::net::IpAddr;
use std::time::Duration;

use super::addresses::AddressKind;

/// Why a request was not sent, or got no complete response.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum EgressError {
    #[error("The URL cannot be used: {problem}.")]
    InvalidUrl { problem: String },

    #[error("The URL starts with \"{scheme}:\"; only http:// and https:// can be called.")]
    SchemeRefused { scheme: String },

    #[error("The URL has a user name or password before its host; send credentials in a header instead.")]
    UserInfoRefused,

    #[error(
        "{host} is refused: {address} is {kind}. Only public addresses can be called; the operator of this \
         server can allow others in EGRESS_ALLOW."
    )]
    AddressRefused { host: String, address: IpAddr, kind: AddressKind },

    #[error("The method {method} cannot be used; choose GET, POST, PUT, PATCH, DELETE, HEAD or OPTIONS.")]
    MethodRefused { method: String },

    #[error("{header} cannot be sent: {problem}.")]
    InvalidHeader { header: String, problem: &'static str },

    #[error("The name {host} could not be resolved ({problem}). Check its spelling and this server's DNS.")]
    DnsFailed { host: String, problem: String },

    #[error("{host} could not be reached on port {port}: {problem}.")]
    ConnectFailed { host: String, port: u16, problem: String },

    #[error("The secure connection to {host} failed: {problem}.")]
    TlsFailed { host: String, problem: String },

    #[error("{host} did not {} within {} ms.", missing.verb(), deadline.as_millis())]
    TimedOut { host: String, missing: Missing, deadline: Duration },

    #[error(
        "{host} closed the connection before its answer was complete; whether it acted on the request is \
         unknown."
    )]
    ConnectionClosed { host: String },

    #[error("{host} did not answer in valid HTTP/1.1: {problem}. Check the scheme and the port of the URL.")]
    InvalidAnswer { host: String, problem: String },

    #[error("This server ran out of {resource} while connecting to {host}; raise its limit.")]
    LocalLimit { host: String, resource: &'static str },

    #[error("The HTTP client could not be set up: {problem}.")]
    Setup { problem: String },
}

/// What had not been received when the deadline passed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Missing {
    /// The response headers.
    Answer,
    /// The rest of the response body.
    RestOfAnswer,
}

impl Missing {
    fn verb(self) -> &'static str {
        match self {
            Self::Answer => "answer",
            Self::RestOfAnswer => "finish its answer",
        }
    }
}

impl EgressError {
    /// The stable code for logs, metrics and the API.
    pub fn code(&self) -> &'static str {
        match self {
            Self::InvalidUrl { .. } => "invalid_url",
            Self::SchemeRefused { .. } => "scheme_refused",
            Self::UserInfoRefused => "userinfo_refused",
            Self::AddressRefused { .. } => "address_refused",
            Self::MethodRefused { .. } => "method_refused",
            Self::InvalidHeader { .. } => "invalid_header",
            Self::DnsFailed { .. } => "dns_failed",
            Self::ConnectFailed { .. } => "connect_failed",
            Self::TlsFailed { .. } => "tls_failed",
            Self::TimedOut { .. } => "timed_out",
            Self::ConnectionClosed { .. } => "connection_closed",
            Self::InvalidAnswer { .. } => "invalid_answer",
            Self::LocalLimit { .. } => "local_limit",
            Self::Setup { .. } => "client_setup_failed",
        }
    }

    /// Whether the same request may succeed later, without any change.
    pub fn retryable(&self) -> bool {
        match self {
            Self::DnsFailed { .. }
            | Self::ConnectFailed { .. }
            | Self::TlsFailed { .. }
            | Self::TimedOut { .. }
            | Self::ConnectionClosed { .. }
            | Self::InvalidAnswer { .. }
            | Self::LocalLimit { .. } => true,
            Self::InvalidUrl { .. }
            | Self::SchemeRefused { .. }
            | Self::UserInfoRefused
            | Self::AddressRefused { .. }
            | Self::MethodRefused { .. }
            | Self::InvalidHeader { .. }
            | Self::Setup { .. } => false,
        }
    }

    /// Whether the destination failed, rather than the request or this server.
    pub fn is_failure_of_destination(&self) -> bool {
        self.retryable() && !matches!(self, Self::LocalLimit { .. })
    }

    pub(super) fn invalid_url(problem: impl Into<String>) -> Self {
        Self::InvalidUrl { problem: problem.into() }
    }
}
