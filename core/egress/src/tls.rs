//! TLS of outbound connections: the trusted authorities, and what the errors of a handshake mean.

use std::error::Error;
use std::sync::Arc;

use rustls::pki_types::CertificateDer;
use rustls::{AlertDescription, CertificateError, ClientConfig, OtherError, RootCertStore};

use super::error::EgressError;

/// The configuration of a client that speaks HTTP/1.1. The crypto provider is set explicitly instead of relying on a
/// process-wide default that other crates may set.
pub fn tls_config() -> Result<ClientConfig, EgressError> {
    let setup_failed = |error: rustls::Error| EgressError::Setup { problem: error.to_string() };
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
/// because an operator may have removed an authority on purpose. `SSL_CERT_FILE` and `SSL_CERT_DIR` name others.
fn roots(system: Vec<CertificateDer<'static>>) -> RootCertStore {
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(system);
    if roots.is_empty() {
        tracing::info!("No CA certificates are installed here; Mozilla's built-in list is used for HTTPS");
        roots.extend(webpki_roots::TLS_SERVER_ROOTS.iter().cloned());
    }
    roots
}

/// The problem as the end of a sentence. The contents of certificates are untrusted, so they are not repeated.
pub(super) fn problem(error: &rustls::Error, host: &str) -> String {
    use rustls::Error as Tls;
    match error {
        Tls::InvalidCertificate(error) => certificate_problem(error, host),
        Tls::InvalidMessage(_) => "it does not speak TLS on this port; check the scheme and the port".to_owned(),
        Tls::AlertReceived(AlertDescription::NoApplicationProtocol) | Tls::NoApplicationProtocol => {
            "it offers neither HTTP/2 nor HTTP/1.1".to_owned()
        }
        Tls::AlertReceived(AlertDescription::UnrecognisedName) => format!("it has no certificate for the name {host}"),
        Tls::AlertReceived(AlertDescription::CertificateRequired) => {
            "it requires a certificate of the client, which postbacks do not have".to_owned()
        }
        Tls::AlertReceived(AlertDescription::ProtocolVersion) | Tls::PeerIncompatible(_) => {
            "it supports no secure form of TLS 1.2 or 1.3".to_owned()
        }
        Tls::AlertReceived(alert) => format!("it ended the handshake with {alert:?}"),
        _ => "the handshake failed".to_owned(),
    }
}

fn certificate_problem(error: &CertificateError, host: &str) -> String {
    use CertificateError as Certificate;
    match error {
        Certificate::Expired | Certificate::ExpiredContext { .. } => "its certificate has expired".to_owned(),
        Certificate::NotValidYet | Certificate::NotValidYetContext { .. } => {
            "its certificate is not valid yet; check the time of both machines".to_owned()
        }
        Certificate::NotValidForName | Certificate::NotValidForNameContext { .. } => {
            format!("its certificate is for another name than {host}")
        }
        Certificate::UnknownIssuer => {
            "its certificate was issued by an unknown authority, or the certificates between the two are missing; \
             install the complete chain there, or trust the authority here with SSL_CERT_FILE"
                .to_owned()
        }
        Certificate::Other(OtherError(cause)) if is_self_signed(cause.as_ref()) => {
            "its certificate is self-signed; install one of an authority there, or trust an authority of your own with \
             SSL_CERT_FILE"
                .to_owned()
        }
        Certificate::Revoked => "its certificate was revoked".to_owned(),
        Certificate::InvalidPurpose | Certificate::InvalidPurposeContext { .. } => {
            "its certificate is not for servers".to_owned()
        }
        Certificate::BadSignature => "the signature of its certificate is wrong".to_owned(),
        _ => "its certificate has a form that is not accepted".to_owned(),
    }
}

/// Tools that create a self-signed certificate mark it as an authority, which a server's certificate must not be.
fn is_self_signed(cause: &(dyn Error + 'static)) -> bool {
    matches!(cause.downcast_ref(), Some(webpki::Error::CaUsedAsEndEntity))
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
}
