//! The program of the year: its offers, who promotes them, and the agreed payout of a sale.

use postrider_tests::app::{Affiliate, Link, TestApp};
use postrider_tests::client::text;
use reqwest::Method;
use serde_json::{Value, json};

use super::amounts::{micros, percent_payout, written};

/// Millionths, and their currency.
pub type Money = (i128, String);

#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Rate {
    Fixed(&'static str),
    Percent(&'static str),
}

impl Rate {
    pub fn of(self, offers: &str, sale: &Money) -> Money {
        match self {
            Rate::Fixed(amount) => (micros(amount), offers.to_owned()),
            Rate::Percent(percent) => (percent_payout(sale.0, micros(percent), &sale.1), sale.1.clone()),
        }
    }

    fn json(self) -> Value {
        match self {
            Rate::Fixed(amount) => json!({"fixed": amount}),
            Rate::Percent(percent) => json!({"percent": percent}),
        }
    }
}

#[derive(Clone, Copy)]
pub struct Cap {
    pub per: &'static str,
    pub period: &'static str,
    pub conversions: Option<i64>,
    pub payout: Option<&'static str>,
    pub over: &'static str,
    /// Minutes ahead of UTC.
    pub zone: i64,
}

#[derive(Clone)]
pub struct Offer {
    pub id: String,
    pub currency: &'static str,
    pub payout: Rate,
    pub revenue: Option<Rate>,
    /// Name, payout, revenue.
    pub goals: Vec<(&'static str, Option<Rate>, Option<Rate>)>,
    /// Affiliate, goal, payout.
    pub payout_overrides: Vec<(usize, Option<&'static str>, Rate)>,
    pub hold_days: i64,
    pub cap: Option<Cap>,
    pub window_days: Option<i64>,
}

impl Offer {
    fn new(currency: &'static str, payout: Rate, hold_days: i64) -> Offer {
        Offer {
            id: String::new(),
            currency,
            payout,
            revenue: None,
            goals: Vec::new(),
            payout_overrides: Vec::new(),
            hold_days,
            cap: None,
            window_days: None,
        }
    }

    /// The most specific payout: the override for the goal, the goal's, the affiliate's override, the offer's.
    pub fn agreed(&self, affiliate: usize, goal: Option<&str>) -> Rate {
        let payout_override = |wanted: Option<&str>| {
            self.payout_overrides.iter().find(|(who, goal, _)| (*who, *goal) == (affiliate, wanted)).map(|it| it.2)
        };
        let of_goal = || self.goals.iter().find(|it| Some(it.0) == goal)?.1;
        goal.and_then(|goal| payout_override(Some(goal)))
            .or_else(of_goal)
            .or_else(|| payout_override(None))
            .unwrap_or(self.payout)
    }

    pub fn revenue_for(&self, goal: Option<&str>) -> Option<Rate> {
        self.goals.iter().find(|it| Some(it.0) == goal).and_then(|it| it.2).or(self.revenue)
    }
}

pub struct Program {
    pub offers: Vec<Offer>,
    pub affiliates: Vec<Affiliate>,
    /// With the numbers of their affiliates and offers.
    pub links: Vec<(Link, usize, usize)>,
    /// Coupon, affiliate, offer, link.
    pub coupons: Vec<(String, usize, usize, usize)>,
    /// The sources of affiliates' own networks.
    pub own_sources: Vec<String>,
}

/// The parent affiliate of each sub-affiliate.
pub const SUB_AFFILIATES: [(usize, usize); 4] = [(1, 0), (2, 1), (4, 2), (3, 0)];

fn offers() -> Vec<Offer> {
    use Rate::{Fixed, Percent};
    let cap = Cap { per: "offer", period: "day", conversions: None, payout: None, over: "reject", zone: 60 };
    vec![
        Offer {
            revenue: Some(Fixed("20.00")),
            payout_overrides: vec![(1, None, Fixed("20.05"))],
            ..Offer::new("USD", Fixed("12.50"), 0)
        },
        Offer {
            revenue: Some(Percent("41.7")),
            goals: vec![("trial", Some(Fixed("2.00")), Some(Fixed("3.50"))), ("sale", None, None)],
            payout_overrides: vec![(2, Some("trial"), Fixed("3.333333")), (3, None, Percent("35"))],
            window_days: Some(30),
            ..Offer::new("USD", Percent("30"), 30)
        },
        Offer {
            revenue: Some(Fixed("9.99")),
            goals: vec![("lead", Some(Percent("12.345678")), None)],
            cap: Some(Cap { conversions: Some(2), ..cap }),
            ..Offer::new("EUR", Fixed("77.77"), 7)
        },
        Offer {
            cap: Some(Cap { per: "affiliate", period: "month", payout: Some("90.00"), over: "unpaid", ..cap }),
            ..Offer::new("EUR", Percent("33.333333"), 0)
        },
        Offer { revenue: Some(Percent("10")), ..Offer::new("JPY", Percent("7.77"), 7) },
        Offer {
            cap: Some(Cap { conversions: Some(1), over: "hold", zone: -210, ..cap }),
            ..Offer::new("KWD", Fixed("11.234"), 0)
        },
    ]
}

pub async fn put(t: &TestApp, path: &str, body: &Value) {
    t.admin.send(t.admin.request(Method::PUT, path).json(body)).await.expect(200);
}

impl Program {
    pub async fn begin(t: &TestApp) -> Program {
        let mut affiliates = Vec::new();
        for _ in 0..6 {
            t.tick();
            affiliates.push(t.affiliate().await);
        }
        for (sub, parent) in SUB_AFFILIATES {
            let path = format!("/api/v1/affiliates/{}", affiliates[sub].id);
            t.admin.patch(&path, &json!({"parent_affiliate": affiliates[parent].id})).await.expect(200);
        }
        let mut offers = offers();
        for (number, offer) in offers.iter_mut().enumerate() {
            t.tick();
            create(t, offer, number == 0, &affiliates).await;
        }
        let (mut links, mut coupons) = (Vec::new(), Vec::new());
        for (number, affiliate) in affiliates.iter().enumerate() {
            for (of, offer) in offers.iter().enumerate() {
                // Not every affiliate promotes every offer.
                if (number + of) % 3 == 2 {
                    continue;
                }
                let coupon = format!("YEAR{number}{of}");
                links.push((t.link_with(affiliate, &offer.id, json!({"coupon": coupon})).await, number, of));
                coupons.push((coupon, number, of, links.len() - 1));
            }
        }
        let mut own_sources = Vec::new();
        for affiliate in &affiliates {
            let sources = affiliate.client.list("/api/v1/sources").await;
            let url = text(&sources[0], "url");
            own_sources.push(url::Url::parse(&url).expect("an absolute URL").path().to_owned());
        }
        let program = Program { offers, affiliates, links, coupons, own_sources };
        program.prepare_payments(t).await;
        program
    }

    /// A method for the currencies without a built-in one, and payout details for each method.
    async fn prepare_payments(&self, t: &TestApp) {
        let method = json!({
            "id": "transfer", "name": "Transfer", "processing_time": "a day", "file": "csv",
            "currencies": {
                "JPY": {"minimum": "500", "fee": {"fixed": "30", "percent": "1.55"}},
                "KWD": {"minimum": "5.000", "fee": {"percent": "2.505"}},
            },
            "schema": {"type": "object", "additionalProperties": false, "required": ["account"],
                "properties": {"account": {"type": "string", "title": "Account"}}},
        });
        t.admin.post("/api/v1/payout-methods", &method).await.expect(201);
        for affiliate in &self.affiliates {
            for (method, details) in [
                ("sepa", json!({"account_holder": "Ada Lovelace", "iban": "DE89370400440532013000"})),
                ("paypal", json!({"email": "ada@example.org"})),
                ("wise", json!({"account_holder": "Ada Lovelace", "email": "ada@example.org"})),
                ("payoneer", json!({"email": "ada@example.org"})),
                ("crypto", json!({"asset": "usdt-tron", "address": "TR7NHqjeKQxGTCi8q8ZY4pL8otSzgjLj6t"})),
                ("transfer", json!({"account": "12345"})),
                (
                    "bank-international",
                    json!({"account_holder": "Ada Lovelace", "account_number": "1234567", "bic": "COBADEFFXXX",
                        "bank_name": "A bank", "country": "US"}),
                ),
            ] {
                let body = json!({"affiliate_id": affiliate.id, "method": method, "details": details});
                put(t, "/api/v1/payout-details", &body).await;
            }
        }
        put(t, "/api/v1/settings/withdrawals", &json!({"minimums": {"USD": "15.00"}})).await;
    }
}

async fn create(t: &TestApp, offer: &mut Offer, is_default: bool, affiliates: &[Affiliate]) {
    let goals = offer.goals.iter().map(|(name, payout, revenue)| {
        json!({"name": name, "payout": payout.map(Rate::json), "revenue": revenue.map(Rate::json)})
    });
    let mut body = json!({
        "currency": offer.currency,
        "payout": offer.payout.json(),
        "hold_days": offer.hold_days,
        "default": is_default,
        "goals": goals.collect::<Vec<_>>(),
        "unknown_goal": "accept",
    });
    if let Some(revenue) = offer.revenue {
        body["revenue"] = revenue.json();
    }
    if let Some(cap) = offer.cap {
        let mut limit = json!({"per": cap.per, "period": cap.period});
        if let Some(conversions) = cap.conversions {
            limit["conversions"] = json!(conversions);
        }
        if let Some(payout) = cap.payout {
            limit["payout"] = json!(payout);
        }
        let sign = if cap.zone < 0 { '-' } else { '+' };
        let zone = format!("{sign}{:02}:{:02}", cap.zone.abs() / 60, cap.zone.abs() % 60);
        body["caps"] = json!({"limits": [limit], "over": cap.over, "time_zone": zone});
    }
    if let Some(days) = offer.window_days {
        body["attribution"] = json!({"window_days": days, "outside_window": "reject"});
    }
    offer.id = t.offer_with(body).await;
    for (affiliate, goal, payout) in &offer.payout_overrides {
        let body = json!({"affiliate_id": affiliates[*affiliate].id, "goal": goal, "payout": payout.json()});
        t.admin.post(&format!("/api/v1/offers/{}/payout-overrides", offer.id), &body).await.expect(200);
    }
}

/// A typical amount of a sale in a currency.
pub fn price(currency: &str, random: &mut impl rand::Rng) -> i128 {
    match currency {
        "JPY" => random.random_range(500..30_000) * 1_000_000,
        "KWD" => random.random_range(1_000..90_000) * 1_000,
        _ => random.random_range(199..30_000) * 10_000,
    }
}

/// In the format of a request body.
pub fn amount(micros: i128) -> Value {
    json!(written(micros))
}
