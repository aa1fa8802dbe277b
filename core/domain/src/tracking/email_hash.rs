//! Hashes of buyers' e-mail addresses, by which conversions are found without writing the address into a URL.

use sha2::{Digest, Sha256};

/// The SHA-256 of an e-mail address, trimmed and in lower case, as advertising networks compute it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct EmailHash([u8; 32]);

/// A text that is not a hash.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[error("must be the SHA-256 of the e-mail address, trimmed and in lower case, as 64 hexadecimal digits")]
pub struct InvalidEmailHash;

impl EmailHash {
    /// The hash of an address.
    pub fn of(email: &str) -> Self {
        Self(Sha256::digest(email.trim().to_lowercase()).into())
    }

    /// The first 64 bits, for an index. Addresses with the same key are practically the same.
    pub fn key(&self) -> i64 {
        i64::from_be_bytes(self.0[..8].try_into().expect("eight bytes of thirty-two"))
    }
}

impl std::fmt::Display for EmailHash {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl std::str::FromStr for EmailHash {
    type Err = InvalidEmailHash;

    fn from_str(text: &str) -> Result<Self, InvalidEmailHash> {
        if text.len() != 64 || !text.bytes().all(|it| it.is_ascii_hexdigit()) {
            return Err(InvalidEmailHash);
        }
        let mut bytes = [0; 32];
        for (byte, digits) in bytes.iter_mut().zip(0..) {
            let pair = &text[2 * digits..2 * digits + 2];
            *byte = u8::from_str_radix(pair, 16).map_err(|_| InvalidEmailHash)?;
        }
        Ok(Self(bytes))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hash_is_that_of_the_trimmed_address_in_lower_case() {
        let known = "b4c9a289323b21a01c3e940f150eb9b8c542587f1abfd8f0e1cc1ffc5e475514"; // user@example.com
        assert_eq!(known.parse(), Ok(EmailHash::of(" User@Example.com ")));
        assert_eq!(EmailHash::of("user@example.com").to_string(), known);
        assert_eq!(known.to_uppercase().parse(), Ok(EmailHash::of("user@example.com")));
        assert_eq!(EmailHash::of("user@example.com").key(), 0xb4c9_a289_323b_21a0_u64.cast_signed());
        for text in ["", "user@example.com", &known[1..], &known.replace('b', "g"), &"é".repeat(32)] {
            assert_eq!(text.parse::<EmailHash>(), Err(InvalidEmailHash), "{text}");
        }
    }
}
