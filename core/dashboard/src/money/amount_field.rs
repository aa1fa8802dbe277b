//! Amounts as people type them: with a point or a comma, and with or without separators between thousands.

use domain::amounts::{Amount, Currency};

use crate::shell::texts::{Text, plain, text};

/// Reads an amount. `1,000` could mean one or a thousand, so it is refused rather than guessed.
///
/// # Errors
/// A sentence for the field.
pub fn typed(typed: &str, currency: Currency) -> Result<Amount, Text> {
    let is_separator = |c: char| c == ',' || c == '.';
    let compact: String = typed.chars().filter(|c| !c.is_whitespace() && *c != '\'').collect();
    let separators: Vec<char> = compact.chars().filter(|c| is_separator(*c)).collect();
    let decimals = compact.rsplit_once(is_separator).map_or(0, |(_, decimals)| decimals.len());
    let standard = match separators[..] {
        [] => compact,
        [_] if decimals == 3 && currency.decimals() != 3 => {
            return Err(text("amount.ambiguous").with("typed", typed.trim()));
        }
        [_] => compact.replace(',', "."),
        // The last separator of two kinds is the decimal one; of one kind, all separate thousands.
        [first, .., last] => {
            let is_grouped = separators[..separators.len() - 1].iter().all(|it| *it == first);
            let thousands = compact.split(is_separator).skip(1).take(separators.len() - usize::from(first != last));
            if !is_grouped || thousands.into_iter().any(|group| group.len() != 3) {
                return Err(text("amount.ambiguous").with("typed", typed.trim()));
            }
            compact.replace(first, "").replace(',', ".")
        }
    };
    standard
        .parse()
        .map_err(|error: domain::amounts::InvalidAmount| plain(crate::shell::sentence::as_sentence(&error.to_string())))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn amounts_are_read_in_both_notations() {
        let usd: Currency = "USD".parse().unwrap();
        for (text, wanted) in [
            ("100", Some("100.00")),
            (" 1 284.50 ", Some("1284.50")),
            ("1,284.50", Some("1284.50")),
            ("1.284,50", Some("1284.50")),
            ("1284,5", Some("1284.50")),
            ("1,234,567", Some("1234567.00")),
            ("1.234.567,89", Some("1234567.89")),
            ("1,000", None),
            ("1.000", None),
            ("1,23,456.00", None),
            ("1.2,3.4", None),
            ("-5", None),
            ("ten", None),
            ("", None),
        ] {
            assert_eq!(typed(text, usd).ok().map(|it| it.to_string()).as_deref(), wanted, "{text}");
        }
        assert_eq!(typed("1.250", "KWD".parse().unwrap()).map(|it| it.to_string()).ok().as_deref(), Some("1.25"));
    }
}
