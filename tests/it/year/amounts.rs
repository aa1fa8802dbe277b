//! Amounts as whole millionths, parsed and calculated independently.

use serde_json::Value;

/// Millionths of a text such as "-12.50".
pub fn micros(text: &str) -> i128 {
    let (sign, digits) = text.strip_prefix('-').map_or((1, text), |rest| (-1, rest));
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, "0"));
    assert!(fraction.len() <= 6, "{text} has more than six decimals");
    let fraction: i128 = format!("{fraction:0<6}").parse().unwrap_or_else(|_| panic!("{text} is no amount"));
    let whole: i128 = whole.parse().unwrap_or_else(|_| panic!("{text} is no amount"));
    sign * (whole * 1_000_000 + fraction)
}

/// The same of a JSON text; null is 0.
pub fn micros_of(value: &Value) -> i128 {
    value.as_str().map_or(0, micros)
}

/// In the advertiser's notation.
pub fn written(micros: i128) -> String {
    format!("{}.{:06}", micros / 1_000_000, micros % 1_000_000)
}

/// `above / below`, rounded half up.
pub fn half_up(above: i128, below: i128) -> i128 {
    (2 * above + below).div_euclid(2 * below)
}

/// The share of a sale that a percentage pays, rounded to the smallest unit of the currency, or to the last decimal of
/// the sale if it has more.
pub fn percent_payout(micros: i128, percent: i128, currency: &str) -> i128 {
    scaled(micros, percent, 100 * 1_000_000, unit_of_share(micros, currency))
}

/// `micros * part / whole` as a multiple of `unit`, rounded half up.
pub fn scaled(micros: i128, part: i128, whole: i128, unit: i128) -> i128 {
    half_up(micros * part, whole * unit) * unit
}

/// The unit of a share of an amount.
pub fn unit_of_share(micros: i128, currency: &str) -> i128 {
    let mut unit = unit(currency);
    while micros % unit != 0 {
        unit /= 10;
    }
    unit
}

/// A share in millionths of a percent.
pub fn share(micros: i128, percent: i128) -> i128 {
    half_up(micros * percent, 100 * 1_000_000)
}

/// The smallest unit that can be paid.
pub fn unit(currency: &str) -> i128 {
    match currency {
        "JPY" => 1_000_000,
        "KWD" => 1_000,
        _ => 10_000,
    }
}
