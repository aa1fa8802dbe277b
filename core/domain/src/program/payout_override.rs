//! Exceptions: what one affiliate earns with an offer instead of what the offer says.

use std::collections::HashMap;

use crate::ids::{AffiliateId, OfferId, PayoutOverrideId};
use crate::timestamp::Timestamp;

use super::offer::{Offer, Payout};

#[derive(Clone, Debug)]
pub struct PayoutOverride {
    pub id: PayoutOverrideId,
    pub offer_id: OfferId,
    pub affiliate_id: AffiliateId,
    /// For this goal; without one in place of the offer's own payout.
    pub goal: Option<String>,
    pub payout: Payout,
    pub created_at: Timestamp,
    pub updated_at: Timestamp,
}

/// The exceptions of one offer.
#[derive(Clone, Debug, Default)]
pub struct PayoutOverrides(HashMap<(AffiliateId, Option<String>), Payout>);

impl PayoutOverrides {
    pub fn new(payout_overrides: impl IntoIterator<Item = PayoutOverride>) -> Self {
        Self(payout_overrides.into_iter().map(|it| ((it.affiliate_id, it.goal), it.payout)).collect())
    }

    pub fn find(&self, affiliate: AffiliateId, goal: Option<&str>) -> Option<Payout> {
        if self.0.is_empty() {
            return None;
        }
        self.0.get(&(affiliate, goal.map(str::to_owned))).copied()
    }

    /// What this affiliate earns with this goal. The most particular agreement counts: the affiliate's for the goal,
    /// the goal's, the affiliate's, the offer's.
    pub fn payout_for(&self, offer: &Offer, affiliate: AffiliateId, goal: Option<&str>) -> Payout {
        goal.and_then(|goal| self.find(affiliate, Some(goal)))
            .or_else(|| offer.goal(goal)?.payout)
            .or_else(|| self.find(affiliate, None))
            .unwrap_or(offer.payout)
    }
}
