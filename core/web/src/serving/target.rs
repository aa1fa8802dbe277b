//! The target of a request to an inbound address, as networks write it: with spaces, quotes and other bytes that an HTTP
//! parser refuses, so that the report would get an answer before it has a row in the log; or with a `#`, which would cut the
//! rest off. These bytes are percent-encoded when the first line of the request has arrived. Other requests are left as
//! they are.

use axum::http::uri::PathAndQuery;

/// What a target of an inbound address begins with, in any case, after at least one slash.
const INBOUND: &[u8] = b"in/";
/// What follows a target, before its last digit.
const VERSION: &[u8] = b" HTTP/1.";
/// A method with which an inbound address may be called is shorter.
const METHOD_MAX: usize = 16;
/// A longer first line is not encoded.
const LINE_MAX: usize = 64 * 1024;
/// The end of the head of a request.
const HEAD_END: [u8; 4] = *b"\r\n\r\n";

/// Encodes the targets of the requests of a connection.
#[derive(Debug)]
pub struct TargetEncoder {
    /// The beginning of the first line, until it is complete or it is known that its address is another one.
    line: Vec<u8>,
    /// Behind the first line, or in a request with another address.
    is_done: bool,
    /// The last bytes that were received.
    tail: [u8; 4],
}

impl Default for TargetEncoder {
    fn default() -> Self {
        Self { line: Vec::new(), is_done: false, tail: HEAD_END }
    }
}

impl TargetEncoder {
    /// The connection waits for the next request. Its first byte comes next if the last bytes were the end of a head.
    /// Otherwise they may have been the beginning of a request, which then stays as it is.
    pub fn begin(&mut self) {
        if self.line.is_empty() && self.tail == HEAD_END {
            self.is_done = false;
        }
    }

    /// Whether these bytes can be passed on as they are.
    pub fn passes(&mut self, next: &[u8]) -> bool {
        for byte in &next[next.len().saturating_sub(4)..] {
            self.tail.rotate_left(1);
            self.tail[3] = *byte;
        }
        if !self.is_done && self.line.is_empty() && is_of_inbound(next) == Some(false) {
            self.is_done = true;
        }
        self.is_done
    }

    /// Appends the bytes to `out`, those of the target encoded, as soon as the first line is complete.
    pub fn encode(&mut self, bytes: &[u8], out: &mut Vec<u8>) {
        let end = bytes.iter().position(|byte| *byte == b'\n');
        self.line.extend_from_slice(&bytes[..end.map_or(bytes.len(), |end| end + 1)]);
        let rest = &bytes[end.map_or(bytes.len(), |end| end + 1)..];
        match end {
            Some(_) => push_encoded(&self.line, out),
            None if is_of_inbound(&self.line) == Some(false) || self.line.len() > LINE_MAX => {
                out.extend_from_slice(&self.line);
            }
            None => return,
        }
        out.extend_from_slice(rest);
        self.line = Vec::new();
        self.is_done = true;
    }

    /// Appends the bytes that were held back, because none follow.
    pub fn end(&mut self, out: &mut Vec<u8>) {
        out.append(&mut self.line);
        self.is_done = true;
    }
}

/// Whether a request with this beginning has an inbound address. `None`: too little is known.
fn is_of_inbound(request: &[u8]) -> Option<bool> {
    let Some(space) = request.iter().take(METHOD_MAX).position(|byte| *byte == b' ') else {
        return (request.len() >= METHOD_MAX).then_some(false);
    };
    let target = &request[space + 1..];
    let slashes = target.iter().take_while(|byte| **byte == b'/').count();
    let address = &target[slashes..];
    let known = address.len().min(INBOUND.len());
    if !address[..known].eq_ignore_ascii_case(&INBOUND[..known]) || (slashes == 0 && known > 0) {
        return Some(false);
    }
    (known == INBOUND.len()).then_some(true)
}

/// Appends a first line with its target encoded, if a parser would refuse or cut it.
fn push_encoded(line: &[u8], out: &mut Vec<u8>) {
    let text = line.trim_ascii_end();
    let without_digit = text.len().saturating_sub(1);
    let is_versioned = text.last().is_some_and(u8::is_ascii_digit) && text[..without_digit].ends_with(VERSION);
    let space = line.iter().position(|byte| *byte == b' ').filter(|_| is_versioned);
    let Some((method, target)) = space.map(|space| (space + 1, space + 1..without_digit - VERSION.len())) else {
        return out.extend_from_slice(line);
    };
    let (target, version) = (&line[target.clone()], &line[target.end..]);
    if PathAndQuery::try_from(target).is_ok() && !target.contains(&b'#') {
        return out.extend_from_slice(line);
    }
    out.extend_from_slice(&line[..method]);
    let is_utf8 = std::str::from_utf8(target).is_ok();
    for byte in target {
        match byte {
            0..=b' ' | b'"' | b'#' | b'<' | b'>' | 0x7f => push_hex(*byte, out),
            0x80.. if !is_utf8 => push_hex(*byte, out),
            byte => out.push(*byte),
        }
    }
    out.extend_from_slice(version);
}

fn push_hex(byte: u8, out: &mut Vec<u8>) {
    const HEX: &[u8; 16] = b"0123456789ABCDEF";
    out.extend([b'%', HEX[usize::from(byte >> 4)], HEX[usize::from(byte & 15)]]);
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Received in pieces of this size.
    fn encoded(encoder: &mut TargetEncoder, request: &[u8], size: usize) -> Vec<u8> {
        let mut out = Vec::new();
        for piece in request.chunks(size) {
            if encoder.passes(piece) { out.extend_from_slice(piece) } else { encoder.encode(piece, &mut out) }
        }
        encoder.end(&mut out);
        out
    }

    #[test]
    fn targets_of_inbound_addresses_are_encoded_however_they_arrive() {
        for (request, wanted) in [
            ("GET /in/k?a=1 HTTP/1.1\r\nHost: x y\r\n\r\n", "GET /in/k?a=1 HTTP/1.1\r\nHost: x y\r\n\r\n"),
            ("GET /in/k?a=b c HTTP/1.1\r\nX: \"\r\n", "GET /in/k?a=b%20c HTTP/1.1\r\nX: \"\r\n"),
            ("GET //IN/k?a=b c HTTP/1.1\r\n", "GET //IN/k?a=b%20c HTTP/1.1\r\n"),
            ("GET /in/k?a=b  HTTP/1.0\n\n", "GET /in/k?a=b%20 HTTP/1.0\n\n"),
            ("POST /in/k?a=\"<b>\"#c\t{d} HTTP/1.1\r\n", "POST /in/k?a=%22%3Cb%3E%22%23c%09{d} HTTP/1.1\r\n"),
            ("GET /in/k?a= HTTP/1.1 HTTP/1.1\r\n", "GET /in/k?a=%20HTTP/1.1 HTTP/1.1\r\n"),
            // What a parser takes is left as it was signed.
            ("GET /in/k?a=b|c{d}`ä HTTP/1.1\r\n", "GET /in/k?a=b|c{d}`ä HTTP/1.1\r\n"),
            ("GET /in/k?a=b c\r\n\r\n", "GET /in/k?a=b c\r\n\r\n"),
            ("GET /c/x?a=b c HTTP/1.1\r\n", "GET /c/x?a=b c HTTP/1.1\r\n"),
            ("GET /inbound?a=b c HTTP/1.1\r\n", "GET /inbound?a=b c HTTP/1.1\r\n"),
            ("GET in/k?a=b c HTTP/1.1\r\n", "GET in/k?a=b c HTTP/1.1\r\n"),
            ("not a request at all\r\n", "not a request at all\r\n"),
            ("GET /in", "GET /in"),
            ("GET /in/k?a=b c", "GET /in/k?a=b c"),
            ("", ""),
        ] {
            for size in 1..=request.len().max(1) {
                let encoded = encoded(&mut TargetEncoder::default(), request.as_bytes(), size);
                assert_eq!(String::from_utf8_lossy(&encoded), wanted, "{request} in pieces of {size}");
            }
        }
        let in_cyrillic = encoded(&mut TargetEncoder::default(), b"GET /in/k?a=\xef\xf0 HTTP/1.1\r\n", 7);
        assert_eq!(in_cyrillic, b"GET /in/k?a=%EF%F0 HTTP/1.1\r\n");
    }

    #[test]
    fn each_request_of_a_connection_is_encoded_unless_it_was_read_ahead() {
        let mut encoder = TargetEncoder::default();
        let mut next = |request: &str| {
            encoder.begin();
            String::from_utf8(encoded(&mut encoder, request.as_bytes(), 9)).unwrap()
        };
        assert_eq!(next("GET /in/k?a=b c HTTP/1.1\r\n\r\n"), "GET /in/k?a=b%20c HTTP/1.1\r\n\r\n");
        assert_eq!(
            next("GET /in/k?a=b c HTTP/1.1\r\n\r\nGET /x HTTP/1.1\r\nY: "),
            "GET /in/k?a=b%20c HTTP/1.1\r\n\r\nGET /x HTTP/1.1\r\nY: "
        );
        assert_eq!(next("a /in/\"\r\n\r\n"), "a /in/\"\r\n\r\n", "the rest of a head");
        assert_eq!(next("GET /in/k?a=b c HTTP/1.1\r\n\r\n"), "GET /in/k?a=b%20c HTTP/1.1\r\n\r\n");
    }

    #[test]
    fn a_line_without_an_end_is_not_held() {
        let mut encoder = TargetEncoder::default();
        let endless = format!("GET /in/k?a={}", "\"".repeat(2 * LINE_MAX));
        let mut out = Vec::new();
        for piece in endless.as_bytes().chunks(4096) {
            if encoder.passes(piece) {
                out.extend_from_slice(piece)
            } else {
                encoder.encode(piece, &mut out)
            }
            assert!(encoder.line.len() <= LINE_MAX + 4096);
        }
        assert_eq!(out.len(), endless.len());
    }
}
