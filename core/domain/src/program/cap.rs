//! Caps: the most conversions, or the highest payout, of an offer per day, per month or in total. They apply to the
//! whole offer or to each affiliate, and to all goals or to one. An affiliate can have its own limit instead of the
//! general limit per affiliate.

use serde::{Deserialize, Serialize};

use crate::amounts::Amount;
use crate::ids::{AffiliateId, OfferId};
use crate::reports::zone::Zone;
use crate::timestamp::Timestamp;
use crate::tracking::transaction::goal::is_same_goal;

/// The caps of an offer.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Caps {
    /// The limits, at most 100. A conversion must be within all limits that apply to it.
    #[schema(max_items = 100)]
    pub limits: Vec<Cap>,
    /// How conversions beyond a limit are handled; `reject` if absent.
    pub over: OverCap,
    /// The zone in which days and months begin; UTC if absent.
    pub time_zone: Zone,
    /// Whether a conversion that is rejected after it was counted keeps its place. If absent or false, it gives its place
    /// back to the period in which it was recorded.
    pub keep_rejected: bool,
}

/// One limit: of conversions, of payout in the offer's currency, or of both.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Cap {
    /// Whether the limit applies to the whole offer or to each affiliate; `offer` if absent.
    #[serde(default)]
    pub per: CapScope,
    /// Only with `per` "affiliate": the limit applies to this affiliate, instead of the general limit with the same
    /// goal and period.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub affiliate_id: Option<AffiliateId>,
    /// Only conversions with this goal count; all conversions if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(example = "trial", min_length = 1, max_length = 100)]
    pub goal: Option<String>,
    /// The period in which conversions are counted.
    pub period: Period,
    /// The maximum number of conversions in the period; unlimited if absent or null. A limit has a maximum number, a
    /// maximum payout, or both.
    #[serde(default)]
    pub conversions: Option<u32>,
    /// The maximum total payout in the period, in the offer's currency; unlimited if absent or null.
    #[serde(default)]
    pub payout: Option<Amount>,
}

/// Whose conversions are counted together. `offer`: all conversions of the offer. `affiliate`: those of each affiliate
/// separately.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum CapScope {
    /// All conversions of the offer.
    #[default]
    Offer,
    /// The conversions of each affiliate separately.
    Affiliate,
}

/// The period of a limit: a day, a calendar month, or all time (`total`).
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
#[schema(as = CapPeriod)]
pub enum Period {
    /// A day.
    Day,
    /// A calendar month.
    Month,
    /// All time.
    Total,
}

/// How a conversion beyond a limit is handled. `reject`: it is rejected with the reason "over cap". `hold`: it is
/// pending until a person approves it. `unpaid`: it is recorded as reported, with a payout of zero.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum OverCap {
    /// It is rejected with the reason "over cap".
    #[default]
    Reject,
    /// It is pending until a person approves it.
    Hold,
    /// It is recorded as reported, with a payout of zero.
    Unpaid,
}

/// A set of conversions that are counted together: those of one offer, or of one affiliate for it, with any goal or
/// with one, in one period.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Counter {
    /// The offer.
    pub offer_id: OfferId,
    /// The affiliate, for limits per affiliate.
    pub affiliate_id: Option<AffiliateId>,
    /// The goal, for limits of one goal.
    pub goal: Option<String>,
    /// `day:2026-03-10`, `month:2026-03` or `total`.
    pub period: String,
}

/// The value of a counter.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Count {
    /// The number of conversions.
    pub conversions: i64,
    /// The sum of their payouts, in micros of the offer's currency.
    pub payout_micros: i64,
}

/// What the caps of an offer count of a conversion: its payout, and where it has a place.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Counted {
    /// Its payout when it was counted, in micros of the offer's currency.
    pub payout_micros: i64,
    /// The counters that have it.
    pub places: Vec<Place>,
}

/// A counter without its offer and affiliate, which are those of the conversion.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Place {
    /// Whether the conversions of the affiliate are counted, and not those of the whole offer.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub per_affiliate: bool,
    /// See [`Counter::goal`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub goal: Option<String>,
    /// See [`Counter::period`].
    pub period: String,
}

impl Counted {
    /// One conversion with this payout.
    pub fn count(&self) -> Count {
        Count { conversions: 1, payout_micros: self.payout_micros }
    }

    /// The counters that have a conversion of this offer and affiliate.
    pub fn counters(&self, offer_id: OfferId, affiliate: AffiliateId) -> impl Iterator<Item = Counter> {
        self.places.iter().map(move |place| Counter {
            offer_id,
            affiliate_id: place.per_affiliate.then_some(affiliate),
            goal: place.goal.clone(),
            period: place.period.clone(),
        })
    }
}

impl From<Counter> for Place {
    fn from(counter: Counter) -> Self {
        Self { per_affiliate: counter.affiliate_id.is_some(), goal: counter.goal, period: counter.period }
    }
}

impl Count {
    /// The sum.
    pub fn plus(self, other: Self) -> Self {
        Self {
            conversions: self.conversions + other.conversions,
            payout_micros: self.payout_micros.saturating_add(other.payout_micros),
        }
    }

    /// The difference.
    pub fn minus(self, other: Self) -> Self {
        Self {
            conversions: self.conversions - other.conversions,
            payout_micros: self.payout_micros.saturating_sub(other.payout_micros),
        }
    }
}

impl Caps {
    /// The limits per affiliate that apply to this affiliate.
    pub fn of_affiliate(&self, id: AffiliateId) -> impl Iterator<Item = &Cap> {
        let own = move |cap: &&Cap| match cap.affiliate_id {
            Some(named) => named == id,
            None => !self.limits.iter().any(|it| it.affiliate_id == Some(id) && it.counts_as(cap)),
        };
        self.limits.iter().filter(|cap| cap.per == CapScope::Affiliate).filter(own)
    }

    /// The limits that apply to a conversion of this affiliate with this goal, each with its counter at the time `at`.
    /// The limits of the whole offer come first.
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
        limits.filter(move |cap| cap.goal.is_none() || is_same_goal(cap.goal.as_deref(), goal)).map(move |cap| {
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
    /// Whether both limits count the same goal in the same period.
    fn counts_as(&self, other: &Self) -> bool {
        (self.period, &self.goal) == (other.period, &other.goal)
    }

    /// Whether both limits apply to the same conversions.
    pub(crate) fn is_same_limit(&self, other: &Self) -> bool {
        self.counts_as(other) && (self.per, self.affiliate_id) == (other.per, other.affiliate_id)
    }

    /// Whether it limits the payout, so that payouts in other currencies need an exchange rate.
    pub fn limits_payout(&self) -> bool {
        self.payout.is_some()
    }

    /// Whether `more` micros fit into the limit of the payout if `taken` is counted already.
    pub fn admits_payout(&self, taken: Count, more: i64) -> bool {
        self.payout.is_none_or(|most| taken.payout_micros.saturating_add(more) <= most.micros())
    }

    /// Whether `more` fits into the limit if `taken` is counted already.
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
        // The limits of the offer come first.
        assert_eq!(counters[0].period, "day:2026-04-01");
        assert_eq!((counters[1].period.as_str(), counters[1].affiliate_id), ("total", None));
        assert_eq!((counters[2].period.as_str(), counters[2].affiliate_id), ("month:2026-04", Some(affiliate)));
    }

    #[test]
    fn a_day_begins_at_midnight_local_time() {
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
    fn an_affiliates_own_limit_replaces_the_general_one() {
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
        assert_eq!(keys.len(), 4, "each limit has its own counter");
    }

    #[test]
    fn a_cap_of_payout_and_conversions_checks_both() {
        let cap = Cap {
            per: CapScope::Offer,
            affiliate_id: None,
            goal: None,
            period: Period::Total,
            conversions: Some(3),
            payout: Some("10".parse().unwrap()),
        };
        let count = |conversions, micros| Count { conversions, payout_micros: micros };
        let more = count(1, 4_000_000);
        assert!(cap.admits(count(2, 6_000_000), more));
        assert!(!cap.admits(count(3, 0), more));
        assert!(!cap.admits(count(0, 6_000_001), more));
    }
}
