//! Addresses of cryptocurrencies. A payment to a wrong address is lost, so the checksums are verified. Each check
//! returns a sentence for people as its error.

use sha3::{Digest, Keccak256};

/// Bitcoin mainnet: Base58Check (P2PKH, P2SH), or Bech32 and Bech32m (BIP 173, BIP 350).
pub(crate) fn check_bitcoin(address: &str) -> Result<(), String> {
    const P2PKH: u8 = 0x00;
    const P2SH: u8 = 0x05;
    let by_hash = || base58(address).is_some_and(|bytes| matches!(bytes[0], P2PKH | P2SH));
    let segwit = || bech32::segwit::decode(address).is_ok_and(|(network, ..)| network == bech32::hrp::BC);
    wrong_unless(by_hash() || segwit(), "Bitcoin", "1…, 3… or bc1…")
}

/// Tron: `T…`, Base58Check with the prefix 0x41.
pub(crate) fn check_tron(address: &str) -> Result<(), String> {
    const MAINNET: u8 = 0x41;
    wrong_unless(base58(address).is_some_and(|bytes| bytes[0] == MAINNET), "Tron", "T…")
}

/// Ethereum: `0x` and 40 hexadecimal digits. In mixed case they carry a checksum (EIP-55), which must be right.
pub(crate) fn check_ethereum(address: &str) -> Result<(), String> {
    let digits = address.strip_prefix("0x").unwrap_or_default();
    let is_hex = digits.len() == 40 && digits.bytes().all(|byte| byte.is_ascii_hexdigit());
    let has_case = digits.bytes().any(|b| b.is_ascii_lowercase()) && digits.bytes().any(|b| b.is_ascii_uppercase());
    wrong_unless(is_hex && (!has_case || checksummed(digits) == digits), "Ethereum", "0x…")
}

fn checksummed(digits: &str) -> String {
    let lower = digits.to_ascii_lowercase();
    let hash = Keccak256::digest(lower.as_bytes());
    let nibble = |index: usize| if index.is_multiple_of(2) { hash[index / 2] >> 4 } else { hash[index / 2] & 15 };
    lower.chars().enumerate().map(|(at, c)| if nibble(at) >= 8 { c.to_ascii_uppercase() } else { c }).collect()
}

/// A version byte and a hash of 20 bytes; `None` if the checksum is wrong.
fn base58(address: &str) -> Option<Vec<u8>> {
    let bytes = bs58::decode(address).with_check(None).into_vec().ok()?;
    (bytes.len() == 21).then_some(bytes)
}

fn wrong_unless(right: bool, network: &str, look: &str) -> Result<(), String> {
    if right {
        return Ok(());
    }
    Err(format!(
        "this is not a valid {network} address ({look}), or its checksum is wrong; copy it from the wallet again"
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_belong_to_one_network_and_have_a_checksum() {
        let bitcoin = [
            "1BvBMSEYstWetqTFn5Au4m4GFg7xJaNVN2",
            "3J98t1WpEZ73CNmQviecrnyiWrnqRhWNLy",
            "bc1qw508d6qejxtdg4y5r3zarvary0c5xw7kv8f3t4",
            "bc1p5cyxnuxmeuwuvkwfem96lqzszd02n6xdcjrs20cac6yqjjwudpxqkedrcr",
        ];
        let tron = ["TR7NHqjeKQxGTCi8q8ZY4pL8otSzgjLj6t"];
        let ethereum = ["0x5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAed", "0x5aaeb6053f3e94c9b9a09f33669435e7ef1beaed"];
        for address in bitcoin {
            assert_eq!(check_bitcoin(address), Ok(()), "{address}");
            assert!(check_tron(address).is_err() && check_ethereum(address).is_err());
        }
        for address in tron {
            assert_eq!(check_tron(address), Ok(()), "{address}");
            assert!(check_bitcoin(address).is_err());
        }
        for address in ethereum {
            assert_eq!(check_ethereum(address), Ok(()), "{address}");
        }
        for wrong in [
            "1BvBMSEYstWetqTFn5Au4m4GFg7xJaNVN3",
            "bc1qw508d6qejxtdg4y5r3zarvary0c5xw7kv8f3t5",
            "tb1qw508d6qejxtdg4y5r3zarvary0c5xw7kxpjzsx",
            "",
        ] {
            assert!(check_bitcoin(wrong).is_err(), "{wrong}");
        }
        assert!(check_tron("TR7NHqjeKQxGTCi8q8ZY4pL8otSzgjLj6u").is_err());
        assert!(check_ethereum("0x5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAeD").is_err(), "the case is its checksum");
        assert!(check_ethereum("5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAed").is_err());
    }
}
