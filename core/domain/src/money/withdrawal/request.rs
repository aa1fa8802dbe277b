//! Requests for withdrawals: checks every limit against the locked balance.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::amounts::{Amount, Currency, Money};
use crate::money::payout_method::{PayoutMethod, Terms, minor_unit_micros};

/// Settings of withdrawals for the whole program, whatever the payout method.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct WithdrawalSettings {
    /// The minimum amount of a withdrawal, by currency.
    #[serde(default)]
    #[schema(value_type = std::collections::BTreeMap<String, Amount>)]
    pub minimums: BTreeMap<Currency, Amount>,
}

impl WithdrawalSettings {
    /// The program's minimum in this currency.
    pub fn minimum(&self, currency: Currency) -> Option<Minimum> {
        self.minimums.get(&currency).map(|amount| Minimum { who: "the program".into(), amount: *amount })
    }
}

/// A lower limit for the amount of a withdrawal.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Minimum {
    /// Who sets it, as the subject of a sentence: a method, the program, an offer.
    pub who: String,
    /// The minimum, in the currency of the withdrawal.
    pub amount: Amount,
}

/// The requested amount.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum RequestedAmount {
    /// The whole available balance, rounded down to the minor unit.
    All,
    /// A certain amount.
    Exactly(Amount),
}

/// Why a withdrawal can't be requested.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum WithdrawalError {
    /// More was requested than is available.
    #[error(
        "{available} is available, {requested} was requested; request less, or wait until pending earnings are released"
    )]
    Insufficient {
        /// What is available.
        available: Money,
        /// What was requested.
        requested: Money,
    },
    /// Less than one minor unit is available or was requested.
    #[error(
        "{available} is available, and the smallest amount that can be paid is {unit}; request that much or more, or wait until pending earnings are released",
        unit = minor_unit(available.currency)
    )]
    NothingAvailable {
        /// What is available.
        available: Money,
    },
    /// Less was requested than the highest minimum.
    #[error("{requested} was requested, but {who} pays {minimum} or more; wait until more is available")]
    BelowMinimum {
        /// Who sets the minimum: "the program", or the name of a method or offer.
        who: String,
        /// The minimum.
        minimum: Money,
        /// What was requested.
        requested: Money,
    },
    /// The affiliate owes money to the program.
    #[error(
        "the affiliate owes the program {debt} for earnings that were taken back after they had been paid; later earnings settle this debt first"
    )]
    Indebted {
        /// What it owes.
        debt: Money,
    },
    /// The amount is not a multiple of the minor unit.
    #[error("{requested} can't be paid exactly; {currency} has {decimals} decimals", currency = requested.currency, decimals = requested.currency.decimals())]
    TooPrecise {
        /// What was requested.
        requested: Money,
    },
    /// The fee is as high as the amount or higher.
    #[error("the fee of {fee} would leave nothing of {requested}; request more")]
    FeeTakesAll {
        /// The fee.
        fee: Money,
        /// What was requested.
        requested: Money,
    },
    /// The method does not pay in the currency.
    #[error("the payout method \"{method}\" does not pay in {currency}; it pays in {known}")]
    CurrencyNotPaid {
        /// Id of the payout method.
        method: String,
        /// The currency of the request.
        currency: Currency,
        /// The currencies of the method, separated by commas.
        known: String,
    },
    /// The payout method with this id is disabled.
    #[error("the payout method \"{0}\" is disabled; choose another")]
    MethodDisabled(String),
    /// The affiliate has no details for the payout method with this id.
    #[error("there are no payout details for \"{0}\" yet; save them first (PUT /api/v1/payout-details)")]
    DetailsMissing(String),
    /// The affiliate is suspended.
    #[error("this affiliate is suspended and can't withdraw; ask the program")]
    Suspended,
}

impl WithdrawalError {
    /// The stable error code of the API.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Insufficient { .. } | Self::NothingAvailable { .. } => "insufficient_balance",
            Self::BelowMinimum { .. } => "below_minimum",
            Self::Indebted { .. } => "balance_indebted",
            Self::TooPrecise { .. } => "amount_too_precise",
            Self::FeeTakesAll { .. } => "fee_exceeds_amount",
            Self::CurrencyNotPaid { .. } => "currency_not_paid",
            Self::MethodDisabled(_) => "payout_method_disabled",
            Self::DetailsMissing(_) => "payout_details_missing",
            Self::Suspended => "affiliate_suspended",
        }
    }
}

/// Amount and fee of a request, or why it can't be fulfilled. `available` and `debt` are of the locked balance. The
/// highest of `minimums` and the method's own minimum applies.
pub fn price(
    method: &PayoutMethod,
    asked: RequestedAmount,
    available: Money,
    debt: Money,
    minimums: &[Minimum],
) -> Result<(Money, Money), WithdrawalError> {
    let currency = available.currency;
    let terms = terms(method, currency)?;
    if debt.micros > 0 {
        return Err(WithdrawalError::Indebted { debt });
    }
    let amount = match asked {
        RequestedAmount::All => withdrawable(available),
        RequestedAmount::Exactly(amount) => amount.of(currency),
    };
    if amount.micros % minor_unit_micros(currency) != 0 {
        return Err(WithdrawalError::TooPrecise { requested: amount });
    }
    if amount.micros <= 0 {
        return Err(WithdrawalError::NothingAvailable { available });
    }
    if amount.micros > available.micros {
        return Err(WithdrawalError::Insufficient { available, requested: amount });
    }
    let highest = highest_minimum(method, currency, minimums)?;
    let minimum = highest.amount.of(currency);
    if amount.micros < minimum.micros {
        return Err(WithdrawalError::BelowMinimum { who: highest.who, minimum, requested: amount });
    }
    let fee = terms.fee_of(amount);
    if fee.micros >= amount.micros {
        return Err(WithdrawalError::FeeTakesAll { fee, requested: amount });
    }
    Ok((amount, fee))
}

/// The part of what is available that can be withdrawn: whole minor units, such as cents. The rest stays in the balance
/// until later earnings complete a unit.
pub fn withdrawable(available: Money) -> Money {
    let unit = minor_unit_micros(available.currency);
    Money { micros: available.micros.max(0) / unit * unit, ..available }
}

fn minor_unit(currency: Currency) -> Money {
    Money { micros: minor_unit_micros(currency), currency }
}

/// The minimum of a withdrawal: the highest of `minimums` and the method's own one.
///
/// # Errors
/// The method does not pay in the currency.
pub fn highest_minimum(
    method: &PayoutMethod,
    currency: Currency,
    minimums: &[Minimum],
) -> Result<Minimum, WithdrawalError> {
    let of_method = Minimum { who: method.name.clone(), amount: terms(method, currency)?.minimum };
    Ok(minimums.iter().fold(of_method, |highest, it| if it.amount > highest.amount { it.clone() } else { highest }))
}

fn terms(method: &PayoutMethod, currency: Currency) -> Result<Terms, WithdrawalError> {
    if !method.enabled {
        return Err(WithdrawalError::MethodDisabled(method.id.clone()));
    }
    method.currencies.get(&currency).copied().ok_or_else(|| {
        let known: Vec<_> = method.currencies.keys().map(ToString::to_string).collect();
        WithdrawalError::CurrencyNotPaid { method: method.id.clone(), currency, known: known.join(", ") }
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::money::payout_method::built_in;
    use crate::timestamp::Timestamp;

    #[test]
    fn only_whole_minor_units_can_be_withdrawn() {
        for (available, expected) in [
            ("10.004999 USD", "10.00 USD"),
            ("0.009999 USD", "0.00 USD"),
            ("10.01 USD", "10.01 USD"),
            ("10.999999 JPY", "10.00 JPY"),
            ("10.004999 KWD", "10.004 KWD"),
        ] {
            let (amount, currency) = available.split_once(' ').unwrap();
            let money = amount.parse::<Amount>().unwrap().of(currency.parse().unwrap());
            assert_eq!(withdrawable(money).to_string(), expected);
        }
    }

    #[test]
    fn a_request_has_amount_and_fee_or_an_error() {
        let method = |id: &str| {
            let found = built_in().into_iter().find(|it| it.id == id).expect("it is built in");
            found.into_method(true, Timestamp::from_millis(0))
        };
        let money = |text: &str| text.parse::<Amount>().unwrap().of("USD".parse().unwrap());
        let this = |text: &str| RequestedAmount::Exactly(text.parse().unwrap());
        let paypal = method("paypal");
        let none = money("0");
        let priced = |asked, available: &str| {
            let minimum = Minimum { who: "the program".into(), amount: "12.00".parse().unwrap() };
            price(&paypal, asked, money(available), none, &[minimum])
                .map(|(amount, fee)| (amount.to_string(), fee.to_string()))
        };
        let ok = |amount: &str, fee: &str| Ok((format!("{amount} USD"), format!("{fee} USD")));
        assert_eq!(priced(this("50.00"), "50"), ok("50.00", "1.00"));
        assert_eq!(
            priced(RequestedAmount::All, "33.339999"),
            ok("33.33", "0.66"),
            "less than a cent stays in the balance"
        );
        let code = |it: Result<(String, String), WithdrawalError>| it.unwrap_err().code();
        assert_eq!(code(priced(this("50.01"), "50")), "insufficient_balance");
        assert_eq!(code(priced(RequestedAmount::All, "0.004")), "insufficient_balance");
        let tiny = priced(RequestedAmount::All, "0.004").unwrap_err().to_string();
        assert!(
            tiny.starts_with("0.004 USD is available, and the smallest amount that can be paid is 0.01 USD"),
            "{tiny}"
        );
        assert_eq!(code(priced(this("0"), "50")), "insufficient_balance");
        assert_eq!(code(priced(this("9.99"), "50")), "below_minimum");
        assert_eq!(code(priced(this("11.99"), "50")), "below_minimum", "the program's own is higher");
        assert_eq!(code(priced(this("20.001"), "50")), "amount_too_precise");
        let indebted = price(&paypal, RequestedAmount::All, money("50"), money("0.01"), &[]);
        assert_eq!(indebted.unwrap_err().code(), "balance_indebted");
        let sepa = price(&method("sepa"), RequestedAmount::All, money("50"), none, &[]);
        assert_eq!(sepa.unwrap_err().to_string(), "the payout method \"sepa\" does not pay in USD; it pays in EUR");
        let mut greedy = paypal.clone();
        greedy.currencies.get_mut(&none.currency).expect("it pays USD").fee.fixed = "100".parse().unwrap();
        assert_eq!(
            price(&greedy, RequestedAmount::All, money("50"), none, &[]).unwrap_err().code(),
            "fee_exceeds_amount"
        );
        let off = PayoutMethod { enabled: false, ..paypal.clone() };
        assert_eq!(
            price(&off, RequestedAmount::All, money("50"), none, &[]).unwrap_err().code(),
            "payout_method_disabled"
        );
    }
}
