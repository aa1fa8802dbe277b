//! Amounts as networks write them. Micros in, text out; a float never appears.

use crate::types::Money;

const MICROS: u64 = 1_000_000;

/// The amount in the major unit with at least two decimals and no more than it needs:
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
}
