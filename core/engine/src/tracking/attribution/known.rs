//! What the database knows of the evidence in a group of reports.
//!
//! It is asked once for the whole group, and before the transaction: named clicks, coupons, clicks of known customers, and
//! first or last clicks of visitors; each only if a report needs it.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use sea_orm::{ConnectionTrait, DbErr};

use crate::catalog::Catalog;
use domain::ids::{AffiliateId, ClickId, LinkId, OfferId, floor_uuid};
use domain::program::affiliate::normal_code;
use domain::program::offer::Offer;
use domain::timestamp::Timestamp;
use domain::tracking::action::Action;
use domain::tracking::attribution::{ClickModel, Considered, Evidence, Verdict, customer_key, time_of_purchase};
use domain::tracking::click::Click;
use domain::tracking::conversion_error::ConversionError;
use domain::tracking::conversion_report::Report;
use domain::tracking::coupon::Coupon;
use storage::Database;
use storage::tracking::clicks::End;

use super::Attributed;

/// What one piece of evidence leads to.
struct Found {
    evidence: Evidence,
    affiliate_id: AffiliateId,
    offer_id: Option<OfferId>,
    link_id: Option<LinkId>,
    click: Option<Click>,
    coupon: Option<Coupon>,
}

/// What the database knows of everything that a group of reports names.
pub struct Known {
    now: Timestamp,
    clicks: HashMap<ClickId, Click>,
    coupons: HashMap<String, Coupon>,
    /// The click of a customer, by key.
    customers: HashMap<i64, ClickId>,
    /// The click that counts instead of a visitor's other ones.
    ends: HashMap<Span, ClickId>,
}

/// A visitor, and the oldest and the newest click that a purchase may count for.
type Span = (i64, ClickId, ClickId);

impl Known {
    pub async fn gather(
        db: &Database,
        catalog: &Catalog,
        reports: impl Iterator<Item = &Report> + Clone,
        now: Timestamp,
    ) -> Result<Self, DbErr> {
        let db = db.reader();
        let named: HashSet<ClickId> = reports.clone().filter_map(|report| report.claims.click).collect();
        let coupons = reports.clone().filter_map(|report| report.claims.coupon.as_deref()).map(normal_code).collect();
        let mut known = Self {
            now,
            clicks: storage::tracking::clicks::find_many(db, named).await?,
            coupons: storage::tracking::coupons::find_many(db, &coupons).await?,
            customers: HashMap::new(),
            ends: HashMap::new(),
        };
        known.gather_customers(db, catalog, reports.clone()).await?;
        known.gather_ends(db, catalog, reports).await?;
        Ok(known)
    }

    async fn gather_customers(
        &mut self,
        db: &impl ConnectionTrait,
        catalog: &Catalog,
        reports: impl Iterator<Item = &Report>,
    ) -> Result<(), DbErr> {
        let (mut first, mut last) = (BTreeSet::new(), BTreeSet::new());
        for report in reports.filter(|report| report.claims.is_empty()) {
            let Some(offer) = offer_of(catalog, report).await? else { continue };
            let Some(key) = key_of(&offer, report) else { continue };
            let wanted = if offer.terms.attribution.click == ClickModel::First { &mut first } else { &mut last };
            wanted.insert(key);
        }
        for (keys, end) in [(first, End::First), (last, End::Last)] {
            if !keys.is_empty() {
                self.customers.extend(storage::tracking::conversions::find_clicks_of_customers(db, keys, end).await?);
            }
        }
        self.read(db, self.customers.values().copied().collect()).await
    }

    async fn gather_ends(
        &mut self,
        db: &impl ConnectionTrait,
        catalog: &Catalog,
        reports: impl Iterator<Item = &Report>,
    ) -> Result<(), DbErr> {
        let (mut first, mut last) = (BTreeSet::new(), BTreeSet::new());
        for report in reports {
            let click = match report.claims.click {
                Some(id) => self.clicks.get(&id),
                None => self.click_of_customer(catalog, report).await?,
            };
            let Some(click) = click else { continue };
            let Some(offer) = catalog.offer(click.offer_id).await? else { continue };
            let Some(span) = self.span(&offer, click, report) else { continue };
            let wanted = if offer.terms.attribution.click == ClickModel::First { &mut first } else { &mut last };
            wanted.insert(span);
        }
        for (spans, end) in [(first, End::First), (last, End::Last)] {
            if !spans.is_empty() {
                self.ends.extend(storage::tracking::clicks::find_ends(db, &spans, end).await?);
            }
        }
        self.read(db, self.ends.values().copied().collect()).await
    }

    async fn read(&mut self, db: &impl ConnectionTrait, clicks: HashSet<ClickId>) -> Result<(), DbErr> {
        let unread: HashSet<_> = clicks.into_iter().filter(|id| !self.clicks.contains_key(id)).collect();
        if !unread.is_empty() {
            self.clicks.extend(storage::tracking::clicks::find_many(db, unread).await?);
        }
        Ok(())
    }

    /// `None` when the offer counts the click that is named, or does not know the visitor.
    fn span(&self, offer: &Offer, click: &Click, report: &Report) -> Option<Span> {
        // An affiliate's own source tells of the affiliate's own clicks.
        let is_own = report.reporter.is_some_and(|reporter| reporter.is_affiliate);
        let person = click.person.filter(|_| offer.counts_visitors() && !is_own)?;
        let at = time_of_purchase(report.buyer.purchase_date, self.now);
        let low = ClickId(floor_uuid(offer.terms.attribution.opens(at)));
        Some((person, low, ClickId(floor_uuid(at.plus(Duration::from_millis(1))))))
    }

    /// Whose conversion a report tells of. The strongest evidence that was given decides, and is never skipped over for
    /// being wrong; only for being too old.
    pub async fn attribute(
        &self,
        catalog: &Catalog,
        report: Box<Report>,
    ) -> Result<Result<Attributed, ConversionError>, DbErr> {
        let mut considered = Vec::new();
        let mut decided: Option<(Found, Arc<Offer>)> = None;
        // The first that leads somewhere and does not count: what is told if nothing else does.
        let mut spent: Option<(Found, Arc<Offer>, ConversionError)> = None;
        let given = report.claims.given();
        for evidence in given.iter().copied() {
            let note = |affiliate_id, verdict| {
                let value = report.claims.value(evidence);
                Considered { evidence, value, affiliate_id, verdict }
            };
            let found = match self.find(catalog, evidence, &report).await? {
                Ok(found) => found,
                Err(error) if decided.is_none() && spent.is_none() => return Ok(Err(error)),
                Err(_) => {
                    considered.push(note(None, Verdict::Unknown));
                    continue;
                }
            };
            if let Some((decided, _)) = &decided {
                let agrees = decided.affiliate_id == found.affiliate_id;
                let verdict = if agrees { Verdict::Agrees } else { Verdict::Weaker };
                considered.push(note(Some(found.affiliate_id), verdict));
                continue;
            }
            let offer = match offer_found(catalog, &found, report.offer_id).await? {
                Ok(offer) => offer,
                Err(error) => return Ok(Err(error)),
            };
            let named = (found.affiliate_id, found.click.as_ref().map(|click| click.id));
            let found = self.counting(&offer, found, &report);
            if found.click.as_ref().map(|click| click.id) != named.1 {
                considered.push(note(Some(named.0), Verdict::Replaced));
            }
            match self.spent(catalog, &offer, &found, &report).await? {
                Some((verdict, error)) => {
                    considered.push(note(Some(found.affiliate_id), verdict));
                    spent.get_or_insert((found, offer, error));
                }
                None => {
                    // One piece of evidence that decided is no more than `attributed_by` says.
                    if given.len() > 1 || !considered.is_empty() {
                        let value = found.click.as_ref().map(|click| click.id.to_string());
                        let value = value.or_else(|| report.claims.value(evidence));
                        let affiliate_id = Some(found.affiliate_id);
                        considered.push(Considered { evidence, value, affiliate_id, verdict: Verdict::Decided });
                    }
                    decided = Some((found, offer));
                }
            }
        }
        let (found, offer, refusal) = match (decided, spent) {
            (Some((found, offer)), _) => (found, offer, None),
            (None, Some((found, offer, error))) => (found, offer, Some(error)),
            (None, None) => return Ok(Err(ConversionError::UnknownCustomer)),
        };
        let affiliate = catalog.affiliate(found.affiliate_id).await?;
        let gone = || DbErr::RecordNotFound(format!("affiliate {}", found.affiliate_id));
        Ok(Ok(Attributed {
            named: report.claims.click,
            report,
            evidence: found.evidence,
            affiliate: affiliate.ok_or_else(gone)?,
            payout_overrides: catalog.payout_overrides(offer.id).await?,
            offer,
            link_id: found.link_id,
            click: found.click,
            considered,
            refusal,
        }))
    }

    async fn find(
        &self,
        catalog: &Catalog,
        evidence: Evidence,
        report: &Report,
    ) -> Result<Result<Found, ConversionError>, DbErr> {
        let claims = &report.claims;
        Ok(match (evidence, claims.click, &claims.referral_code, &claims.coupon) {
            (Evidence::Click, Some(id), ..) => match self.clicks.get(&id) {
                None => Err(ConversionError::UnknownClick(id.to_string())),
                Some(click) if click.action != Action::Click => Err(ConversionError::NotAClick(id)),
                Some(click) => Ok(Found::click(evidence, click)),
            },
            (Evidence::ReferralCode, _, Some(code), _) => match catalog.affiliate_by_code(&normal_code(code)).await? {
                None => Err(ConversionError::UnknownReferralCode(code.clone())),
                Some(affiliate) => Ok(Found {
                    evidence,
                    affiliate_id: affiliate.id,
                    offer_id: None,
                    link_id: None,
                    click: None,
                    coupon: None,
                }),
            },
            (Evidence::Coupon, _, _, Some(code)) => {
                let coupon = self.coupons.get(&normal_code(code));
                let link = match coupon {
                    Some(coupon) => catalog.link(coupon.link_id).await?,
                    None => None,
                };
                match link {
                    None => Err(ConversionError::UnknownCoupon(code.clone())),
                    Some(link) => Ok(Found {
                        evidence,
                        affiliate_id: link.affiliate_id,
                        offer_id: Some(link.offer_id),
                        link_id: Some(link.id),
                        click: None,
                        coupon: coupon.cloned(),
                    }),
                }
            }
            _ => match self.click_of_customer(catalog, report).await? {
                Some(click) => Ok(Found::click(Evidence::Customer, click)),
                None => Err(ConversionError::UnknownCustomer),
            },
        })
    }

    async fn click_of_customer(&self, catalog: &Catalog, report: &Report) -> Result<Option<&Click>, DbErr> {
        if !report.claims.is_empty() || self.customers.is_empty() {
            return Ok(None);
        }
        let offer = offer_of(catalog, report).await?;
        let key = offer.and_then(|offer| key_of(&offer, report));
        Ok(key.and_then(|key| self.customers.get(&key)).and_then(|click| self.clicks.get(click)))
    }

    /// The visitor's click that the offer counts, in place of the one that was found.
    fn counting(&self, offer: &Offer, found: Found, report: &Report) -> Found {
        let Some(click) = &found.click else { return found };
        let end = self.span(offer, click, report).and_then(|span| self.ends.get(&span));
        match end.and_then(|id| self.clicks.get(id)) {
            Some(other) if other.id != click.id => Found::click(found.evidence, other),
            _ => found,
        }
    }

    /// Why evidence that leads somewhere does not count any more, or not yet.
    async fn spent(
        &self,
        catalog: &Catalog,
        offer: &Offer,
        found: &Found,
        report: &Report,
    ) -> Result<Option<(Verdict, ConversionError)>, DbErr> {
        let at = time_of_purchase(report.buyer.purchase_date, self.now);
        let is_own = report.reporter.is_some_and(|reporter| reporter.is_affiliate);
        if let (Some(click), Some(days)) = (&found.click, offer.terms.attribution.window_days)
            && click.occurred_at < offer.terms.attribution.opens(at)
            && !is_own
        {
            let error = ConversionError::OutsideWindow { click: click.id, at: click.occurred_at, days };
            return Ok(Some((Verdict::OutsideWindow, error)));
        }
        if let Some(coupon) = found.coupon.as_ref().filter(|coupon| !coupon.active.at(at)) {
            return Ok(Some((Verdict::NotActive, ConversionError::CouponNotActive(coupon.code.clone()))));
        }
        if found.evidence == Evidence::ReferralCode && !catalog.admits(offer, found.affiliate_id).await? {
            return Ok(Some((Verdict::NotAdmitted, ConversionError::NotAdmitted(offer.id))));
        }
        Ok(None)
    }
}

impl Found {
    fn click(evidence: Evidence, click: &Click) -> Self {
        Self {
            evidence,
            affiliate_id: click.affiliate_id,
            offer_id: Some(click.offer_id),
            link_id: click.link_id,
            click: Some(click.clone()),
            coupon: None,
        }
    }
}

/// The offer that a report names, or else the default one.
async fn offer_of(catalog: &Catalog, report: &Report) -> Result<Option<Arc<Offer>>, DbErr> {
    match report.offer_id {
        Some(id) => catalog.offer(id).await,
        None => catalog.default_offer().await,
    }
}

fn key_of(offer: &Offer, report: &Report) -> Option<i64> {
    customer_key(offer.id, report.buyer.customer_id.as_deref(), report.buyer.customer_email.as_deref())
}

/// The offer that evidence leads to; it must be the one that the report names, if it names one.
async fn offer_found(
    catalog: &Catalog,
    found: &Found,
    given: Option<OfferId>,
) -> Result<Result<Arc<Offer>, ConversionError>, DbErr> {
    let id = match (found.offer_id, given) {
        (Some(found_id), Some(given)) if found_id != given => {
            let evidence = found.evidence.named();
            return Ok(Err(ConversionError::OfferMismatch { evidence, found: found_id, given }));
        }
        (Some(id), _) | (None, Some(id)) => id,
        (None, None) => match catalog.default_offer().await? {
            Some(offer) => offer.id,
            None => return Ok(Err(ConversionError::OfferMissing)),
        },
    };
    Ok(catalog.offer(id).await?.ok_or(ConversionError::UnknownOffer(id)))
}
