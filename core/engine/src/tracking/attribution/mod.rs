//! Attribution: whose conversion a report tells of, and what conversion comes of it.
//!
//! docs/attribution.md has the order of evidence; [`known`] finds out what each piece leads to.

mod known;

use std::sync::Arc;

use domain::ids::{ClickId, ConversionId, LinkId};
use domain::program::affiliate::Affiliate;
use domain::program::offer::{Offer, Payout};
use domain::program::payout_override::PayoutOverrides;
use domain::timestamp::Timestamp;
use domain::tracking::attribution::{Considered, Evidence, OutsideWindow, Ruling, Trace};
use domain::tracking::click::Click;
use domain::tracking::conversion::{Conversion, Figures, Status};
use domain::tracking::conversion_error::ConversionError;
use domain::tracking::conversion_report::Report;

pub use known::Known;

/// A report whose evidence was found to lead somewhere.
pub struct Attributed {
    pub report: Box<Report>,
    pub offer: Arc<Offer>,
    pub click: Option<Click>,
    /// The click that the report names; the one that counts may be another.
    pub named: Option<ClickId>,
    evidence: Evidence,
    affiliate: Arc<Affiliate>,
    link_id: Option<LinkId>,
    payout_overrides: Arc<PayoutOverrides>,
    considered: Vec<Considered>,
    /// Why a new conversion of it can't be recorded. One that is known already may still change.
    refusal: Option<ConversionError>,
}

impl Attributed {
    pub fn click_id(&self) -> Option<ClickId> {
        self.click.as_ref().map(|click| click.id)
    }

    /// Whether it names a click that the conversion of its transaction has nothing to do with: a sale is never two clicks'.
    /// Evidence that is found and not named changes nothing.
    pub fn is_of_another_click(&self, known: &Conversion) -> bool {
        let (Some(named), Some(click)) = (self.named, known.click_id) else { return false };
        Some(click) != self.click_id() && !known.was_reported_with(named)
    }

    /// What this report makes of a known conversion's amounts: what it does not name stays, and a share follows its
    /// sale. What a cap left unpaid stays so.
    pub fn figures(&self, known: &Conversion) -> Result<Figures, ConversionError> {
        let (report, offer) = (&self.report, &self.offer);
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

    /// What the advertiser pays, where that is agreed: nothing for what an affiliate reports to itself.
    fn agreed_revenue(&self, goal: Option<&str>) -> Option<Payout> {
        let is_own = self.report.reporter.is_some_and(|reporter| reporter.is_affiliate);
        self.offer.revenue_for(goal).filter(|_| !is_own)
    }

    /// The conversion that it is, if it is new.
    pub fn conversion(&self, now: Timestamp) -> Result<Conversion, ConversionError> {
        let (report, offer) = (&self.report, &self.offer);
        let ruling = match &self.refusal {
            None => None,
            Some(ConversionError::OutsideWindow { .. })
                if offer.terms.attribution.outside_window == OutsideWindow::Reject =>
            {
                Some(Ruling::OutsideWindow)
            }
            Some(refusal) => return Err(refusal.clone()),
        };
        let goal = report.goal.as_deref();
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
            link_id: self.link_id,
            click_id: self.click_id(),
            attributed_by: self.evidence,
            trace: Trace { ruling: None, considered: self.considered.clone() },
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
        // What is rejected anyway keeps the reason of the report; an affiliate's own book-keeping is its own affair.
        let is_rejected = matches!(conversion.status, Status::Rejected { .. });
        if let Some(ruling) = ruling.filter(|_| !is_rejected && !conversion.is_self_reported()) {
            conversion.reject_by(ruling);
        }
        Ok(conversion)
    }
}
