//! The target of a request to an inbound address, as networks write it: with spaces, quotes and other bytes that an HTTP
//! parser refuses, so that the report would get an answer before it has a row in the log. They are percent-encoded while
//! the first line of the request is received. Other requests are left as they are.

/// What a target of an inbound address begins with.
const INBOUND: &[u8] = b"/in/";
/// What follows a target.
const VERSION: &[u8] = b" HTTP/1.";
/// The longest method that an inbound address may be called with, and more than that.
const METHOD_MAX: usize = 16;

/// Encodes the target of one request after another.
#[derive(Debug, Default)]
pub struct TargetEncoder {
    place: Place,
    /// Bytes of the method and the beginning of the target, until it is known which address the request has; afterwards a
    /// space and what follows it, until it is known whether the target has ended.
    held: Vec<u8>,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
enum Place {
    /// Before the address is known.
    #[default]
    Start,
    /// In the target of an inbound address.
    Target,
    /// Behind it, or in another request.
    Rest,
}

impl TargetEncoder {
    /// The next byte is the first of a request.
    pub fn begin(&mut self) {
        self.place = Place::Start;
        self.held.clear();
    }

    /// Whether these bytes can be passed on as they are, as all bytes behind them.
    pub fn is_done(&mut self, next: &[u8]) -> bool {
        if self.place == Place::Start && self.held.is_empty() && is_of_inbound(next) == Some(false) {
            self.place = Place::Rest;
        }
        self.place == Place::Rest
    }

    /// Appends the bytes to `out`, those of the target encoded.
    pub fn encode(&mut self, bytes: &[u8], out: &mut Vec<u8>) {
        for (index, byte) in bytes.iter().enumerate() {
            match self.place {
                Place::Rest => {
                    out.extend_from_slice(&bytes[index..]);
                    return;
                }
                Place::Start => {
                    self.held.push(*byte);
                    if let Some(is_inbound) = is_of_inbound(&self.held) {
                        self.place = if is_inbound { Place::Target } else { Place::Rest };
                        out.append(&mut self.held);
                    }
                }
                Place::Target => self.target(*byte, out),
            }
        }
    }

    /// Appends the bytes that were held back, because none follow.
    pub fn end(&mut self, out: &mut Vec<u8>) {
        out.append(&mut self.held);
        self.place = Place::Rest;
    }

    fn target(&mut self, byte: u8, out: &mut Vec<u8>) {
        let held = self.held.len();
        if held == VERSION.len() + 1 && matches!(byte, b'\r' | b'\n') {
            out.append(&mut self.held);
            out.push(byte);
            self.place = Place::Rest;
        } else if VERSION.get(held) == Some(&byte) || (held == VERSION.len() && byte.is_ascii_digit()) {
            self.held.push(byte);
        } else {
            // What was held is a part of the target. A space can begin what ends it.
            for held in std::mem::take(&mut self.held) {
                push(held, out);
            }
            match byte {
                b' ' => self.held.push(byte),
                // A line without a version is refused as it is.
                b'\r' | b'\n' => {
                    out.push(byte);
                    self.place = Place::Rest;
                }
                byte => push(byte, out),
            }
        }
    }
}

/// Whether a request with this beginning has an inbound address. `None`: too little is known.
fn is_of_inbound(request: &[u8]) -> Option<bool> {
    let Some(space) = request.iter().take(METHOD_MAX).position(|byte| *byte == b' ') else {
        return (request.len() >= METHOD_MAX).then_some(false);
    };
    let target = &request[space + 1..];
    let known = target.len().min(INBOUND.len());
    if target[..known] != INBOUND[..known] {
        return Some(false);
    }
    (known == INBOUND.len()).then_some(true)
}

/// Appends a byte of a target, encoded unless it is one that every parser takes.
fn push(byte: u8, out: &mut Vec<u8>) {
    match byte {
        b'"' | b'#' | b'<' | b'>' | b'\\' | b'^' | b'`' | b'{' | b'|' | b'}' => {}
        b'!'..=b'~' => return out.push(byte),
        _ => {}
    }
    const HEX: &[u8; 16] = b"0123456789ABCDEF";
    out.extend([b'%', HEX[usize::from(byte >> 4)], HEX[usize::from(byte & 15)]]);
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Received in pieces of this size.
    fn encoded(request: &[u8], size: usize) -> Vec<u8> {
        let (mut encoder, mut out) = (TargetEncoder::default(), Vec::new());
        for piece in request.chunks(size) {
            if encoder.is_done(piece) { out.extend_from_slice(piece) } else { encoder.encode(piece, &mut out) }
        }
        encoder.end(&mut out);
        out
    }

    #[test]
    fn targets_of_inbound_addresses_are_encoded_however_they_arrive() {
        for (request, wanted) in [
            ("GET /in/k?a=1 HTTP/1.1\r\nHost: x y\r\n\r\n", "GET /in/k?a=1 HTTP/1.1\r\nHost: x y\r\n\r\n"),
            ("GET /in/k?a=b c HTTP/1.1\r\nX: \"\r\n", "GET /in/k?a=b%20c HTTP/1.1\r\nX: \"\r\n"),
            ("GET /in/k?a=b  HTTP/1.0\n\n", "GET /in/k?a=b%20 HTTP/1.0\n\n"),
            ("POST /in/k?a=\"<b>\"#c\t{d} HTTP/1.1\r\n", "POST /in/k?a=%22%3Cb%3E%22%23c%09%7Bd%7D HTTP/1.1\r\n"),
            ("GET /in/k?a= HTTP/1.1 HTTP/1.1\r\n", "GET /in/k?a=%20HTTP/1.1 HTTP/1.1\r\n"),
            ("GET /in/k?a= HTTP/2 HTTP/1.1\r\n", "GET /in/k?a=%20HTTP/2 HTTP/1.1\r\n"),
            ("GET /in/k?a=%20&b=ä HTTP/1.1\r\n", "GET /in/k?a=%20&b=%C3%A4 HTTP/1.1\r\n"),
            ("GET /in/k?a=b c\r\n\r\n", "GET /in/k?a=b%20c\r\n\r\n"),
            ("GET /c/x?a=b c HTTP/1.1\r\n", "GET /c/x?a=b c HTTP/1.1\r\n"),
            ("GET /inbound?a=b c HTTP/1.1\r\n", "GET /inbound?a=b c HTTP/1.1\r\n"),
            ("not a request at all\r\n", "not a request at all\r\n"),
            ("GET /in", "GET /in"),
            ("", ""),
        ] {
            for size in 1..=request.len().max(1) {
                let encoded = encoded(request.as_bytes(), size);
                assert_eq!(String::from_utf8_lossy(&encoded), wanted, "{request} in pieces of {size}");
            }
        }
        assert_eq!(encoded(b"GET /in/k?a=\xef\xf0 HTTP/1.1\r\n", 7), b"GET /in/k?a=%EF%F0 HTTP/1.1\r\n");
    }

    #[test]
    fn each_request_of_a_connection_is_encoded() {
        let (mut encoder, mut out) = (TargetEncoder::default(), Vec::new());
        for request in ["GET /in/k?a=b c HTTP/1.1\r\n\r\n", "GET /in/k?d=e f HTTP/1.1\r\n\r\n"] {
            encoder.begin();
            encoder.encode(request.as_bytes(), &mut out);
        }
        assert_eq!(out, b"GET /in/k?a=b%20c HTTP/1.1\r\n\r\nGET /in/k?d=e%20f HTTP/1.1\r\n\r\n");
    }
}
