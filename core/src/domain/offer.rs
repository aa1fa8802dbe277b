//! Offers: what is promoted and what a conversion pays.

use serde::{Deserialize, Serialize};

use crate::clock::Timestamp;
use crate::ids::OfferId;
use crate::money::{Amount, Currency, Money, Percent};

use super::event::PartyFacts;
use super::landing::LandingUrl;

#[derive(Clone, Debug)]
pub struct Offer {
    pub id: OfferId,
    pub name: String,
    pub landing_url: LandingUrl,
    pub currency: Currency,
    pub payout: Payout,
    pub status: OfferStatus,
    /// Where referral codes lead; one offer is it.
    pub is_default: bool,
    pub created_at: Timestamp,
    pub updated_at: Timestamp,
}

impl Offer {
    pub fn facts(&self) -> PartyFacts {
        PartyFacts { id: self.id.to_string(), name: self.name.clone(), referral_code: None }
    }
}

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
