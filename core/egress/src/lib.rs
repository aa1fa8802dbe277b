//! The outbound HTTP client: sends one request to an address that was checked, and reads a bounded response.
//!
//! Nothing else in the program opens an outbound socket. Egress is independent of postbacks, retries and rules; it
//! refuses internal addresses and unbounded responses, and uses no redirects and no proxies.
//!
//! ```text
//! URL ── target.rs: syntax, scheme, literal addresses ──> headers.rs ──> client.rs (keep-alive pool)
//!                                                                          │ a new connection, if connector.rs has a slot
//!                                               names.rs: resolve, check every address, connect only to these; tls.rs
//! response <── body.rs: read up to 64 KiB, decode up to 64 KiB <────────────┘
//! ```

mod addresses;
mod body;
mod client;
mod connector;
mod error;
mod headers;
mod names;
mod target;
#[cfg(test)]
mod tests;
mod tls;
#[cfg(test)]
mod tls_tests;

use std::sync::Arc;
use std::time::Duration;

use http::HeaderValue;
use http::header::{ACCEPT, ACCEPT_ENCODING, CONTENT_ENCODING, CONTENT_TYPE, USER_AGENT};
use http_body_util::Full;
use hyper::body::Bytes;
use tokio::time::{Instant, timeout_at};
use url::Url;

pub use addresses::AddressKind;
pub use error::{EgressError, Missing};
pub use http::Method;
pub use tls::tls_config;

use addresses::Allow;
use client::HttpClient;
use connector::Connector;
use names::VettedNames;

/// The most bytes of a response body that are kept, before and after decompression, unless
/// [`Egress::with_max_answer_bytes`] sets another limit.
pub const MAX_ANSWER_BYTES: usize = 64 * 1024;

/// The most bytes of response headers that are kept.
pub(crate) const MAX_HEADER_BYTES: usize = 64 * 1024;

/// The most connections to one destination, unless [`Egress::with_connections`] sets another limit.
const MAX_CONNECTIONS: usize = 64;

/// The longest deadline; longer ones are shortened to it.
const MAX_DEADLINE: Duration = Duration::from_secs(3600);

/// The outbound HTTP client. Cheap to clone; clones share their connections.
#[derive(Clone)]
pub struct Egress {
    client: HttpClient,
    allow: Arc<Allow>,
    max_answer_bytes: usize,
}

/// One request. If it has no `User-Agent`, it gets Postrider's.
#[derive(Debug, Clone)]
pub struct Outgoing {
    /// HTTP method.
    pub method: Method,
    /// The URL, http or https.
    pub url: String,
    /// Names and values; names may repeat.
    pub headers: Vec<(String, String)>,
    /// Content type and bytes. A `Content-Type` in `headers` takes precedence.
    pub body: Option<(String, Vec<u8>)>,
}

/// The response, whatever its status; redirects are not followed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// HTTP status.
    pub status: u16,
    /// Names, in lower case, and values. `content-encoding` and `content-length` describe the body as it was
    /// transferred.
    pub headers: Vec<(String, String)>,
    /// The body, decompressed.
    pub body: Vec<u8>,
    /// Whether headers or body exceeded the limits, the compression was damaged, or the body did not arrive whole.
    pub truncated: bool,
    /// Why the body did not arrive whole. The server has answered with a status all the same.
    pub incomplete: Option<EgressError>,
}

impl Egress {
    /// Creates the client. `allow` lists networks that may be called although they are not public.
    pub fn new(allow: Vec<ipnet::IpNet>) -> Result<Self, EgressError> {
        Self::with_connections(allow, MAX_CONNECTIONS)
    }

    /// Like [`Self::new`], with the maximum number of connections to one destination (scheme, host and port).
    pub fn with_connections(allow: Vec<ipnet::IpNet>, max_per_destination: usize) -> Result<Self, EgressError> {
        Ok(Self::with_tls(allow, max_per_destination, tls_config()?))
    }

    fn with_tls(allow: Vec<ipnet::IpNet>, max_per_destination: usize, tls: rustls::ClientConfig) -> Self {
        let allow = Arc::new(Allow::new(allow));
        let connector = Connector::new(VettedNames::new(allow.clone()), tls, max_per_destination);
        Self { client: client::build(connector, max_per_destination), allow, max_answer_bytes: MAX_ANSWER_BYTES }
    }

    /// The same client with another limit for response bodies, in bytes.
    pub fn with_max_answer_bytes(self, max_answer_bytes: usize) -> Self {
        Self { max_answer_bytes, ..self }
    }

    /// Validates a URL without DNS lookups. It is called when a postback is saved.
    pub fn check_url(&self, url: &str) -> Result<Url, EgressError> {
        target::check(url, &self.allow)
    }

    /// Sends the request once and reads its response. The deadline (at most one hour) covers everything: DNS lookup,
    /// connection, headers and body. A body that is cut off or does not end is not an error: the answer has what arrived.
    pub async fn send(&self, outgoing: Outgoing, deadline: Duration) -> Result<Answer, EgressError> {
        let until = Instant::now() + deadline.min(MAX_DEADLINE);
        let (url, request) = self.prepare(outgoing)?;
        let timed_out = |missing| {
            let host = url.host_str().unwrap_or_default().to_owned();
            EgressError::TimedOut { host, missing, deadline }
        };

        let response = timeout_at(until, self.client.request(request))
            .await
            .map_err(|_| timed_out(Missing::Answer))?
            .map_err(|error| client::explain(&error, &url))?;
        let (head, incoming) = response.into_parts();
        let mut raw = body::Body::default();
        let read = timeout_at(until, body::read(incoming, self.max_answer_bytes, &mut raw)).await;
        let incomplete = match read {
            Ok(Ok(())) => None,
            Ok(Err(error)) => Some(client::explain_cause(&error, false, &url)),
            Err(_) => Some(timed_out(Missing::RestOfAnswer)),
        };
        raw.truncated |= incomplete.is_some();
        Ok(Answer { incomplete, ..answer(&head, raw, self.max_answer_bytes) })
    }

    fn prepare(&self, outgoing: Outgoing) -> Result<(Url, http::Request<Full<Bytes>>), EgressError> {
        let url = self.check_url(&outgoing.url)?;
        if outgoing.method == Method::CONNECT || outgoing.method == Method::TRACE {
            return Err(EgressError::MethodRefused { method: outgoing.method.to_string() });
        }
        let mut headers = headers::check(&outgoing.headers)?;
        let mut body = Full::default();
        if let Some((content_type, bytes)) = outgoing.body {
            if !headers.contains_key(CONTENT_TYPE) {
                headers.insert(CONTENT_TYPE, content_type_value(&content_type)?);
            }
            body = Full::from(bytes);
        }
        for (name, value) in
            [(ACCEPT, "*/*"), (ACCEPT_ENCODING, body::ACCEPT_ENCODING), (USER_AGENT, client::USER_AGENT)]
        {
            headers.entry(name).or_insert(HeaderValue::from_static(value));
        }
        let mut request = http::Request::new(body);
        *request.method_mut() = outgoing.method;
        *request.headers_mut() = headers;
        let unusable = |_| EgressError::invalid_url("it cannot be written into an HTTP request");
        *request.uri_mut() = url.as_str().parse().map_err(unusable)?;
        Ok((url, request))
    }
}

fn content_type_value(text: &str) -> Result<HeaderValue, EgressError> {
    HeaderValue::from_str(text).map_err(|_| EgressError::InvalidHeader {
        header: "The header content-type".to_owned(),
        problem: "its value has line breaks or control characters",
    })
}

fn answer(head: &http::response::Parts, raw: body::Body, max_bytes: usize) -> Answer {
    let encoding = head.headers.get(CONTENT_ENCODING).and_then(|value| value.to_str().ok());
    let body = match encoding {
        Some(encoding) => body::decode(encoding, raw, max_bytes),
        None => raw,
    };
    let text = |value: &HeaderValue| String::from_utf8_lossy(value.as_bytes()).into_owned();
    let (mut headers, mut bytes) = (Vec::new(), 0);
    for (name, value) in &head.headers {
        bytes += name.as_str().len() + value.len();
        if bytes > MAX_HEADER_BYTES {
            break;
        }
        headers.push((name.as_str().to_owned(), text(value)));
    }
    Answer {
        status: head.status.as_u16(),
        headers,
        body: body.bytes,
        truncated: body.truncated || bytes > MAX_HEADER_BYTES,
        incomplete: None,
    }
}
