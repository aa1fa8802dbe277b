//! What is reported of a conversion, by the API or by a network.

use crate::amounts::{Amount, Currency};
use crate::ids::{ClickId, OfferId};
use crate::tracking::attribution::Evidence;
use crate::tracking::conversion::{Buyer, Reporter, Status, transaction_key};

/// A conversion as an advertiser tells of it.
#[derive(Clone, Debug)]
pub struct Report {
    pub claims: Claims,
    pub offer_id: Option<OfferId>,
    pub transaction_id: String,
    pub goal: Option<String>,
    /// Pending for a new conversion when absent; a known one then stays as it is.
    pub status: Option<Status>,
    pub amount: Option<Amount>,
    /// The offer's when absent.
    pub currency: Option<Currency>,
    /// What the offer pays when absent.
    pub payout: Option<Amount>,
    pub revenue: Option<Amount>,
    pub buyer: Buyer,
    /// The source that it came to; none for the API.
    pub reporter: Option<Reporter>,
}

impl Report {
    pub fn transaction_key(&self) -> String {
        transaction_key(&self.transaction_id, self.reporter)
    }

    /// Whether an affiliate's own source reports it.
    pub fn is_self_reported(&self) -> bool {
        self.reporter.is_some_and(|reporter| reporter.is_affiliate)
    }
}

/// What a report says of whose conversion it is. The buyer may say it too: see [`Evidence::Customer`].
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Claims {
    pub click: Option<ClickId>,
    pub referral_code: Option<String>,
    pub coupon: Option<String>,
}

impl Claims {
    pub fn click(id: ClickId) -> Self {
        Self { click: Some(id), ..Self::default() }
    }

    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// What was given, strongest first.
    pub fn given(&self) -> Vec<Evidence> {
        let mut given = Vec::with_capacity(1);
        given.extend(self.click.is_some().then_some(Evidence::Click));
        given.extend(self.referral_code.is_some().then_some(Evidence::ReferralCode));
        given.extend(self.coupon.is_some().then_some(Evidence::Coupon));
        // Who names nobody may still have bought before.
        if given.is_empty() {
            given.push(Evidence::Customer);
        }
        given
    }

    pub fn value(&self, evidence: Evidence) -> Option<String> {
        match evidence {
            Evidence::Click => self.click.map(|id| id.to_string()),
            Evidence::ReferralCode => self.referral_code.clone(),
            Evidence::Coupon => self.coupon.clone(),
            Evidence::Customer => None,
        }
    }
}
