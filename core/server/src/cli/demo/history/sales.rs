//! Sales: what advertisers report, and when they approve or reject it.

use rand::Rng;
use rand::rngs::StdRng;
use serde_json::{Value, json};

use super::agenda::{Agenda, Deed};
use super::cast::{CAMPAIGNS, COFFEE, INSURANCE, PHOTO, PRO, SHOES};
use super::visits::Visit;
use super::{DAY_MS, HOUR_MS, Stage, Times, only_item};
use crate::cli::api::text;

/// The sales of the past, by their numbers in [`Deed`].
#[derive(Default)]
pub struct Sales(Vec<Sale>);

struct Sale {
    /// As it is reported, without the status.
    body: Value,
    id: Option<String>,
}

/// How long a tracker has been broken: longer than deliveries are retried, so that some have failed and others are retried.
const BROKEN_HOURS: i64 = 96;

const REASONS: [&str; 5] = ["refund", "duplicate", "fraud", "test", "invalid_lead"];
const NAMES: [&str; 10] = [
    "Žofie Müller",
    "Søren Holm",
    "Amelia Brown",
    "Lucas Martin",
    "Mia Schneider",
    "Noah Jansen",
    "Chiara Conti",
    "Diego Ruiz",
    "Zosia Nowak",
    "Olivia Clark",
];

/// Plans the sales of the visits. A sale over a coupon has no visit.
pub fn plan(visits: &[Visit], times: Times, agenda: &mut Agenda, random: &mut StdRng) -> Sales {
    let mut sales = Sales::default();
    for visit in visits.iter().filter(|it| !it.is_bot) {
        let campaign = &CAMPAIGNS[visit.campaign];
        // The first keyword of a campaign sells three times as often as the last one.
        let factor = [1.5, 1.0, 0.7, 0.5][visit.keyword.min(3)];
        let chance = f64::from(campaign.sales_per_mille) / 1_000.0 * factor;
        if !random.random_bool(chance.min(1.0)) {
            continue;
        }
        // Most buy at once; some come back within days.
        let delay = match random.random_range(0..10) {
            0..6 => random.random_range(2 * 60_000..40 * 60_000),
            6..9 => random.random_range(HOUR_MS..DAY_MS),
            _ => random.random_range(DAY_MS..4 * DAY_MS),
        };
        let key = match campaign.coupon {
            Some(coupon) if random.random_bool(0.15) => json!({"coupon": coupon}),
            _ => json!({"click_id": visit.click}),
        };
        let at = visit.at + delay;
        let goal = sales.plan_one(campaign.offer, key.clone(), at, times, agenda, random);
        // Some trials become a subscription a week later.
        if goal == Some("trial") && random.random_bool(0.4) {
            let body = json!({"goal": "sale", "amount": "49.00", "plan_name": "Monthly"});
            sales.add(merged(key, body), "approved", at + 7 * DAY_MS, times, agenda, random);
        }
    }
    agenda.add(times.end.millis() - BROKEN_HOURS * HOUR_MS, Deed::BreakTracker);
    sales
}

fn merged(mut key: Value, body: Value) -> Value {
    if let (Value::Object(key), Value::Object(body)) = (&mut key, body) {
        key.extend(body);
    }
    key
}

impl Sales {
    /// Returns the goal.
    fn plan_one(
        &mut self,
        offer: usize,
        key: Value,
        at: i64,
        times: Times,
        agenda: &mut Agenda,
        random: &mut StdRng,
    ) -> Option<&'static str> {
        let (goal, body, status) = match offer {
            PRO if random.random_bool(0.5) => {
                (Some("trial"), json!({"goal": "trial", "plan_name": "Trial"}), "approved")
            }
            PRO => {
                let (amount, plan) =
                    [("49.00", "Monthly"), ("99.00", "Team"), ("468.00", "Yearly")][random.random_range(0..3)];
                (Some("sale"), json!({"goal": "sale", "amount": amount, "plan_name": plan}), "pending")
            }
            COFFEE => (None, json!({"amount": cents(1_400..6_200, random)}), "pending"),
            SHOES => (None, json!({"amount": cents(5_900..18_900, random)}), "pending"),
            INSURANCE if random.random_bool(0.6) => (Some("quote"), json!({"goal": "quote"}), "approved"),
            INSURANCE => (Some("policy"), json!({"goal": "policy", "amount": cents(9_000..42_000, random)}), "pending"),
            PHOTO => (None, json!({}), "approved"),
            _ => (None, json!({"amount": "10.00"}), "pending"),
        };
        self.add(merged(key, body), status, at, times, agenda, random);
        goal
    }

    fn add(
        &mut self,
        mut body: Value,
        status: &'static str,
        at: i64,
        times: Times,
        agenda: &mut Agenda,
        random: &mut StdRng,
    ) {
        let sale = self.0.len();
        let name = NAMES[random.random_range(0..NAMES.len())];
        body["transaction_id"] = format!("H-{}", 10_001 + sale).into();
        body["customer_name"] = name.into();
        body["customer_email"] = format!("buyer-{sale}@example.net").into();
        self.0.push(Sale { body, id: None });
        agenda.add(at, Deed::Report { sale, status });
        let decided = at + random.random_range(DAY_MS..6 * DAY_MS);
        let reason = REASONS[super::weighted([6, 3, 4, 1, 2].into_iter(), random)];
        let later = decided + random.random_range(2 * DAY_MS..12 * DAY_MS);
        let before_end = |at: i64| at < times.end.millis() - 60_000;
        match (status, random.random_range(0..100)) {
            ("pending", 0..78) => agenda.add(decided, Deed::Report { sale, status: "approved" }),
            ("pending", 78..94) => agenda.add(decided, Deed::Reject { sale, reason }),
            ("pending", _) => {}
            // A chargeback.
            (_, 0..5) if before_end(later) => agenda.add(later, Deed::Reject { sale, reason: "chargeback" }),
            _ => {}
        }
    }

    /// Reports a sale for the first time, or its new status.
    pub async fn report(&mut self, stage: &Stage<'_>, sale: usize, status: &str) -> anyhow::Result<()> {
        let sale = &mut self.0[sale];
        let mut body = sale.body.clone();
        body["status"] = status.into();
        let answer = stage.api.post("/api/v1/conversions", Value::Array(vec![body])).await?;
        sale.id = Some(text(&only_item(&answer)?["conversion"], "id")?);
        Ok(())
    }

    pub async fn reject(&mut self, stage: &Stage<'_>, sale: usize, reason: &str) -> anyhow::Result<()> {
        if let Some(id) = &self.0[sale].id {
            stage.api.post(&format!("/api/v1/conversions/{id}/reject"), json!({"reason": reason})).await?;
        }
        Ok(())
    }
}

fn cents(range: std::ops::Range<u32>, random: &mut StdRng) -> String {
    let cents = random.random_range(range);
    format!("{}.{:02}", cents / 100, cents % 100)
}
