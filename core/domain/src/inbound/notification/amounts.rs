//! Parsing of amounts in the notation of networks.

use std::cmp::Ordering;

use crate::amounts::{Amount, Currency, InvalidAmount};
use crate::inbound::source::{Amounts, Decimal, Unit};

use super::Issue;

/// The most characters of an amount: floats have 24, and nobody writes more.
const CHARS_MAX: usize = 60;

/// An amount as a notification reports it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct ReadAmount {
    /// The amount without its sign.
    pub amount: Amount,
    /// Whether it is below zero.
    pub is_negative: bool,
    /// Whether it had more decimals than are kept.
    pub is_rounded: bool,
}

impl Amounts {
    /// The amount of `currency`, from the notation that the settings describe, rounded half-even to the micro. `field` is
    /// named in errors.
    ///
    /// # Errors
    /// The text is not a number in this notation, or is too large.
    pub fn read(
        &self,
        field: &'static str,
        (text, unit): (&str, Option<Unit>),
        currency: Currency,
    ) -> Result<ReadAmount, Issue> {
        let invalid = |reason: String| Issue::InvalidAmount { field, reason };
        let foreign = match self.decimal {
            Decimal::Point => ',',
            Decimal::Comma => '.',
        };
        let shown: String = text.chars().take(40).collect();
        if text.contains(foreign) {
            let own = if foreign == ',' { '.' } else { ',' };
            return Err(invalid(format!(
                "\"{shown}\" contains \"{foreign}\", but the decimal separator of this source is \"{own}\"; change amounts.decimal, or have the network leave out thousands separators"
            )));
        }
        let shift = match unit.unwrap_or(self.unit) {
            Unit::Major => 0,
            Unit::Minor => -i64::from(currency.decimals()),
        };
        let not_a_number = || invalid(InvalidAmount::NotANumber(shown.clone()).to_string());
        let number = Number::parse(text).ok_or_else(not_a_number)?;
        let (micros, is_rounded) = number.micros(shift);
        let amount = micros.and_then(Amount::from_micros).filter(|amount| *amount <= Amount::MAX);
        let amount = amount.ok_or_else(|| invalid(InvalidAmount::TooLarge(shown.clone()).to_string()))?;
        Ok(ReadAmount { amount, is_negative: number.is_negative && amount != Amount::ZERO, is_rounded })
    }
}

/// A decimal number as text: `digits` with the point after `point` of them.
struct Number {
    is_negative: bool,
    digits: String,
    point: i64,
}

impl Number {
    /// Digits with an optional sign, point and exponent: programs write tiny floats as `1.2e-7`.
    fn parse(text: &str) -> Option<Self> {
        let text = text.replace(',', ".");
        let (is_negative, unsigned) = match text.strip_prefix('-') {
            Some(rest) => (true, rest),
            None => (false, text.strip_prefix('+').unwrap_or(&text)),
        };
        let (number, exponent) = match unsigned.split_once(['e', 'E']) {
            Some((number, exponent)) => (number, exponent.parse::<i8>().ok()?),
            None => (unsigned, 0),
        };
        let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
        let digits = format!("{whole}{fraction}");
        let is_number = !digits.is_empty()
            && text.len() <= CHARS_MAX
            && digits.bytes().all(|b| b.is_ascii_digit())
            && (!number.contains('.') || !fraction.is_empty());
        is_number.then_some(Self { is_negative, point: whole.len() as i64 + i64::from(exponent), digits })
    }

    /// In micros, multiplied by ten to the power of `shift`, and whether that needed rounding. `None`: it is too large.
    fn micros(&self, shift: i64) -> (Option<i64>, bool) {
        let end = self.point + shift + 6;
        let digit = |index: i64| usize::try_from(index).ok().and_then(|it| self.digits.as_bytes().get(it)).copied();
        let mut micros: Option<i64> = Some(0);
        for index in 0..end {
            let value = i64::from(digit(index).unwrap_or(b'0') - b'0');
            micros = micros.and_then(|it| it.checked_mul(10)?.checked_add(value));
        }
        let rest: Vec<u8> = (end..self.digits.len() as i64).map(|index| digit(index).unwrap_or(b'0')).collect();
        let is_exact = rest.iter().all(|it| *it == b'0');
        let half = [b'5'].iter().chain(std::iter::repeat(&b'0'));
        let up = match rest.iter().cmp(half.take(rest.len().max(1))) {
            Ordering::Greater => true,
            Ordering::Equal => micros.is_some_and(|it| it % 2 == 1),
            Ordering::Less => false,
        };
        (micros.and_then(|it| it.checked_add(i64::from(up))), !is_exact)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn amounts(unit: Unit, decimal: Decimal) -> Amounts {
        Amounts { unit, decimal, ..Amounts::default() }
    }

    #[test]
    fn amounts_are_read_in_every_unit_and_with_either_separator() {
        let read = |unit, decimal, text: &str, currency: &str| {
            let amount = amounts(unit, decimal).read("payout", (text, None), currency.parse().unwrap());
            let shown = |it: ReadAmount| {
                let (sign, mark) = (if it.is_negative { "-" } else { "" }, if it.is_rounded { " rounded" } else { "" });
                format!("{sign}{}{mark}", it.amount)
            };
            amount.map(shown).map_err(|issue| issue.code())
        };
        for (unit, decimal, text, currency, wanted) in [
            (Unit::Major, Decimal::Point, "12.5", "USD", "12.50"),
            (Unit::Major, Decimal::Point, ".5", "USD", "0.50"),
            (Unit::Major, Decimal::Point, "12.500000000", "USD", "12.50"),
            (Unit::Major, Decimal::Comma, "12,50", "EUR", "12.50"),
            (Unit::Minor, Decimal::Point, "1250", "USD", "12.50"),
            (Unit::Minor, Decimal::Point, "1250", "JPY", "1250.00"),
            (Unit::Minor, Decimal::Point, "1250", "KWD", "1.25"),
            (Unit::Minor, Decimal::Point, "1250.5", "USD", "12.505"),
            (Unit::Minor, Decimal::Point, "150000000000", "USD", "1500000000.00"),
            (Unit::Major, Decimal::Point, "1500000000", "IDR", "1500000000.00"),
            (Unit::Major, Decimal::Point, "-5", "USD", "-5.00"),
            (Unit::Major, Decimal::Point, "-0", "USD", "0.00"),
            (Unit::Major, Decimal::Point, "+5", "USD", "5.00"),
            // What went through a float.
            (Unit::Major, Decimal::Point, "12.340000000000002", "USD", "12.34 rounded"),
            (Unit::Major, Decimal::Point, "0.30000000000000004", "USD", "0.30 rounded"),
            (Unit::Major, Decimal::Point, "29.999999999999996", "USD", "30.00 rounded"),
            (Unit::Major, Decimal::Point, "1.2e-5", "USD", "0.000012"),
            (Unit::Major, Decimal::Point, "1e3", "USD", "1000.00"),
            (Unit::Minor, Decimal::Point, "1e-30", "USD", "0.00 rounded"),
            // Half-even.
            (Unit::Major, Decimal::Point, "0.0000005", "USD", "0.00 rounded"),
            (Unit::Major, Decimal::Point, "0.0000015", "USD", "0.000002 rounded"),
            (Unit::Major, Decimal::Point, "0.0000025", "USD", "0.000002 rounded"),
            (Unit::Major, Decimal::Point, "0.00000250001", "USD", "0.000003 rounded"),
            (Unit::Major, Decimal::Point, "0.12345678", "USD", "0.123457 rounded"),
        ] {
            assert_eq!(read(unit, decimal, text, currency).as_deref(), Ok(wanted), "{text} {currency}");
        }
        for (decimal, text) in [
            (Decimal::Point, "12,50"),
            (Decimal::Point, "1,250.00"),
            (Decimal::Comma, "12.50"),
            (Decimal::Point, "--5"),
            (Decimal::Point, "1e999"),
            (Decimal::Point, "1e"),
            (Decimal::Point, "5."),
            (Decimal::Point, "$5"),
            (Decimal::Point, "NaN"),
            (Decimal::Point, ""),
            (Decimal::Point, "100000000001"),
            (Decimal::Point, "99999999999999999999"),
        ] {
            assert_eq!(read(Unit::Major, decimal, text, "USD"), Err("invalid_amount"), "{text}");
        }
    }
}
