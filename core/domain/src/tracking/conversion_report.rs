//! A conversion as it was reported by the API or by a network.

use crate::amounts::{Amount, Currency};
use crate::ids::{ClickId, OfferId};
use crate::tracking::attribution::Evidence;
use crate::tracking::conversion::{Buyer, Reporter, Status, Tester, transaction_key};
use crate::tracking::transaction::payment::Payment;
use crate::tracking::transaction::refund::Refund;

/// A conversion as an advertiser or network reported it.
#[derive(Clone, Debug)]
pub struct Report {
    /// The evidence for its attribution.
    pub claims: Claims,
    /// The offer.
    pub offer_id: Option<OfferId>,
    /// The advertiser's id of the conversion.
    pub transaction_id: String,
    /// The goal. If absent, the report means the only conversion of its transaction.
    pub goal: Option<String>,
    /// The status; if absent, a new conversion is pending, and a known one keeps its status.
    pub status: Option<Status>,
    /// The amount of the sale.
    pub amount: Option<Amount>,
    /// The currency of the amounts. If absent, a known conversion keeps its currency.
    pub currency: Option<Currency>,
    /// The currency of amounts of a new conversion without a currency; the offer's if absent.
    pub default_currency: Option<Currency>,
    /// Whether it may approve a conversion that a source rejected.
    pub may_reopen: bool,
    /// The part of the sale that was refunded.
    pub refund: Option<Refund>,
    /// The payment that it reports, if it must not mean a known conversion.
    pub new_payment: Option<Payment>,
    /// What the affiliate earns; the offer's payout if absent.
    pub payout: Option<Amount>,
    /// What the advertiser pays.
    pub revenue: Option<Amount>,
    /// Who bought what.
    pub buyer: Buyer,
    /// The source that received it; `None` for the API.
    pub reporter: Option<Reporter>,
    /// Who tries something out with it; `None` for a real conversion.
    pub test: Option<Tester>,
}

impl Report {
    /// See [`transaction_key`].
    pub fn transaction_key(&self) -> String {
        transaction_key(&self.transaction_id, self.reporter, self.test)
    }

    /// Whether an affiliate's own source reports it.
    pub fn is_self_reported(&self) -> bool {
        self.reporter.is_some_and(|reporter| reporter.is_affiliate)
    }

    /// Whether the click that it names counts, and no other click of the same visitor: an affiliate reports and tests
    /// its own clicks only.
    pub fn counts_named_click(&self) -> bool {
        self.is_self_reported() || matches!(self.test, Some(Tester::Affiliate(_)))
    }
}

/// The evidence that was given for the attribution. The buyer can be evidence, too: see [`Evidence::Customer`].
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Claims {
    /// A click id.
    pub click: Option<ClickId>,
    /// An affiliate's referral code.
    pub referral_code: Option<String>,
    /// A coupon.
    pub coupon: Option<String>,
}

impl Claims {
    /// A click id as the only evidence.
    pub fn click(id: ClickId) -> Self {
        Self { click: Some(id), ..Self::default() }
    }

    /// Whether no evidence was given.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// The evidence that was given, strongest first; the customer if none was given.
    pub fn given(&self) -> Vec<Evidence> {
        let mut given = Vec::with_capacity(1);
        given.extend(self.click.is_some().then_some(Evidence::Click));
        given.extend(self.referral_code.is_some().then_some(Evidence::ReferralCode));
        given.extend(self.coupon.is_some().then_some(Evidence::Coupon));
        // Without other evidence the customer may have an earlier conversion.
        if given.is_empty() {
            given.push(Evidence::Customer);
        }
        given
    }

    /// The text of this evidence.
    pub fn value(&self, evidence: Evidence) -> Option<String> {
        match evidence {
            Evidence::Click => self.click.map(|id| id.to_string()),
            Evidence::ReferralCode => self.referral_code.clone(),
            Evidence::Coupon => self.coupon.clone(),
            Evidence::Customer => None,
        }
    }
}
