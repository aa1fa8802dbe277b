//! Sales from the advertisers' point of view, and their expected results by the program's rules. Every answer is compared.

use std::collections::BTreeMap;

use postrider_tests::client::text;
use serde_json::{Value, json};

use super::amounts::{micros, micros_of, scaled, unit_of_share};
use super::calendar::{DAY_MS, MINUTE_MS, day_label};
use super::program::{Money, Offer, Program, Rate};

/// One sale.
#[derive(Clone, Debug)]
pub struct Sale {
    pub id: String,
    pub offer: usize,
    pub affiliate: usize,
    pub goal: Option<&'static str>,
    pub sale: Money,
    pub payout: Money,
    pub revenue: Option<Money>,
    pub status: &'static str,
    pub reason: Option<String>,
    pub ruling: Option<&'static str>,
    pub revision: i64,
    /// When it was recorded as rejected, so that no cap counts it yet.
    pub uncounted: Option<i64>,
    /// The advertiser set its payout.
    pub named: bool,
    pub body: Value,
}

/// The used part of the program's caps, calculated independently.
#[derive(Default)]
pub struct Caps(BTreeMap<(usize, Option<usize>, String), Used>);

/// Conversions and payout.
type Used = (i64, i128);

impl Caps {
    /// Whether one more fits; then it is counted.
    pub fn take(&mut self, program: &Program, sale: &Sale, at: i64) -> bool {
        let offer = &program.offers[sale.offer];
        let Some(cap) = offer.cap.filter(|_| sale.status != "rejected") else { return true };
        let (taken, more) = self.with(program, sale, at).expect("the offer has a cap");
        let fits =
            cap.conversions.is_none_or(|most| more.0 <= most) && cap.payout.is_none_or(|most| more.1 <= micros(most));
        if fits {
            *taken = more;
        }
        fits
    }

    /// Counts one more, whether it fits or not.
    pub fn count(&mut self, program: &Program, sale: &Sale, at: i64) {
        if let Some((taken, more)) = self.with(program, sale, at) {
            *taken = more;
        }
    }

    /// The used part of the cap of this sale, and the used part with it.
    fn with(&mut self, program: &Program, sale: &Sale, at: i64) -> Option<(&mut Used, Used)> {
        let offer = &program.offers[sale.offer];
        let cap = offer.cap?;
        let day = day_label((at + cap.zone * MINUTE_MS).div_euclid(DAY_MS));
        let period = if cap.period == "month" { day[..7].to_owned() } else { day };
        let who = (cap.per == "affiliate").then_some(sale.affiliate);
        let taken = self.0.entry((sale.offer, who, period)).or_default();
        let payout = if sale.payout.1 == offer.currency { sale.payout.0 } else { 0 };
        let more = (taken.0 + 1, taken.1 + payout);
        Some((taken, more))
    }
}

impl Sale {
    /// The expected result of a new one.
    pub fn expected(program: &Program, caps: &mut Caps, new: NewSale, at: i64) -> Sale {
        let offer = &program.offers[new.offer];
        let NewSale { goal, sale, .. } = new;
        let named = new.payout.is_some();
        let payout = match new.payout {
            Some(payout) => (payout, sale.1.clone()),
            None => offer.agreed(new.affiliate, goal).of(offer.currency, &sale),
        };
        let revenue = match new.revenue {
            Some(revenue) => Some((revenue, sale.1.clone())),
            None => offer.revenue_for(goal).map(|rate| rate.of(offer.currency, &sale)),
        };
        let reason = (new.status == "rejected").then(|| "fraud".to_owned());
        let mut it = Sale {
            id: String::new(),
            offer: new.offer,
            affiliate: new.affiliate,
            goal,
            sale,
            payout,
            revenue,
            status: new.status,
            reason,
            ruling: None,
            revision: 1,
            uncounted: None,
            named,
            body: new.body,
        };
        let outside = match (new.click_at, offer.window_days) {
            (Some(clicked), Some(days)) => at - clicked > days * DAY_MS,
            _ => false,
        };
        if it.status != "rejected" && outside {
            it.reject_by("outside_window", "outside the attribution window");
        } else if it.status != "rejected" && new.own_purchase {
            it.reject_by("self_referral", "self-referral");
        }
        it.uncounted = (it.status == "rejected").then_some(at);
        if !caps.take(program, &it, at) {
            match offer.cap.expect("it has one").over {
                "reject" => it.reject_by("over_cap", "over cap"),
                "hold" => it.status = "pending",
                _ => it.payout.0 = 0,
            }
            it.ruling = Some("over_cap");
        }
        it
    }

    fn reject_by(&mut self, ruling: &'static str, reason: &str) {
        (self.status, self.reason, self.ruling) = ("rejected", Some(reason.to_owned()), Some(ruling));
    }

    /// The expected result of an approval. It counts for a cap that did not count it, even if the cap is full.
    pub fn approve(&mut self, program: &Program, caps: &mut Caps) {
        self.revision += i64::from(self.status != "approved");
        (self.status, self.reason) = ("approved", None);
        if let Some(at) = self.uncounted.take() {
            caps.count(program, self, at);
        }
    }

    /// The expected result after a correction of its amounts.
    pub fn corrected(&mut self, offer: &Offer, sale: Money, payout: Option<i128>) {
        let before = (self.sale.clone(), self.payout.clone(), self.revenue.clone());
        let unpaid = self.ruling == Some("over_cap") && self.payout.0 == 0;
        let follow = |rate: Rate, known: &Money| match rate {
            Rate::Fixed(_) => known.clone(),
            Rate::Percent(_) if *known == rate.of(offer.currency, &self.sale) => rate.of(offer.currency, &sale),
            // A percentage stays the percentage that was agreed first.
            Rate::Percent(_) if known.1 == self.sale.1 => {
                let unit = unit_of_share(sale.0, &sale.1).min(unit_of_share(known.0, &known.1));
                (scaled(known.0, sale.0, self.sale.0, unit), sale.1.clone())
            }
            Rate::Percent(_) => known.clone(),
        };
        let new_payout = match payout {
            _ if unpaid => self.payout.clone(),
            Some(payout) => (payout, sale.1.clone()),
            None if sale == self.sale => self.payout.clone(),
            None => follow(offer.agreed(self.affiliate, self.goal), &self.payout),
        };
        let new_revenue = match (&self.revenue, offer.revenue_for(self.goal)) {
            (Some(known), Some(rate)) if sale != self.sale => Some(follow(rate, known)),
            (known, _) => known.clone(),
        };
        (self.sale, self.payout, self.revenue) = (sale, new_payout, new_revenue);
        self.named |= payout.is_some();
        if before != (self.sale.clone(), self.payout.clone(), self.revenue.clone()) {
            self.revision += 1;
        }
    }

    /// Checks that an answer agrees.
    pub fn check(&self, program: &Program, answer: &Value) {
        let money = |field: &str| {
            let money = &answer[field];
            money.is_object().then(|| (micros_of(&money["amount"]), text(money, "currency")))
        };
        assert_eq!(answer["status"], self.status, "{self:?}: {answer:#}");
        assert_eq!(answer["rejection_reason"], json!(self.reason), "{self:?}: {answer:#}");
        assert_eq!(answer["attribution"]["ruling"], json!(self.ruling), "{self:?}: {answer:#}");
        assert_eq!(money("payout"), Some(self.payout.clone()), "{self:?}: {answer:#}");
        assert_eq!(money("revenue"), self.revenue, "{self:?}: {answer:#}");
        assert_eq!((micros_of(&answer["amount"]), text(answer, "currency")), self.sale, "{self:?}: {answer:#}");
        assert_eq!(answer["revision"], self.revision, "{self:?}: {answer:#}");
        assert_eq!(answer["affiliate_id"], program.affiliates[self.affiliate].id, "{self:?}: {answer:#}");
        assert_eq!(answer["offer_id"], program.offers[self.offer].id, "{self:?}: {answer:#}");
        assert_eq!(answer["goal"], json!(self.goal), "{self:?}: {answer:#}");
    }
}

/// A sale about to be sent.
pub struct NewSale {
    pub offer: usize,
    pub affiliate: usize,
    pub goal: Option<&'static str>,
    pub sale: Money,
    pub payout: Option<i128>,
    pub revenue: Option<i128>,
    pub status: &'static str,
    /// The time of the click to which it is attributed.
    pub click_at: Option<i64>,
    pub own_purchase: bool,
    pub body: Value,
}
