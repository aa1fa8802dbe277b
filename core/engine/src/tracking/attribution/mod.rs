//! Attribution: finds the affiliate and the conversion of each report.
//!
//! [`lookup`] loads the evidence; `domain::tracking::evidence` chooses the evidence that counts.

mod lookup;

use std::sync::Arc;

use domain::ids::{ClickId, ConversionId};
use domain::program::affiliate::Affiliate;
use domain::program::offer::{Offer, Payout, UnknownGoal};
use domain::program::payout_override::PayoutOverrides;
use domain::timestamp::Timestamp;
use domain::tracking::attribution::{OutsideWindow, Ruling, Trace};
use domain::tracking::click::Click;
use domain::tracking::conversion::{Conversion, Figures, Status};
use domain::tracking::conversion_error::ConversionError;
use domain::tracking::conversion_report::Report;
use domain::tracking::evidence::Choice;

pub use lookup::{AttributionError, EvidenceLookup};

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

    /// The click that counts. The report can name another click of the same visitor.
    pub fn click(&self) -> Option<&Click> {
        self.choice.click.as_ref()
    }

    fn click_id(&self) -> Option<ClickId> {
        self.click().map(|click| click.id)
    }

    /// Whether the report names another click than the known conversion of its transaction has. A sale has one click. A
    /// click that the report does not name is not compared.
    pub(crate) fn is_of_another_click(&self, known: &Conversion) -> bool {
        let (Some(named), Some(click)) = (self.report.claims.click, known.click_id) else { return false };
        Some(click) != self.click_id() && !known.was_reported_with(named)
    }

    /// The amounts of a known conversion after this report. Absent amounts keep their values. A percentage payout is
    /// computed again if the sale changed. A conversion that is unpaid because of a cap stays unpaid.
    pub fn figures(&self, known: &Conversion) -> Result<Figures, ConversionError> {
        let (report, offer) = (self.report, self.offer());
        let currency = report.currency.or(known.sale.or(known.revenue).or(known.payout).map(|money| money.currency));
        let currency = currency.unwrap_or(offer.currency);
        let goal = known.goal.as_deref();
        let sale = report.amount.map(|amount| amount.of(currency)).or(known.sale);
        let payout = match report.payout {
            _ if known.is_unpaid() => known.payout,
            Some(payout) => Some(payout.of(currency)),
            None if sale != known.sale => {
                let agreed = self.payout_overrides.payout_for(offer, known.affiliate_id, goal);
                agreed.corrected(known.sale, known.payout, sale)?
            }
            None => known.payout,
        };
        let revenue = match (report.revenue, self.agreed_revenue(goal)) {
            (Some(revenue), _) => Some(revenue.of(currency)),
            (None, Some(agreed)) if sale != known.sale => agreed.corrected(known.sale, known.revenue, sale)?,
            (None, _) => known.revenue,
        };
        Ok(Figures { sale, payout, revenue })
    }

    /// The revenue of the offer. `None` for a conversion that an affiliate's own source reports.
    fn agreed_revenue(&self, goal: Option<&str>) -> Option<Payout> {
        self.offer().revenue_for(goal).filter(|_| !self.report.is_self_reported())
    }

    /// The new conversion of this report.
    ///
    /// # Errors
    /// The evidence no longer counts, or the offer pays a percentage and the report has no amount.
    pub fn conversion(&self, now: Timestamp) -> Result<Conversion, ConversionError> {
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
        let goal = report.goal.as_deref();
        let unknown_goal = self.unknown_goal();
        if unknown_goal == Some(UnknownGoal::Refuse) {
            let known: Vec<_> = offer.terms.goals.iter().map(|goal| goal.name.as_str()).collect();
            let goal = goal.unwrap_or_default().to_owned();
            return Err(ConversionError::UnknownGoal { goal, known: known.join(", ") });
        }
        let currency = report.currency.unwrap_or(offer.currency);
        let sale = report.amount.map(|amount| amount.of(currency));
        let payout = match report.payout {
            Some(payout) => payout.of(currency),
            None => {
                let payout = self.payout_overrides.payout_for(offer, self.affiliate.id, goal);
                payout.of(offer.currency, sale).ok_or(ConversionError::AmountMissing)?
            }
        };
        let revenue = match report.revenue {
            Some(revenue) => Some(revenue.of(currency)),
            None => self.agreed_revenue(goal).and_then(|revenue| revenue.of(offer.currency, sale)),
        };
        let mut conversion = Conversion {
            id: ConversionId::new(now),
            offer_id: offer.id,
            transaction_id: report.transaction_id.clone(),
            revision: 1,
            status: report.status.clone().unwrap_or(Status::Pending),
            affiliate_id: self.affiliate.id,
            link_id: self.choice.link_id,
            click_id: self.click_id(),
            attributed_by: self.choice.evidence,
            trace: Trace { ruling: None, considered: self.choice.considered.clone() },
            goal: report.goal.clone(),
            sale,
            payout: Some(payout),
            revenue,
            buyer: report.buyer.clone(),
            reporter: report.reporter,
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
        let goal = self.report.goal.as_deref();
        let unknown = self.offer().unknown_goal(goal).filter(|_| !self.report.is_self_reported())?;
        self.payout_overrides.find(self.affiliate.id, goal).is_none().then_some(unknown)
    }
}
