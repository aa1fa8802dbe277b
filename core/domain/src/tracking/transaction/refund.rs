//! Partial refunds: a sale of which the customer got a part back.
//!
//! A network either reports how much was refunded so far, or sends a negative amount for each refund. Both are lowered
//! from the sale once: the total replaces the total before, and each negative amount is known by the key of its request.

use serde::{Deserialize, Serialize};

use crate::amounts::{Amount, Money};

/// A refund as it is reported.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Refund {
    /// How much of the sale was refunded so far.
    Total(Amount),
    /// One more refund.
    Part {
        /// By what a repeated report of the same refund is recognised.
        key: String,
        /// The part of the sale.
        sale: Option<Amount>,
        /// The part of the payout.
        payout: Option<Amount>,
        /// The part of the revenue.
        revenue: Option<Amount>,
    },
}

/// The refunds of a conversion so far.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct Refunds {
    /// How much of the sale was refunded, in micros.
    #[serde(default, skip_serializing_if = "is_zero")]
    total_micros: i64,
    /// The keys of refunds that were reported one by one.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    keys: Vec<String>,
}

fn is_zero(micros: &i64) -> bool {
    *micros == 0
}

/// The most refunds of one conversion whose keys are kept.
const KEYS_MAX: usize = 50;

/// What is left of the sale, and its refunds. A sale that is not above zero was refunded in full.
pub type Left = (Option<Money>, Refunds);

impl Refunds {
    /// Whether there is none.
    pub fn is_none(&self) -> bool {
        *self == Self::default()
    }

    /// The sale before all refunds.
    pub fn whole(&self, sale: Option<Money>) -> Option<Money> {
        sale.map(|sale| Money { micros: sale.micros + self.total_micros, ..sale })
    }

    /// Whether this refund was applied before.
    pub fn contains(&self, refund: &Refund) -> bool {
        matches!(refund, Refund::Part { key, .. } if self.keys.contains(key))
    }

    /// The sale after a report that names the whole amount again, or another one. The amount of before all refunds is
    /// no correction: networks repeat it.
    pub fn with_amount(&self, known: Option<Money>, amount: Money) -> Left {
        match known {
            Some(known) if amount.currency == known.currency && amount.micros == known.micros + self.total_micros => {
                (Some(known), self.clone())
            }
            _ => (Some(amount), Self::default()),
        }
    }

    /// The sale after a refund. `amount` is the whole amount, if the report names it.
    pub fn with_refund(&self, known: Option<Money>, amount: Option<Money>, refund: &Refund) -> Left {
        let mut refunds = self.clone();
        match refund {
            Refund::Total(total) => {
                let whole = amount.or(known.map(|it| Money { micros: it.micros + self.total_micros, ..it }));
                refunds.total_micros = total.micros();
                (whole.map(|it| Money { micros: it.micros - total.micros(), ..it }), refunds)
            }
            Refund::Part { key, sale, .. } => {
                if refunds.keys.len() < KEYS_MAX {
                    refunds.keys.push(key.clone());
                }
                let part = sale.filter(|_| known.is_some()).map_or(0, Amount::micros);
                refunds.total_micros += part;
                (known.map(|it| Money { micros: it.micros - part, ..it }), refunds)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn usd(text: &str) -> Money {
        text.parse::<Amount>().unwrap().of("USD".parse().unwrap())
    }

    fn part(key: &str, sale: &str) -> Refund {
        Refund::Part { key: key.into(), sale: sale.parse().ok(), payout: None, revenue: None }
    }

    #[test]
    fn each_refund_lowers_the_sale_once() {
        let none = Refunds::default();
        let (sale, first) = none.with_refund(Some(usd("100")), None, &part("a", "30"));
        assert_eq!(sale, Some(usd("70")));
        assert!(first.contains(&part("a", "30")) && !first.contains(&part("b", "30")));
        let (sale, both) = first.with_refund(sale, None, &part("b", "20"));
        assert_eq!(sale, Some(usd("50")));
        assert_eq!(both.with_amount(sale, usd("100")).0, Some(usd("50")), "the network repeats the whole amount");
        assert_eq!(both.with_amount(sale, usd("80")), (Some(usd("80")), none), "another amount is a correction");
    }

    #[test]
    fn a_total_replaces_the_total_before() {
        let total = |amount: &str| Refund::Total(amount.parse().unwrap());
        let (sale, once) = Refunds::default().with_refund(Some(usd("100")), None, &total("30"));
        assert_eq!(sale, Some(usd("70")));
        assert_eq!(once.with_refund(sale, None, &total("30")), (sale, once.clone()), "a repetition");
        assert_eq!(once.with_refund(sale, None, &total("45")).0, Some(usd("55")));
        assert_eq!(once.with_refund(sale, Some(usd("100")), &total("45")).0, Some(usd("55")));
        assert_eq!(once.with_refund(sale, None, &total("100")).0, Some(usd("0")), "refunded in full");
        assert_eq!(once.with_refund(None, None, &total("5")).0, None);
    }
}
