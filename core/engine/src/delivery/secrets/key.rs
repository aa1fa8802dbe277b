//! A key that seals secrets. Its id is derived from it, and every value that it seals begins with the id.

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use chacha20poly1305::aead::{Aead, KeyInit, Payload};
use chacha20poly1305::{XChaCha20Poly1305, XNonce};
use hmac::{Hmac, Mac};
use sha2::Sha256;

const NONCE_BYTES: usize = 24;
const ID_BYTES: usize = 6;

/// The id of a key, from which the key cannot be derived. Written as twelve hexadecimal digits.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct KeyId([u8; ID_BYTES]);

impl fmt::Display for KeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl KeyId {
    /// Whether a sealed value begins with this id.
    pub(super) fn sealed(self, sealed: &str) -> bool {
        sealed.starts_with(&self.mark())
    }

    /// The beginning of every value that this key seals, in base64.
    pub fn mark(self) -> String {
        BASE64.encode(self.0)
    }
}

/// A key, with separate keys for placeholders and signatures that are derived from it.
#[derive(Clone)]
pub(super) struct Key {
    pub(super) id: KeyId,
    cipher: XChaCha20Poly1305,
    placeholders: Hmac<Sha256>,
    signatures: Hmac<Sha256>,
}

impl Key {
    /// Derives the id and the keys for placeholders and signatures.
    pub(super) fn new(key: [u8; 32]) -> Self {
        let purpose = |name: &[u8]| {
            let mut mac = mac(&key);
            mac.update(name);
            mac
        };
        let id = purpose(b"id\0").finalize().into_bytes();
        Self {
            id: KeyId(id[..ID_BYTES].try_into().expect("a digest is longer")),
            cipher: XChaCha20Poly1305::new(&key.into()),
            placeholders: purpose(b"placeholder\0"),
            signatures: purpose(b"signature\0"),
        }
    }

    /// A signature of `text` for a purpose, in hexadecimal.
    pub(super) fn sign(&self, purpose: &str, text: &str) -> String {
        hex(&finish(&self.signatures, purpose, text))
    }

    /// The placeholder of a secret: the same for the same secret and holder, in hexadecimal.
    pub(super) fn placeholder(&self, secret: &str, holder: &str) -> String {
        hex(&finish(&self.placeholders, holder, secret)[..16])
    }

    /// Seals a secret for a holder. The nonce begins with the id of the key, so that releases without key ids can open
    /// it. The other 144 bits are random, so a nonce is never repeated.
    pub(super) fn seal(&self, secret: &str, holder: &str) -> String {
        let mut nonce: [u8; NONCE_BYTES] = rand::random();
        nonce[..ID_BYTES].copy_from_slice(&self.id.0);
        let payload = Payload { msg: secret.as_bytes(), aad: holder.as_bytes() };
        let sealed = self.cipher.encrypt(&XNonce::from(nonce), payload).expect("a secret fits into memory");
        BASE64.encode([&nonce[..], &sealed].concat())
    }

    /// Opens a sealed value. `None` if another key sealed it, or if it was sealed for another holder.
    pub(super) fn open(&self, sealed: &str, holder: &str) -> Option<String> {
        let bytes = BASE64.decode(sealed).ok()?;
        let (nonce, sealed) = bytes.split_first_chunk::<NONCE_BYTES>()?;
        let payload = Payload { msg: sealed, aad: holder.as_bytes() };
        String::from_utf8(self.cipher.decrypt(&XNonce::from(*nonce), payload).ok()?).ok()
    }
}

/// An HMAC-SHA256 with this key.
pub(super) fn mac(key: &[u8]) -> Hmac<Sha256> {
    <Hmac<Sha256> as Mac>::new_from_slice(key).expect("HMAC takes keys of any length")
}

fn finish(mac: &Hmac<Sha256>, first: &str, second: &str) -> [u8; 32] {
    let mut mac = mac.clone();
    mac.update(first.as_bytes());
    mac.update(b"\0");
    mac.update(second.as_bytes());
    mac.finalize().into_bytes().into()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
