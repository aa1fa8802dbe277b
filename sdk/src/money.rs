//! Amounts in the networks' formats: converts micros to text and back. It never uses floats.

use crate::types::Money;

const MICROS: u64 = 1_000_000;
/// Micros have six decimals.
const DECIMALS: u32 = 6;

/// The amount in the major unit with at least two decimals and no more than needed:
/// 12.50, 0.00, -3.10, 0.001. No grouping, no exponent, no currency.
pub fn decimal(money: &Money) -> String {
    let sign = if money.micros < 0 { "-" } else { "" };
    let magnitude = money.micros.unsigned_abs();
    let mut text = format!("{sign}{}.{:06}", magnitude / MICROS, magnitude % MICROS);
    let point = text.len() - 7;
    while text.len() > point + 3 && text.ends_with('0') {
        text.pop();
    }
    text
}

/// The amount in the currency's minor unit, as a whole number: 1250 for 12.50 USD, 12 for 12 JPY.
/// A half is rounded away from zero: 1.005 USD is 101, -1.005 USD is -101.
pub fn minor_units(money: &Money) -> i64 {
    let unit = 10_i64.pow(DECIMALS - exponent(&money.currency));
    let (whole, rest) = (money.micros / unit, money.micros % unit);
    if rest.abs() >= unit - unit / 2 { whole + rest.signum() } else { whole }
}

/// The number of decimals of a currency (ISO 4217): 0 for JPY, 3 for KWD, 2 for USD and for unknown codes.
pub fn exponent(currency: &str) -> u32 {
    const NONE: [&str; 17] = [
        "BIF", "CLP", "DJF", "GNF", "ISK", "JPY", "KMF", "KRW", "PYG", "RWF", "UGX", "UYI", "VND", "VUV", "XAF", "XOF",
        "XPF",
    ];
    const THREE: [&str; 7] = ["BHD", "IQD", "JOD", "KWD", "LYD", "OMR", "TND"];
    const FOUR: [&str; 2] = ["CLF", "UYW"];
    let among = |codes: &[&str]| codes.iter().any(|code| code.eq_ignore_ascii_case(currency));
    if among(&NONE) {
        0
    } else if among(&THREE) {
        3
    } else if among(&FOUR) {
        4
    } else {
        2
    }
}

/// The micros of an amount in the major unit: an optional sign, digits, and optionally a point and decimals ("12.50", "-3",
/// ".5"). `None` for anything else, such as grouping, an exponent, a currency, or more than six decimals (zeros at the end
/// do not count).
pub fn parse_decimal(text: &str) -> Option<i64> {
    let text = text.trim();
    let unsigned = text.strip_prefix(['-', '+']).unwrap_or(text);
    let (whole, fraction) = unsigned.split_once('.').unwrap_or((unsigned, ""));
    let fraction = fraction.trim_end_matches('0');
    let digits = |part: &str| part.bytes().all(|byte| byte.is_ascii_digit());
    let any = unsigned.bytes().any(|byte| byte.is_ascii_digit());
    if !any || !digits(whole) || !digits(fraction) || fraction.len() > DECIMALS as usize {
        return None;
    }
    let sign = if text.starts_with('-') { "-" } else { "" };
    format!("{sign}{whole}{fraction:0<6}").parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(micros: i64) -> String {
        decimal(&Money { micros, currency: "USD".into() })
    }

    #[test]
    fn two_decimals_at_least_and_none_lost() {
        assert_eq!(of(12_500_000), "12.50");
        assert_eq!(of(0), "0.00");
        assert_eq!(of(49_000_000), "49.00");
        assert_eq!(of(1_000), "0.001");
        assert_eq!(of(1), "0.000001");
        assert_eq!(of(10_010_000), "10.01");
        assert_eq!(of(-3_100_000), "-3.10");
        assert_eq!(of(-1), "-0.000001");
        assert_eq!(of(i64::MAX), "9223372036854.775807");
        assert_eq!(of(i64::MIN), "-9223372036854.775808");
    }

    #[test]
    fn minor_units_follow_the_currency() {
        let minor = |micros, currency: &str| minor_units(&Money { micros, currency: currency.into() });
        assert_eq!(minor(12_500_000, "USD"), 1250);
        assert_eq!(minor(12_500_000, "usd"), 1250);
        assert_eq!(minor(12_000_000, "JPY"), 12);
        assert_eq!(minor(12_500_000, "KWD"), 12_500);
        assert_eq!(minor(12_500_000, "CLF"), 125_000);
        assert_eq!(minor(12_500_000, "XXX"), 1250);
        assert_eq!(minor(0, "USD"), 0);
    }

    #[test]
    fn minor_units_are_rounded_half_away_from_zero() {
        let cents = |micros| minor_units(&Money { micros, currency: "USD".into() });
        for (micros, expected) in [
            (4_999, 0),
            (5_000, 1),
            (1_004_999, 100),
            (1_005_000, 101),
            (-1_004_999, -100),
            (-1_005_000, -101),
            (i64::MAX, 922_337_203_685_478),
            (i64::MIN, -922_337_203_685_478),
        ] {
            assert_eq!(cents(micros), expected, "{micros}");
        }
        let yen = |micros| minor_units(&Money { micros, currency: "JPY".into() });
        assert_eq!((yen(11_499_999), yen(11_500_000)), (11, 12));
    }

    #[test]
    fn a_decimal_is_read_exactly_or_not_at_all() {
        for (text, micros) in [
            ("12.50", 12_500_000),
            ("12", 12_000_000),
            (" 0.00003 ", 30),
            (".5", 500_000),
            ("5.", 5_000_000),
            ("-3.10", -3_100_000),
            ("+1", 1_000_000),
            ("1.0000000", 1_000_000),
            ("9223372036854.775807", i64::MAX),
        ] {
            assert_eq!(parse_decimal(text), Some(micros), "{text}");
        }
        for text in
            ["", ".", "-", "1,000", "12,50", "1e3", "$5", "5 USD", "0.0000001", "1.2.3", "--1", "9223372036855", "NaN"]
        {
            assert_eq!(parse_decimal(text), None, "{text}");
        }
    }

    #[test]
    fn a_written_amount_is_read_back_unchanged() {
        for micros in [0, 1, -1, 12_500_000, -3_100_000, i64::MAX, i64::MIN] {
            assert_eq!(parse_decimal(&of(micros)), Some(micros));
        }
    }
}
