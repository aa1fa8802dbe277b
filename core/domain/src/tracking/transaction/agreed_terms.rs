//! The terms of a conversion: by what its payout and revenue are computed again when its sale is corrected.
//!
//! A conversion keeps the terms with which it was recorded. Changes of the offer, of payout overrides and of second-tier
//! commissions apply to later conversions.

use serde::{Deserialize, Serialize};

use crate::amounts::{Amount, Money, Percent};
use crate::program::sub_affiliate::Commission;

/// How an amount of a conversion was agreed.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Agreed {
    /// A fixed amount, whatever the sale is.
    Fixed,
    /// A percentage of the sale.
    Percent(Percent),
    /// A report stated the amount.
    Stated,
}

/// The terms with which a conversion was recorded.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct AgreedTerms {
    /// The payout.
    pub payout: Agreed,
    /// The revenue; `None` if none was agreed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub revenue: Option<Agreed>,
    /// The second-tier commissions at the first approval, also those that were rounded to nothing. `None` before it, or if
    /// the program had none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub commissions: Option<Vec<Commission>>,
}

/// The stated share of a refunded sale exceeds the largest amount.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[error(
    "the same share as {payout} of {before} would exceed {max} for {sale}; send payout and revenue with the corrected amount",
    max = Amount::MAX
)]
pub struct ShareTooLarge {
    /// The payout before the correction.
    pub payout: Money,
    /// The sale before the correction.
    pub before: Money,
    /// The corrected sale.
    pub sale: Money,
}

impl Agreed {
    /// The amount after its sale was corrected.
    pub fn corrected(self, amount: Option<Money>, sale: Option<Money>) -> Option<Money> {
        match (self, sale) {
            (Self::Percent(percent), Some(sale)) => Some(percent.payout_of(sale)),
            _ => amount,
        }
    }

    /// The amount after a part of its sale was refunded. A fixed amount stays, a stated one keeps its share of the sale.
    ///
    /// # Errors
    /// The share would exceed the largest amount.
    pub fn refunded(
        self,
        amount: Option<Money>,
        (before, sale): (Option<Money>, Option<Money>),
    ) -> Result<Option<Money>, ShareTooLarge> {
        match (self, amount, before, sale) {
            (Self::Stated, Some(payout), Some(before), Some(sale))
                if before.micros > 0 && before.currency == payout.currency =>
            {
                payout.scaled(before, sale).map(Some).ok_or(ShareTooLarge { payout, before, sale })
            }
            _ => Ok(self.corrected(amount, sale)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn money(text: &str) -> Money {
        let (amount, currency) = text.split_once(' ').unwrap_or((text, "USD"));
        amount.parse::<Amount>().unwrap().of(currency.parse().unwrap())
    }

    fn percent(text: &str) -> Agreed {
        Agreed::Percent(text.parse().unwrap())
    }

    #[test]
    fn a_corrected_sale_pays_by_the_terms_of_its_conversion() {
        // Terms; payout and sale before; corrected sale; payout after a correction, and after a refund.
        for (terms, payout, before, sale, corrected, refunded) in [
            (percent("10"), "10", "100", "200", "20", "20"),
            (percent("10"), "10", "100", "0", "0", "0"),
            (percent("10"), "0", "0", "100", "10", "10"),
            (percent("10"), "10", "100", "100 EUR", "10 EUR", "10 EUR"),
            (percent("33.333333"), "0", "0.01", "100", "33.33", "33.33"),
            (Agreed::Fixed, "10", "100", "200", "10", "10"),
            (Agreed::Fixed, "10", "100", "0", "10", "10"),
            (Agreed::Stated, "8", "100", "200", "8", "16"),
            (Agreed::Stated, "8", "100", "50", "8", "4"),
            (Agreed::Stated, "8", "0", "50", "8", "8"),
            (Agreed::Stated, "8", "100 EUR", "50 EUR", "8", "8"),
        ] {
            let (known, before, sale) = (Some(money(payout)), Some(money(before)), Some(money(sale)));
            assert_eq!(terms.corrected(known, sale), Some(money(corrected)), "{terms:?}: {before:?} to {sale:?}");
            assert_eq!(terms.refunded(known, (before, sale)).unwrap(), Some(money(refunded)), "{terms:?}: {sale:?}");
        }
        assert_eq!(percent("10").corrected(Some(money("1")), None), Some(money("1")));
        let sale = Some(Amount::MAX.of("USD".parse().unwrap()));
        assert!(Agreed::Stated.refunded(Some(money("2")), (Some(money("1")), sale)).is_err());
    }
}
