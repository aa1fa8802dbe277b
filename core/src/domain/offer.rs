//! Offers: what is promoted and what a conversion pays.

use serde::{Deserialize, Serialize};

use crate::money::{Amount, Currency, Money, Percent};

#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum OfferStatus {
    Active,
    Paused,
}

text_enum!(OfferStatus { Active => "active", Paused => "paused" });

/// What an affiliate earns per conversion.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Payout {
    /// In the offer's currency.
    Fixed(Amount),
    /// Of the conversion's amount, in the conversion's currency.
    Percent(Percent),
}

impl Payout {
    /// `None` when a percentage has no amount to be taken of.
    pub fn of(self, offer_currency: Currency, sale: Option<Money>) -> Option<Money> {
        match self {
            Self::Fixed(amount) => Some(amount.of(offer_currency)),
            Self::Percent(percent) => sale.map(|sale| percent.share_of(sale)),
        }
    }
}
