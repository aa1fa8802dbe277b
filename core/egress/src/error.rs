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
    /// The URL has a wrong syntax, or a part that cannot be used.
    #[error("The URL cannot be used: {problem}.")]
    InvalidUrl {
        /// The problem, as the end of a sentence.
        problem: String,
    },

    /// The scheme is neither http nor https.
    #[error("The URL starts with \"{scheme}:\"; only http:// and https:// can be called.")]
    SchemeRefused {
        /// The scheme, without a colon.
        scheme: String,
    },

    /// The URL contains credentials.
    #[error("The URL has a user name or password before its host; send credentials in a header instead.")]
    UserInfoRefused,

    /// The host has an address that is not public, and that the operator does not allow.
    #[error(
        "{host} is refused: {address} is {kind}. Only public addresses can be called; the operator of this \
         server can allow others in EGRESS_ALLOW."
    )]
    AddressRefused {
        /// The host of the URL.
        host: String,
        /// The refused address.
        address: IpAddr,
        /// The reason of the refusal, such as a private network.
        kind: AddressKind,
    },

    /// The method is CONNECT or TRACE.
    #[error("The method {method} cannot be used; choose GET, POST, PUT, PATCH, DELETE, HEAD or OPTIONS.")]
    MethodRefused {
        /// The method.
        method: String,
    },

    /// A header has an invalid name or value, or only the client may set it.
    #[error("{header} cannot be sent: {problem}.")]
    InvalidHeader {
        /// The header, as the beginning of a sentence; never its value.
        header: String,
        /// The problem, as the end of a sentence.
        problem: &'static str,
    },

    /// The DNS lookup failed, or the name has no address.
    #[error("The name {host} could not be resolved ({problem}). Check its spelling and this server's DNS.")]
    DnsFailed {
        /// The name.
        host: String,
        /// The error of the lookup.
        problem: String,
    },

    /// The TCP connection failed.
    #[error("{host} could not be reached on port {port}: {problem}.")]
    ConnectFailed {
        /// The host of the URL.
        host: String,
        /// The port.
        port: u16,
        /// The error of the connection.
        problem: String,
    },

    /// The TLS handshake failed, for example because of the certificate.
    #[error("The secure connection to {host} failed: {problem}.")]
    TlsFailed {
        /// The host of the URL.
        host: String,
        /// The error of the handshake.
        problem: String,
    },

    /// The deadline passed before the response was complete.
    #[error("{host} did not {} within {} ms.", missing.verb(), deadline.as_millis())]
    TimedOut {
        /// The host of the URL.
        host: String,
        /// The part of the response that is missing.
        missing: Missing,
        /// The whole deadline, from the DNS lookup to the end of the body.
        deadline: Duration,
    },

    /// The destination closed the connection too early.
    #[error(
        "{host} closed the connection before its answer was complete; whether it acted on the request is \
         unknown."
    )]
    ConnectionClosed {
        /// The host of the URL.
        host: String,
    },

    /// The response is not valid HTTP.
    #[error("{host} did not answer in valid HTTP: {problem}. Check the scheme and the port of the URL.")]
    InvalidAnswer {
        /// The host of the URL.
        host: String,
        /// The error of the parser.
        problem: String,
    },

    /// This server has no file descriptor, port or memory left.
    #[error("This server ran out of {resource} while connecting to {host}; raise its limit.")]
    LocalLimit {
        /// The host of the URL.
        host: String,
        /// The exhausted resource.
        resource: &'static str,
    },

    /// The client could not be created, for example because of its certificates.
    #[error("The HTTP client could not be set up: {problem}.")]
    Setup {
        /// The error.
        problem: String,
    },
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
