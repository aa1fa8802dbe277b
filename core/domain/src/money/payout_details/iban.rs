//! IBANs (ISO 13616): the length for each country, and the two check digits. The error of each check is a sentence for
//! people.

/// The length of IBANs by country (SWIFT's IBAN registry).
const LENGTHS: [(&str, usize); 79] = [
    ("AD", 24),
    ("AE", 23),
    ("AL", 28),
    ("AT", 20),
    ("AZ", 28),
    ("BA", 20),
    ("BE", 16),
    ("BG", 22),
    ("BH", 22),
    ("BR", 29),
    ("BY", 28),
    ("CH", 21),
    ("CR", 22),
    ("CY", 28),
    ("CZ", 24),
    ("DE", 22),
    ("DK", 18),
    ("DO", 28),
    ("EE", 20),
    ("EG", 29),
    ("ES", 24),
    ("FI", 18),
    ("FO", 18),
    ("FR", 27),
    ("GB", 22),
    ("GE", 22),
    ("GI", 23),
    ("GL", 18),
    ("GR", 27),
    ("GT", 28),
    ("HR", 21),
    ("HU", 28),
    ("IE", 22),
    ("IL", 23),
    ("IQ", 23),
    ("IS", 26),
    ("IT", 27),
    ("JO", 30),
    ("KW", 30),
    ("KZ", 20),
    ("LB", 28),
    ("LC", 32),
    ("LI", 21),
    ("LT", 20),
    ("LU", 20),
    ("LV", 21),
    ("LY", 25),
    ("MC", 27),
    ("MD", 24),
    ("ME", 22),
    ("MK", 19),
    ("MR", 27),
    ("MT", 31),
    ("MU", 30),
    ("NL", 18),
    ("NO", 15),
    ("OM", 23),
    ("PK", 24),
    ("PL", 28),
    ("PS", 29),
    ("PT", 25),
    ("QA", 29),
    ("RO", 24),
    ("RS", 22),
    ("SA", 24),
    ("SC", 31),
    ("SD", 18),
    ("SE", 24),
    ("SI", 19),
    ("SK", 24),
    ("SM", 27),
    ("ST", 25),
    ("SV", 28),
    ("TL", 23),
    ("TN", 24),
    ("TR", 26),
    ("UA", 29),
    ("VA", 22),
    ("XK", 20),
];

/// The countries whose banks take part in SEPA credit transfers (European Payments Council, list of January 2026).
const SEPA: [&str; 42] = [
    "AD", "AL", "AT", "BE", "BG", "CH", "CY", "CZ", "DE", "DK", "EE", "ES", "FI", "FR", "GB", "GI", "GR", "HR", "HU",
    "IE", "IS", "IT", "LI", "LT", "LU", "LV", "MC", "MD", "ME", "MK", "MT", "NL", "NO", "PL", "PT", "RO", "RS", "SE",
    "SI", "SK", "SM", "VA",
];

/// Checks country, length and check digits. `iban` is in its normal form: capitals, no spaces.
///
/// # Errors
/// A sentence: the country, the length or the check digits are wrong.
pub fn check(iban: &str) -> Result<(), String> {
    let country = iban.get(..2).unwrap_or_default();
    let Some((_, length)) = LENGTHS.iter().find(|(code, _)| *code == country) else {
        return Err("an IBAN begins with the two letters of a country that has IBANs, such as DE89 3704 …".into());
    };
    if iban.len() != *length {
        return Err(format!("an IBAN of {country} has {length} characters, but this has {}", iban.chars().count()));
    }
    match remainder(iban) {
        Some(1) => Ok(()),
        _ => Err("the check digits of this IBAN are wrong; compare it with the bank statement, digit by digit".into()),
    }
}

/// Like [`check`], and the account can be reached by SEPA credit transfer.
pub(crate) fn check_sepa(iban: &str) -> Result<(), String> {
    check(iban)?;
    let country = &iban[..2];
    if SEPA.contains(&country) {
        Ok(())
    } else {
        Err(format!("accounts in {country} can't be reached by SEPA; choose the international bank transfer"))
    }
}

/// The remainder of the division by 97, with letters counted as 10 to 35 and the first four characters moved to the
/// end. `None` if there are other characters.
fn remainder(iban: &str) -> Option<u32> {
    let (head, tail) = (iban.get(..4)?, iban.get(4..)?);
    tail.chars().chain(head.chars()).try_fold(0, |rest, character| match character {
        '0'..='9' => Some((rest * 10 + character.to_digit(10)?) % 97),
        'A'..='Z' => Some((rest * 100 + character.to_digit(36)?) % 97),
        _ => None,
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_examples_of_the_registry_are_valid() {
        for iban in [
            "DE89370400440532013000",
            "GB29NWBK60161331926819",
            "FR1420041010050500013M02606",
            "MT84MALT011000012345MTLCAST001S",
            "NO9386011117947",
            "SC18SSCB11010000000000001497USD",
        ] {
            assert_eq!(check(iban), Ok(()), "{iban}");
        }
        assert_eq!(check_sepa("DE89370400440532013000"), Ok(()));
        assert!(check_sepa("SC18SSCB11010000000000001497USD").unwrap_err().contains("international"));
        for wrong in
            ["", "DE", "DE8937040044053201300", "ZZ89370400440532013000", "DE89 3704", "ÄÖ89370400440532013000"]
        {
            assert!(check(wrong).is_err(), "{wrong}");
        }
    }

    proptest! {
        /// The check digits detect one wrong character, and two neighbours that are swapped.
        #[test]
        fn a_typing_error_is_found(at in 4_usize..22, digit in 0_u8..10) {
            let right = "DE89370400440532013000";
            let mut wrong = right.as_bytes().to_vec();
            wrong[at] = b'0' + digit;
            prop_assert_eq!(check(std::str::from_utf8(&wrong).unwrap()).is_ok(), wrong == right.as_bytes());
            let mut swapped = right.as_bytes().to_vec();
            swapped.swap(at - 1, at);
            prop_assert_eq!(check(std::str::from_utf8(&swapped).unwrap()).is_ok(), swapped == right.as_bytes());
        }
    }
}
