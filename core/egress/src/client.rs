//! The HTTP client of all outbound requests: its configuration, and the meaning of its errors.
//!
//! It follows no redirect, uses no proxy, stores no cookie, sends no referer and never repeats a request that may have
//! reached its server. HTTP/1.1 only: one response per connection keeps the memory bounds simple (an HTTP/2 peer may
//! fill a flow-control window per stream), and every receiver supports it.
//!
//! Response headers are bounded by hyper: 100 headers and about 400 KiB; a response beyond that is invalid.

use std::error::Error;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use reqwest::Url;
use reqwest::header::{ACCEPT_ENCODING, HeaderMap, HeaderValue};
use rustls::pki_types::CertificateDer;
use rustls::{ClientConfig, RootCertStore};

use super::addresses::Allow;
use super::body;
use super::error::EgressError;
use super::names::VettedNames;

const USER_AGENT: &str = concat!("Postrider/", env!("CARGO_PKG_VERSION"));

/// For DNS, TCP and TLS together; the deadline of the request may end it earlier.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
const IDLE_TIMEOUT: Duration = Duration::from_secs(30);
const MAX_IDLE_PER_HOST: usize = 128;

pub(super) fn build(allow: Arc<Allow>) -> Result<reqwest::Client, EgressError> {
    let mut always = HeaderMap::new();
    always.insert(ACCEPT_ENCODING, HeaderValue::from_static(body::ACCEPT_ENCODING));
    reqwest::Client::builder()
        .dns_resolver(VettedNames::new(allow))
        .tls_backend_preconfigured(tls_config()?)
        .no_proxy()
        .redirect(reqwest::redirect::Policy::none())
        .retry(reqwest::retry::never())
        .referer(false)
        .user_agent(USER_AGENT)
        .default_headers(always)
        // Bodies are decoded in body.rs; another crate may have enabled reqwest's own decoders.
        .no_gzip()
        .no_brotli()
        .no_deflate()
        .no_zstd()
        .http1_only()
        // A tracker that responds with a malformed header has received the postback nevertheless.
        .http1_ignore_invalid_headers_in_responses(true)
        .connect_timeout(CONNECT_TIMEOUT)
        .pool_max_idle_per_host(MAX_IDLE_PER_HOST)
        .pool_idle_timeout(IDLE_TIMEOUT)
        .tcp_nodelay(true)
        .build()
        .map_err(setup_failed)
}

/// Sets the crypto provider explicitly instead of relying on a process-wide default that other crates may set.
pub fn tls_config() -> Result<ClientConfig, EgressError> {
    let system = rustls_native_certs::load_native_certs();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(setup_failed)?
        .with_root_certificates(roots(system.certs))
        .with_no_client_auth();
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(config)
}

/// The certificate authorities of the machine, or Mozilla's if none are installed (small containers). Never both,
/// because an operator may have removed an authority on purpose.
fn roots(system: Vec<CertificateDer<'static>>) -> RootCertStore {
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(system);
    if roots.is_empty() {
        tracing::info!("No CA certificates are installed here; Mozilla's built-in list is used for HTTPS");
        roots.extend(webpki_roots::TLS_SERVER_ROOTS.iter().cloned());
    }
    roots
}

fn setup_failed(error: impl Error) -> EgressError {
    EgressError::Setup { problem: error.to_string() }
}

/// Derives the error from the chain of causes. The client's own text is never used, because it contains the URL.
pub(super) fn explain(error: &reqwest::Error, url: &Url) -> EgressError {
    let host = url.host_str().unwrap_or_default().to_owned();
    let port = url.port_or_known_default().unwrap_or_default();
    if let Some(own) = find::<EgressError>(error) {
        return own.clone();
    }
    if let Some(tls) = find::<rustls::Error>(error) {
        return EgressError::TlsFailed { host, problem: tls_problem(tls) };
    }
    if let Some(http) = find::<hyper::Error>(error).filter(|http| http.is_parse()) {
        return EgressError::InvalidAnswer { host, problem: http.to_string() };
    }
    let io = find::<io::Error>(error);
    if let Some(resource) = io.and_then(exhausted) {
        return EgressError::LocalLimit { host, resource };
    }
    if error.is_builder() {
        return EgressError::invalid_url("it cannot be written into an HTTP request");
    }
    if error.is_connect() {
        let problem = match io {
            Some(io) => io_problem(io),
            None if error.is_timeout() => {
                format!("no connection within {} seconds", CONNECT_TIMEOUT.as_secs())
            }
            None => "the connection failed".to_owned(),
        };
        return EgressError::ConnectFailed { host, port, problem };
    }
    EgressError::ConnectionClosed { host }
}

/// The outermost cause of a type. An `io::Error` does not return the error it wraps as its `source`.
fn find<E: Error + 'static>(error: &reqwest::Error) -> Option<&E> {
    let outermost: &(dyn Error + 'static) = error;
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

/// The contents of certificates are untrusted, so they are not repeated.
fn tls_problem(error: &rustls::Error) -> String {
    use rustls::CertificateError as Certificate;
    use rustls::Error as Tls;
    match error {
        Tls::InvalidCertificate(problem) => match problem {
            Certificate::Expired | Certificate::ExpiredContext { .. } => "its certificate has expired",
            Certificate::NotValidYet | Certificate::NotValidYetContext { .. } => "its certificate is not valid yet",
            Certificate::NotValidForName | Certificate::NotValidForNameContext { .. } => {
                "its certificate belongs to another name"
            }
            Certificate::UnknownIssuer => "its certificate comes from an unknown authority",
            Certificate::Revoked => "its certificate was revoked",
            _ => "its certificate is not valid",
        }
        .to_owned(),
        Tls::InvalidMessage(_) => "it does not speak TLS on this port".to_owned(),
        Tls::AlertReceived(alert) => format!("it ended the handshake with {alert:?}"),
        Tls::PeerIncompatible(_) => "it supports no secure form of TLS 1.2 or 1.3".to_owned(),
        _ => "the handshake failed".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_machine_without_certificates_uses_the_built_in_list() {
        assert_eq!(roots(Vec::new()).len(), webpki_roots::TLS_SERVER_ROOTS.len());
        let unreadable = CertificateDer::from(vec![1, 2, 3]);
        assert_eq!(roots(vec![unreadable]).len(), webpki_roots::TLS_SERVER_ROOTS.len());
    }

    #[test]
    fn running_out_of_sockets_is_not_a_failure_of_the_destination() {
        assert_eq!(exhausted(&io::Error::from_raw_os_error(24)), Some("file handles"));
        assert_eq!(exhausted(&io::Error::from(io::ErrorKind::ConnectionRefused)), None);
    }
}
