//! Parsing of amounts in the notation of networks.

use crate::amounts::{Amount, Currency, InvalidAmount};
use crate::inbound::source::{Amounts, Decimal, Unit};

use super::Issue;

impl Amounts {
    /// An exact amount of `currency`, from the notation that the settings describe. `field` is named in errors.
    ///
    /// # Errors
    /// The text is not a number in this notation, is negative, is too large, or needs more than six decimals.
    pub fn read(&self, field: &'static str, text: &str, currency: Currency) -> Result<Amount, Issue> {
        let invalid = |reason: String| Issue::InvalidAmount { field, reason };
        let foreign = match self.decimal {
            Decimal::Point => ',',
            Decimal::Comma => '.',
        };
        if text.contains(foreign) {
            let shown: String = text.chars().take(40).collect();
            let own = if foreign == ',' { '.' } else { ',' };
            return Err(invalid(format!(
                "\"{shown}\" contains \"{foreign}\", but the decimal separator of this source is \"{own}\"; change amounts.decimal, or have the network leave out thousands separators"
            )));
        }
        let text = text.replace(',', ".");
        let text = if text.starts_with('.') { format!("0{text}") } else { text };
        // Zeros after the sixth decimal add no precision.
        let text = match text.split_once('.') {
            Some((whole, fraction)) if fraction.len() > 6 => {
                format!("{whole}.{:0<6}", fraction.trim_end_matches('0'))
            }
            _ => text,
        };
        let amount: Amount = text.parse().map_err(|error: InvalidAmount| invalid(error.to_string()))?;
        match self.unit {
            Unit::Major => Ok(amount),
            Unit::Minor => {
                let parts = 10_i64.pow(currency.decimals());
                let exact = (amount.micros() % parts == 0).then(|| amount.micros() / parts);
                let amount = exact.and_then(Amount::from_micros);
                amount.ok_or_else(|| invalid(InvalidAmount::TooPrecise(text).to_string()))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn amounts(unit: Unit, decimal: Decimal) -> Amounts {
        Amounts { unit, decimal, currency: None }
    }

    #[test]
    fn amounts_are_exact_in_every_unit_and_with_either_separator() {
        let read = |unit, decimal, text: &str, currency: &str| {
            let amount = amounts(unit, decimal).read("payout", text, currency.parse().unwrap());
            amount.map(|it| it.to_string()).map_err(|issue| issue.code())
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
        ] {
            assert_eq!(read(unit, decimal, text, currency).as_deref(), Ok(wanted), "{text} {currency}");
        }
        for (decimal, text) in [
            (Decimal::Point, "12,50"),
            (Decimal::Point, "1,250.00"),
            (Decimal::Comma, "12.50"),
            (Decimal::Point, "-5"),
            (Decimal::Point, "1e3"),
            (Decimal::Point, "$5"),
            (Decimal::Point, "0.12345678"),
            (Decimal::Point, "NaN"),
        ] {
            assert_eq!(read(Unit::Major, decimal, text, "USD"), Err("invalid_amount"), "{text}");
        }
    }
}
