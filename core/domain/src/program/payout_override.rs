//! Payout overrides: what one affiliate earns with an offer instead of the offer's payout.

use std::collections::HashMap;

use crate::ids::{AffiliateId, OfferId, PayoutOverrideId};
use crate::timestamp::Timestamp;

use super::offer::{Offer, Payout};

/// A payout override as it is stored.
#[derive(Clone, Debug)]
pub struct PayoutOverride {
    /// Id of the payout override.
    pub id: PayoutOverrideId,
    /// The offer.
    pub offer_id: OfferId,
    /// The affiliate.
    pub affiliate_id: AffiliateId,
    /// The goal; `None` replaces the offer's own payout.
    pub goal: Option<String>,
    /// What the affiliate earns.
    pub payout: Payout,
    /// When it was created.
    pub created_at: Timestamp,
    /// When it last changed.
    pub updated_at: Timestamp,
}

/// The payout overrides of one offer.
#[derive(Clone, Debug, Default)]
pub struct PayoutOverrides(HashMap<(AffiliateId, Option<String>), Payout>);

impl PayoutOverrides {
    /// The payout overrides of one offer.
    pub fn new(payout_overrides: impl IntoIterator<Item = PayoutOverride>) -> Self {
        Self(
            payout_overrides.into_iter().map(|it| ((it.affiliate_id, key_of(it.goal.as_deref())), it.payout)).collect(),
        )
    }

    /// The payout override for exactly this affiliate and goal.
    pub fn find(&self, affiliate: AffiliateId, goal: Option<&str>) -> Option<Payout> {
        if self.0.is_empty() {
            return None;
        }
        self.0.get(&(affiliate, key_of(goal))).copied()
    }

    /// What this affiliate earns with this goal. The most specific payout applies: the affiliate's override for the
    /// goal, the goal's payout, the affiliate's override, the offer's payout.
    pub fn payout_for(&self, offer: &Offer, affiliate: AffiliateId, goal: Option<&str>) -> Payout {
        goal.and_then(|goal| self.find(affiliate, Some(goal)))
            .or_else(|| offer.goal(goal)?.payout)
            .or_else(|| self.find(affiliate, None))
            .unwrap_or(offer.payout)
    }
}

/// Goals are compared without case.
fn key_of(goal: Option<&str>) -> Option<String> {
    goal.map(str::to_lowercase)
}
