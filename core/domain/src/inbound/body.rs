//! The body of a request as text: decompressed, and in UTF-8 without a byte-order mark. Adapters get it like this, so that
//! none has to know the encodings.

use std::borrow::Cow;
use std::io::Read;

use flate2::read::{MultiGzDecoder, ZlibDecoder};

/// The most bytes of a body, also after decompression.
pub const BODY_MAX_BYTES: usize = 64 * 1024;

/// Why a body cannot be read.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum UnreadableBody {
    /// Compressed in a way that is not supported; holds the name.
    #[error("the body is compressed with \"{0}\"; have the network send it uncompressed, or with gzip")]
    Encoding(String),
    /// Not what its `Content-Encoding` says; holds the name.
    #[error("the body is called \"{0}\", but it cannot be decompressed; have the network send it uncompressed")]
    Damaged(String),
    /// Too large when it is decompressed.
    #[error("the decompressed body is larger than 64 KiB; have the network send less")]
    TooLarge,
}

/// The body as text, if it is text. `header`: the value of a header by its name in lower case.
///
/// # Errors
/// It is compressed in an unknown way, damaged, or too large.
pub fn plain<'a, 'h>(
    body: &'a [u8],
    header: impl Fn(&str) -> Option<&'h str>,
) -> Result<Cow<'a, [u8]>, UnreadableBody> {
    let encoding = header("content-encoding").unwrap_or_default().trim().to_ascii_lowercase();
    let is_gzip = body.starts_with(&[0x1f, 0x8b]);
    let decoded = match encoding.as_str() {
        "" | "identity" if !is_gzip => Cow::Borrowed(body),
        // Some networks forget the header, and some proxies decompress a body and leave the header.
        "" | "identity" | "gzip" | "x-gzip" if is_gzip => Cow::Owned(read(MultiGzDecoder::new(body), &encoding)?),
        "gzip" | "x-gzip" | "deflate" if is_text(body) => Cow::Borrowed(body),
        "deflate" => Cow::Owned(read(ZlibDecoder::new(body), &encoding)?),
        "gzip" | "x-gzip" => return Err(UnreadableBody::Damaged(encoding)),
        _ if body.is_empty() => Cow::Borrowed(body),
        _ => return Err(UnreadableBody::Encoding(encoding.chars().take(40).collect())),
    };
    Ok(in_utf8(decoded, &header("content-type").unwrap_or_default().to_ascii_lowercase()))
}

fn read(decoder: impl Read, encoding: &str) -> Result<Vec<u8>, UnreadableBody> {
    let mut bytes = Vec::new();
    let limit = BODY_MAX_BYTES as u64 + 1;
    decoder.take(limit).read_to_end(&mut bytes).map_err(|_| UnreadableBody::Damaged(encoding.to_owned()))?;
    if bytes.len() > BODY_MAX_BYTES { Err(UnreadableBody::TooLarge) } else { Ok(bytes) }
}

fn is_text(body: &[u8]) -> bool {
    std::str::from_utf8(body).is_ok_and(|text| !text.contains('\0'))
}

/// UTF-16 by its byte-order mark or its content type, and other text that is not UTF-8, become UTF-8. Of the latter each byte
/// becomes a character of Latin-1, also if it is in another encoding: so different ids stay different.
pub(super) fn in_utf8<'a>(body: Cow<'a, [u8]>, content_type: &str) -> Cow<'a, [u8]> {
    let units = |from_bytes: fn([u8; 2]) -> u16, bytes: &[u8]| {
        let units: Vec<u16> = bytes.chunks_exact(2).map(|pair| from_bytes([pair[0], pair[1]])).collect();
        Cow::Owned(String::from_utf16_lossy(&units).into_bytes())
    };
    match &*body {
        [0xef, 0xbb, 0xbf, rest @ ..] => Cow::Owned(rest.to_vec()),
        [0xff, 0xfe, rest @ ..] => units(u16::from_le_bytes, rest),
        [0xfe, 0xff, rest @ ..] => units(u16::from_be_bytes, rest),
        [0, _, ..] if content_type.contains("utf-16") => units(u16::from_be_bytes, &body),
        [_, 0, ..] if content_type.contains("utf-16") => units(u16::from_le_bytes, &body),
        bytes if !bytes.contains(&0) && std::str::from_utf8(bytes).is_err() => {
            Cow::Owned(bytes.iter().map(|byte| char::from(*byte)).collect::<String>().into_bytes())
        }
        _ => body,
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    fn gzip(text: &[u8]) -> Vec<u8> {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
        encoder.write_all(text).unwrap();
        encoder.finish().unwrap()
    }

    fn read(body: &[u8], encoding: &str, kind: &str) -> Result<String, UnreadableBody> {
        let header = |name: &str| match name {
            "content-encoding" => Some(encoding),
            _ => Some(kind),
        };
        plain(body, header).map(|it| String::from_utf8(it.into_owned()).unwrap())
    }

    #[test]
    fn a_body_is_text_in_every_encoding() {
        let utf16 = |from: fn(u16) -> [u8; 2], text: &str| text.encode_utf16().flat_map(from).collect::<Vec<u8>>();
        let (little, big) = (utf16(u16::to_le_bytes, "a=é"), utf16(u16::to_be_bytes, "a=é"));
        let mut zlib = flate2::write::ZlibEncoder::new(Vec::new(), flate2::Compression::default());
        zlib.write_all("a=é".as_bytes()).unwrap();
        for (body, encoding, kind) in [
            ("a=é".as_bytes().to_vec(), "", ""),
            ("\u{feff}a=é".as_bytes().to_vec(), "", ""),
            (gzip("a=é".as_bytes()), "gzip", ""),
            (gzip("a=é".as_bytes()), "", ""),
            ("a=é".as_bytes().to_vec(), "gzip", ""),
            (zlib.finish().unwrap(), "deflate", ""),
            ([&[0xff, 0xfe], &*little].concat(), "", "application/json"),
            ([&[0xfe, 0xff], &*big].concat(), "", ""),
            (little, "", "application/json; charset=UTF-16"),
            (big, "", "application/json; charset=utf-16be"),
            (vec![b'a', b'=', 0xe9], "", "text/plain; charset=ISO-8859-1"),
            (vec![b'a', b'=', 0xe9], "", "application/x-www-form-urlencoded"),
        ] {
            assert_eq!(read(&body, encoding, kind).as_deref(), Ok("a=é"), "{body:?} {encoding} {kind}");
        }
    }

    #[test]
    fn what_cannot_be_read_is_named() {
        assert_eq!(read(b"x\0", "br", ""), Err(UnreadableBody::Encoding("br".into())));
        assert_eq!(read(&gzip(b"a=1")[..12], "gzip", ""), Err(UnreadableBody::Damaged("gzip".into())));
        assert_eq!(read(&gzip(&vec![b'a'; 1_000_000]), "gzip", ""), Err(UnreadableBody::TooLarge));
    }
}
