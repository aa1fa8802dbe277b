//! Loads the evidence of a batch of reports.
//!
//! The database is read once for the whole batch, before the transaction: clicks and coupons that reports name, clicks
//! of known customers, first or last clicks of visitors. Each kind is read only if a report needs it.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::sync::Arc;

use sea_orm::{ConnectionTrait, DbErr};

use crate::catalog::Catalog;
use domain::ids::{AffiliateId, ClickId, LinkId, OfferId};
use domain::program::affiliate::normal_code;
use domain::program::offer::Offer;
use domain::timestamp::Timestamp;
use domain::tracking::action::Action;
use domain::tracking::attribution::{ClickModel, Evidence, customer_key};
use domain::tracking::click::Click;
use domain::tracking::conversion_error::ConversionError;
use domain::tracking::conversion_report::Report;
use domain::tracking::coupon::Coupon;
use domain::tracking::evidence::{self, Candidate, Lead, visitor_window};
use storage::Database;
use storage::tracking::clicks::{Touch, VisitorWindow};

use super::Attributed;

/// Why a report could not be attributed.
#[derive(Debug)]
pub enum AttributionError {
    Conversion(ConversionError),
    Database(DbErr),
}

impl From<ConversionError> for AttributionError {
    fn from(error: ConversionError) -> Self {
        Self::Conversion(error)
    }
}

impl From<DbErr> for AttributionError {
    fn from(error: DbErr) -> Self {
        Self::Database(error)
    }
}

/// The stored evidence of a batch of reports.
pub struct EvidenceLookup {
    now: Timestamp,
    clicks: HashMap<ClickId, Click>,
    coupons: HashMap<String, Coupon>,
    /// The clicks of customers' first or last conversions, by [`customer_key`].
    customers: HashMap<i64, ClickId>,
    /// The first or last clicks of visitors.
    touches: HashMap<VisitorWindow, ClickId>,
}

/// The affiliate of one piece of evidence, before its offer is known.
struct Found {
    affiliate_id: AffiliateId,
    offer_id: Option<OfferId>,
    link_id: Option<LinkId>,
    click: Option<Click>,
    coupon: Option<Coupon>,
}

/// A coupon's code as it is stored, and as earlier releases stored it if it has letters beyond ASCII.
fn stored_codes(typed: &str) -> [String; 2] {
    [normal_code(typed), typed.trim().to_ascii_uppercase()]
}

impl EvidenceLookup {
    /// Loads the evidence that the reports need.
    pub async fn load(
        db: &Database,
        catalog: &Catalog,
        reports: impl Iterator<Item = &Report> + Clone,
        now: Timestamp,
    ) -> Result<Self, DbErr> {
        let db = db.reader();
        let named: HashSet<ClickId> = reports.clone().filter_map(|report| report.claims.click).collect();
        let coupons =
            reports.clone().filter_map(|report| report.claims.coupon.as_deref()).flat_map(stored_codes).collect();
        let mut lookup = Self {
            now,
            clicks: storage::tracking::clicks::find_many(db, named).await?,
            coupons: storage::tracking::coupons::find_many(db, &coupons).await?,
            customers: HashMap::new(),
            touches: HashMap::new(),
        };
        lookup.load_customers(db, catalog, reports.clone()).await?;
        lookup.load_touches(db, catalog, reports).await?;
        Ok(lookup)
    }

    async fn load_customers(
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
        for (keys, touch) in [(first, Touch::First), (last, Touch::Last)] {
            if !keys.is_empty() {
                self.customers.extend(storage::tracking::conversions::find_clicks_of_customers(db, keys, touch).await?);
            }
        }
        self.load_clicks(db, self.customers.values().copied().collect()).await
    }

    async fn load_touches(
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
            let Some(window) = visitor_window(&offer, click, report, self.now) else { continue };
            let wanted = if offer.terms.attribution.click == ClickModel::First { &mut first } else { &mut last };
            wanted.insert(window);
        }
        for (windows, touch) in [(first, Touch::First), (last, Touch::Last)] {
            if !windows.is_empty() {
                self.touches.extend(storage::tracking::clicks::find_touches(db, &windows, touch).await?);
            }
        }
        self.load_clicks(db, self.touches.values().copied().collect()).await
    }

    async fn load_clicks(&mut self, db: &impl ConnectionTrait, clicks: HashSet<ClickId>) -> Result<(), DbErr> {
        let missing: HashSet<_> = clicks.into_iter().filter(|id| !self.clicks.contains_key(id)).collect();
        if !missing.is_empty() {
            self.clicks.extend(storage::tracking::clicks::find_many(db, missing).await?);
        }
        Ok(())
    }

    /// Finds the affiliate, offer and click of a report.
    pub async fn attribute<'a>(
        &self,
        catalog: &Catalog,
        report: &'a Report,
    ) -> Result<Attributed<'a>, AttributionError> {
        let mut candidates = Vec::with_capacity(1);
        for evidence in report.claims.given() {
            let lead = match self.lead(catalog, evidence, report).await {
                Ok(lead) => Ok(lead),
                Err(AttributionError::Conversion(error)) => Err(error),
                Err(error) => return Err(error),
            };
            candidates.push(Candidate { evidence, lead });
        }
        let choice = evidence::choose(candidates, report, self.now)?;
        let affiliate = catalog.affiliate(choice.affiliate_id).await?;
        let gone = || DbErr::RecordNotFound(format!("affiliate {}", choice.affiliate_id));
        Ok(Attributed {
            report,
            affiliate: affiliate.ok_or_else(gone)?,
            payout_overrides: catalog.payout_overrides(choice.offer.id).await?,
            choice,
        })
    }

    async fn lead(&self, catalog: &Catalog, evidence: Evidence, report: &Report) -> Result<Lead, AttributionError> {
        let found = self.find(catalog, evidence, report).await?;
        let default = match found.offer_id.or(report.offer_id) {
            Some(_) => None,
            None => catalog.default_offer().await?.map(|offer| offer.id),
        };
        let offer = match evidence::offer_of(evidence, found.offer_id, report.offer_id, default) {
            Ok(id) => catalog.offer(id).await?.ok_or(ConversionError::UnknownOffer(id)),
            Err(error) => Err(error),
        };
        let is_admitted = match &offer {
            Ok(offer) if evidence == Evidence::ReferralCode => catalog.admits(offer, found.affiliate_id).await?,
            _ => true,
        };
        let counted = offer.as_ref().ok().and_then(|offer| self.counted(offer, found.click.as_ref()?, report)).cloned();
        let Found { affiliate_id, link_id, click, coupon, .. } = found;
        Ok(Lead { affiliate_id, link_id, click, coupon, offer, counted, is_admitted })
    }

    async fn find(&self, catalog: &Catalog, evidence: Evidence, report: &Report) -> Result<Found, AttributionError> {
        let claims = &report.claims;
        let error = match (evidence, claims.click, &claims.referral_code, &claims.coupon) {
            (Evidence::Click, Some(id), ..) => match self.clicks.get(&id) {
                None => ConversionError::UnknownClick(id.to_string()),
                Some(click) if click.action != Action::Click => ConversionError::NotAClick(id),
                Some(click) => return Ok(Found::click(click)),
            },
            (Evidence::ReferralCode, _, Some(code), _) => match catalog.affiliate_by_code(&normal_code(code)).await? {
                None => ConversionError::UnknownReferralCode(code.clone()),
                Some(affiliate) => return Ok(Found::affiliate(affiliate.id)),
            },
            (Evidence::Coupon, _, _, Some(code)) => {
                let coupon = stored_codes(code).iter().find_map(|stored| self.coupons.get(stored));
                let link = match coupon {
                    Some(coupon) => catalog.link(coupon.link_id).await?,
                    None => None,
                };
                match link {
                    None => ConversionError::UnknownCoupon(code.clone()),
                    Some(link) => {
                        let (offer_id, link_id) = (Some(link.offer_id), Some(link.id));
                        let coupon = coupon.cloned();
                        return Ok(Found { offer_id, link_id, coupon, ..Found::affiliate(link.affiliate_id) });
                    }
                }
            }
            _ => match self.click_of_customer(catalog, report).await? {
                Some(click) => return Ok(Found::click(click)),
                None => ConversionError::UnknownCustomer,
            },
        };
        Err(error.into())
    }

    async fn click_of_customer(&self, catalog: &Catalog, report: &Report) -> Result<Option<&Click>, DbErr> {
        if !report.claims.is_empty() || self.customers.is_empty() {
            return Ok(None);
        }
        let offer = offer_of(catalog, report).await?;
        let key = offer.and_then(|offer| key_of(&offer, report));
        Ok(key.and_then(|key| self.customers.get(&key)).and_then(|click| self.clicks.get(click)))
    }

    /// The first or last click of the visitor, if the offer counts it and it is not `click`.
    fn counted(&self, offer: &Offer, click: &Click, report: &Report) -> Option<&Click> {
        let touch = self.touches.get(&visitor_window(offer, click, report, self.now)?)?;
        self.clicks.get(touch).filter(|counted| counted.id != click.id)
    }
}

impl Found {
    fn affiliate(affiliate_id: AffiliateId) -> Self {
        Self { affiliate_id, offer_id: None, link_id: None, click: None, coupon: None }
    }

    fn click(click: &Click) -> Self {
        let (offer_id, link_id) = (Some(click.offer_id), click.link_id);
        Self { offer_id, link_id, click: Some(click.clone()), ..Self::affiliate(click.affiliate_id) }
    }
}

/// The offer that a report names, or the default offer.
async fn offer_of(catalog: &Catalog, report: &Report) -> Result<Option<Arc<Offer>>, DbErr> {
    match report.offer_id {
        Some(id) => catalog.offer(id).await,
        None => catalog.default_offer().await,
    }
}

fn key_of(offer: &Offer, report: &Report) -> Option<i64> {
    customer_key(offer.id, report.buyer.customer_id.as_deref(), report.buyer.customer_email.as_deref())
}
