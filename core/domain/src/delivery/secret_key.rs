//! Parsing of the key that seals secrets.

use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;

/// A key of 32 bytes from 64 hexadecimal digits or base64, with surrounding whitespace; `None` for other text.
pub fn parse_key(text: &str) -> Option<[u8; 32]> {
    let text = text.trim();
    if text.len() == 64 && text.is_ascii() {
        let mut key = [0; 32];
        for (index, byte) in key.iter_mut().enumerate() {
            *byte = u8::from_str_radix(&text[2 * index..2 * index + 2], 16).ok()?;
        }
        return Some(key);
    }
    BASE64.decode(text).ok()?.try_into().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_of_32_bytes_is_read_in_either_form() {
        assert_eq!(parse_key(&"07".repeat(32)), Some([7; 32]));
        assert_eq!(parse_key(&BASE64.encode([7; 32])), Some([7; 32]));
        for wrong in ["", "07", &"zz".repeat(32), &BASE64.encode([7; 31])] {
            assert_eq!(parse_key(wrong), None, "{wrong}");
        }
    }
}
