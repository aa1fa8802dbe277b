//! A mail server. It uses SMTP in plain text, after STARTTLS or within TLS, stores the messages that it accepts, and refuses
//! recipients if it is configured to.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio::io::{AsyncBufReadExt, AsyncRead, AsyncWrite, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;
use tokio_rustls::TlsAcceptor;

/// A self-signed certificate for localhost. Its key is in this repository too.
const CERTIFICATE: &[u8] = include_bytes!("smtp.pem");
const KEY: &[u8] = include_bytes!("smtp.key");

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Security {
    Plain,
    /// STARTTLS is offered, and required before any other command.
    StartTls,
    Implicit,
}

/// An accepted message.
#[derive(Clone, Debug)]
pub struct Taken {
    pub recipient: String,
    /// Headers and text, unchanged.
    pub data: String,
    pub encrypted: bool,
}

#[derive(Default)]
struct State {
    taken: Vec<Taken>,
    attempts: usize,
    /// The answer to every recipient, instead of accepting it.
    refusal: Option<&'static str>,
}

pub struct MailServer {
    address: SocketAddr,
    state: Arc<Mutex<State>>,
    accepting: JoinHandle<()>,
}

impl MailServer {
    pub async fn start(security: Security) -> MailServer {
        crate::install_tls_provider();
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("it is bound");
        let state = Arc::<Mutex<State>>::default();
        let shared = state.clone();
        let accepting = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let state = shared.clone();
                // An error means that the connection ended in the middle of the session.
                tokio::spawn(async move {
                    let _ = serve(stream, &state, security).await;
                });
            }
        });
        MailServer { address, state, accepting }
    }

    /// The host part of `smtp_url`: the name in the certificate, and the port.
    pub fn host(&self) -> String {
        format!("localhost:{}", self.address.port())
    }

    /// The file that makes its certificate trusted.
    pub fn certificate() -> PathBuf {
        PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/src/smtp.pem"))
    }

    /// Sets the answer to every later recipient, such as "451 4.3.0 later"; `None` accepts them.
    pub fn refuse(&self, with: Option<&'static str>) {
        self.state().refusal = with;
    }

    /// The accepted messages, oldest first.
    pub fn taken(&self) -> Vec<Taken> {
        self.state().taken.clone()
    }

    /// The number of recipients, accepted or not.
    pub fn attempts(&self) -> usize {
        self.state().attempts
    }

    fn state(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().expect("nobody panics with it")
    }
}

impl Drop for MailServer {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

fn acceptor() -> TlsAcceptor {
    let certificates = vec![CertificateDer::from_pem_slice(CERTIFICATE).expect("a certificate")];
    let key = PrivateKeyDer::from_pem_slice(KEY).expect("a key");
    let config = rustls::ServerConfig::builder().with_no_client_auth().with_single_cert(certificates, key);
    TlsAcceptor::from(Arc::new(config.expect("they belong together")))
}

async fn serve(stream: TcpStream, state: &Mutex<State>, security: Security) -> std::io::Result<()> {
    match security {
        Security::Plain => converse(BufReader::new(stream), state, Phase::Open).await.map(drop),
        Security::Implicit => {
            let stream = acceptor().accept(stream).await?;
            converse(BufReader::new(stream), state, Phase::Encrypted).await.map(drop)
        }
        Security::StartTls => {
            let begun = converse(BufReader::new(stream), state, Phase::BeforeTls).await?;
            let Some(stream) = begun else { return Ok(()) };
            let stream = acceptor().accept(stream.into_inner()).await?;
            converse(BufReader::new(stream), state, Phase::AfterTls).await.map(drop)
        }
    }
}

/// The state at the start of a session.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Phase {
    Open,
    /// Nothing is accepted before STARTTLS.
    BeforeTls,
    /// There is no second greeting.
    AfterTls,
    Encrypted,
}

/// One session. Returns the stream when the client begins TLS.
async fn converse<S: AsyncRead + AsyncWrite + Unpin>(
    mut stream: BufReader<S>,
    state: &Mutex<State>,
    phase: Phase,
) -> std::io::Result<Option<BufReader<S>>> {
    let mut recipient = String::new();
    if phase != Phase::AfterTls {
        stream.write_all(b"220 localhost\r\n").await?;
    }
    loop {
        let mut line = String::new();
        if stream.read_line(&mut line).await? == 0 {
            return Ok(None);
        }
        let word = line.trim_end().to_ascii_uppercase();
        let answer = match word.split([' ', ':']).next().unwrap_or_default() {
            "EHLO" if phase == Phase::BeforeTls => "250-localhost\r\n250 STARTTLS",
            "EHLO" => "250-localhost\r\n250 8BITMIME",
            "STARTTLS" if phase == Phase::BeforeTls => {
                stream.write_all(b"220 go on\r\n").await?;
                return Ok(Some(stream));
            }
            _ if phase == Phase::BeforeTls => "530 5.7.0 STARTTLS first",
            "RCPT" => {
                let mut state = state.lock().expect("nobody panics with it");
                state.attempts += 1;
                recipient = line.split(['<', '>']).nth(1).unwrap_or_default().to_owned();
                state.refusal.unwrap_or("250 taken")
            }
            "DATA" => {
                stream.write_all(b"354 go on\r\n").await?;
                let mut data = String::new();
                while !data.ends_with("\r\n.\r\n") {
                    if stream.read_line(&mut data).await? == 0 {
                        return Ok(None);
                    }
                }
                let encrypted = matches!(phase, Phase::AfterTls | Phase::Encrypted);
                let taken = Taken { recipient: recipient.clone(), data, encrypted };
                state.lock().expect("nobody panics with it").taken.push(taken);
                "250 taken"
            }
            "QUIT" => {
                stream.write_all(b"221 bye\r\n").await?;
                return Ok(None);
            }
            _ => "250 fine",
        };
        stream.write_all(format!("{answer}\r\n").as_bytes()).await?;
    }
}
