//! The client with servers that speak TLS: HTTP/2, the number of connections, and certificates with errors.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use http_body_util::Full;
use hyper::body::{Bytes, Incoming};
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ClientConfig, RootCertStore, ServerConfig};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;

use super::*;

const AUTHORITY: &[u8] = include_bytes!("certificates/ca.pem");
const KEY: &[u8] = include_bytes!("certificates/server.key");
const LOCALHOST: &[u8] = include_bytes!("certificates/localhost.pem");
const SOON: Duration = Duration::from_secs(60);

#[tokio::test]
async fn a_destination_that_offers_http_2_gets_it() {
    for (offered, expected) in
        [(&["h2", "http/1.1"][..], "HTTP/2.0"), (&["h2"], "HTTP/2.0"), (&["http/1.1"], "HTTP/1.1"), (&[], "HTTP/1.1")]
    {
        let (address, _) = serve(LOCALHOST, offered).await;
        let answer = egress(64).send(get(address), SOON).await.expect("an answer");
        assert_eq!((answer.status, answer.body.as_slice()), (200, expected.as_bytes()), "{offered:?}");
    }
}

#[tokio::test]
async fn requests_share_an_http_2_connection() {
    let (address, connections) = serve(LOCALHOST, &["h2"]).await;
    let egress = egress(64);
    egress.send(get(address), SOON).await.expect("an answer");
    let burst = futures::future::join_all((0..300).map(|_| egress.send(get(address), SOON))).await;
    assert!(burst.iter().all(|answer| answer.as_ref().is_ok_and(|it| it.status == 200)));
    assert_eq!(connections.load(Ordering::SeqCst), 1);
}

#[tokio::test]
async fn a_burst_opens_no_more_connections_than_allowed() {
    for offered in [&["http/1.1"][..], &["h2"]] {
        let (address, connections) = serve(LOCALHOST, offered).await;
        let egress = egress(8);
        let burst = futures::future::join_all((0..300).map(|_| egress.send(get(address), SOON))).await;
        let failed = burst.iter().find_map(|answer| answer.as_ref().err());
        assert_eq!(failed, None, "{offered:?}");
        // Connections beyond the first HTTP/2 connection are closed at once, and others may take their slots.
        let most = if offered == ["h2"] { 300 } else { 8 };
        let opened = connections.load(Ordering::SeqCst);
        assert!(opened <= most, "{opened} connections with {offered:?}");
    }
}

#[tokio::test]
async fn errors_of_certificates_say_which() {
    let table: [(&[u8], &str); 3] = [
        (include_bytes!("certificates/expired.pem"), "its certificate has expired"),
        (include_bytes!("certificates/other-name.pem"), "its certificate is for another name than 127.0.0.1"),
        (include_bytes!("certificates/self-signed.pem"), "its certificate is self-signed"),
    ];
    for (certificate, expected) in table {
        let (address, _) = serve(certificate, &["http/1.1"]).await;
        let error = egress(64).send(get(address), SOON).await.expect_err(expected);
        assert_eq!((error.code(), error.retryable()), ("tls_failed", true), "{error}");
        assert!(error.to_string().contains(expected), "{error}");
    }
    let (address, _) = serve(LOCALHOST, &["http/1.1"]).await;
    let stranger = Egress::with_tls(loopback(), 64, tls_config().expect("a configuration"));
    let error = stranger.send(get(address), SOON).await.expect_err("an unknown authority");
    assert!(error.to_string().contains("issued by an unknown authority"), "{error}");
    let (address, _) = serve(LOCALHOST, &["acme-tls/1"]).await;
    let error = egress(64).send(get(address), SOON).await.expect_err("no protocol in common");
    assert!(error.to_string().contains("neither HTTP/2 nor HTTP/1.1"), "{error}");
}

/// A client that trusts the authority of the tests.
fn egress(max_per_destination: usize) -> Egress {
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_slice(AUTHORITY).expect("a certificate")).expect("an authority");
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
    let config = config.expect("versions").with_root_certificates(roots).with_no_client_auth();
    Egress::with_tls(loopback(), max_per_destination, config)
}

fn loopback() -> Vec<ipnet::IpNet> {
    vec!["127.0.0.0/8".parse().expect("a network")]
}

fn get(address: SocketAddr) -> Outgoing {
    Outgoing { method: Method::GET, url: format!("https://{address}/"), headers: Vec::new(), body: None }
}

/// Answers every request with its HTTP version; counts connections.
async fn serve(certificate: &[u8], protocols: &[&str]) -> (SocketAddr, Arc<AtomicUsize>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("binds");
    let address = listener.local_addr().expect("an address");
    let certificates = vec![CertificateDer::from_pem_slice(certificate).expect("a certificate")];
    let key = PrivateKeyDer::from_pem_slice(KEY).expect("a key");
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
    let config = config.expect("versions").with_no_client_auth().with_single_cert(certificates, key);
    let mut config = config.expect("they belong together");
    config.alpn_protocols = protocols.iter().map(|it| it.as_bytes().to_vec()).collect();
    let acceptor = TlsAcceptor::from(Arc::new(config));
    let connections = Arc::new(AtomicUsize::new(0));
    let counted = connections.clone();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            counted.fetch_add(1, Ordering::SeqCst);
            let acceptor = acceptor.clone();
            tokio::spawn(async move {
                let Ok(stream) = acceptor.accept(stream).await else { return };
                let is_http_2 = stream.get_ref().1.alpn_protocol() == Some(b"h2");
                let answer = service_fn(|request: http::Request<Incoming>| async move {
                    let version = Bytes::from(format!("{:?}", request.version()));
                    Ok::<_, std::convert::Infallible>(http::Response::new(Full::new(version)))
                });
                let io = TokioIo::new(stream);
                let _ = if is_http_2 {
                    hyper::server::conn::http2::Builder::new(TokioExecutor::new()).serve_connection(io, answer).await
                } else {
                    hyper::server::conn::http1::Builder::new().serve_connection(io, answer).await
                };
            });
        }
    });
    (address, connections)
}
