//! A conversion as it was reported by the API or by a network.

use crate::amounts::{Amount, Currency};
use crate::ids::{ClickId, OfferId};
use crate::tracking::attribution::Evidence;
use crate::tracking::conversion::{Buyer, Reporter, Status, Tester, transaction_key};
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
    /// The currency of the payout, if it is another one.
    pub payout_currency: Option<Currency>,
    /// The currency of the revenue, if it is another one.
    pub revenue_currency: Option<Currency>,
    /// The currency of amounts of a new conversion without a currency; the offer's if absent.
    pub default_currency: Option<Currency>,
    /// Whether it may approve a conversion that a source rejected.
    pub may_reopen: bool,
    /// The part of the sale that was refunded.
    pub refund: Option<Refund>,
    /// The payment that it reports, if its source reports several payments under one transaction id.
    pub payment: Option<ReportedPayment>,
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

/// A payment of a subscription whose source reports several payments under one transaction id.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ReportedPayment {
    /// By what a repeated notification is recognised.
    pub key: String,
    /// The number of a new payment; `None` if a known one is meant.
    pub new: Option<u32>,
    /// Whether the subscription has an earlier payment, which decided about the attribution.
    pub is_later: bool,
}

impl Report {
    /// The currency that it names for its payout.
    pub fn payout_in(&self) -> Option<Currency> {
        self.payout_currency.or(self.currency)
    }

    /// The currency that it names for its revenue.
    pub fn revenue_in(&self) -> Option<Currency> {
        self.revenue_currency.or(self.currency)
    }

    /// See [`transaction_key`].
    pub fn transaction_key(&self) -> String {
        transaction_key(&self.transaction_id, self.reporter, self.test)
    }

    /// Whether an affiliate's own source reports it.
    pub fn is_self_reported(&self) -> bool {
        self.reporter.is_some_and(|reporter| reporter.is_affiliate)
    }

    /// Whether the click that it names counts, and no other click of the same visitor: an affiliate reports and tests
    /// its own clicks only, and a later payment has the click of the first one.
    pub fn counts_named_click(&self) -> bool {
        self.is_self_reported() || self.is_later_payment() || matches!(self.test, Some(Tester::Affiliate(_)))
    }

    /// Whether it is a later payment of a subscription, which has the click of the first one at any time.
    pub fn is_later_payment(&self) -> bool {
        self.payment.as_ref().is_some_and(|payment| payment.is_later)
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
