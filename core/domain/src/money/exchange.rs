//! Exchange between currencies, at a rate that finance entered with its date. Amounts in different currencies are never
//! added without a rate.

use std::fmt;
use std::str::FromStr;

use crate::amounts::{ACCOUNT_MAX, Currency, Money};
use crate::ids::{AffiliateId, ExchangeId, ExchangeRateId};
use crate::timestamp::Timestamp;

use super::ledger::BalanceLimit;

const DIGITS: usize = 12;
const UNIT: u64 = 10_u64.pow(DIGITS as u32);

/// The value of one unit of a currency in another currency: above zero, below 1,000,000, with at most twelve decimals.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Rate(u64);

/// A text that is not a rate; holds the text, cut to 40 characters.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error(
    "\"{0}\" is not a rate; write a number above 0 and below 1,000,000 with at most 12 decimals, such as \"1.0842\""
)]
pub struct InvalidRate(String);

impl Rate {
    /// Converts micros of one currency into micros of the other, rounded down. Whole units are converted separately,
    /// because the product of a sum and a rate may exceed an `i128`.
    pub fn convert(self, micros: i128) -> i128 {
        let (unit, rate) = (i128::from(UNIT), i128::from(self.0));
        let (whole, rest) = (micros.div_euclid(unit), micros.rem_euclid(unit));
        whole * rate + (rest * rate).div_euclid(unit)
    }
}

impl FromStr for Rate {
    type Err = InvalidRate;

    fn from_str(text: &str) -> Result<Self, InvalidRate> {
        let invalid = || InvalidRate(text.chars().take(40).collect());
        let (whole, fraction) = text.split_once('.').unwrap_or((text, "0"));
        let digits = |part: &str, most: usize| {
            (1..=most).contains(&part.len()) && part.bytes().all(|byte| byte.is_ascii_digit())
        };
        if !digits(whole, 6) || !digits(fraction, DIGITS) {
            return Err(invalid());
        }
        let whole: u64 = whole.parse().map_err(|_| invalid())?;
        let fraction: u64 = format!("{fraction:0<DIGITS$}").parse().map_err(|_| invalid())?;
        Some(whole * UNIT + fraction).filter(|rate| *rate > 0).map(Self).ok_or_else(invalid)
    }
}

impl fmt::Display for Rate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = format!("{}.{:0DIGITS$}", self.0 / UNIT, self.0 % UNIT);
        f.write_str(text.trim_end_matches('0').trim_end_matches('.'))
    }
}

/// A rate that applies from its date on, until a later one.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct ExchangeRate {
    /// Id of the rate.
    pub id: ExchangeRateId,
    /// The currency that is exchanged.
    pub from: Currency,
    /// The currency that it is exchanged into.
    pub to: Currency,
    /// How many units of `to` one unit of `from` is worth.
    pub rate: Rate,
    /// When it begins to apply.
    pub valid_from: Timestamp,
    /// When it was entered.
    pub created_at: Timestamp,
}

/// An exchange of an affiliate's available money into another currency, at the rate of that moment.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Exchange {
    /// Id of the exchange.
    pub id: ExchangeId,
    /// Whose money was exchanged.
    pub affiliate_id: AffiliateId,
    /// The amount in the old currency.
    pub taken: Money,
    /// The amount in the new currency.
    pub given: Money,
    /// The rate that was applied.
    pub rate: ExchangeRate,
    /// When it was exchanged.
    pub at: Timestamp,
}

/// Why money can't be exchanged.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum ExchangeError {
    /// The result exceeds [`ACCOUNT_MAX`].
    #[error("{0}")]
    Limit(#[from] BalanceLimit),
    /// The result is less than a millionth, so nothing would be given.
    #[error("{taken} is less than 0.000001 {to} at the rate {rate}, so nothing would be given; exchange more")]
    NothingGiven {
        /// The amount that was to be exchanged.
        taken: Money,
        /// The currency that it was to be exchanged into.
        to: Currency,
        /// The present rate.
        rate: Rate,
    },
}

impl ExchangeError {
    /// The stable error code of the API.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Limit(_) => "balance_limit",
            Self::NothingGiven { .. } => "exchange_too_small",
        }
    }
}

impl Exchange {
    /// Exchanges `taken` at `rate`. The result is rounded once: down to a millionth, the smallest unit of the books.
    ///
    /// # Errors
    /// The result is nothing, or exceeds [`ACCOUNT_MAX`].
    pub fn new(affiliate: AffiliateId, taken: Money, rate: ExchangeRate, at: Timestamp) -> Result<Self, ExchangeError> {
        let wanted = rate.rate.convert(taken.micros.into());
        if wanted <= 0 {
            return Err(ExchangeError::NothingGiven { taken, to: rate.to, rate: rate.rate });
        }
        let fits = i64::try_from(wanted).ok().filter(|micros| *micros <= ACCOUNT_MAX);
        let micros = fits.ok_or_else(|| BalanceLimit::of(affiliate, "available", wanted, rate.to))?;
        let given = Money { micros, currency: rate.to };
        Ok(Self { id: ExchangeId::new(at), affiliate_id: affiliate, taken, given, rate, at })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rate_converts_exactly_and_rounds_down() {
        let converted = |rate: &str, micros| rate.parse::<Rate>().unwrap().convert(micros);
        assert_eq!(converted("0.9", 10_000_000), 9_000_000);
        assert_eq!(converted("1.000000000001", 1_000_000_000_000), 1_000_000_000_001);
        assert_eq!(converted("0.999999999999", 1), 0);
        assert_eq!(converted("0.5", 3), 1);
        assert_eq!(converted("999999.999999999999", 4_000_000_000_000_000_000), 3_999_999_999_999_999_996_000_000);
        assert_eq!("1.0842".parse::<Rate>().unwrap().to_string(), "1.0842");
        assert_eq!("150".parse::<Rate>().unwrap().to_string(), "150");
        for text in ["0", "-1", "1e3", "", ".5", "1.", "1000000", "0.0000000000001", "x"] {
            assert!(text.parse::<Rate>().is_err(), "{text}");
        }
    }

    #[test]
    fn an_exchange_is_rounded_down_once_and_never_gives_nothing() {
        let at = Timestamp::from_millis(1);
        let (usd, jpy): (Currency, Currency) = ("USD".parse().unwrap(), "JPY".parse().unwrap());
        for (taken, rate, given) in [
            (1_000_000, "150.5", Ok(150_500_000)),
            (10_000, "0.333333333333", Ok(3_333)),
            (2, "0.999999999999", Ok(1)),
            (1, "1", Ok(1)),
            (1, "0.999999999999", Err("exchange_too_small")),
            (999_999, "0.000001", Err("exchange_too_small")),
            (1_000_000, "0.000001", Ok(1)),
            (0, "150", Err("exchange_too_small")),
            (ACCOUNT_MAX, "1", Ok(ACCOUNT_MAX)),
            (ACCOUNT_MAX, "1.000000000001", Err("balance_limit")),
        ] {
            let price = rate.parse().unwrap();
            let price = ExchangeRate {
                id: ExchangeRateId::new(at),
                from: usd,
                to: jpy,
                rate: price,
                valid_from: at,
                created_at: at,
            };
            let taken = Money { micros: taken, currency: usd };
            let exchange = Exchange::new(AffiliateId::new(at), taken, price, at);
            let given = given.map(|micros| Money { micros, currency: jpy });
            assert_eq!(exchange.map(|it| it.given).map_err(|error| error.code()), given, "{taken} at {rate}");
        }
    }
}
