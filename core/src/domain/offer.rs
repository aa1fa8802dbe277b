//! Offers: what is promoted and what a conversion pays.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::clock::Timestamp;
use crate::ids::OfferId;
use crate::money::{Amount, Currency, Money, Percent};

use super::event::PartyFacts;
use super::landing::LandingUrl;

/// The longest hold: two years.
pub const HOLD_DAYS_MAX: u16 = 730;

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
    /// How long an approved payout stays pending; 0: it is available at once.
    pub hold_days: u16,
    pub created_at: Timestamp,
    pub updated_at: Timestamp,
}

impl Offer {
    /// When what is approved at `at` becomes available.
    pub fn release_at(&self, at: Timestamp) -> Timestamp {
        at.plus(Duration::from_secs(u64::from(self.hold_days) * 86_400))
    }

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

    /// What a conversion pays whose sale turned out to be another: the same share as before. A share that was agreed
    /// before the offer changed, or that the report named, is kept.
    pub fn corrected(self, known_sale: Option<Money>, known: Option<Money>, sale: Option<Money>) -> Option<Money> {
        let (Self::Percent(percent), Some(payout), Some(sale)) = (self, known, sale) else { return known };
        match known_sale {
            Some(before) if payout == percent.share_of(before) => Some(percent.share_of(sale)),
            Some(before) if before.micros > 0 && before.currency == payout.currency => {
                Some(payout.scaled(before, sale))
            }
            _ => known,
        }
    }
}
