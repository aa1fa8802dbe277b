//! Attribution: finds the affiliate and the conversion of each report.
//!
//! [`lookup`] loads the evidence; `domain::tracking::evidence` chooses the evidence that counts.

mod lookup;

use std::sync::Arc;

use domain::amounts::{Amount, Money};
use domain::ids::{AffiliateId, ClickId, ConversionId};
use domain::program::affiliate::Affiliate;
use domain::program::offer::{Offer, Payout, UnknownGoal};
use domain::program::payout_override::PayoutOverrides;
use domain::timestamp::Timestamp;
use domain::tracking::attribution::{OutsideWindow, Ruling, Trace, customer_key};
use domain::tracking::click::Click;
use domain::tracking::conversion::{Amounts, Conversion, Figures, Status};
use domain::tracking::conversion_error::ConversionError;
use domain::tracking::conversion_report::Report;
use domain::tracking::evidence::Choice;
use domain::tracking::transaction::agreed_terms::{Agreed, AgreedTerms};
use domain::tracking::transaction::payment::Payment;
use domain::tracking::transaction::refund::{Refund, Refunds};
use domain::tracking::transaction::{Identity, Meant};

pub use lookup::{AttributionError, EvidenceLookup};

/// The amounts of a known conversion after a report.
pub struct Corrected {
    pub amounts: Amounts,
    /// Whether nothing of the sale is left, so that it is rejected.
    is_refunded: bool,
    /// Whether the report repeats a refund, so that it changes nothing.
    is_repeated: bool,
}

impl Corrected {
    fn unchanged(known: &Conversion) -> Self {
        Self { amounts: known.amounts(), is_refunded: false, is_repeated: false }
    }

    /// Leaves the payout as it was, because caps have no room for the corrected one.
    pub fn keep_payout_of(&mut self, known: &Conversion) {
        self.amounts.figures.payout = known.payout;
        if let (Some(terms), Some(before)) = (&mut self.amounts.terms, &known.trace.terms) {
            terms.payout = before.payout;
        }
    }

    /// The status of the conversion after the report.
    pub fn status(&self, reported: Option<&Status>, known: &Conversion) -> Status {
        match reported {
            _ if self.is_refunded => refunded(),
            Some(reported) if !self.is_repeated => reported.clone(),
            _ => known.status.clone(),
        }
    }
}

/// The status of a sale that was refunded in full.
fn refunded() -> Status {
    Status::Rejected { reason: "refund".into() }
}

/// Whether amounts of the report lower those of the conversion, so that others do not count.
fn is_part(refund: Option<&Refund>) -> bool {
    matches!(refund, Some(Refund::Part { .. }))
}

/// A report with the affiliate and offer that its evidence leads to.
pub struct Attributed<'a> {
    pub report: &'a Report,
    choice: Choice,
    affiliate: Arc<Affiliate>,
    payout_overrides: Arc<PayoutOverrides>,
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
    pub(crate) fn find<'a>(&self, known: impl IntoIterator<Item = &'a Conversion>) -> Result<Meant, ConversionError> {
        let (transaction_id, goal) = (self.report.transaction_id.as_str(), self.goal());
        let identity = Identity { transaction_id, goal, reporter: self.report.reporter };
        identity.find(known, |it| self.is_of_another_click(it))
    }

    /// The amounts of a known conversion after this report. Absent amounts keep their values, and amounts without a
    /// currency their currency. If the sale changed, payout and revenue follow by the terms of the conversion. A
    /// conversion that is unpaid because of a cap stays unpaid. A rejection changes no amounts.
    pub fn corrected(&self, known: &Conversion) -> Result<Corrected, ConversionError> {
        let (report, offer) = (self.report, self.offer());
        let refund = report.refund.as_ref();
        let is_rejection = report.status.as_ref().is_some_and(|status| status.reason().is_some());
        let is_repeated = refund.is_some_and(|refund| known.trace.refunds.contains(refund));
        if is_rejection || is_repeated {
            return Ok(Corrected { is_repeated, ..Corrected::unchanged(known) });
        }
        let of = |amount: Amount, own: Option<Money>| {
            let currency = report.currency.or(own.map(|it| it.currency)).or(known.currency());
            amount.of(currency.or(report.default_currency).unwrap_or(offer.currency))
        };
        let named = report.amount.map(|amount| of(amount, known.sale));
        let refunds = &known.trace.refunds;
        let (sale, refunds) = match (refund, named) {
            (Some(refund), named) => refunds.with_refund(known.sale, named, refund),
            (None, Some(named)) => refunds.with_amount(known.sale, named),
            (None, None) => (known.sale, refunds.clone()),
        };
        let (payout_part, revenue_part) = match refund {
            Some(Refund::Part { payout, revenue, .. }) => (*payout, *revenue),
            _ => (None, None),
        };
        let less = |money: Money, part: Amount| Money { micros: money.micros - part.micros(), ..money };
        let mut terms = known.trace.terms.clone().unwrap_or_else(|| self.guessed_terms(known));
        let follow = |agreed: Agreed, amount: Option<Money>| match refund {
            // A correction without room under the caps is tried again.
            _ if sale == known.sale && !known.trace.correction_over_cap => Ok(amount),
            Some(_) => agreed.refunded(amount, (known.sale, sale)),
            // Another amount replaces the refunds, too.
            None if refunds.is_none() && !known.trace.refunds.is_none() => {
                let whole = agreed.refunded(amount, (known.sale, known.trace.refunds.whole(known.sale)))?;
                Ok(agreed.corrected(whole, sale))
            }
            None => Ok(agreed.corrected(amount, sale)),
        };
        let payout = match (report.payout, payout_part) {
            _ if known.is_unpaid() => known.payout,
            (_, Some(part)) => known.payout.map(|payout| less(payout, part)),
            (Some(payout), None) if !is_part(refund) => {
                let stated = Some(of(payout, known.payout));
                // Networks repeat the amount that they agreed.
                if stated != follow(terms.payout, known.payout)? {
                    terms.payout = Agreed::Stated;
                }
                stated
            }
            _ => follow(terms.payout, known.payout)?,
        };
        let revenue = match (report.revenue, revenue_part, terms.revenue) {
            (_, Some(part), _) => known.revenue.map(|revenue| less(revenue, part)),
            (Some(revenue), None, agreed) if !is_part(refund) => {
                let stated = Some(of(revenue, known.revenue));
                if agreed.is_none_or(|agreed| follow(agreed, known.revenue).ok() != Some(stated)) {
                    terms.revenue = Some(Agreed::Stated);
                }
                stated
            }
            (_, None, Some(agreed)) => follow(agreed, known.revenue)?,
            (_, None, None) => known.revenue,
        };
        // The amount that the refund lowers decides: the sale, else what the network pays.
        let lowered = [(sale, known.sale), (revenue, known.revenue), (payout, known.payout)];
        let lowered = lowered.into_iter().find(|(after, before)| after != before && before.is_some());
        let is_refunded = refund.is_some() && lowered.is_some_and(|(after, _)| after.is_none_or(|it| it.micros <= 0));
        if is_refunded {
            return Ok(Corrected { is_refunded, ..Corrected::unchanged(known) });
        }
        let at_least_zero = |money: Option<Money>| money.map(|it| Money { micros: it.micros.max(0), ..it });
        let [sale, payout, revenue] = [sale, payout, revenue].map(at_least_zero);
        let figures = Figures { sale, payout, revenue };
        Ok(Corrected { amounts: Amounts { figures, refunds, terms: Some(terms) }, is_refunded, is_repeated })
    }

    /// The terms of a conversion of an earlier release, which has none.
    fn guessed_terms(&self, known: &Conversion) -> AgreedTerms {
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
        let currency = report.currency.or(report.default_currency).unwrap_or(offer.currency);
        let named = report.amount.map(|amount| amount.of(currency));
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
            _ if is_refunded => refunded(),
            status => status.clone().unwrap_or(Status::Pending),
        };
        let payment = self.payment(earlier);
        let (payout, payout_terms) = match report.payout {
            Some(payout) => (Some(payout.of(currency)), Agreed::Stated),
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
            (Some(revenue), _) => (Some(revenue.of(currency)), Some(Agreed::Stated)),
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
