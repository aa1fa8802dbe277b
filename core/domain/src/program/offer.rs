//! Offers: what is promoted, by whom, on what terms, and what a conversion pays.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::amounts::{Amount, Currency, Money, Percent};
use crate::archive::{self, ArchiveError};
use crate::ids::OfferId;
use crate::timestamp::Timestamp;
use crate::tracking::attribution::{AttributionTerms, ClickModel, WINDOW_MAX_DAYS};
use crate::tracking::deep_link::HostPattern;
use crate::tracking::event::PartyFacts;
use crate::tracking::landing::LandingUrl;
use crate::tracking::transaction::agreed_terms::Agreed;
use crate::tracking::transaction::goal::is_same_goal;

use super::cap::{CapScope, Caps};

/// The longest hold, in days: two years.
pub const HOLD_DAYS_MAX: u16 = 730;

/// An offer as it is stored.
#[derive(Clone, Debug)]
pub struct Offer {
    /// Id of the offer.
    pub id: OfferId,
    /// The name that people see.
    pub name: String,
    /// The landing page.
    pub landing_url: LandingUrl,
    /// The currency of its amounts.
    pub currency: Currency,
    /// What an affiliate earns for a conversion.
    pub payout: Payout,
    /// The current status.
    pub status: OfferStatus,
    /// Who may promote it.
    pub visibility: Visibility,
    /// Everything else that is agreed.
    pub terms: Terms,
    /// Whether referral codes lead to it; at most one offer is the default.
    pub is_default: bool,
    /// The hold of an approved payout, in days; with 0 it is available at once.
    pub hold_days: u16,
    /// Minimum withdrawal in its currency for affiliates with earnings on this offer.
    pub minimum_withdrawal: Option<Amount>,
    /// When it was created.
    pub created_at: Timestamp,
    /// When it last changed.
    pub updated_at: Timestamp,
    /// When it was archived.
    pub archived_at: Option<Timestamp>,
}

/// The status of an offer. `active`: its links lead to it. `paused`: they lead to the fallback URL, if there is one.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum OfferStatus {
    /// Its links lead to it.
    #[default]
    Active,
    /// Its links lead to the fallback URL, if there is one.
    Paused,
}

text_enum!(OfferStatus { Active => "active", Paused => "paused" });

/// Who may see and promote an offer. `public`: every affiliate. `on_application`: every affiliate sees it, and
/// affiliates with an approved application may promote it. `private`: only invited affiliates see and promote it.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Visibility {
    /// Every affiliate.
    #[default]
    Public,
    /// Every affiliate sees it; affiliates with an approved application may promote it.
    OnApplication,
    /// Only affiliates that may promote it see it.
    Private,
}

text_enum!(Visibility { Public => "public", OnApplication => "on_application", Private => "private" });

/// What an affiliate earns, or an advertiser pays, for a conversion.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Payout {
    /// A fixed amount in the offer's currency.
    Fixed(Amount),
    /// A percentage of the conversion's amount, in the conversion's currency.
    Percent(Percent),
}

/// The other terms of an offer.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Terms {
    /// What the advertiser pays if the conversion does not say it.
    pub revenue: Option<Payout>,
    /// Goals that pay differently.
    pub goals: Vec<Goal>,
    /// What the payments of a customer after the first one pay; as the first one if absent.
    pub recurring: Option<Recurring>,
    /// Where links lead while the offer is paused.
    pub fallback_url: Option<LandingUrl>,
    /// Further landing pages.
    pub landing_pages: Vec<LandingPage>,
    /// The hosts to which deep links are allowed.
    pub deep_link_hosts: Vec<HostPattern>,
    /// How conversions are attributed.
    pub attribution: AttributionTerms,
    /// The most conversions and the highest payout.
    pub caps: Caps,
    /// Whether the sources of affiliates add nothing to its landing page URLs.
    pub without_source_parameters: bool,
    /// How conversions with a goal that is not listed are handled. Offers of an older release accept them.
    #[serde(default = "UnknownGoal::of_older_release")]
    pub unknown_goal: UnknownGoal,
}

/// What the payments of a customer after the first one pay. They are counted by customer, or by the transaction id of a
/// source that reports each payment under it, and for each goal; rejected ones are not counted.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Recurring {
    /// What the affiliate earns for each payment after the first one, instead of what the first one pays, also by a
    /// payout override; the same as for the first one if absent.
    pub payout: Option<Payout>,
    /// How many payments of a customer pay, with the first one; all if absent. Later ones are recorded with a payout of
    /// zero.
    #[schema(minimum = 1, maximum = 1000, example = 12)]
    pub paid_payments: Option<u32>,
}

/// The most payments that [`Recurring`] can limit.
const PAID_PAYMENTS_MAX: u32 = 1_000;

impl Recurring {
    /// What the payment with this number pays, where the first one pays `first`.
    pub fn payout_of(&self, payment: u32, first: Payout) -> Payout {
        match payment {
            0 | 1 => first,
            number if self.paid_payments.is_some_and(|paid| number > paid) => Payout::Fixed(Amount::ZERO),
            _ => self.payout.unwrap_or(first),
        }
    }
}

/// How a conversion with an unknown goal is handled, if the offer lists goals. `hold`: it is pending until a person
/// approves it. `refuse`: it is not recorded; the error code is `unknown_goal`. `accept`: it is recorded as reported,
/// with the offer's payout.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum UnknownGoal {
    /// It is pending until a person approves it.
    #[default]
    Hold,
    /// It is not recorded; the error code is `unknown_goal`.
    Refuse,
    /// It is recorded as reported, with the offer's payout.
    Accept,
}

impl UnknownGoal {
    fn of_older_release() -> Self {
        Self::Accept
    }
}

/// A kind of conversion that pays differently from the offer.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Goal {
    /// The name, as conversions report it.
    #[schema(example = "trial", min_length = 1, max_length = 100)]
    pub name: String,
    /// What the affiliate earns; the offer's payout if absent.
    #[serde(default)]
    pub payout: Option<Payout>,
    /// What the advertiser pays; the offer's revenue if absent.
    #[serde(default)]
    pub revenue: Option<Payout>,
}

/// A further landing page of an offer.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct LandingPage {
    /// The name by which links choose it.
    #[schema(example = "spring", min_length = 1, max_length = 100)]
    pub name: String,
    /// The URL of the page.
    pub url: LandingUrl,
    /// The share of this page in the visitors of links that choose no page, relative to the weights of the other pages.
    /// With 0 (the default) only links that choose the page lead to it.
    #[serde(default)]
    pub weight: u16,
}

impl Payout {
    /// The amount for one conversion; `None` for a percentage if the conversion has no amount.
    pub fn of(self, offer_currency: Currency, sale: Option<Money>) -> Option<Money> {
        match self {
            Self::Fixed(amount) => Some(amount.of(offer_currency)),
            Self::Percent(percent) => sale.map(|sale| percent.payout_of(sale)),
        }
    }
}

impl Payout {
    /// The terms of a conversion that it pays.
    pub fn agreed(self) -> Agreed {
        match self {
            Self::Fixed(_) => Agreed::Fixed,
            Self::Percent(percent) => Agreed::Percent(percent),
        }
    }

    /// The terms of a conversion of an earlier release, which has none: these of today if they explain `amount`.
    pub fn guessed(self, offer: Currency, sale: Option<Money>, amount: Option<Money>) -> Agreed {
        let explained = match self {
            // Earlier releases rounded shares to the micro.
            Self::Percent(percent) => sale
                .is_none_or(|sale| amount == Some(percent.payout_of(sale)) || amount == Some(percent.share_of(sale))),
            Self::Fixed(fixed) => amount == Some(fixed.of(offer)),
        };
        if explained { self.agreed() } else { Agreed::Stated }
    }
}

impl Offer {
    /// Whether its links lead to it.
    pub fn is_open(&self) -> bool {
        self.status == OfferStatus::Active && self.archived_at.is_none()
    }

    /// Archives it. Repeating it has no effect.
    ///
    /// # Errors
    /// It is the default offer.
    pub fn archive(&mut self, now: Timestamp) -> Result<(), ArchiveError> {
        if self.is_default {
            return Err(ArchiveError::DefaultOffer(self.id));
        }
        archive::archive(&mut self.archived_at, &mut self.updated_at, now);
        Ok(())
    }

    /// Restores it. Repeating it has no effect.
    pub fn restore(&mut self, now: Timestamp) {
        archive::restore(&mut self.archived_at, &mut self.updated_at, now);
    }

    /// Fails if it is archived.
    pub fn check_in_use(&self) -> Result<(), ArchiveError> {
        archive::check_in_use("offer", self.id, self.archived_at)
    }

    /// The data for adapters.
    pub fn facts(&self) -> PartyFacts {
        PartyFacts { id: self.id.to_string(), name: self.name.clone(), referral_code: None }
    }

    /// The end of the hold of a payout that is approved at `at`.
    pub fn release_at(&self, at: Timestamp) -> Timestamp {
        at.plus(Duration::from_secs(u64::from(self.hold_days) * 86_400))
    }

    /// What the advertiser pays for this goal, if that is agreed.
    pub fn revenue_for(&self, goal: Option<&str>) -> Option<Payout> {
        self.goal(goal).and_then(|goal| goal.revenue).or(self.terms.revenue)
    }

    /// How to handle a conversion with this goal; `None` if the goal is known: listed, or named by a limit of the caps.
    /// Without a list, every goal is known.
    pub fn unknown_goal(&self, name: Option<&str>) -> Option<UnknownGoal> {
        let has_limit = || self.terms.caps.limits.iter().any(|cap| is_same_goal(cap.goal.as_deref(), name));
        let is_known = name.is_none() || self.terms.goals.is_empty() || self.goal(name).is_some() || has_limit();
        (!is_known).then_some(self.terms.unknown_goal)
    }

    pub(super) fn goal(&self, name: Option<&str>) -> Option<&Goal> {
        self.terms.goals.iter().find(|goal| is_same_goal(Some(&goal.name), name))
    }

    /// The goal in the spelling of the offer, if it lists it or a cap names it.
    pub fn spelled_goal<'a>(&'a self, name: Option<&'a str>) -> Option<&'a str> {
        let listed = self.terms.goals.iter().map(|goal| goal.name.as_str());
        let capped = self.terms.caps.limits.iter().filter_map(|cap| cap.goal.as_deref());
        listed.chain(capped).find(|known| is_same_goal(Some(known), name)).or(name)
    }

    /// Whether clicks must store the offer-wide visitor hash, because the offer counts first or last clicks.
    pub(crate) fn counts_visitors(&self) -> bool {
        self.terms.attribution.click != ClickModel::Named
    }

    /// The landing page of this name.
    pub fn landing_page(&self, name: &str) -> Option<&LandingPage> {
        self.terms.landing_pages.iter().find(|page| page.name == name)
    }

    /// The landing page of a visitor whose link chooses none: by weight, and the same page for the same `visitor`.
    pub(crate) fn landing_for(&self, visitor: i64) -> &LandingUrl {
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
    /// Everything that is invalid: JSON pointers and sentences.
    pub fn issues(&self) -> Vec<(String, String)> {
        let mut issues = Vec::new();
        for (what, count, max) in [
            ("goals", self.goals.len(), GOALS_MAX),
            ("landing_pages", self.landing_pages.len(), PAGES_MAX),
            ("deep_link_hosts", self.deep_link_hosts.len(), HOSTS_MAX),
            ("caps/limits", self.caps.limits.len(), CAPS_MAX),
        ] {
            if count > max {
                issues.push((format!("/{what}"), format!("has {count} entries; at most {max} are allowed")));
            }
        }
        names(&mut issues, "goals", self.goals.iter().map(|goal| goal.name.as_str()));
        names(&mut issues, "landing_pages", self.landing_pages.iter().map(|page| page.name.as_str()));
        if self.recurring.and_then(|it| it.paid_payments).is_some_and(|it| !(1..=PAID_PAYMENTS_MAX).contains(&it)) {
            let sentence = format!("choose 1 to {PAID_PAYMENTS_MAX} payments, or null for all");
            issues.push(("/recurring/paid_payments".into(), sentence));
        }
        if self.attribution.window_days.is_some_and(|days| !(1..=WINDOW_MAX_DAYS).contains(&days)) {
            let sentence = format!("choose 1 to {WINDOW_MAX_DAYS} days, or null for no limit");
            issues.push(("/attribution/window_days".into(), sentence));
        }
        for (index, cap) in self.caps.limits.iter().enumerate() {
            let path = format!("/caps/limits/{index}");
            if cap.conversions.is_none() && cap.payout.is_none() {
                issues.push((path, "a cap needs conversions, payout or both".into()));
            } else if cap.affiliate_id.is_some() && cap.per != CapScope::Affiliate {
                issues.push((path, "a cap for one affiliate must be per affiliate; set per to \"affiliate\"".into()));
            } else if cap.goal.as_ref().is_some_and(|goal| goal.is_empty() || goal.chars().count() > 100) {
                issues.push((format!("{path}/goal"), "must have 1 to 100 characters".into()));
            } else if self.caps.limits[..index].iter().any(|it| it.is_same_limit(cap)) {
                issues.push((path, "another cap has the same scope, goal and period".into()));
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
                "must have 1 to 100 characters, without spaces around it".into(),
            ));
        } else if !seen.insert(name.to_lowercase()) {
            issues.push((format!("/{what}/{index}/name"), format!("\"{name}\" is used twice; give each its own name")));
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
            archived_at: None,
        }
    }

    #[test]
    fn the_most_specific_payout_applies() {
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
    fn a_conversion_without_terms_has_those_that_explain_it() {
        let money = |amount: &str| amount.parse::<Amount>().unwrap().of("USD".parse().unwrap());
        let percentage: Percent = "10".parse().unwrap();
        for (today, payout, wanted) in [
            (Payout::Percent(percentage), "10", Agreed::Percent(percentage)),
            (Payout::Percent(percentage), "12", Agreed::Stated),
            (fixed("5"), "5", Agreed::Fixed),
            (fixed("5"), "4", Agreed::Stated),
        ] {
            let usd = "USD".parse().unwrap();
            assert_eq!(today.guessed(usd, Some(money("100")), Some(money(payout))), wanted, "{today:?}");
        }
    }

    #[test]
    fn a_goal_is_unknown_only_if_the_offer_lists_others() {
        let goal = |name: &str| Goal { name: name.into(), payout: None, revenue: None };
        let limit = serde_json::json!({"limits": [{"period": "day", "goal": "upgrade", "conversions": 1}]});
        let caps: Caps = serde_json::from_value(limit).unwrap();
        let listed = offer(Terms { goals: vec![goal("trial"), goal("sale")], caps, ..Terms::default() });
        for (name, wanted) in [
            (None, None),
            (Some("trial"), None),
            (Some("upgrade"), None),
            (Some("trail"), Some(UnknownGoal::Hold)),
            (Some("Trial"), None),
            (Some("UPGRADE"), None),
        ] {
            assert_eq!(listed.unknown_goal(name), wanted, "{name:?}");
        }
        for (name, wanted) in [("TRIAL", "trial"), ("Upgrade", "upgrade"), ("other", "other")] {
            assert_eq!(listed.spelled_goal(Some(name)), Some(wanted));
        }
        assert_eq!(offer(Terms::default()).unknown_goal(Some("anything")), None);
        let older: Terms = serde_json::from_str(r#"{"goals": [{"name": "trial"}]}"#).unwrap();
        assert_eq!(offer(older).unknown_goal(Some("trail")), Some(UnknownGoal::Accept));
    }

    #[test]
    fn later_payments_of_a_customer_pay_as_agreed() {
        let first = fixed("10");
        let terms = |payout: Option<&str>, paid_payments| Recurring { payout: payout.map(fixed), paid_payments };
        for (terms, payment, wanted) in [
            (Recurring::default(), 1, "10"),
            (Recurring::default(), 900, "10"),
            (terms(Some("4"), None), 1, "10"),
            (terms(Some("4"), None), 2, "4"),
            (terms(Some("4"), Some(3)), 3, "4"),
            (terms(Some("4"), Some(3)), 4, "0"),
            (terms(None, Some(1)), 1, "10"),
            (terms(None, Some(1)), 2, "0"),
        ] {
            assert_eq!(terms.payout_of(payment, first), fixed(wanted), "{payment} of {terms:?}");
        }
    }

    #[test]
    fn visitors_are_distributed_by_weight_and_keep_their_page() {
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
    fn invalid_terms_are_named() {
        let terms: Terms = serde_json::from_value(serde_json::json!({
            "goals": [{"name": "a"}, {"name": "a"}, {"name": " "}],
            "attribution": {"window_days": 0},
            "recurring": {"paid_payments": 0},
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
                "/recurring/paid_payments",
                "/attribution/window_days",
                "/caps/limits/0",
                "/caps/limits/1",
                "/caps/limits/3"
            ]
        );
        assert!(Terms::default().issues().is_empty());
    }
}
