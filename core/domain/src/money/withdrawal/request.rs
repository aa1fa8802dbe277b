//! Asking for money: every limit of a request, judged on the locked balance.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::amounts::{Amount, Currency, Money};
use crate::money::payout_method::{PayoutMethod, Terms, minor_unit_micros};

/// What the program asks for, whatever the method.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct WithdrawalSettings {
    /// The least that can be withdrawn, by currency.
    #[serde(default)]
    #[schema(value_type = std::collections::BTreeMap<String, Amount>)]
    pub minimums: BTreeMap<Currency, Amount>,
}

impl WithdrawalSettings {
    pub fn minimum(&self, currency: Currency) -> Option<Minimum> {
        self.minimums.get(&currency).map(|amount| Minimum { who: "the program".into(), amount: *amount })
    }
}

/// The least that somebody pays out.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Minimum {
    /// As a sentence names it: a method, the program, an offer.
    pub who: String,
    pub amount: Amount,
}

/// How much is asked for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum RequestedAmount {
    All,
    Exactly(Amount),
}

/// A withdrawal that can't be made.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum WithdrawalError {
    #[error("{available} is available, {requested} was requested; ask for less, or wait for what is pending")]
    Insufficient { available: Money, requested: Money },
    #[error("nothing that can be paid out is available in {currency}; wait for what is pending")]
    NothingAvailable { currency: Currency },
    #[error("{requested} was requested, and {who} pays {minimum} or more; wait until more is available")]
    BelowMinimum { who: String, minimum: Money, requested: Money },
    #[error(
        "{debt} is owed to the program for what was taken back after it was paid; later earnings settle that first"
    )]
    Indebted { debt: Money },
    #[error("{requested} can't be paid exactly; {currency} has {decimals} decimals", currency = requested.currency, decimals = requested.currency.decimals())]
    TooPrecise { requested: Money },
    #[error("the fee of {fee} would leave nothing of {requested}; ask for more")]
    FeeTakesAll { fee: Money, requested: Money },
    #[error("the payout method \"{method}\" does not pay in {currency}; it pays in {known}")]
    CurrencyNotPaid { method: String, currency: Currency, known: String },
    #[error("the payout method \"{0}\" is switched off; choose another")]
    MethodDisabled(String),
    #[error("there are no payout details for \"{0}\" yet; save them first (PUT /api/v1/payout-details)")]
    DetailsMissing(String),
    #[error("this affiliate is suspended and can't withdraw; ask the program")]
    Suspended,
}

impl WithdrawalError {
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

/// Amount and fee of a request, or why it can't be met. `available` and `debt` are the locked balance; of the method's
/// minimum and `minimums` the highest counts.
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
    let unit = minor_unit_micros(currency);
    let amount = match asked {
        // What is less than a cent stays.
        RequestedAmount::All => Money { micros: available.micros.max(0) / unit * unit, currency },
        RequestedAmount::Exactly(amount) => amount.of(currency),
    };
    if amount.micros % unit != 0 {
        return Err(WithdrawalError::TooPrecise { requested: amount });
    }
    if amount.micros <= 0 {
        return Err(WithdrawalError::NothingAvailable { currency });
    }
    if amount.micros > available.micros {
        return Err(WithdrawalError::Insufficient { available, requested: amount });
    }
    let of_method = Minimum { who: method.name.clone(), amount: terms.minimum };
    let highest = minimums.iter().fold(&of_method, |highest, it| if it.amount > highest.amount { it } else { highest });
    let minimum = highest.amount.of(currency);
    if amount.micros < minimum.micros {
        return Err(WithdrawalError::BelowMinimum { who: highest.who.clone(), minimum, requested: amount });
    }
    let fee = terms.fee_of(amount);
    if fee.micros >= amount.micros {
        return Err(WithdrawalError::FeeTakesAll { fee, requested: amount });
    }
    Ok((amount, fee))
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
    fn a_request_has_a_price_or_a_reason() {
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
        assert_eq!(priced(RequestedAmount::All, "33.339999"), ok("33.33", "0.67"), "less than a cent stays");
        let code = |it: Result<(String, String), WithdrawalError>| it.unwrap_err().code();
        assert_eq!(code(priced(this("50.01"), "50")), "insufficient_balance");
        assert_eq!(code(priced(RequestedAmount::All, "0.004")), "insufficient_balance");
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
