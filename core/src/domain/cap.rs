//! Caps: how many conversions, or how much payout, an offer takes in a day, a month or in all.

use serde::{Deserialize, Serialize};

use crate::clock::Timestamp;
use crate::ids::{AffiliateId, OfferId};
use crate::money::{Amount, Currency, Money};

use super::zone::Zone;

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
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Cap {
    #[serde(default)]
    pub per: CapScope,
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

/// What is counted together: the conversions of one offer, or of one affiliate for it, in one period.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Counter {
    pub offer_id: OfferId,
    pub affiliate_id: Option<AffiliateId>,
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
    /// Each limit with what it counts a conversion of this affiliate at `at` in.
    pub fn counters(
        &self,
        offer_id: OfferId,
        affiliate_id: AffiliateId,
        at: Timestamp,
    ) -> impl Iterator<Item = (&Cap, Counter)> {
        let date = self.time_zone.from_utc(at).date();
        self.limits.iter().map(move |cap| {
            let affiliate_id = (cap.per == CapScope::Affiliate).then_some(affiliate_id);
            let period = match cap.period {
                Period::Day => date.format("day:%Y-%m-%d").to_string(),
                Period::Month => date.format("month:%Y-%m").to_string(),
                Period::Total => "total".to_owned(),
            };
            (cap, Counter { offer_id, affiliate_id, period })
        })
    }
}

impl Cap {
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
        let cap = |per, period| Cap { per, period, conversions: Some(1), payout: None };
        let caps = Caps {
            limits: vec![
                cap(CapScope::Offer, Period::Day),
                cap(CapScope::Affiliate, Period::Month),
                cap(CapScope::Offer, Period::Total),
            ],
            time_zone: "+02:00".parse().unwrap(),
            ..Caps::default()
        };
        let at = Timestamp::parse("2026-03-31T22:30:00Z").unwrap();
        let (offer, affiliate) = (OfferId::new(at), AffiliateId::new(at));
        let counters: Vec<_> = caps.counters(offer, affiliate, at).map(|(_, counter)| counter).collect();
        assert_eq!(counters[0].period, "day:2026-04-01");
        assert_eq!((counters[1].period.as_str(), counters[1].affiliate_id), ("month:2026-04", Some(affiliate)));
        assert_eq!((counters[2].period.as_str(), counters[2].affiliate_id), ("total", None));
    }

    #[test]
    fn a_cap_of_payout_and_conversions_holds_both() {
        let cap = Cap {
            per: CapScope::Offer,
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
