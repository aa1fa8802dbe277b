//! The HTTP client of all outbound requests: its configuration, and the meaning of its errors.
//!
//! It follows no redirect, uses no proxy, stores no cookie, sends no referer and never repeats a request that may have
//! reached its server. It speaks HTTP/2 where a destination offers it with TLS, and HTTP/1.1 everywhere else.
//!
//! Response headers are bounded: for HTTP/1.1 100 headers and about 400 KiB, for HTTP/2 64 KiB. A response beyond that
//! is invalid. The flow-control windows bound the memory of an HTTP/2 connection.

use std::error::Error;
use std::io;
use std::time::Duration;

use http_body_util::Full;
use hyper::body::Bytes;
use hyper_util::client::legacy::Client;
use hyper_util::rt::{TokioExecutor, TokioTimer};
use url::Url;

use super::MAX_HEADER_BYTES;
use super::connector::Connector;
use super::error::EgressError;
use super::tls;

pub(super) const USER_AGENT: &str = concat!("Postrider/", env!("CARGO_PKG_VERSION"));

const IDLE_TIMEOUT: Duration = Duration::from_secs(30);
/// An HTTP/2 connection with requests in flight is closed if it does not answer a ping. Otherwise all later requests
/// would use a dead connection.
const PING_INTERVAL: Duration = Duration::from_secs(5);
/// What an HTTP/2 server may send before it is read, per response and per connection.
const STREAM_WINDOW_BYTES: u32 = 64 * 1024;
const CONNECTION_WINDOW_BYTES: u32 = 1024 * 1024;

pub(super) type HttpClient = Client<Connector, Full<Bytes>>;

pub(super) fn build(connector: Connector, max_idle_per_host: usize) -> HttpClient {
    Client::builder(TokioExecutor::new())
        .pool_timer(TokioTimer::new())
        .pool_idle_timeout(IDLE_TIMEOUT)
        .pool_max_idle_per_host(max_idle_per_host)
        // A tracker that responds with a malformed header has received the postback nevertheless.
        .http1_ignore_invalid_headers_in_responses(true)
        .timer(TokioTimer::new())
        .http2_initial_stream_window_size(STREAM_WINDOW_BYTES)
        .http2_initial_connection_window_size(CONNECTION_WINDOW_BYTES)
        .http2_max_header_list_size(MAX_HEADER_BYTES as u32)
        .http2_keep_alive_interval(PING_INTERVAL)
        .http2_keep_alive_timeout(PING_INTERVAL)
        .build(connector)
}

/// The error of a request without a response.
pub(super) fn explain(error: &hyper_util::client::legacy::Error, url: &Url) -> EgressError {
    explain_cause(error, error.is_connect(), url)
}

/// Derives the error from the chain of causes. The client's own text is not used, because it is for programmers.
pub(super) fn explain_cause(error: &(dyn Error + 'static), is_connect: bool, url: &Url) -> EgressError {
    let host = url.host_str().unwrap_or_default().to_owned();
    let port = url.port_or_known_default().unwrap_or_default();
    if let Some(own) = find::<EgressError>(error) {
        return own.clone();
    }
    if let Some(tls) = find::<rustls::Error>(error) {
        let problem = tls::problem(tls, &host);
        return EgressError::TlsFailed { host, problem };
    }
    if let Some(http) = find::<hyper::Error>(error).filter(|http| http.is_parse()) {
        return EgressError::InvalidAnswer { host, problem: http.to_string() };
    }
    let io = find::<io::Error>(error);
    if let Some(resource) = io.and_then(exhausted) {
        return EgressError::LocalLimit { host, resource };
    }
    if is_connect {
        let problem = match io {
            Some(io) => io_problem(io),
            None => "the connection failed".to_owned(),
        };
        return EgressError::ConnectFailed { host, port, problem };
    }
    EgressError::ConnectionClosed { host }
}

/// The outermost cause of a type. An `io::Error` does not return the error it wraps as its `source`.
fn find<'a, E: Error + 'static>(outermost: &'a (dyn Error + 'static)) -> Option<&'a E> {
    let mut causes = std::iter::successors(Some(outermost), |&error| {
        match error.downcast_ref::<io::Error>().and_then(io::Error::get_ref) {
            Some(wrapped) => Some(wrapped as &(dyn Error + 'static)),
            None => error.source(),
        }
    });
    causes.find_map(|cause| cause.downcast_ref())
}

fn exhausted(error: &io::Error) -> Option<&'static str> {
    const TOO_MANY_FILES_IN_SYSTEM: i32 = 23; // ENFILE
    const TOO_MANY_FILES_IN_PROCESS: i32 = 24; // EMFILE
    match (error.raw_os_error(), error.kind()) {
        (Some(TOO_MANY_FILES_IN_SYSTEM | TOO_MANY_FILES_IN_PROCESS), _) => Some("file handles"),
        (_, io::ErrorKind::AddrNotAvailable) => Some("local ports or addresses"),
        (_, io::ErrorKind::OutOfMemory) => Some("memory"),
        _ => None,
    }
}

fn io_problem(error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::ConnectionRefused => "nothing listens there".to_owned(),
        io::ErrorKind::ConnectionReset => "the connection was reset".to_owned(),
        io::ErrorKind::TimedOut => "it did not respond".to_owned(),
        io::ErrorKind::UnexpectedEof => "the connection was closed".to_owned(),
        io::ErrorKind::Other => "the connection failed".to_owned(),
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn running_out_of_sockets_is_not_a_failure_of_the_destination() {
        assert_eq!(exhausted(&io::Error::from_raw_os_error(24)), Some("file handles"));
        assert_eq!(exhausted(&io::Error::from(io::ErrorKind::ConnectionRefused)), None);
    }
}
