//! Response bodies: read and decoded within bounds.
//!
//! Decoding begins when the bounded compressed body is complete. So one response costs at most `max` bytes of input,
//! `max` bytes of output and, while it is decoded, the decoder's window. A streaming decoder would hold its window (up
//! to 16 MiB for Brotli) for the duration of a slow connection.

use std::io::Read;

use brotli_decompressor::{BrotliDecompressStream, BrotliResult, BrotliState, StandardAlloc};
use flate2::read::{DeflateDecoder, MultiGzDecoder, ZlibDecoder};
use http_body_util::BodyExt;
use hyper::body::{Body as _, Incoming};

/// The content encodings that `decode` supports, as offered to servers.
pub(super) const ACCEPT_ENCODING: &str = "gzip, deflate, br";

#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Body {
    pub(super) bytes: Vec<u8>,
    /// Whether the body is longer, or the rest could not be decoded.
    pub(super) truncated: bool,
}

/// Reads up to `max` bytes into `body`, without decoding. The rest is never read: dropping the incoming body closes the
/// connection, or ends the HTTP/2 stream. After an error, or if this future is dropped, `body` has what arrived before.
pub(super) async fn read(mut incoming: Incoming, max: usize, body: &mut Body) -> Result<(), hyper::Error> {
    let expected = incoming.size_hint().lower();
    body.bytes.reserve_exact(usize::try_from(expected).unwrap_or(max).min(max));
    while let Some(frame) = incoming.frame().await {
        let Ok(chunk) = frame?.into_data() else { continue };
        let room = max - body.bytes.len();
        body.bytes.extend_from_slice(&chunk[..chunk.len().min(room)]);
        if chunk.len() > room {
            body.truncated = true;
            break;
        }
    }
    Ok(())
}

/// Decodes the body, up to `max` bytes. Of a damaged body the readable part is kept, and it counts as truncated: the
/// server has responded in any case. A body with an unknown encoding is not decoded.
pub(super) fn decode(encoding: &str, body: Body, max: usize) -> Body {
    if body.bytes.is_empty() {
        return body;
    }
    let raw = body.bytes.as_slice();
    let decoded = match encoding.trim().to_ascii_lowercase().as_str() {
        "gzip" | "x-gzip" => inflate(MultiGzDecoder::new(raw), max),
        // "deflate" means zlib, but some servers send the bare stream (RFC 9110, 8.4.1.2).
        "deflate" if has_zlib_header(raw) => inflate(ZlibDecoder::new(raw), max),
        "deflate" => inflate(DeflateDecoder::new(raw), max),
        "br" => unbrotli(raw, max),
        _ => return body,
    };
    Body { truncated: decoded.truncated || body.truncated, ..decoded }
}

fn inflate(decoder: impl Read, max: usize) -> Body {
    let mut bytes = Vec::new();
    let complete = decoder.take(max as u64 + 1).read_to_end(&mut bytes).is_ok();
    let truncated = !complete || bytes.len() > max;
    bytes.truncate(max);
    Body { bytes, truncated }
}

/// RFC 1950: the method is 8 and the first two bytes are a multiple of 31.
fn has_zlib_header(raw: &[u8]) -> bool {
    matches!(raw, [first, second, ..]
        if first & 0x0f == 8 && u16::from_be_bytes([*first, *second]).is_multiple_of(31))
}

fn unbrotli(raw: &[u8], max: usize) -> Body {
    // Strict: RFC 7932 without the "large window" extension, which allocates up to 1 GiB.
    let mut state =
        BrotliState::new_strict(StandardAlloc::default(), StandardAlloc::default(), StandardAlloc::default());
    let mut bytes = vec![0; max + 1];
    let (mut input_left, mut input_at) = (raw.len(), 0);
    let (mut output_left, mut output_at, mut total) = (bytes.len(), 0, 0);
    let result = BrotliDecompressStream(
        &mut input_left,
        &mut input_at,
        raw,
        &mut output_left,
        &mut output_at,
        &mut bytes,
        &mut total,
        &mut state,
    );
    let complete = matches!(result, BrotliResult::ResultSuccess);
    let truncated = !complete || output_at > max;
    bytes.truncate(output_at.min(max));
    bytes.shrink_to_fit();
    Body { bytes, truncated }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use flate2::Compression;
    use flate2::write::{DeflateEncoder, GzEncoder, ZlibEncoder};

    use super::*;

    const MAX: usize = 64 * 1024;

    /// `printf '{"ok":true}' | brotli`, as one uncompressed meta-block.
    const BROTLI: &[u8] = b"\x0b\x05\x80{\"ok\":true}\x03";

    fn gzip(plain: &[u8]) -> Vec<u8> {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
        encoder.write_all(plain).expect("writes to memory");
        encoder.finish().expect("writes to memory")
    }

    fn decoded(encoding: &str, raw: &[u8]) -> Body {
        decode(encoding, Body { bytes: raw.to_vec(), truncated: false }, MAX)
    }

    #[test]
    fn every_offered_encoding_is_decoded() {
        let plain = br#"{"ok":true}"#;
        let mut zlib = ZlibEncoder::new(Vec::new(), Compression::default());
        zlib.write_all(plain).expect("writes to memory");
        let mut bare = DeflateEncoder::new(Vec::new(), Compression::default());
        bare.write_all(plain).expect("writes to memory");
        let table: [(&str, Vec<u8>); 7] = [
            ("gzip", gzip(plain)),
            ("X-GZip ", gzip(plain)),
            ("gzip", [gzip(br#"{"ok""#), gzip(b":true}")].concat()),
            ("deflate", zlib.finish().expect("writes to memory")),
            ("deflate", bare.finish().expect("writes to memory")),
            ("br", BROTLI.to_vec()),
            ("identity", plain.to_vec()),
        ];
        for (encoding, raw) in table {
            let body = decoded(encoding, &raw);
            assert_eq!(body, Body { bytes: plain.to_vec(), truncated: false }, "{encoding}");
        }
        assert_eq!(decoded("gzip", b""), Body::default(), "the response to HEAD");
        assert_eq!(decoded("zstd", b"raw").bytes, b"raw");
    }

    #[test]
    fn a_body_is_complete_up_to_the_bound() {
        let body = decoded("gzip", &gzip(&[7; MAX]));
        assert!(body.bytes.len() == MAX && !body.truncated);
        let body = decoded("gzip", &gzip(&[7; MAX + 1]));
        assert!(body.bytes.len() == MAX && body.truncated);
    }

    #[test]
    fn a_bomb_stops_at_the_bound() {
        let bomb = gzip(&[0; 1 << 20]).repeat(40);
        assert!(bomb.len() < MAX, "40 MiB of zeros fit into {} bytes", bomb.len());
        let body = decoded("gzip", &bomb);
        assert!(body.truncated && body.bytes.len() == MAX);
        assert!(body.bytes.capacity() <= 4 * MAX, "{}", body.bytes.capacity());

        // A gzip bomb inside gzip is not decoded: only one layer is.
        let nested = decoded("gzip", &gzip(&bomb));
        assert!(nested.bytes == bomb && !nested.truncated);
    }

    #[test]
    fn damaged_bodies_keep_what_was_readable() {
        let mut noise: Vec<u8> = (0..2000_u32).map(|n| (n.wrapping_mul(2_654_435_761) >> 13) as u8).collect();
        noise[0] = b'!';
        let whole = gzip(&noise);
        let body = decoded("gzip", &whole[..whole.len() / 2]);
        assert!(body.truncated && noise.starts_with(&body.bytes));
        for encoding in ["gzip", "deflate", "br"] {
            let body = decoded(encoding, b"<html>not compressed at all</html>");
            assert!(body.truncated, "{encoding}");
        }
        let body = decoded("br", &BROTLI[..BROTLI.len() - 4]);
        assert!(body.truncated && br#"{"ok":true}"#.starts_with(&body.bytes));
    }

    #[test]
    fn brotli_with_a_large_window_is_not_decoded() {
        // 0x11 announces the extension and 0x1e a window of 2^30 bytes; the rest is as in BROTLI.
        let body = decoded("br", b"\x11\x1e\x14\x00\x02{\"ok\":true}\x03");
        assert!(body.truncated && body.bytes.is_empty());
    }
}
