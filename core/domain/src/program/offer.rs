//! Offers: what is promoted, by whom, on what terms, and what a conversion pays.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::amounts::{Amount, Currency, Money, Percent};
use crate::ids::OfferId;
use crate::timestamp::Timestamp;
use crate::tracking::attribution::{AttributionTerms, ClickModel, WINDOW_MAX_DAYS};
use crate::tracking::deep_link::HostPattern;
use crate::tracking::event::PartyFacts;
use crate::tracking::landing::LandingUrl;

use super::cap::{CapScope, Caps};

/// The longest hold: two years.
pub const HOLD_DAYS_MAX: u16 = 730;

#[derive(Clone, Debug)]
pub struct Offer {
    pub id: OfferId,
    pub name: String,
    pub landing_url: LandingUrl,
    pub currency: Currency,
    pub payout: Payout,
    pub status: OfferStatus,
    pub visibility: Visibility,
    pub terms: Terms,
    /// Where referral codes lead; one offer is it.
    pub is_default: bool,
    /// How long an approved payout stays pending; 0: it is available at once.
    pub hold_days: u16,
    /// The least that may be withdrawn in its currency by whoever has earned with it.
    pub minimum_withdrawal: Option<Amount>,
    pub created_at: Timestamp,
    pub updated_at: Timestamp,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum OfferStatus {
    Active,
    Paused,
}

text_enum!(OfferStatus { Active => "active", Paused => "paused" });

/// Who may promote an offer.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Visibility {
    /// Every affiliate.
    #[default]
    Public,
    /// Every affiliate sees it; whose application is approved may promote it.
    OnApplication,
    /// Only who may promote it sees it.
    Private,
}

text_enum!(Visibility { Public => "public", OnApplication => "on_application", Private => "private" });

/// What an affiliate earns per conversion, or an advertiser pays.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Payout {
    /// In the offer's currency.
    Fixed(Amount),
    /// Of the conversion's amount, in the conversion's currency.
    Percent(Percent),
}

/// Everything else that is agreed.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Terms {
    /// What the advertiser pays when its report does not say.
    pub revenue: Option<Payout>,
    pub goals: Vec<Goal>,
    /// Where links lead while the offer is paused.
    pub fallback_url: Option<LandingUrl>,
    pub landing_pages: Vec<LandingPage>,
    pub deep_link_hosts: Vec<HostPattern>,
    pub attribution: AttributionTerms,
    pub caps: Caps,
}

/// A step that pays differently from the offer.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Goal {
    /// As reports name it.
    #[schema(example = "trial", max_length = 100)]
    pub name: String,
    /// The offer's when absent.
    #[serde(default)]
    pub payout: Option<Payout>,
    /// The offer's when absent.
    #[serde(default)]
    pub revenue: Option<Payout>,
}

/// Another page than the offer's, by name.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct LandingPage {
    #[schema(example = "spring", max_length = 100)]
    pub name: String,
    pub url: LandingUrl,
    /// Its share of the visitors who ask for no page. 0, or nothing: only who asks for it gets there.
    #[serde(default)]
    pub weight: u16,
}

/// The share of a sale that was agreed, of the sale as it was corrected, is more than an amount may be.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[error(
    "{payout} of {before} is more than {max} of {sale}; send the payout and the revenue with the corrected amount",
    max = Amount::MAX
)]
pub struct ShareTooLarge {
    pub payout: Money,
    pub before: Money,
    pub sale: Money,
}

impl Payout {
    /// `None` when a percentage has no amount to be taken of.
    pub fn of(self, offer_currency: Currency, sale: Option<Money>) -> Option<Money> {
        match self {
            Self::Fixed(amount) => Some(amount.of(offer_currency)),
            Self::Percent(percent) => sale.map(|sale| percent.share_of(sale)),
        }
    }

    /// What a conversion pays whose sale turned out to be another: the same share as before. A share that was agreed
    /// before the offer changed, or that the report named, is kept. An error: it would be more than an amount may be.
    pub fn corrected(
        self,
        known_sale: Option<Money>,
        known: Option<Money>,
        sale: Option<Money>,
    ) -> Result<Option<Money>, ShareTooLarge> {
        let (Self::Percent(percent), Some(payout), Some(sale)) = (self, known, sale) else { return Ok(known) };
        match known_sale {
            Some(before) if payout == percent.share_of(before) => Ok(Some(percent.share_of(sale))),
            Some(before) if before.micros > 0 && before.currency == payout.currency => {
                payout.scaled(before, sale).map(Some).ok_or(ShareTooLarge { payout, before, sale })
            }
            _ => Ok(known),
        }
    }
}

impl Offer {
    pub fn facts(&self) -> PartyFacts {
        PartyFacts { id: self.id.to_string(), name: self.name.clone(), referral_code: None }
    }

    /// When what is approved at `at` becomes available.
    pub fn release_at(&self, at: Timestamp) -> Timestamp {
        at.plus(Duration::from_secs(u64::from(self.hold_days) * 86_400))
    }

    /// What the advertiser pays for this goal, where that is agreed.
    pub fn revenue_for(&self, goal: Option<&str>) -> Option<Payout> {
        self.goal(goal).and_then(|goal| goal.revenue).or(self.terms.revenue)
    }

    pub(super) fn goal(&self, name: Option<&str>) -> Option<&Goal> {
        self.terms.goals.iter().find(|goal| Some(goal.name.as_str()) == name)
    }

    /// Whether clicks must remember their visitor, so that the first or the last one can be found.
    pub fn counts_visitors(&self) -> bool {
        self.terms.attribution.click != ClickModel::Named
    }

    pub fn landing_page(&self, name: &str) -> Option<&LandingPage> {
        self.terms.landing_pages.iter().find(|page| page.name == name)
    }

    /// Where a visitor lands who asks for no page: by weight, the same page for the same `visitor`.
    pub fn landing_for(&self, visitor: i64) -> &LandingUrl {
        let pages = &self.terms.landing_pages;
        let total: u64 = pages.iter().map(|page| u64::from(page.weight)).sum();
        if total == 0 {
            return &self.landing_url;
        }
        let mut rest = visitor.unsigned_abs() % total;
        for page in pages {
            match rest.checked_sub(u64::from(page.weight)) {
                Some(left) => rest = left,
                None => return &page.url,
            }
        }
        &self.landing_url
    }
}

const GOALS_MAX: usize = 100;
const PAGES_MAX: usize = 50;
const HOSTS_MAX: usize = 100;
const CAPS_MAX: usize = 100;

impl Terms {
    /// What does not fit together: a JSON pointer and a sentence each.
    pub fn issues(&self) -> Vec<(String, String)> {
        let mut issues = Vec::new();
        for (what, count, max) in [
            ("goals", self.goals.len(), GOALS_MAX),
            ("landing_pages", self.landing_pages.len(), PAGES_MAX),
            ("deep_link_hosts", self.deep_link_hosts.len(), HOSTS_MAX),
            ("caps/limits", self.caps.limits.len(), CAPS_MAX),
        ] {
            if count > max {
                issues.push((format!("/{what}"), format!("has {count} entries; {max} is the most")));
            }
        }
        names(&mut issues, "goals", self.goals.iter().map(|goal| goal.name.as_str()));
        names(&mut issues, "landing_pages", self.landing_pages.iter().map(|page| page.name.as_str()));
        if self.attribution.window_days.is_some_and(|days| !(1..=WINDOW_MAX_DAYS).contains(&days)) {
            let sentence = format!("choose 1 to {WINDOW_MAX_DAYS} days, or null for no limit");
            issues.push(("/attribution/window_days".into(), sentence));
        }
        for (index, cap) in self.caps.limits.iter().enumerate() {
            let path = format!("/caps/limits/{index}");
            if cap.conversions.is_none() && cap.payout.is_none() {
                issues.push((path, "a cap needs conversions, payout or both".into()));
            } else if cap.affiliate_id.is_some() && cap.per != CapScope::Affiliate {
                issues.push((path, "a cap of one affiliate is per affiliate; set per to \"affiliate\"".into()));
            } else if cap.goal.as_ref().is_some_and(|goal| goal.is_empty() || goal.chars().count() > 100) {
                issues.push((format!("{path}/goal"), "must have 1 to 100 characters".into()));
            } else if self.caps.limits[..index].iter().any(|it| it.is_same_limit(cap)) {
                issues.push((path, "there is a cap per the same, with the same goal and period already".into()));
            }
        }
        issues
    }
}

fn names<'a>(issues: &mut Vec<(String, String)>, what: &str, names: impl Iterator<Item = &'a str>) {
    let mut seen = std::collections::HashSet::new();
    for (index, name) in names.enumerate() {
        if name.trim() != name || name.is_empty() || name.chars().count() > 100 {
            issues.push((
                format!("/{what}/{index}/name"),
                "must have 1 to 100 characters, none of them around it".into(),
            ));
        } else if !seen.insert(name) {
            issues
                .push((format!("/{what}/{index}/name"), format!("\"{name}\" is there twice; give each its own name")));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::{AffiliateId, PayoutOverrideId};
    use crate::program::payout_override::{PayoutOverride, PayoutOverrides};

    fn fixed(amount: &str) -> Payout {
        Payout::Fixed(amount.parse().unwrap())
    }

    fn offer(terms: Terms) -> Offer {
        let at = Timestamp::from_millis(1);
        Offer {
            id: OfferId::new(at),
            name: "Pro".into(),
            landing_url: LandingUrl::parse("https://shop.example/").unwrap(),
            currency: "USD".parse().unwrap(),
            payout: fixed("10"),
            status: OfferStatus::Active,
            visibility: Visibility::Public,
            terms,
            is_default: false,
            hold_days: 0,
            minimum_withdrawal: None,
            created_at: at,
            updated_at: at,
        }
    }

    #[test]
    fn the_most_particular_agreement_pays() {
        let at = Timestamp::from_millis(1);
        let goal = |name: &str, payout| Goal { name: name.into(), payout, revenue: None };
        let offer =
            offer(Terms { goals: vec![goal("lead", Some(fixed("2"))), goal("sale", None)], ..Terms::default() });
        let (star, other) = (AffiliateId::new(at), AffiliateId::new(at));
        let payout_override = |goal: Option<&str>, payout| PayoutOverride {
            id: PayoutOverrideId::new(at),
            offer_id: offer.id,
            affiliate_id: star,
            goal: goal.map(str::to_owned),
            payout,
            created_at: at,
            updated_at: at,
        };
        let payout_overrides =
            PayoutOverrides::new([payout_override(None, fixed("20")), payout_override(Some("trial"), fixed("7"))]);
        for (affiliate, goal, wanted) in [
            (star, None, "20"),
            (star, Some("sale"), "20"),
            (star, Some("anything"), "20"),
            (star, Some("lead"), "2"),
            (star, Some("trial"), "7"),
            (other, None, "10"),
            (other, Some("sale"), "10"),
            (other, Some("lead"), "2"),
            (other, Some("trial"), "10"),
        ] {
            assert_eq!(payout_overrides.payout_for(&offer, affiliate, goal), fixed(wanted), "{goal:?}");
        }
    }

    #[test]
    fn visitors_are_shared_out_by_weight_and_stay_where_they_are() {
        let page = |name: &str, weight| LandingPage {
            name: name.into(),
            url: LandingUrl::parse(&format!("https://shop.example/{name}")).unwrap(),
            weight,
        };
        let plain = offer(Terms { landing_pages: vec![page("a", 0)], ..Terms::default() });
        assert_eq!(plain.landing_for(7), &plain.landing_url);
        let shared = offer(Terms { landing_pages: vec![page("a", 3), page("b", 0), page("c", 1)], ..Terms::default() });
        let of = |visitor| shared.landing_for(visitor).as_str().rsplit('/').next().unwrap().to_owned();
        let count = |name: &str| (-2_000..2_000).filter(|visitor| of(*visitor) == name).count();
        assert_eq!((count("b"), of(5)), (0, of(5)));
        assert!((2_999..=3_001).contains(&count("a")), "{}", count("a"));
    }

    #[test]
    fn terms_that_do_not_fit_together_are_named() {
        let terms: Terms = serde_json::from_value(serde_json::json!({
            "goals": [{"name": "a"}, {"name": "a"}, {"name": " "}],
            "attribution": {"window_days": 0},
            "caps": {"limits": [
                {"period": "day"},
                {"period": "day", "conversions": 1},
                {"period": "day", "goal": "a", "conversions": 1},
                {"period": "day", "affiliate_id": AffiliateId::new(Timestamp::from_millis(1)), "conversions": 1},
            ]},
        }))
        .unwrap();
        let paths: Vec<_> = terms.issues().into_iter().map(|(path, _)| path).collect();
        assert_eq!(
            paths,
            [
                "/goals/1/name",
                "/goals/2/name",
                "/attribution/window_days",
                "/caps/limits/0",
                "/caps/limits/1",
                "/caps/limits/3"
            ]
        );
        assert!(Terms::default().issues().is_empty());
    }
}
