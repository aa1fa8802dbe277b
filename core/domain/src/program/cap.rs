//! Caps: how many conversions, or how much payout, an offer takes in a day, a month or in all: of everybody or of each
//! affiliate, with any goal or with one. One affiliate may have a limit of its own in place of that for each.

use serde::{Deserialize, Serialize};

use crate::amounts::{Amount, Currency, Money};
use crate::ids::{AffiliateId, OfferId};
use crate::reports::zone::Zone;
use crate::timestamp::Timestamp;

/// The caps of an offer.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Caps {
    pub limits: Vec<Cap>,
    pub over: OverCap,
    /// Whose days and months are counted.
    pub time_zone: Zone,
}

/// One limit; of conversions, of payout in the offer's currency, or of both.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Cap {
    #[serde(default)]
    pub per: CapScope,
    /// Per affiliate: this one's, in place of the limit for each with the same goal and period.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub affiliate_id: Option<AffiliateId>,
    /// Conversions with this goal only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(example = "trial", max_length = 100)]
    pub goal: Option<String>,
    pub period: Period,
    #[serde(default)]
    pub conversions: Option<u32>,
    #[serde(default)]
    pub payout: Option<Amount>,
}

/// Whose conversions count together.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum CapScope {
    /// All of the offer's.
    #[default]
    Offer,
    /// Those of each affiliate.
    Affiliate,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Period {
    Day,
    Month,
    Total,
}

/// What a conversion beyond a cap is.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum OverCap {
    /// Rejected with the reason "over cap".
    #[default]
    Reject,
    /// Pending until a person approves it.
    Hold,
    /// As reported, and it pays nothing.
    Unpaid,
}

/// What is counted together: the conversions of one offer, or of one affiliate for it, with any goal or one, in one period.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Counter {
    pub offer_id: OfferId,
    pub affiliate_id: Option<AffiliateId>,
    pub goal: Option<String>,
    /// `day:2026-03-10`, `month:2026-03` or `total`.
    pub period: String,
}

/// What a counter has counted.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Count {
    pub conversions: i64,
    pub payout_micros: i64,
}

impl Count {
    /// One conversion. A payout in another currency than the offer's counts as a conversion only.
    pub fn of(payout: Option<Money>, offers: Currency) -> Self {
        let payout = payout.filter(|payout| payout.currency == offers);
        Self { conversions: 1, payout_micros: payout.map_or(0, |payout| payout.micros) }
    }

    pub fn plus(self, other: Self) -> Self {
        Self {
            conversions: self.conversions + other.conversions,
            payout_micros: self.payout_micros.saturating_add(other.payout_micros),
        }
    }

    pub fn minus(self, other: Self) -> Self {
        Self {
            conversions: self.conversions - other.conversions,
            payout_micros: self.payout_micros.saturating_sub(other.payout_micros),
        }
    }
}

impl Caps {
    /// The limits per affiliate that hold for this one.
    pub fn of_affiliate(&self, id: AffiliateId) -> impl Iterator<Item = &Cap> {
        let own = move |cap: &&Cap| match cap.affiliate_id {
            Some(named) => named == id,
            None => !self.limits.iter().any(|it| it.affiliate_id == Some(id) && it.counts_as(cap)),
        };
        self.limits.iter().filter(|cap| cap.per == CapScope::Affiliate).filter(own)
    }

    /// Each limit that holds for a conversion of this affiliate with this goal, and what counts it at `at`.
    pub fn counters<'a>(
        &'a self,
        offer_id: OfferId,
        affiliate_id: AffiliateId,
        goal: Option<&'a str>,
        at: Timestamp,
    ) -> impl Iterator<Item = (&'a Cap, Counter)> {
        let date = self.time_zone.from_utc(at).date();
        let of_offer = self.limits.iter().filter(|cap| cap.per == CapScope::Offer);
        let limits = of_offer.chain(self.of_affiliate(affiliate_id));
        limits.filter(move |cap| cap.goal.is_none() || cap.goal.as_deref() == goal).map(move |cap| {
            let affiliate_id = (cap.per == CapScope::Affiliate).then_some(affiliate_id);
            let period = match cap.period {
                Period::Day => date.format("day:%Y-%m-%d").to_string(),
                Period::Month => date.format("month:%Y-%m").to_string(),
                Period::Total => "total".to_owned(),
            };
            (cap, Counter { offer_id, affiliate_id, goal: cap.goal.clone(), period })
        })
    }
}

impl Cap {
    /// Whether both count the same: the same goal in the same period.
    fn counts_as(&self, other: &Self) -> bool {
        (self.period, &self.goal) == (other.period, &other.goal)
    }

    /// Whether both would hold for the same conversions.
    pub fn is_same_limit(&self, other: &Self) -> bool {
        self.counts_as(other) && (self.per, self.affiliate_id) == (other.per, other.affiliate_id)
    }

    /// Whether one more fits in.
    pub fn admits(&self, taken: Count, more: Count) -> bool {
        let sum = taken.plus(more);
        self.conversions.is_none_or(|most| sum.conversions <= i64::from(most))
            && self.payout.is_none_or(|most| sum.payout_micros <= most.micros())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_day_is_the_day_of_the_offers_zone() {
        let cap = |per, period| Cap { per, affiliate_id: None, goal: None, period, conversions: Some(1), payout: None };
        let caps = Caps {
            limits: vec![
                cap(CapScope::Affiliate, Period::Month),
                cap(CapScope::Offer, Period::Day),
                cap(CapScope::Offer, Period::Total),
            ],
            time_zone: "+02:00".parse().unwrap(),
            ..Caps::default()
        };
        let at = Timestamp::parse("2026-03-31T22:30:00Z").unwrap();
        let (offer, affiliate) = (OfferId::new(at), AffiliateId::new(at));
        let counters: Vec<_> = caps.counters(offer, affiliate, None, at).map(|(_, counter)| counter).collect();
        // Those of the offer come first.
        assert_eq!(counters[0].period, "day:2026-04-01");
        assert_eq!((counters[1].period.as_str(), counters[1].affiliate_id), ("total", None));
        assert_eq!((counters[2].period.as_str(), counters[2].affiliate_id), ("month:2026-04", Some(affiliate)));
    }

    #[test]
    fn a_day_of_a_place_begins_when_its_clocks_say_so() {
        let day = |at: &str| {
            let cap = Cap {
                per: CapScope::Offer,
                affiliate_id: None,
                goal: None,
                period: Period::Day,
                conversions: Some(1),
                payout: None,
            };
            let caps = Caps { limits: vec![cap], time_zone: "Europe/Berlin".parse().unwrap(), ..Caps::default() };
            let at = Timestamp::parse(at).unwrap();
            caps.counters(OfferId::new(at), AffiliateId::new(at), None, at).map(|(_, it)| it.period).next().unwrap()
        };
        assert_eq!(day("2026-03-28T22:59:59Z"), "day:2026-03-28");
        assert_eq!(day("2026-03-28T23:00:00Z"), "day:2026-03-29");
        assert_eq!(day("2026-03-29T21:59:59Z"), "day:2026-03-29");
        assert_eq!(day("2026-03-29T22:00:00Z"), "day:2026-03-30");
    }

    #[test]
    fn an_affiliates_own_limit_stands_in_place_of_that_for_each() {
        let at = Timestamp::parse("2026-03-31T22:30:00Z").unwrap();
        let (offer, star, other) = (OfferId::new(at), AffiliateId::new(at), AffiliateId::new(at));
        let cap = |per, affiliate_id, goal: Option<&str>, conversions| Cap {
            per,
            affiliate_id,
            goal: goal.map(str::to_owned),
            period: Period::Total,
            conversions: Some(conversions),
            payout: None,
        };
        let (all, each) = (CapScope::Offer, CapScope::Affiliate);
        let limits = vec![
            cap(all, None, None, 1),
            cap(all, None, Some("trial"), 2),
            cap(each, None, None, 3),
            cap(each, Some(star), None, 4),
            cap(each, None, Some("trial"), 5),
        ];
        let caps = Caps { limits, ..Caps::default() };
        let held = |affiliate, goal| -> Vec<u32> {
            let mut held: Vec<_> =
                caps.counters(offer, affiliate, goal, at).filter_map(|it| it.0.conversions).collect();
            held.sort_unstable();
            held
        };
        assert_eq!(held(other, None), [1, 3]);
        assert_eq!(held(other, Some("trial")), [1, 2, 3, 5]);
        assert_eq!(held(star, Some("sale")), [1, 4]);
        assert_eq!(held(star, Some("trial")), [1, 2, 4, 5]);
        let keys: std::collections::BTreeSet<_> =
            caps.counters(offer, star, Some("trial"), at).map(|(_, counter)| counter).collect();
        assert_eq!(keys.len(), 4, "each limit counts for itself");
    }

    #[test]
    fn a_cap_of_payout_and_conversions_holds_both() {
        let cap = Cap {
            per: CapScope::Offer,
            affiliate_id: None,
            goal: None,
            period: Period::Total,
            conversions: Some(3),
            payout: Some("10".parse().unwrap()),
        };
        let usd: Currency = "USD".parse().unwrap();
        let count = |conversions, micros| Count { conversions, payout_micros: micros };
        let more = Count::of(Some(Money { micros: 4_000_000, currency: usd }), usd);
        assert!(cap.admits(count(2, 6_000_000), more));
        assert!(!cap.admits(count(3, 0), more));
        assert!(!cap.admits(count(0, 6_000_001), more));
        assert!(cap.admits(
            count(0, 6_000_001),
            Count::of(Some(Money { micros: 4_000_000, currency: "EUR".parse().unwrap() }), usd)
        ));
    }
}
