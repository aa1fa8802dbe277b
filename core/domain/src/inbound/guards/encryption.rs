//! Bodies that networks encrypt with a secret that they share with the receiver.

use aes::Aes256;
use aes::cipher::block_padding::Pkcs7;
use aes::cipher::{BlockDecryptMut, KeyIvInit};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use serde::{Deserialize, Serialize};
use sha1::{Digest, Sha1};

use super::super::body::in_utf8;
use super::place::hex;
use super::request::NotAdmitted;

/// The secret with which the network encrypts the bodies of its requests. A request with another body is refused.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct EncryptionGuard {
    /// How the network encrypts.
    pub scheme: EncryptionScheme,
    /// The secret, with 8 to 200 characters; masked in responses.
    #[schema(min_length = 8, max_length = 200)]
    pub secret: String,
}

/// How a network encrypts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum EncryptionScheme {
    /// `{"notification": "…", "iv": "…"}`, as ClickBank's Instant Notification Service sends it: AES-256-CBC in base64. The key
    /// is the first 32 hexadecimal digits of the secret's SHA-1.
    Clickbank,
}

/// What ClickBank sends.
#[derive(Deserialize)]
struct Envelope {
    notification: String,
    iv: String,
}

impl EncryptionGuard {
    /// The body in plain text.
    ///
    /// # Errors
    /// The body is not encrypted, or with another secret.
    pub fn decrypt(&self, body: &[u8]) -> Result<Vec<u8>, NotAdmitted> {
        let EncryptionScheme::Clickbank = self.scheme;
        let envelope: Envelope = serde_json::from_slice(body).map_err(|_| NotAdmitted::NotEncrypted)?;
        // The network's lines have 76 characters.
        let decode = |text: &str| BASE64.decode(text.split_whitespace().collect::<String>());
        let (Ok(mut text), Ok(iv)) = (decode(&envelope.notification), decode(&envelope.iv)) else {
            return Err(NotAdmitted::NotEncrypted);
        };
        let key = hex(&Sha1::digest(&self.secret));
        let cipher = cbc::Decryptor::<Aes256>::new_from_slices(&key.as_bytes()[..32], &iv);
        let cipher = cipher.map_err(|_| NotAdmitted::NotEncrypted)?;
        let plain = cipher.decrypt_padded_mut::<Pkcs7>(&mut text).map_err(|_| NotAdmitted::NotDecrypted)?;
        let plain = in_utf8(plain.trim_ascii_end().to_vec().into(), "").into_owned();
        // One wrong secret of 256 gives a right padding.
        match serde_json::from_slice::<serde_json::Map<String, serde_json::Value>>(&plain) {
            Ok(_) => Ok(plain),
            Err(_) => Err(NotAdmitted::NotDecrypted),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The body was encrypted by OpenSSL.
    #[test]
    fn only_the_secret_opens_a_body() {
        let guard = |secret: &str| EncryptionGuard { scheme: EncryptionScheme::Clickbank, secret: secret.to_owned() };
        let body = br#"{"notification": "lvx3T2S2Qu5xsA+g8AG4MGxz7AIFjmRi3IGxHQaR2G3wdV8f6PGazNgAHNhb4an/", "iv": "MTIzNDU2Nzg5MDEyMzQ1Ng=="}"#;
        assert_eq!(guard("S3CRETWORD").decrypt(body).unwrap(), br#"{"receipt":"T1","transactionType":"SALE"}"#);
        assert_eq!(guard("S3CRETWORX").decrypt(body), Err(NotAdmitted::NotDecrypted));
        for body in ["", "{}", r#"{"receipt": "T1"}"#, r#"{"notification": "?", "iv": "MTIzNDU2Nzg5MDEyMzQ1Ng=="}"#] {
            assert_eq!(guard("S3CRETWORD").decrypt(body.as_bytes()), Err(NotAdmitted::NotEncrypted), "{body}");
        }
    }
}
