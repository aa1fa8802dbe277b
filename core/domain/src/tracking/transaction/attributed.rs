//! Attributed reports: a report with the evidence that counts for it, and the conversion that it makes.

use std::sync::Arc;

use crate::amounts::{Amount, Currency};
use crate::ids::{AffiliateId, ClickId, ConversionId};
use crate::program::affiliate::Affiliate;
use crate::program::offer::{Offer, Payout, UnknownGoal};
use crate::program::payout_override::PayoutOverrides;
use crate::timestamp::Timestamp;
use crate::tracking::attribution::{OutsideWindow, Ruling, Trace, customer_key};
use crate::tracking::click::Click;
use crate::tracking::conversion::{Conversion, Status};
use crate::tracking::conversion_error::ConversionError;
use crate::tracking::conversion_report::Report;
use crate::tracking::evidence::Choice;

use super::agreed_terms::{Agreed, AgreedTerms};
use super::payment::Payment;
use super::refund::{Refund, Refunds};
use super::{Identity, Meant};

/// A report with the affiliate and offer that its evidence leads to.
#[derive(Debug)]
pub struct Attributed<'a> {
    /// The report.
    pub report: &'a Report,
    /// The evidence that counts, and where it leads.
    pub choice: Choice,
    /// The affiliate of a new conversion.
    pub affiliate: Arc<Affiliate>,
    /// The payouts that the offer pays some affiliates instead of its own.
    pub payout_overrides: Arc<PayoutOverrides>,
}

impl Attributed<'_> {
    /// The offer of the conversion.
    pub fn offer(&self) -> &Offer {
        &self.choice.offer
    }

    /// The affiliate of a new conversion.
    pub fn affiliate_id(&self) -> AffiliateId {
        self.affiliate.id
    }

    /// The click that counts. The report can name another click of the same visitor.
    pub fn click(&self) -> Option<&Click> {
        self.choice.click.as_ref()
    }

    /// The goal, in the spelling of the offer.
    pub fn goal(&self) -> Option<&str> {
        self.offer().spelled_goal(self.report.goal.as_deref())
    }

    /// The click of the conversion, even if it was deleted by age.
    pub fn click_id(&self) -> Option<ClickId> {
        self.choice.click_id()
    }

    /// Whether the report names another click than the known conversion of its transaction has. A sale has one click. A
    /// click that the report does not name is not compared.
    fn is_of_another_click(&self, known: &Conversion) -> bool {
        let (Some(named), Some(click)) = (self.report.claims.click, known.click_id) else { return false };
        Some(click) != self.click_id() && !known.was_reported_with(named)
    }

    /// The conversion that the report means among the known ones of its offer and transaction key.
    pub fn find<'a>(&self, known: impl IntoIterator<Item = &'a Conversion>) -> Result<Meant, ConversionError> {
        let (transaction_id, goal) = (self.report.transaction_id.as_str(), self.goal());
        let identity = Identity { transaction_id, goal, reporter: self.report.reporter };
        identity.find(known, |it| self.is_of_another_click(it))
    }

    /// The terms of a conversion of an earlier release, which has none.
    pub(super) fn guessed_terms(&self, known: &Conversion) -> AgreedTerms {
        let (goal, offer) = (known.goal.as_deref(), self.offer());
        let number = known.trace.payment.as_ref().map_or(1, |it| it.number);
        let guessed = |today: Payout, amount| today.guessed(offer.currency, known.sale, amount);
        AgreedTerms {
            payout: guessed(self.agreed_payout(known.affiliate_id, goal, number), known.payout),
            revenue: self.agreed_revenue(goal).map(|today| guessed(today, known.revenue)),
            commissions: None,
        }
    }

    /// What the payment with this number pays.
    fn agreed_payout(&self, affiliate: AffiliateId, goal: Option<&str>, payment: u32) -> Payout {
        let offer = self.offer();
        let first = self.payout_overrides.payout_for(offer, affiliate, goal);
        offer.terms.recurring.map_or(first, |recurring| recurring.payout_of(payment, first))
    }

    /// The key by which the payments of the customer are counted, if the offer pays them differently.
    pub fn payments_key(&self) -> Option<i64> {
        self.offer().terms.recurring?;
        let buyer = &self.report.buyer;
        customer_key(self.offer().id, buyer.customer_id.as_deref(), buyer.customer_email.as_deref())
            .filter(|_| !self.report.is_self_reported() && self.report.test.is_none())
    }

    /// Which payment it is. `None`: it is not counted, because the offer pays each payment alike or the customer is unknown.
    /// `earlier`: how many payments of the customer are known.
    fn payment(&self, earlier: u32) -> Option<Payment> {
        let own = self.report.payment.as_ref();
        let by_customer = self.payments_key().map(|_| earlier.saturating_add(1));
        let mut payment = Payment::counted(own.and_then(|it| it.new).max(by_customer)?);
        if let Some(own) = own {
            payment.remember(&own.key);
            payment.awaits_approval = self.report.status == Some(Status::Pending);
        }
        Some(payment)
    }

    /// The revenue of the offer. `None` for a conversion that an affiliate's own source reports.
    fn agreed_revenue(&self, goal: Option<&str>) -> Option<Payout> {
        self.offer().revenue_for(goal).filter(|_| !self.report.is_self_reported())
    }

    /// The new conversion of this report. `earlier`: how many payments of its customer are known.
    ///
    /// # Errors
    /// The evidence no longer counts, or the offer pays a percentage and the report has no amount.
    pub fn conversion(&self, earlier: u32, now: Timestamp) -> Result<Conversion, ConversionError> {
        let (report, offer) = (self.report, self.offer());
        let ruling = match &self.choice.refusal {
            None => None,
            Some(ConversionError::OutsideWindow { .. })
                if offer.terms.attribution.outside_window == OutsideWindow::Reject =>
            {
                Some(Ruling::OutsideWindow)
            }
            Some(refusal) => return Err(refusal.clone()),
        };
        let goal = self.goal();
        let unknown_goal = self.unknown_goal();
        if unknown_goal == Some(UnknownGoal::Refuse) {
            let known: Vec<_> = offer.terms.goals.iter().map(|goal| goal.name.as_str()).collect();
            let goal = goal.unwrap_or_default().to_owned();
            return Err(ConversionError::UnknownGoal { goal, known: known.join(", ") });
        }
        let of = |amount: Amount, named: Option<Currency>| {
            amount.of(named.or(report.default_currency).unwrap_or(offer.currency))
        };
        let named = report.amount.map(|amount| of(amount, report.currency));
        let (sale, refunds) = match &report.refund {
            Some(Refund::Part { .. }) => {
                return Err(ConversionError::RefundWithoutSale(report.transaction_id.clone()));
            }
            Some(refund) => Refunds::default().with_refund(None, named, refund),
            None => (named, Refunds::default()),
        };
        let is_refunded = report.refund.is_some() && sale.is_some_and(|sale| sale.micros <= 0);
        let (sale, refunds) = if is_refunded { (named, Refunds::default()) } else { (sale, refunds) };
        let status = match &report.status {
            _ if is_refunded => Status::refunded(),
            status => status.clone().unwrap_or(Status::Pending),
        };
        let payment = self.payment(earlier);
        let (payout, payout_terms) = match report.payout {
            Some(payout) => (Some(of(payout, report.payout_in())), Agreed::Stated),
            None => {
                let number = payment.as_ref().map_or(1, |it| it.number);
                let agreed = self.agreed_payout(self.affiliate.id, goal, number);
                (agreed.of(offer.currency, sale), agreed.agreed())
            }
        };
        // A rejection needs no amounts.
        if payout.is_none() && status.reason().is_none() {
            return Err(ConversionError::AmountMissing);
        }
        let (revenue, revenue_terms) = match (report.revenue, self.agreed_revenue(goal)) {
            (Some(revenue), _) => (Some(of(revenue, report.revenue_in())), Some(Agreed::Stated)),
            (None, Some(agreed)) => (agreed.of(offer.currency, sale), Some(agreed.agreed())),
            (None, None) => (None, None),
        };
        let terms = AgreedTerms { payout: payout_terms, revenue: revenue_terms, commissions: None };
        let mut conversion = Conversion {
            id: ConversionId::new(now),
            offer_id: offer.id,
            transaction_id: report.transaction_id.clone(),
            revision: 1,
            status,
            affiliate_id: self.affiliate.id,
            link_id: self.choice.link_id,
            click_id: self.click_id(),
            attributed_by: self.choice.evidence,
            trace: Trace {
                considered: self.choice.considered.clone(),
                refunds,
                payment,
                terms: Some(terms),
                ..Trace::default()
            },
            goal: goal.map(str::to_owned),
            sale,
            payout,
            revenue,
            rejection_note: None,
            buyer: report.buyer.clone(),
            reporter: report.reporter,
            numbered_apart: false,
            test: report.test,
            created_at: now,
            updated_at: now,
        };
        let self_referral = report.buyer.is_affiliate(&self.affiliate.email, &offer.terms.attribution);
        let ruling = ruling.or(self_referral.then_some(Ruling::SelfReferral));
        // A rejected report keeps its own reason. Conversions that affiliates report themselves have no rulings.
        let is_rejected = matches!(conversion.status, Status::Rejected { .. });
        if let Some(ruling) = ruling.filter(|_| !is_rejected && !conversion.is_self_reported()) {
            conversion.reject_by(ruling);
        } else if unknown_goal == Some(UnknownGoal::Hold) && !is_rejected {
            conversion.hold_by(Ruling::UnknownGoal);
        }
        Ok(conversion)
    }

    /// How to handle the goal of the report; `None` if it is known. An override of the payout for a goal makes it known
    /// for its affiliate.
    fn unknown_goal(&self) -> Option<UnknownGoal> {
        let goal = self.goal();
        let unknown = self.offer().unknown_goal(goal).filter(|_| !self.report.is_self_reported())?;
        self.payout_overrides.find(self.affiliate.id, goal).is_none().then_some(unknown)
    }
}
