//! The choice of evidence: which piece of a report's evidence decides whose conversion it is.
//!
//! docs/attribution.md has the order. Callers load the lead of each piece; this module decides.

use std::sync::Arc;
use std::time::Duration;

use crate::ids::{AffiliateId, ClickId, LinkId, OfferId, floor_uuid, time_of};
use crate::program::offer::Offer;
use crate::timestamp::Timestamp;

use super::attribution::{Considered, Evidence, Verdict, time_of_purchase};
use super::click::Click;
use super::conversion::Conversion;
use super::conversion_error::ConversionError;
use super::conversion_report::Report;
use super::coupon::Coupon;

/// One piece of evidence of a report.
pub struct Candidate {
    /// The kind of the evidence.
    pub evidence: Evidence,
    /// The affiliate and click to which it leads, or why it leads nowhere.
    pub lead: Result<Lead, ConversionError>,
}

/// The affiliate, link, click and offer to which a piece of evidence leads.
pub struct Lead {
    /// The affiliate who gets the conversion if this lead decides.
    pub affiliate_id: AffiliateId,
    /// The link of the click or coupon.
    pub link_id: Option<LinkId>,
    /// The click that the report names.
    pub click: Option<Click>,
    /// The click of the customer's earlier conversion, if it was deleted by age.
    pub deleted_click: Option<ClickId>,
    /// The coupon that the report names.
    pub coupon: Option<Coupon>,
    /// The offer of the conversion, or why the report cannot be for it.
    pub offer: Result<Arc<Offer>, ConversionError>,
    /// The visitor's first or last click, if the offer counts it in place of `click`.
    pub counted: Option<Click>,
    /// Whether the affiliate may get new conversions by this evidence.
    pub admission: Admission,
}

/// Whether an affiliate may get new conversions. Clicks from before count in any case.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Admission {
    /// It may.
    Admitted,
    /// A referral code of an affiliate that may not promote the offer.
    NotAdmitted,
    /// A code or coupon of a suspended affiliate.
    Suspended,
}

/// The evidence by which a conversion is attributed.
#[derive(Debug)]
pub struct Choice {
    /// The kind of the evidence that decided.
    pub evidence: Evidence,
    /// The affiliate who gets the conversion.
    pub affiliate_id: AffiliateId,
    /// The link of the click or coupon that decided.
    pub link_id: Option<LinkId>,
    /// The click that decided. `None`: a code or a known customer decided.
    pub click: Option<Click>,
    /// The click of a known conversion that decided, if it was deleted by age.
    pub deleted_click: Option<ClickId>,
    /// The offer of the conversion.
    pub offer: Arc<Offer>,
    /// Every piece of evidence with its verdict, unless a single piece decided.
    pub considered: Vec<Considered>,
    /// Why the evidence no longer counts, if no piece counts. It prevents new conversions only.
    pub refusal: Option<ConversionError>,
}

/// The offer to which evidence leads: the offer of its click or coupon, else the offer that the report names, else the default
/// offer.
///
/// # Errors
/// The report names another offer than the evidence; or there is no offer.
pub fn offer_of(
    evidence: Evidence,
    found: Option<OfferId>,
    given: Option<OfferId>,
    default: Option<OfferId>,
) -> Result<OfferId, ConversionError> {
    match (found, given) {
        (Some(found), Some(given)) if found != given => {
            Err(ConversionError::OfferMismatch { evidence: evidence.named(), found, given })
        }
        (Some(id), _) | (None, Some(id)) => Ok(id),
        (None, None) => default.ok_or(ConversionError::OfferMissing),
    }
}

/// The first and last id of the clicks that may count for a purchase in place of `click`, with the visitor. `None`: the offer
/// counts the click that the report names, or the visitor is unknown.
pub fn visitor_window(
    offer: &Offer,
    click: &Click,
    report: &Report,
    now: Timestamp,
) -> Option<(i64, ClickId, ClickId)> {
    let visitor = click.person.filter(|_| offer.counts_visitors() && !report.counts_named_click())?;
    let at = time_of_purchase(report.buyer.purchase_date, now);
    let low = ClickId(floor_uuid(offer.terms.attribution.opens(at)));
    Some((visitor, low, ClickId(floor_uuid(at.plus(Duration::from_millis(1))))))
}

/// Chooses among `candidates`, strongest first. The strongest piece decides. A wrong piece is an error, unless a stronger one
/// was right; an expired piece gives way to the next. If all are expired, the strongest of them counts, with a refusal.
///
/// # Errors
/// Why the strongest evidence leads nowhere, or cannot be for the offer of the report.
pub fn choose(candidates: Vec<Candidate>, report: &Report, now: Timestamp) -> Result<Choice, ConversionError> {
    let is_single = candidates.len() == 1;
    let mut considered = Vec::new();
    let mut decided: Option<Choice> = None;
    let mut expired: Option<Choice> = None;
    for Candidate { evidence, lead } in candidates {
        let note = |affiliate_id, verdict| {
            let value = report.claims.value(evidence);
            Considered { evidence, value, affiliate_id, verdict }
        };
        let lead = match lead {
            Ok(lead) => lead,
            Err(error) if decided.is_none() && expired.is_none() => return Err(error),
            Err(_) => {
                considered.push(note(None, Verdict::Unknown));
                continue;
            }
        };
        if let Some(decided) = &decided {
            let agrees = decided.affiliate_id == lead.affiliate_id;
            let verdict = if agrees { Verdict::Agrees } else { Verdict::Weaker };
            considered.push(note(Some(lead.affiliate_id), verdict));
            continue;
        }
        if lead.counted.is_some() {
            considered.push(note(Some(lead.affiliate_id), Verdict::Replaced));
        }
        let (choice, coupon, admission) = lead.counting(evidence)?;
        match choice.expiry(coupon.as_ref(), admission, report, now) {
            Some((verdict, error)) => {
                considered.push(note(Some(choice.affiliate_id), verdict));
                expired.get_or_insert(Choice { refusal: Some(error), ..choice });
            }
            None => {
                // A single piece that decided is the same as `attributed_by`.
                if !is_single || !considered.is_empty() {
                    let click = choice.click_id().map(|click| click.to_string());
                    let decided = note(Some(choice.affiliate_id), Verdict::Decided);
                    considered.push(Considered { value: click.or_else(|| decided.value.clone()), ..decided });
                }
                decided = Some(choice);
            }
        }
    }
    let choice = decided.or(expired).ok_or(ConversionError::UnknownCustomer)?;
    Ok(Choice { considered, ..choice })
}

impl Lead {
    /// The choice of this lead: with the click that the offer counts, if that is another.
    fn counting(self, evidence: Evidence) -> Result<(Choice, Option<Coupon>, Admission), ConversionError> {
        let (affiliate_id, link_id, click, coupon) = match self.counted {
            Some(click) => (click.affiliate_id, click.link_id, Some(click), None),
            None => (self.affiliate_id, self.link_id, self.click, self.coupon),
        };
        let deleted_click = self.deleted_click.filter(|_| click.is_none());
        let (offer, considered, refusal) = (self.offer?, Vec::new(), None);
        let choice = Choice { evidence, affiliate_id, link_id, click, deleted_click, offer, considered, refusal };
        Ok((choice, coupon, self.admission))
    }
}

impl Choice {
    /// The choice for a report whose own evidence leads nowhere: a known conversion of its transaction decides. Its click
    /// may be deleted by age.
    pub fn of_known(
        known: &Conversion,
        offer: Arc<Offer>,
        (report, admission): (&Report, Admission),
        now: Timestamp,
    ) -> Self {
        let choice = Self {
            evidence: known.attributed_by,
            affiliate_id: known.affiliate_id,
            link_id: known.link_id,
            click: None,
            deleted_click: known.click_id,
            offer,
            considered: Vec::new(),
            refusal: None,
        };
        let refusal = choice.expiry(None, admission, report, now).map(|(_, error)| error);
        Self { refusal, ..choice }
    }

    /// The click of the conversion.
    pub fn click_id(&self) -> Option<ClickId> {
        self.click.as_ref().map(|click| click.id).or(self.deleted_click)
    }

    /// Why this evidence does not count at the time of the purchase.
    fn expiry(
        &self,
        coupon: Option<&Coupon>,
        admission: Admission,
        report: &Report,
        now: Timestamp,
    ) -> Option<(Verdict, ConversionError)> {
        let at = time_of_purchase(report.buyer.purchase_date, now);
        let terms = &self.offer.terms.attribution;
        let click = self.click.as_ref().map(|click| (click.id, click.occurred_at));
        if let (Some((click, clicked_at)), Some(days)) =
            (click.or(self.deleted_click.map(|id| (id, time_of(id.0)))), terms.window_days)
            && clicked_at < terms.opens(at)
            && !report.is_self_reported()
            && !report.is_later_payment()
        {
            return Some((Verdict::OutsideWindow, ConversionError::OutsideWindow { click, at: clicked_at, days }));
        }
        if let Some(coupon) = coupon.filter(|coupon| !coupon.active.at(at)) {
            return Some((Verdict::NotActive, ConversionError::CouponNotActive(coupon.code.clone())));
        }
        let error = match admission {
            Admission::Admitted => return None,
            Admission::NotAdmitted => ConversionError::NotAdmitted(self.offer.id),
            Admission::Suspended => ConversionError::AffiliateSuspended(self.evidence.named()),
        };
        Some((Verdict::NotAdmitted, error))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::program::offer::Terms;
    use crate::tracking::attribution::AttributionTerms;
    use crate::tracking::conversion::Buyer;
    use crate::tracking::conversion_report::Claims;
    use crate::tracking::coupon::Active;
    use crate::tracking::samples;

    const DAY: Duration = Duration::from_secs(86_400);

    /// A report with all evidence, of a sale at `samples::AT`.
    fn report() -> Report {
        Report {
            claims: Claims { click: None, referral_code: Some("ADA".into()), coupon: Some("SPRING".into()) },
            offer_id: None,
            transaction_id: "T-1".into(),
            goal: None,
            status: None,
            amount: None,
            currency: None,
            payout_currency: None,
            revenue_currency: None,
            default_currency: None,
            refund: None,
            payment: None,
            may_reopen: false,
            payout: None,
            revenue: None,
            buyer: Buyer::default(),
            reporter: None,
            test: None,
        }
    }

    /// What a piece of evidence is in a row of the table. The number is the affiliate.
    #[derive(Clone, Copy)]
    enum Piece {
        Right(u128),
        Wrong,
        /// An old click, a coupon that ended, a code of an affiliate that may not promote the offer.
        Expired(u128),
        /// The offer counts a click of the second affiliate.
        Replaced(u128, u128),
        OfOtherOffer(u128),
    }

    fn affiliate(number: u128) -> AffiliateId {
        AffiliateId(uuid::Uuid::from_u128(number))
    }

    fn candidate(offer: &Arc<Offer>, evidence: Evidence, piece: Piece) -> Candidate {
        use Piece::{Expired, OfOtherOffer, Replaced, Right, Wrong};
        let (number, counted) = match piece {
            Wrong => return Candidate { evidence, lead: Err(ConversionError::UnknownReferralCode("?".into())) },
            Right(it) | Expired(it) | OfOtherOffer(it) => (it, None),
            Replaced(it, other) => (it, Some(other)),
        };
        let is_expired = matches!(piece, Expired(_));
        let click = |number, expired: bool| {
            let click = samples::click(offer);
            let age = if expired { DAY * 31 } else { DAY };
            Click { affiliate_id: affiliate(number), occurred_at: click.occurred_at.minus(age), ..click }
        };
        let active = Active { ends_at: is_expired.then(|| samples::AT.minus(DAY)), starts_at: None };
        let coupon = Coupon { code: "SPRING".into(), link_id: samples::link(offer).id, active };
        let offer = match piece {
            OfOtherOffer(_) => Err(ConversionError::OfferMissing),
            _ => Ok(offer.clone()),
        };
        let lead = Lead {
            affiliate_id: affiliate(number),
            link_id: None,
            click: (evidence == Evidence::Click).then(|| click(number, is_expired)),
            coupon: (evidence == Evidence::Coupon).then_some(coupon),
            offer,
            counted: counted.map(|number| click(number, false)),
            admission: if is_expired && evidence == Evidence::ReferralCode {
                Admission::NotAdmitted
            } else {
                Admission::Admitted
            },
            deleted_click: None,
        };
        Candidate { evidence, lead: Ok(lead) }
    }

    #[test]
    fn the_strongest_evidence_that_counts_decides() {
        use Evidence::{Click, Coupon, ReferralCode};
        use Piece::{Expired, OfOtherOffer, Replaced, Right, Wrong};
        let attribution = AttributionTerms { window_days: Some(30), ..AttributionTerms::default() };
        let offer = Arc::new(samples::offer(Terms { attribution, ..Terms::default() }));
        // Evidence; affiliate and its evidence; code of the refusal; verdicts.
        for (pieces, decided, refusal, verdicts) in [
            (vec![(Click, Right(1))], (1, Click), "", ""),
            (vec![(Click, Right(1)), (Coupon, Right(1))], (1, Click), "", "decided agrees"),
            (vec![(Click, Right(1)), (Coupon, Right(2))], (1, Click), "", "decided weaker"),
            (vec![(Click, Right(1)), (ReferralCode, Wrong)], (1, Click), "", "decided unknown"),
            (vec![(Click, Right(1)), (Coupon, OfOtherOffer(2))], (1, Click), "", "decided weaker"),
            (vec![(Click, Expired(1)), (Coupon, Right(2))], (2, Coupon), "", "outside_window decided"),
            (vec![(ReferralCode, Expired(1)), (Coupon, Right(2))], (2, Coupon), "", "not_admitted decided"),
            (vec![(Click, Expired(1))], (1, Click), "outside_window", "outside_window"),
            (vec![(Coupon, Expired(1))], (1, Coupon), "coupon_not_active", "not_active"),
            (
                vec![(ReferralCode, Expired(1)), (Coupon, Expired(2))],
                (1, ReferralCode),
                "not_admitted",
                "not_admitted not_active",
            ),
            (vec![(Click, Expired(1)), (Coupon, Wrong)], (1, Click), "outside_window", "outside_window unknown"),
            (vec![(Click, Replaced(1, 2))], (2, Click), "", "replaced decided"),
            (vec![(Click, Replaced(1, 2)), (Coupon, Right(1))], (2, Click), "", "replaced decided weaker"),
        ] {
            let candidates = pieces.iter().map(|(evidence, piece)| candidate(&offer, *evidence, *piece)).collect();
            let choice = choose(candidates, &report(), samples::AT).unwrap();
            assert_eq!((choice.affiliate_id, choice.evidence), (affiliate(decided.0), decided.1), "{verdicts}");
            assert_eq!(choice.refusal.as_ref().map_or("", ConversionError::code), refusal, "{verdicts}");
            let found: Vec<_> = choice.considered.iter().map(|it| serde_json::to_value(it.verdict).unwrap()).collect();
            let found: Vec<_> = found.iter().filter_map(|it| it.as_str()).collect();
            assert_eq!(found.join(" "), verdicts);
        }
    }

    #[test]
    fn wrong_evidence_is_an_error_unless_stronger_evidence_is_right() {
        use Evidence::{Click, Coupon};
        use Piece::{Expired, OfOtherOffer, Right, Wrong};
        let attribution = AttributionTerms { window_days: Some(30), ..AttributionTerms::default() };
        let offer = Arc::new(samples::offer(Terms { attribution, ..Terms::default() }));
        for (pieces, code) in [
            (vec![(Click, Wrong), (Coupon, Right(1))], "unknown_referral_code"),
            (vec![(Click, OfOtherOffer(1)), (Coupon, Right(1))], "offer_missing"),
            (vec![(Click, Expired(1)), (Coupon, OfOtherOffer(1))], "offer_missing"),
            (vec![], "unknown_customer"),
        ] {
            let candidates = pieces.iter().map(|(evidence, piece)| candidate(&offer, *evidence, *piece)).collect();
            assert_eq!(choose(candidates, &report(), samples::AT).unwrap_err().code(), code);
        }
    }

    #[test]
    fn an_affiliates_own_report_has_no_window() {
        let attribution = AttributionTerms { window_days: Some(30), ..AttributionTerms::default() };
        let offer = Arc::new(samples::offer(Terms { attribution, ..Terms::default() }));
        let source_id = crate::ids::SourceId::new(samples::AT);
        let reporter = Some(crate::tracking::conversion::Reporter { source_id, is_affiliate: true });
        let candidates = vec![candidate(&offer, Evidence::Click, Piece::Expired(1))];
        let choice = choose(candidates, &Report { reporter, ..report() }, samples::AT).unwrap();
        assert_eq!(choice.refusal, None);
    }

    #[test]
    fn evidence_leads_to_one_offer() {
        let [one, two] = [1, 2].map(|it| OfferId(uuid::Uuid::from_u128(it)));
        let code = |error: ConversionError| error.code();
        for (found, given, default, wanted) in [
            (Some(one), None, Some(two), Ok(one)),
            (Some(one), Some(one), None, Ok(one)),
            (Some(one), Some(two), None, Err("offer_mismatch")),
            (None, Some(two), Some(one), Ok(two)),
            (None, None, Some(one), Ok(one)),
            (None, None, None, Err("offer_missing")),
        ] {
            assert_eq!(offer_of(Evidence::Coupon, found, given, default).map_err(code), wanted);
        }
    }
}
