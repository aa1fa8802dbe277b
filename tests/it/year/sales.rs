//! Sales from the advertisers' point of view, and their expected results by the program's rules. Every answer is compared.

use std::collections::BTreeMap;

use postrider_tests::client::text;
use serde_json::{Value, json};

use super::amounts::{micros, micros_of};
use super::calendar::{DAY_MS, MINUTE_MS, day_label};
use super::program::{Money, Program, Rate};

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
    ruling: Option<&'static str>,
    pub revision: i64,
    /// When it was recorded: the period of its caps.
    recorded_at: i64,
    /// The payout that the cap counts.
    counted: Option<i128>,
    /// Rejected or held, so that the cap does not count it yet.
    uncounted: bool,
    /// The cap has no room for its corrected payout.
    over_cap: bool,
    /// By what the payout follows the sale; `None` if a report stated it.
    payout_terms: Option<Rate>,
    /// By what the revenue follows the sale.
    revenue_terms: Option<Rate>,
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
    pub fn take(&mut self, program: &Program, sale: &mut Sale) -> bool {
        let Some(cap) = program.offers[sale.offer].cap.filter(|_| sale.status != "rejected") else { return true };
        let used = self.used(program, sale).expect("the offer has a cap");
        let more = (used.0 + 1, used.1 + sale.payout.0);
        let fits =
            cap.conversions.is_none_or(|most| more.0 <= most) && cap.payout.is_none_or(|most| more.1 <= micros(most));
        if fits {
            *used = more;
            sale.counted = Some(sale.payout.0);
        }
        fits
    }

    /// Counts one more, whether it fits or not.
    pub fn count(&mut self, program: &Program, sale: &mut Sale) {
        if let Some(used) = self.used(program, sale) {
            *used = (used.0 + 1, used.1 + sale.payout.0);
            sale.counted = Some(sale.payout.0);
        }
    }

    /// A rejected one gives its place back.
    pub fn give_back(&mut self, program: &Program, sale: &mut Sale) {
        let Some(payout) = sale.counted.take() else { return };
        let used = self.used(program, sale).expect("it was counted");
        *used = (used.0 - 1, used.1 - payout);
        sale.uncounted = true;
    }

    /// Whether this payout fits instead of the one that is counted; then it is counted.
    fn correct(&mut self, program: &Program, sale: &mut Sale, payout: i128) -> bool {
        let Some(counted) = sale.counted else { return true };
        let most = program.offers[sale.offer].cap.and_then(|cap| cap.payout).map(micros);
        let used = self.used(program, sale).expect("it is counted");
        let fits = payout <= counted || most.is_none_or(|most| used.1 + payout - counted <= most);
        if fits {
            used.1 += payout - counted;
            sale.counted = Some(payout);
        }
        fits
    }

    /// The used part of the cap of this sale.
    fn used(&mut self, program: &Program, sale: &Sale) -> Option<&mut Used> {
        let offer = &program.offers[sale.offer];
        let cap = offer.cap?;
        assert_eq!(sale.payout.1, offer.currency, "offers with caps have sales in one currency");
        let day = day_label((sale.recorded_at + cap.zone * MINUTE_MS).div_euclid(DAY_MS));
        let period = if cap.period == "month" { day[..7].to_owned() } else { day };
        let who = (cap.per == "affiliate").then_some(sale.affiliate);
        Some(self.0.entry((sale.offer, who, period)).or_default())
    }
}

impl Sale {
    /// The expected result of a new one.
    pub fn expected(program: &Program, caps: &mut Caps, new: NewSale, at: i64) -> Sale {
        let offer = &program.offers[new.offer];
        let NewSale { goal, sale, .. } = new;
        let named = new.payout.is_some();
        let payout_terms = new.payout.is_none().then(|| offer.agreed(new.affiliate, goal));
        let payout = match (new.payout, payout_terms) {
            (None, Some(rate)) => rate.of(offer.currency, &sale),
            (payout, _) => (payout.unwrap_or_default(), sale.1.clone()),
        };
        let revenue_terms = offer.revenue_for(goal).filter(|_| new.revenue.is_none());
        let revenue = match new.revenue {
            Some(revenue) => Some((revenue, sale.1.clone())),
            None => revenue_terms.map(|rate| rate.of(offer.currency, &sale)),
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
            recorded_at: at,
            counted: None,
            uncounted: false,
            over_cap: false,
            payout_terms,
            revenue_terms,
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
        it.uncounted = it.status == "rejected";
        if !caps.take(program, &mut it) {
            let over = offer.cap.expect("it has one").over;
            it.uncounted = over != "unpaid";
            match over {
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
        if std::mem::take(&mut self.uncounted) {
            caps.count(program, self);
        }
    }

    /// The expected result of a rejection.
    pub fn reject(&mut self, program: &Program, caps: &mut Caps, reason: &str) {
        (self.status, self.reason) = ("rejected", Some(reason.to_owned()));
        self.revision += 1;
        caps.give_back(program, self);
    }

    /// The expected result after a correction of its amounts: payout and revenue follow by the terms with which it was
    /// recorded, and a cap may have no room for a higher payout.
    pub fn corrected(&mut self, program: &Program, caps: &mut Caps, sale: Money, payout: Option<i128>) {
        let offer = &program.offers[self.offer];
        let before = (self.sale.clone(), self.payout.clone(), self.revenue.clone());
        let unpaid = self.ruling == Some("over_cap") && self.payout.0 == 0;
        let is_same = sale == self.sale && !self.over_cap;
        let follow = |terms: Option<Rate>, known: &Money| match terms {
            Some(rate @ Rate::Percent(_)) if !is_same => rate.of(offer.currency, &sale),
            _ => known.clone(),
        };
        let followed = follow(self.payout_terms, &self.payout);
        let wanted = match payout {
            _ if unpaid => self.payout.clone(),
            Some(payout) => (payout, sale.1.clone()),
            None => followed.clone(),
        };
        let new_revenue = self.revenue.as_ref().map(|known| follow(self.revenue_terms, known));
        self.over_cap = !caps.correct(program, self, wanted.0);
        let new_payout = if self.over_cap { self.payout.clone() } else { wanted };
        if payout.is_some() && !unpaid && !self.over_cap && new_payout != followed {
            self.payout_terms = None;
        }
        (self.sale, self.payout, self.revenue) = (sale, new_payout, new_revenue);
        self.named |= payout.is_some();
        if before != (self.sale.clone(), self.payout.clone(), self.revenue.clone()) {
            self.revision += 1;
        }
    }

    /// The latest rule that changed it.
    pub fn shown_ruling(&self) -> Option<&'static str> {
        if self.over_cap { Some("correction_over_cap") } else { self.ruling }
    }

    /// Checks that an answer agrees.
    pub fn check(&self, program: &Program, answer: &Value) {
        let money = |field: &str| {
            let money = &answer[field];
            money.is_object().then(|| (micros_of(&money["amount"]), text(money, "currency")))
        };
        assert_eq!(answer["status"], self.status, "{self:?}: {answer:#}");
        assert_eq!(answer["rejection_reason"], json!(self.reason), "{self:?}: {answer:#}");
        assert_eq!(answer["attribution"]["ruling"], json!(self.shown_ruling()), "{self:?}: {answer:#}");
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
