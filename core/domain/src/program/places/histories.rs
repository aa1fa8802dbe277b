//! Random histories of one offer whose terms change: reports, corrections, and decisions of persons. After each step the
//! counters equal the sum of the places of all conversions, no report has taken a counter beyond its limit, and each
//! payout is that of the terms with which its conversion was recorded.

use std::sync::Arc;

use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

use super::*;
use crate::amounts::{Amount, Percent};
use crate::ids::{AffiliateId, ConversionId};
use crate::program::affiliate::{Affiliate, AffiliateStatus};
use crate::program::cap::{CapScope, Caps, OverCap, Period};
use crate::program::offer::{Payout, Terms};
use crate::program::payout_override::PayoutOverrides;
use crate::timestamp::Timestamp;
use crate::tracking::attribution::Evidence;
use crate::tracking::conversion::{Applied, Buyer};
use crate::tracking::conversion_report::{Claims, Report};
use crate::tracking::evidence::Choice;
use crate::tracking::samples::{AT, offer};
use crate::tracking::transaction::attributed::Attributed;

const DAY: i64 = 86_400_000;
const AFFILIATES: usize = 2;
/// In micros: a cap of 100.00.
const PAYOUT_MAX: i64 = 100_000_000;

/// What a conversion should pay, as a person would note it: how it was agreed, and by which report it was stated.
#[derive(Clone, Copy, Debug)]
enum Promise {
    Fixed(Money),
    Percent(Percent),
    Stated(Money),
}

struct World {
    random: StdRng,
    now: i64,
    offer: Offer,
    affiliates: Vec<Arc<Affiliate>>,
    places: Places,
    conversions: Vec<Conversion>,
    promises: HashMap<ConversionId, Promise>,
}

fn money(text: &str, currency: &str) -> Money {
    text.parse::<Amount>().unwrap().of(currency.parse().unwrap())
}

fn affiliate() -> Arc<Affiliate> {
    Arc::new(Affiliate {
        id: AffiliateId::new(AT),
        name: "Ann".into(),
        email: "ann@example.com".into(),
        referral_code: "AF1".into(),
        status: AffiliateStatus::Active,
        parent_affiliate_id: None,
        parent_since: None,
        created_at: AT,
        updated_at: AT,
        former_email: None,
        email_changed_at: None,
        archived_at: None,
    })
}

impl World {
    fn new(seed: u64) -> Self {
        let mut random = StdRng::seed_from_u64(seed);
        let cap =
            |per, period, conversions, payout| Cap { per, affiliate_id: None, goal: None, period, conversions, payout };
        let most = Some(Amount::from_micros(PAYOUT_MAX).unwrap());
        let limits = vec![
            cap(CapScope::Offer, Period::Total, Some(12), most),
            cap(CapScope::Affiliate, Period::Day, Some(2), None),
            cap(CapScope::Affiliate, Period::Month, None, most),
        ];
        let over = [OverCap::Reject, OverCap::Hold, OverCap::Unpaid][random.random_range(0..3)];
        let caps = Caps { limits, over, keep_rejected: random.random_bool(0.3), ..Caps::default() };
        // Euros have a rate, pounds have none.
        let rate = (("EUR".parse().unwrap(), "USD".parse().unwrap()), "1.25".parse().unwrap());
        Self {
            random,
            now: AT.millis(),
            offer: offer(Terms { caps, ..Terms::default() }),
            affiliates: (0..AFFILIATES).map(|_| affiliate()).collect(),
            places: Places::new(BTreeMap::new(), Rates::from_iter([rate])),
            conversions: Vec::new(),
            promises: HashMap::new(),
        }
    }

    fn report(&mut self, transaction_id: String) -> Report {
        let random = &mut self.random;
        let mut amount = |chance| {
            let cents = random.random_range(0..=30_000_i64);
            random.random_bool(chance).then(|| Amount::from_micros(cents * 10_000).unwrap())
        };
        let (amount, payout) = (amount(0.7), amount(0.15));
        let status = match random.random_range(0..10) {
            0..=4 => Some(Status::Approved),
            5..=6 => Some(Status::Pending),
            7 => Some(Status::Rejected { reason: "fraud".into() }),
            _ => None,
        };
        let currency = ["USD", "USD", "EUR", "GBP"][random.random_range(0..4)];
        Report {
            claims: Claims { referral_code: Some("AF1".into()), ..Claims::default() },
            offer_id: None,
            transaction_id,
            goal: None,
            status,
            amount,
            currency: random.random_bool(0.5).then(|| currency.parse().unwrap()),
            payout_currency: None,
            revenue_currency: None,
            default_currency: None,
            may_reopen: random.random_bool(0.3),
            refund: None,
            payment: None,
            payout,
            revenue: None,
            buyer: Buyer::default(),
            reporter: None,
            test: None,
        }
    }

    fn attributed<'a>(&self, report: &'a Report, affiliate: Arc<Affiliate>) -> Attributed<'a> {
        let choice = Choice {
            evidence: Evidence::ReferralCode,
            affiliate_id: affiliate.id,
            link_id: None,
            click: None,
            deleted_click: None,
            offer: Arc::new(self.offer.clone()),
            considered: Vec::new(),
            refusal: None,
        };
        Attributed { report, choice, affiliate, payout_overrides: Arc::new(PayoutOverrides::default()) }
    }

    fn record(&mut self, at: Timestamp) {
        let report = self.report(format!("T{}", self.conversions.len()));
        let affiliate = self.affiliates[self.random.random_range(0..AFFILIATES)].clone();
        let Ok(mut conversion) = self.attributed(&report, affiliate).conversion(0, at) else { return };
        let promise = match (report.payout, self.offer.payout) {
            (Some(_), _) => conversion.payout.map(Promise::Stated),
            (None, Payout::Fixed(amount)) => Some(Promise::Fixed(amount.of(self.offer.currency))),
            (None, Payout::Percent(percent)) => Some(Promise::Percent(percent)),
        };
        self.places.admit(&self.offer, &mut conversion);
        self.promises.extend(promise.map(|promise| (conversion.id, promise)));
        self.conversions.push(conversion);
    }

    /// A further report of a known conversion, as the engine applies it.
    fn correct(&mut self, index: usize, at: Timestamp) {
        let report = self.report(self.conversions[index].transaction_id.clone());
        let of = self.affiliates[0].clone();
        let attributed = self.attributed(&report, of);
        let known = &mut self.conversions[index];
        let Ok(mut corrected) = attributed.corrected(known) else { return };
        let status = corrected.status(report.status.as_ref(), known);
        let wanted = corrected.amounts.figures.payout;
        let has_room = self.places.admits_payout(&self.offer, known, wanted);
        let stated = report.payout.filter(|_| wanted != known.payout);
        if !has_room {
            corrected.keep_payout_of(known);
        }
        let may_reopen = report.may_reopen && self.places.has_place(&self.offer, known, wanted);
        let before = (known.payout, known.trace.counted.is_some());
        let (figures, keeps_amounts) = (corrected.amounts.figures, corrected.keeps_amounts);
        let Ok(applied) = known.apply_report((&status, may_reopen), corrected.amounts, at) else { return };
        if applied != Applied::Already {
            self.places.follow_status(&self.offer, known);
        }
        if known.figures() == figures && !keeps_amounts {
            self.places.follow_payout(&self.offer, known, before, has_room);
            if let (Some(_), Some(payout), true) = (stated, known.payout, has_room) {
                self.promises.insert(known.id, Promise::Stated(payout));
            }
        }
    }

    fn decide(&mut self, index: usize, at: Timestamp) {
        let wanted = match self.random.random_bool(0.5) {
            true => Status::Approved,
            false => Status::Rejected { reason: "fraud".into() },
        };
        let known = &mut self.conversions[index];
        if known.decide(&wanted, None, at).is_ok_and(|applied| applied != Applied::Already) {
            self.places.follow_status(&self.offer, known);
        }
    }

    fn step(&mut self) {
        self.now += self.random.random_range(0..DAY / 2);
        let at = Timestamp::from_millis(self.now);
        let before = self.places.used.clone();
        let count = self.conversions.len();
        match self.random.random_range(0..12) {
            0..=3 => self.record(at),
            4..=8 if count > 0 => {
                let index = self.random.random_range(0..count);
                self.correct(index, at);
            }
            9..=10 if count > 0 => {
                let index = self.random.random_range(0..count);
                self.decide(index, at);
                return self.compare();
            }
            _ => {
                self.offer.payout = match self.random.random_range(0..3) {
                    0 => Payout::Fixed("10".parse().unwrap()),
                    1 => Payout::Fixed("17.50".parse().unwrap()),
                    _ => Payout::Percent(self.random.random_range(1..20).to_string().parse().unwrap()),
                };
            }
        }
        self.assert_no_report_goes_beyond_a_limit(&before);
        self.compare();
    }

    fn assert_no_report_goes_beyond_a_limit(&self, before: &BTreeMap<Counter, Count>) {
        for (counter, count) in &self.places.used {
            let before = before.get(counter).copied().unwrap_or_default();
            let (conversions, payout) = match (counter.affiliate_id, counter.period.as_str()) {
                (None, _) => (12, PAYOUT_MAX),
                (Some(_), day) if day.starts_with("day:") => (2, i64::MAX),
                _ => (i64::MAX, PAYOUT_MAX),
            };
            assert!(count.conversions <= conversions.max(before.conversions), "{counter:?}: {before:?} to {count:?}");
            assert!(count.payout_micros <= payout.max(before.payout_micros), "{counter:?}: {before:?} to {count:?}");
        }
    }

    fn compare(&self) {
        let mut sums = BTreeMap::<Counter, Count>::new();
        for it in &self.conversions {
            for counter in it.trace.counted.iter().flat_map(|counted| counted.counters(self.offer.id, it.affiliate_id))
            {
                let sum = sums.entry(counter).or_default();
                *sum = sum.plus(it.trace.counted.as_ref().unwrap().count());
            }
            self.check_place(it);
            self.check_payout(it);
        }
        let mut used = self.places.used.clone();
        used.retain(|_, count| *count != Count::default());
        sums.retain(|_, count| *count != Count::default());
        assert_eq!(used, sums, "the counters have the places of all conversions");
    }

    /// What pays has a place, and what was rejected has one only if the offer lets it keep its place.
    fn check_place(&self, it: &Conversion) {
        let has_place = it.trace.counted.is_some();
        match it.status {
            Status::Approved => assert!(has_place || it.is_unpaid(), "{it:?}"),
            Status::Rejected { .. } => assert!(!has_place || self.offer.terms.caps.keep_rejected, "{it:?}"),
            Status::Pending => {}
        }
        let in_dollars = it.payout.and_then(|payout| match payout.currency.code() {
            "USD" => Some(payout.micros),
            "EUR" => Some(payout.micros * 5 / 4),
            _ => None,
        });
        if let (Some(micros), Some(counted)) = (in_dollars, &it.trace.counted) {
            assert_eq!(counted.payout_micros, micros, "{it:?}");
        }
    }

    fn check_payout(&self, it: &Conversion) {
        if it.is_unpaid() || it.trace.correction_over_cap {
            return;
        }
        let promised = self.promises.get(&it.id).and_then(|promise| match (promise, it.sale) {
            (Promise::Fixed(money) | Promise::Stated(money), _) => Some(*money),
            (Promise::Percent(percent), Some(sale)) => Some(percent.payout_of(sale)),
            (Promise::Percent(_), None) => None,
        });
        assert_eq!(it.payout, promised, "{:?} of {it:?}", self.promises.get(&it.id));
    }
}

#[test]
fn counters_and_payouts_equal_a_naive_model_after_every_step() {
    for seed in 0..500 {
        let mut world = World::new(seed);
        for _ in 0..60 {
            world.step();
        }
    }
}

#[test]
fn a_correction_needs_room_for_what_it_adds() {
    let mut world = World::new(1);
    let known =
        |text| Conversion { payout: Some(money(text, "USD")), ..crate::tracking::conversion::samples::conversion() };
    let mut conversion = Conversion { offer_id: world.offer.id, ..known("90") };
    world.places.admit(&world.offer, &mut conversion);
    for (payout, is_admitted) in [("89", true), ("100", true), ("100.01", false)] {
        let payout = Some(money(payout, "USD"));
        assert_eq!(world.places.admits_payout(&world.offer, &conversion, payout), is_admitted, "{payout:?}");
    }
    let other = |text, currency| world.places.admits_payout(&world.offer, &conversion, Some(money(text, currency)));
    assert_eq!((other("80", "EUR"), other("80.01", "EUR"), other("1", "GBP")), (true, false, false));
}
