//! Codes of authenticator apps: RFC 6238 with the parameters that all apps support: SHA-1, six digits, thirty seconds.

use data_encoding::BASE32_NOPAD;
use hmac::{Hmac, Mac};
use sha1::Sha1;

use crate::ids;
use crate::timestamp::Timestamp;

const STEP_MS: i64 = 30_000;
const DIGITS: u32 = 6;
/// RFC 4226 recommends 160 bits.
pub const SECRET_BYTES: usize = 20;

/// Base32 without padding, the form that authenticator apps accept.
pub fn encode(secret: &[u8]) -> String {
    BASE32_NOPAD.encode(secret)
}

/// Decodes [`encode`]; `None` for other text.
pub fn decode(text: &str) -> Option<Vec<u8>> {
    BASE32_NOPAD.decode(text.as_bytes()).ok()
}

/// The URI for the QR code; `secret` is in base32.
pub fn uri(secret: &str, email: &str) -> String {
    let label = percent_encoding::utf8_percent_encode(email, percent_encoding::NON_ALPHANUMERIC);
    format!("otpauth://totp/Postrider:{label}?secret={secret}&issuer=Postrider")
}

/// The code of a time step (30 s each, since the Unix epoch).
pub fn code(secret: &[u8], step: i64) -> String {
    let mut mac = Hmac::<Sha1>::new_from_slice(secret).expect("HMAC takes keys of any length");
    mac.update(&step.to_be_bytes());
    let digest = mac.finalize().into_bytes();
    let at = usize::from(digest[19] & 15);
    let number = u32::from_be_bytes([digest[at] & 0x7f, digest[at + 1], digest[at + 2], digest[at + 3]]);
    format!("{:0width$}", number % 10_u32.pow(DIGITS), width = DIGITS as usize)
}

/// The time step of a typed code: the current one or a neighbour, because clocks differ and people type slowly. `None`
/// if the code is wrong.
pub fn step_of(secret: &[u8], typed: &str, now: Timestamp) -> Option<i64> {
    let typed: String = typed.chars().filter(|it| !it.is_whitespace()).collect();
    let present = now.millis().div_euclid(STEP_MS);
    // Not in constant time: the code changes, and only a few comparisons per minute are allowed.
    [present, present - 1, present + 1].into_iter().find(|step| code(secret, *step) == typed)
}

/// Ten codes of 50 random bits each, for people who lost the app.
pub fn recovery_codes(random: [[u8; 10]; 10]) -> Vec<String> {
    let code = |bytes: [u8; 10]| {
        let text = ids::characters(&bytes);
        format!("{}-{}", &text[..5], &text[5..])
    };
    random.into_iter().map(code).collect()
}

/// The form of a recovery code that is hashed: without separators, in lower case, and with the digits 0 and 1 for the
/// letters that look like them.
pub fn normal_recovery_code(typed: &str) -> String {
    typed.bytes().filter(u8::is_ascii_alphanumeric).map(|it| char::from(ids::canonical(it))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// RFC 6238, appendix B: the last six of its eight digits.
    #[test]
    fn codes_equal_the_test_vectors() {
        let secret = b"12345678901234567890";
        for (seconds, wanted) in
            [(59, "287082"), (1_111_111_109, "081804"), (1_234_567_890, "005924"), (20_000_000_000, "353130")]
        {
            let now = Timestamp::from_millis(seconds * 1_000);
            assert_eq!(step_of(secret, wanted, now), Some(seconds / 30));
        }
    }

    #[test]
    fn a_code_is_valid_for_its_step_and_the_neighbours() {
        let secret = b"12345678901234567890";
        let at = |seconds: i64| Timestamp::from_millis(seconds * 1_000);
        for (seconds, taken) in [(0, true), (30, true), (89, true), (90, false)] {
            assert_eq!(step_of(secret, " 287 082 ", at(seconds)).is_some(), taken, "{seconds}");
        }
        assert_eq!(step_of(secret, "", at(59)), None);
    }

    #[test]
    fn secrets_survive_the_round_trip() {
        assert_eq!(encode(b"foobar"), "MZXW6YTBOI");
        assert_eq!(decode("MZXW6YTBOI").as_deref(), Some(&b"foobar"[..]));
        let secret: Vec<u8> = (0..SECRET_BYTES as u8).collect();
        assert_eq!(decode(&encode(&secret)), Some(secret));
    }

    #[test]
    fn recovery_codes_are_normalised() {
        let codes = recovery_codes(std::array::from_fn(|n| [n as u8; 10]));
        assert_eq!(codes.len(), 10);
        assert_eq!(normal_recovery_code(&codes[0].to_uppercase().replace('-', " ")), codes[0].replace('-', ""));
        assert_eq!(normal_recovery_code("0Oo1Il"), "000111");
    }
}
