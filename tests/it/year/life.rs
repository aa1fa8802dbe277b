//! The events of the year: visits and sales, drawn by a seed.

use std::collections::BTreeSet;
use std::time::Duration;

use postrider_tests::app::TestApp;
use postrider_tests::client::text;
use rand::rngs::StdRng;
use rand::seq::IndexedRandom;
use rand::{Rng, SeedableRng};
use serde_json::{Value, json};

use super::calendar::{DAY_MS, millis};
use super::payments::{self, Payments};
use super::program::{Program, Rate, amount, price, put};
use super::sales::{Caps, NewSale, Sale};
use super::visits::Click;

/// Agreed commissions: start, shares in percent, and whether the sub-affiliates pay them.
pub type Tiers = (i64, Vec<&'static str>, bool);

pub struct Year {
    pub t: TestApp,
    seed: u64,
    pub random: StdRng,
    pub program: Program,
    pub clicks: Vec<Click>,
    pub impressions: usize,
    pub sales: Vec<Sale>,
    pub caps: Caps,
    pub payments: Payments,
    pub tiers: Vec<Tiers>,
    /// Changes of an offer's hold: offer, start, days.
    pub holds: Vec<(usize, i64, i64)>,
    /// Checkpoints: moments after which nothing happens for a long time.
    pub rests: Vec<i64>,
    touched: BTreeSet<usize>,
    transactions: u32,
}

impl Year {
    pub async fn begin(t: TestApp, seed: u64) -> Year {
        let program = Program::begin(&t).await;
        let holds = program.offers.iter().enumerate().map(|(number, offer)| (number, 0, offer.hold_days)).collect();
        let mut year = Year {
            t,
            seed,
            random: StdRng::seed_from_u64(seed),
            program,
            clicks: Vec::new(),
            impressions: 0,
            sales: Vec::new(),
            caps: Caps::default(),
            payments: Payments::default(),
            tiers: Vec::new(),
            holds,
            rests: Vec::new(),
            touched: BTreeSet::new(),
            transactions: 0,
        };
        year.agree_on_tiers(&["10", "5"], false).await;
        payments::set_rates(&year.t).await;
        year
    }

    /// Checks that the year has such a case. The year of every run has it; a year of another seed may lack rare cases.
    pub fn expect(&self, there: bool, what: &str) {
        assert!(there || self.seed != super::SEED, "the year has {what}");
        if !there {
            println!("This year has no {what}");
        }
    }

    pub fn now(&self) -> i64 {
        self.t.clock.now().millis()
    }

    async fn agree_on_tiers(&mut self, tiers: &[&'static str], by_sub_affiliate: bool) {
        let paid_from = if by_sub_affiliate { "sub_affiliate" } else { "program" };
        put(&self.t, "/api/v1/settings/sub-affiliates", &json!({"tiers": tiers, "paid_from": paid_from})).await;
        self.tiers.push((self.now(), tiers.to_vec(), by_sub_affiliate));
    }

    /// Halfway through, the terms for later conversions change.
    pub async fn change_terms(&mut self) {
        self.t.tick();
        self.agree_on_tiers(&["7.5", "2.525252", "1"], true).await;
        self.program.offers[0].payout = Rate::Fixed("13.01");
        let path = format!("/api/v1/offers/{}", self.program.offers[0].id);
        self.t.admin.patch(&path, &json!({"payout": {"fixed": "13.01"}})).await.expect(200);
        let path = format!("/api/v1/offers/{}", self.program.offers[1].id);
        self.t.admin.patch(&path, &json!({"hold_days": 14})).await.expect(200);
        self.holds.push((1, self.now(), 14));
    }

    /// Advances to a moment, and performs the actions of some hours.
    pub async fn live_at(&mut self, at: i64) {
        let span = at - self.now();
        assert!(span > 0, "time runs forward");
        self.t.advance(Duration::from_millis(span as u64));
        self.t.deliver_all().await;
        self.touched.clear();
        for _ in 0..self.random.random_range(1..3) {
            self.visits().await;
        }
        for _ in 0..self.random.random_range(2..6) {
            self.t.tick();
            self.sell().await;
        }
        self.t.tick();
        self.sell_many().await;
        for _ in 0..self.random.random_range(2..8) {
            self.t.tick();
            self.change().await;
        }
        if self.random.random_bool(0.4) {
            self.t.tick();
            self.report_oneself().await;
        }
        let (t, random, program) = (&self.t, &mut self.random, &self.program);
        self.payments.step(t, random, program).await;
        self.t.deliver_all().await;
        self.rests.push(self.now());
    }

    /// A sale that an advertiser is about to send.
    fn new_sale(&mut self, capped_too: bool) -> NewSale {
        self.transactions += 1;
        let mut body = json!({"transaction_id": format!("order-{}", self.transactions)});
        let recent = self.clicks.len().saturating_sub(300);
        let click = loop {
            let click = self.clicks[recent..].choose(&mut self.random).expect("somebody clicked").clone();
            if capped_too || self.program.offers[click.offer].cap.is_none() {
                break click;
            }
        };
        let (mut affiliate, mut offer, mut click_at) = (click.affiliate, click.offer, Some(click.at));
        match self.random.random_range(0..10) {
            0 => {
                let (coupon, of, what, _) = self.program.coupons.choose(&mut self.random).expect("coupons").clone();
                if capped_too || self.program.offers[what].cap.is_none() {
                    body["coupon"] = json!(coupon.to_lowercase());
                    (affiliate, offer, click_at) = (of, what, None);
                }
            }
            1 => {
                affiliate = self.random.random_range(0..self.program.affiliates.len());
                body["referral_code"] = json!(self.program.affiliates[affiliate].referral_code);
                (offer, click_at) = (0, None);
            }
            _ => {}
        }
        if click_at.is_some() {
            body["click_id"] = json!(click.id);
        }
        let terms = &self.program.offers[offer];
        let goals: Vec<_> = terms.goals.iter().map(|goal| goal.0).chain(["other"]).collect();
        let goal = self.random.random_bool(0.4).then(|| goals[self.random.random_range(0..goals.len())]);
        let is_percent = matches!(terms.agreed(affiliate, goal), Rate::Percent(_));
        let foreign = offer == 1 && is_percent && self.random.random_bool(0.1);
        let currency = if foreign { "GBP" } else { terms.currency };
        let sale = (price(currency, &mut self.random), currency.to_owned());
        let status =
            ["pending", "pending", "approved", "approved", "approved", "rejected"][self.random.random_range(0..6)];
        let payout = self.random.random_bool(0.1).then(|| price(currency, &mut self.random) / 3);
        let revenue = self.random.random_bool(0.2).then(|| price(currency, &mut self.random));
        let own_purchase = self.random.random_bool(0.04);
        for (name, value) in [
            ("goal", goal.map(|goal| json!(goal))),
            ("payout", payout.map(amount)),
            ("revenue", revenue.map(amount)),
            ("reason", (status == "rejected").then(|| json!("fraud"))),
            ("customer_name", Some(json!("=Grace, \"Hopper\""))),
        ] {
            if let Some(value) = value {
                body[name] = value;
            }
        }
        body["status"] = json!(status);
        body["amount"] = amount(sale.0);
        body["currency"] = json!(currency);
        NewSale { offer, affiliate, goal, sale, payout, revenue, status, click_at, own_purchase, body }
    }

    async fn sell(&mut self) {
        let mut new = self.new_sale(true);
        if new.own_purchase {
            // The affiliate's own address, written slightly differently.
            let path = format!("/api/v1/affiliates/{}", self.program.affiliates[new.affiliate].id);
            let email = text(&self.t.admin.get(&path).await.expect(200), "email");
            new.body["customer_email"] = json!(email.to_uppercase());
        }
        let body = new.body.clone();
        // Every fifth sale is tried out first, with the same transaction id. No figure of the year may show it.
        if self.transactions.is_multiple_of(5) {
            let mut tried = body.clone();
            tried["test"] = json!(true);
            let tried = self.t.admin.post("/api/v1/conversions", &tried).await.expect(201);
            assert_eq!(tried["test"], true, "{tried:#}");
        }
        let now = self.now();
        let mut sale = Sale::expected(&self.program, &mut self.caps, new, now);
        let answer = self.t.admin.post("/api/v1/conversions", &body).await.expect(201);
        sale.check(&self.program, &answer);
        sale.id = text(&answer, "id");
        self.touched.insert(self.sales.len());
        self.sales.push(sale);
    }

    /// Several in one request.
    async fn sell_many(&mut self) {
        let mut bodies = Vec::new();
        let mut sales = Vec::new();
        for _ in 0..self.random.random_range(1..5) {
            let mut new = self.new_sale(false);
            new.own_purchase = false;
            bodies.push(new.body.clone());
            let now = self.now();
            sales.push(Sale::expected(&self.program, &mut self.caps, new, now));
        }
        let answer = self.t.admin.post("/api/v1/conversions", &Value::Array(bodies)).await.expect(200);
        for (mut sale, item) in sales.into_iter().zip(answer["items"].as_array().expect("items")) {
            assert_eq!(item["http_status"], 201, "{item:#}");
            sale.check(&self.program, &item["conversion"]);
            sale.id = text(&item["conversion"], "id");
            self.touched.insert(self.sales.len());
            self.sales.push(sale);
        }
    }

    /// Decides or corrects some earlier sales, each at most once per stop.
    async fn change(&mut self) {
        let recent = self.sales.len().saturating_sub(200);
        let number = self.random.random_range(recent..self.sales.len());
        if !self.touched.insert(number) {
            return;
        }
        let mut sale = self.sales[number].clone();
        let path = format!("/api/v1/conversions/{}", sale.id);
        match self.random.random_range(0..10) {
            0..4 => {
                let answer = self.t.admin.post(&format!("{path}/approve"), &json!({})).await;
                sale.approve(&self.program, &mut self.caps);
                sale.check(&self.program, &answer.expect(200));
            }
            4..7 => {
                let answer = self.t.admin.post(&format!("{path}/reject"), &json!({"reason": "chargeback"})).await;
                if sale.status != "rejected" {
                    sale.reject(&self.program, &mut self.caps, "chargeback");
                    sale.check(&self.program, &answer.expect(200));
                } else if sale.reason.as_deref() != Some("chargeback") {
                    answer.expect_problem(409, "conversion_already_rejected");
                }
            }
            _ => self.correct(&mut sale).await,
        }
        self.sales[number] = sale;
    }

    async fn correct(&mut self, sale: &mut Sale) {
        let mut body = sale.body.clone();
        for name in ["status", "reason", "payout", "revenue"] {
            body.as_object_mut().expect("an object").remove(name);
        }
        let currency = match sale.sale.1.as_str() {
            "USD" if !sale.named && sale.offer == 1 && self.random.random_bool(0.1) => "GBP".to_owned(),
            same => same.to_owned(),
        };
        let new = (price(&currency, &mut self.random), currency.clone());
        let payout = (sale.named || self.random.random_bool(0.1)).then(|| price(&currency, &mut self.random) / 4);
        let payout = payout.filter(|_| self.random.random_bool(0.8));
        (body["amount"], body["currency"]) = (amount(new.0), json!(currency));
        if let Some(payout) = payout {
            body["payout"] = amount(payout);
        }
        sale.corrected(&self.program, &mut self.caps, new, payout);
        sale.check(&self.program, &self.t.admin.post("/api/v1/conversions", &body).await.expect(200));
        // The same data again changes nothing.
        if self.random.random_bool(0.3) {
            sale.check(&self.program, &self.t.admin.post("/api/v1/conversions", &body).await.expect(200));
        }
    }

    /// An affiliate's own network sends to the affiliate's own source: the program owes nothing for it.
    async fn report_oneself(&mut self) {
        let recent = self.clicks.len().saturating_sub(100);
        let click = self.clicks[recent..].choose(&mut self.random).expect("somebody clicked").clone();
        let path = &self.program.own_sources[click.affiliate];
        let cents = self.random.random_range(1..900);
        let path = format!("{path}?sessionId={}&amount={}.{:02}", click.id, cents / 100, cents % 100);
        let answer = self.t.anonymous().get(&path).await;
        assert_eq!(answer.status, 200, "{}", answer.text);
    }

    /// The stops of the year: every few days, and at clock changes.
    pub fn moments(&mut self) -> Vec<i64> {
        let mut moments = BTreeSet::new();
        let end = self.now() + 364 * DAY_MS;
        let mut at = self.now() + 3_600_000;
        while at < end {
            moments.insert(at);
            at += self.random.random_range(DAY_MS / 4..DAY_MS * 5);
        }
        for at in [
            "2026-03-29T00:59:59.900Z",
            "2026-03-29T01:30:00Z",
            "2026-04-30T22:00:00Z",
            "2026-10-25T00:20:00Z",
            "2026-10-25T01:20:00Z",
            "2026-11-01T05:30:00Z",
            "2026-11-01T06:30:00Z",
            "2026-12-31T23:59:59.950Z",
        ] {
            moments.insert(millis(at));
        }
        moments.into_iter().collect()
    }
}
