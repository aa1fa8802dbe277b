//! Attribution: loads the evidence of a batch of reports. `domain::tracking::evidence` chooses the evidence that counts.
//!
//! The database is read once for the whole batch, before the transaction: clicks and coupons that reports name, clicks
//! of known customers, first or last clicks of visitors. Each kind is read only if a report needs it.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::sync::Arc;

use sea_orm::{ConnectionTrait, DbErr};

use crate::catalog::Catalog;
use domain::ids::{AffiliateId, ClickId, LinkId, OfferId};
use domain::program::affiliate::{AffiliateStatus, normal_code};
use domain::program::offer::Offer;
use domain::timestamp::Timestamp;
use domain::tracking::action::Action;
use domain::tracking::attribution::{ClickModel, Evidence, customer_key};
use domain::tracking::click::Click;
use domain::tracking::conversion::Conversion;
use domain::tracking::conversion_error::ConversionError;
use domain::tracking::conversion_report::Report;
use domain::tracking::coupon::Coupon;
use domain::tracking::evidence::{self, Admission, Candidate, Choice, Lead, visitor_window};
use domain::tracking::transaction::attributed::Attributed;
use storage::Database;
use storage::tracking::clicks::{Touch, VisitorWindow};
use storage::tracking::conversions::CustomerTouch;

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
    /// The customers' first or last conversions, by [`customer_key`].
    customers: HashMap<i64, CustomerTouch>,
    /// The first or last clicks of visitors.
    touches: HashMap<VisitorWindow, ClickId>,
    /// The conversions of the transactions whose reports have evidence that leads nowhere, by transaction key.
    known: HashMap<String, Vec<Conversion>>,
}

/// The affiliate of one piece of evidence, before its offer is known.
struct Found {
    affiliate_id: AffiliateId,
    offer_id: Option<OfferId>,
    link_id: Option<LinkId>,
    click: Option<Click>,
    deleted_click: Option<ClickId>,
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
            known: HashMap::new(),
        };
        lookup.load_customers(db, catalog, reports.clone()).await?;
        lookup.load_touches(db, catalog, reports.clone()).await?;
        lookup.load_known(db, catalog, reports).await?;
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
                self.customers.extend(storage::tracking::conversions::find_customers(db, keys, touch).await?);
            }
        }
        self.load_clicks(db, self.customers.values().map(|it| it.click_id).collect()).await
    }

    /// Loads the conversions of the transactions whose reports have evidence that leads nowhere.
    async fn load_known(
        &mut self,
        db: &impl ConnectionTrait,
        catalog: &Catalog,
        reports: impl Iterator<Item = &Report>,
    ) -> Result<(), DbErr> {
        let mut keys = BTreeSet::new();
        for report in reports {
            if self.leads_nowhere(catalog, report).await? {
                keys.insert(report.transaction_key());
            }
        }
        if keys.is_empty() {
            return Ok(());
        }
        for conversion in storage::tracking::conversions::list_of_transactions(db, &keys).await? {
            self.known.entry(conversion.transaction_key()).or_default().push(conversion);
        }
        Ok(())
    }

    /// Whether the strongest evidence of a report leads nowhere, or a customer is all it has.
    async fn leads_nowhere(&self, catalog: &Catalog, report: &Report) -> Result<bool, DbErr> {
        if report.claims.is_empty() {
            return Ok(true);
        }
        if let Some(click) = report.claims.click {
            return Ok(!self.clicks.contains_key(&click));
        }
        let Some(strongest) = report.claims.given().first().copied() else { return Ok(true) };
        match self.lead(catalog, strongest, report).await {
            Ok(lead) => Ok(lead.offer.is_err_and(|error| error.leads_nowhere())),
            Err(AttributionError::Conversion(error)) => Ok(error.leads_nowhere()),
            Err(AttributionError::Database(error)) => Err(error),
        }
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
        let choice = match evidence::choose(candidates, report, self.now) {
            Err(error) if error.leads_nowhere() => match self.known_of(report)? {
                Some(known) => self.choice_of(catalog, known, report, Some(error)).await?,
                None => return Err(error.into()),
            },
            Ok(by_customer) if report.claims.is_empty() => match self.known_of(report)? {
                Some(known) if report.buyer.is_same_customer(&known.buyer) => {
                    self.choice_of(catalog, known, report, None).await?
                }
                _ => by_customer,
            },
            choice => choice?,
        };
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
        let admission = admission(catalog, evidence, found.affiliate_id, offer.as_deref().ok()).await?;
        let counted = offer.as_ref().ok().and_then(|offer| self.counted(offer, found.click.as_ref()?, report)).cloned();
        let Found { affiliate_id, link_id, click, deleted_click, coupon, .. } = found;
        Ok(Lead { affiliate_id, link_id, click, deleted_click, coupon, offer, counted, admission })
    }

    /// The choice by a known conversion of the transaction. A new conversion, of another goal, needs what `known` needed,
    /// and a code that leads nowhere is wrong for it.
    async fn choice_of(
        &self,
        catalog: &Catalog,
        known: &Conversion,
        report: &Report,
        error: Option<ConversionError>,
    ) -> Result<Choice, DbErr> {
        let gone = || DbErr::RecordNotFound(format!("offer {}", known.offer_id));
        let offer = catalog.offer(known.offer_id).await?.ok_or_else(gone)?;
        let admission = admission(catalog, known.attributed_by, known.affiliate_id, Some(&offer)).await?;
        let choice = Choice::of_known(known, offer, (report, admission), self.now);
        let names_code = report.claims.referral_code.is_some() || report.claims.coupon.is_some();
        let wrong = error.filter(|_| names_code && report.claims.click.is_none());
        Ok(Choice { refusal: wrong.or(choice.refusal), ..choice })
    }

    /// The conversion that decides if the evidence of a report leads nowhere. If the report names a click, it must be that
    /// of the conversion.
    ///
    /// # Errors
    /// Several offers, or several affiliates, have the transaction id.
    fn known_of(&self, report: &Report) -> Result<Option<&Conversion>, ConversionError> {
        let is_meant = |it: &&Conversion| {
            report.offer_id.is_none_or(|offer| it.offer_id == offer)
                && report.claims.click.is_none_or(|click| it.was_reported_with(click))
        };
        let mut meant = self.known.get(&report.transaction_key()).into_iter().flatten().filter(is_meant);
        let first = meant.next();
        match first {
            Some(first) if meant.clone().any(|it| it.offer_id != first.offer_id) => {
                Err(ConversionError::OfferAmbiguous(report.transaction_id.clone()))
            }
            Some(first) if meant.any(|it| it.affiliate_id != first.affiliate_id) => {
                Err(ConversionError::TransactionAmbiguous(report.transaction_id.clone()))
            }
            _ => Ok(first),
        }
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
            _ if !report.buyer.is_known() => ConversionError::AttributionMissing(report.transaction_id.clone()),
            _ => match self.customer(catalog, report).await? {
                Some((offer, touch)) => return Ok(self.found_by_customer(offer, touch)),
                None => ConversionError::UnknownCustomer,
            },
        };
        Err(error.into())
    }

    /// The click of the customer's earlier conversion. If it was deleted by age, the conversion leads to the same affiliate.
    fn found_by_customer(&self, offer: OfferId, touch: &CustomerTouch) -> Found {
        match self.clicks.get(&touch.click_id) {
            Some(click) => Found::click(click),
            None => Found {
                offer_id: Some(offer),
                link_id: touch.link_id,
                deleted_click: Some(touch.click_id),
                ..Found::affiliate(touch.affiliate_id)
            },
        }
    }

    async fn click_of_customer(&self, catalog: &Catalog, report: &Report) -> Result<Option<&Click>, DbErr> {
        let found = self.customer(catalog, report).await?;
        Ok(found.and_then(|(_, touch)| self.clicks.get(&touch.click_id)))
    }

    /// The earlier conversion of the report's customer, and its offer.
    async fn customer(&self, catalog: &Catalog, report: &Report) -> Result<Option<(OfferId, &CustomerTouch)>, DbErr> {
        if !report.claims.is_empty() || self.customers.is_empty() {
            return Ok(None);
        }
        let Some(offer) = offer_of(catalog, report).await? else { return Ok(None) };
        let touch = key_of(&offer, report).and_then(|key| self.customers.get(&key));
        Ok(touch.map(|touch| (offer.id, touch)))
    }

    /// The first or last click of the visitor, if the offer counts it and it is not `click`.
    fn counted(&self, offer: &Offer, click: &Click, report: &Report) -> Option<&Click> {
        let touch = self.touches.get(&visitor_window(offer, click, report, self.now)?)?;
        self.clicks.get(touch).filter(|counted| counted.id != click.id)
    }
}

impl Found {
    fn affiliate(affiliate_id: AffiliateId) -> Self {
        Self { affiliate_id, offer_id: None, link_id: None, click: None, deleted_click: None, coupon: None }
    }

    fn click(click: &Click) -> Self {
        let (offer_id, link_id) = (Some(click.offer_id), click.link_id);
        Self { offer_id, link_id, click: Some(click.clone()), ..Self::affiliate(click.affiliate_id) }
    }
}

/// Whether the affiliate may get new conversions by this evidence.
async fn admission(
    catalog: &Catalog,
    evidence: Evidence,
    affiliate: AffiliateId,
    offer: Option<&Offer>,
) -> Result<Admission, DbErr> {
    if !matches!(evidence, Evidence::ReferralCode | Evidence::Coupon) {
        return Ok(Admission::Admitted);
    }
    if catalog.affiliate(affiliate).await?.is_some_and(|it| it.status == AffiliateStatus::Suspended) {
        return Ok(Admission::Suspended);
    }
    match offer {
        Some(offer) if evidence == Evidence::ReferralCode && !catalog.admits(offer, affiliate).await? => {
            Ok(Admission::NotAdmitted)
        }
        _ => Ok(Admission::Admitted),
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
