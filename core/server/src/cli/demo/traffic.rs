//! The demo's traffic: visitors click, the shop reports sales, the program approves and rejects.
//!
//! Each scene says what it does and, next to it, what must come of it.

use std::collections::HashMap;
use std::time::Duration;

use anyhow::{Context, bail};
use serde_json::json;
use url::Url;

use crate::cli::api::text;
use domain::delivery::retry::SCHEDULE;

use super::in_debug;
use super::narrator::Narrator;
use super::program::{Affiliate, DELAY_SECS, Program};
use super::stage::Stage;
use super::tracker::{GONE, STUMBLING};

/// Between steps, so that on the screen an effect stands below its cause.
const BREATH: Duration = Duration::from_millis(150);

/// The first wait of the retry schedule.
const RETRY_SECS: u64 = SCHEDULE[0].as_secs();

/// What the shop sells costs this, in its offer's currency.
const PRICE: &str = "49.00";

/// A name that no tracker gets right unless every byte is encoded, once.
const CUSTOMER: &str = "Žofie Müller & Søn";

/// What must come of the traffic, and nothing else.
#[derive(Default)]
pub struct Plan {
    pub arrivals: Vec<Arrival>,
    pub absences: Vec<Absence>,
    /// From a conversion's id to the shop's word for it.
    pub orders: HashMap<String, &'static str>,
    /// From a postback's id to its path at the tracker.
    pub destinations: HashMap<String, &'static str>,
}

/// A request that the tracker must receive.
pub struct Arrival {
    pub method: &'static str,
    pub path: &'static str,
    pub parameters: Vec<(String, String)>,
    pub answered: u16,
    /// Since the demo began.
    pub not_before: Duration,
}

impl Arrival {
    /// The status with which the tracker answers it.
    fn answered(&mut self, status: u16) -> &mut Self {
        self.answered = status;
        self
    }

    fn not_before(&mut self, time: Duration) -> &mut Self {
        self.not_before = time;
        self
    }

    fn by_post(&mut self) -> &mut Self {
        self.method = "POST";
        self
    }
}

/// A postback that must not be accepted by its destination.
pub struct Absence {
    pub order: &'static str,
    pub path: &'static str,
    pub fate: Fate,
}

#[derive(PartialEq, Eq, Debug)]
pub enum Fate {
    /// A delivery that ended in this state of the API.
    Ended(&'static str),
    /// No delivery was ever owed, for this reason.
    NeverOwed(&'static str),
}

pub async fn play(narrator: &Narrator, stage: &Stage, program: &Program) -> anyhow::Result<Plan> {
    let plan = Plan { destinations: program.destinations.clone(), ..Plan::default() };
    let mut traffic = Traffic { narrator, stage, program, plan };
    // The scenes that take longest come first.
    traffic.a_tracker_stumbles().await?;
    traffic.a_network_waits_and_a_sale_is_returned_meanwhile().await?;
    traffic.sales_are_rejected().await?;
    traffic.a_sale_is_approved_later().await?;
    Ok(traffic.plan)
}

struct Traffic<'a> {
    narrator: &'a Narrator,
    stage: &'a Stage,
    program: &'a Program,
    plan: Plan,
}

impl Traffic<'_> {
    async fn a_tracker_stumbles(&mut self) -> anyhow::Result<()> {
        let ada = &self.program.ada;
        let click = self.click(ada, "ada-1", "newsletter").await?;
        self.expect_click("ada-1", "newsletter", &click);
        let reported = self.narrator.elapsed();
        self.sale(&click, "order-1001", "approved").await?;
        self.expect("/sales", "cid=ada-1&order=order-1001&pay=12.50&cur=USD");
        let postback = "cid=ada-1&order=order-1001&pay=12.50";
        self.expect(STUMBLING, postback).answered(503);
        self.expect(STUMBLING, postback).not_before(reported + Duration::from_secs(RETRY_SECS));
        Ok(())
    }

    async fn a_network_waits_and_a_sale_is_returned_meanwhile(&mut self) -> anyhow::Result<()> {
        let katherine = &self.program.katherine;
        let click = self.click(katherine, "kat-1", "").await?;
        let reported = self.narrator.elapsed();
        self.sale(&click, "order-3001", "approved").await?;
        self.expect("/sales", "cid=kat-1&order=order-3001&pay=12.50&cur=USD");
        self.expect("/patient", "cid=kat-1&order=order-3001&pay=12.50")
            .not_before(reported + Duration::from_secs(DELAY_SECS));

        let click = self.click(katherine, "kat-2", "").await?;
        let returned = self.sale(&click, "order-3002", "approved").await?;
        self.expect("/sales", "cid=kat-2&order=order-3002&pay=12.50&cur=USD");
        self.wait_for("/sales", "order-3002").await?;
        self.reject(&returned, "returned").await?;
        self.expect_absent("order-3002", "/patient", Fate::Ended("cancelled"));
        Ok(())
    }

    async fn sales_are_rejected(&mut self) -> anyhow::Result<()> {
        let ada = &self.program.ada;
        let click = self.click(ada, "ada-2", "banner").await?;
        self.expect_click("ada-2", "banner", &click);
        let doubtful = self.sale(&click, "order-1002", "pending").await?;
        self.reject(&doubtful, "fraud").await?;
        self.expect("/fraud", "order=order-1002&reason=fraud&from=postrider");

        let doubtful = self.sale(&click, "order-1003", "pending").await?;
        self.reject(&doubtful, "duplicate").await?;
        let why = "rejected as duplicate; the Fraud desk asked for fraud only, so nothing was due";
        self.expect_absent("order-1003", "/fraud", Fate::NeverOwed(why));
        Ok(())
    }

    async fn a_sale_is_approved_later(&mut self) -> anyhow::Result<()> {
        let click = self.click(&self.program.grace, "grace-1", "blog").await?;
        let sale = self.sale(&click, "order-2001", "pending").await?;
        let name: String = url::form_urlencoded::byte_serialize(CUSTOMER.as_bytes()).collect();
        self.expect("/crm", &format!("order=order-2001&status=pending&name={name}")).by_post();
        self.approve(&sale).await?;
        self.expect("/crm", &format!("order=order-2001&status=approved&name={name}")).by_post();
        self.expect("/sales", "cid=grace-1&order=order-2001&pay=14.70&cur=EUR");
        self.expect("/grace", "cid=grace-1&sub1=blog&order=order-2001&pay=14.70");
        self.expect(GONE, "cid=grace-1&order=order-2001").answered(410);
        self.expect_absent("order-2001", GONE, Fate::Ended("failed"));
        Ok(())
    }

    /// A visitor follows an affiliate's link. The shop finds our click id in its landing page's address.
    async fn click(&self, affiliate: &Affiliate, external_id: &str, sub1: &str) -> anyhow::Result<String> {
        self.narrator.step("click", &format!("{external_id} on {}'s link", affiliate.name));
        let mut link = Url::parse(&affiliate.link)?;
        link.query_pairs_mut().append_pair("click_id", external_id);
        if !sub1.is_empty() {
            link.query_pairs_mut().append_pair("sub1", sub1);
        }
        let landing = self.stage.api.visit(link.as_str()).await?;
        self.narrator.detail(&format!("lands on {landing}"));
        let landing = Url::parse(&landing)?;
        let click = landing.query_pairs().find(|(name, _)| name == "cid").map(|(_, value)| value.into_owned());
        breathe().await;
        click.context("the landing page got no click id")
    }

    /// The shop reports a sale; tells the conversion's id.
    async fn sale(&mut self, click: &str, order: &'static str, status: &str) -> anyhow::Result<String> {
        self.narrator.step("sale", &format!("{order}, {PRICE}, {status}"));
        let sale = json!({
            "click_id": click, "transaction_id": order, "goal": "sale", "status": status, "amount": PRICE,
            "customer_name": CUSTOMER, "customer_email": "zofie@example.com", "plan_name": "Yearly",
        });
        let conversion = self.stage.api.post("/api/v1/conversions", sale).await?;
        let id = text(&conversion, "id")?;
        self.plan.orders.insert(id.clone(), order);
        breathe().await;
        Ok(id)
    }

    async fn approve(&self, conversion: &str) -> anyhow::Result<()> {
        self.narrator.step("approved", self.plan.orders[conversion]);
        self.stage.api.post(&format!("/api/v1/conversions/{conversion}/approve"), json!({})).await?;
        breathe().await;
        Ok(())
    }

    async fn reject(&self, conversion: &str, reason: &str) -> anyhow::Result<()> {
        self.narrator.step("rejected", &format!("{}, reason: {reason}", self.plan.orders[conversion]));
        let path = format!("/api/v1/conversions/{conversion}/reject");
        self.stage.api.post(&path, json!({"reason": reason})).await?;
        breathe().await;
        Ok(())
    }

    /// The next step depends on this one having arrived.
    async fn wait_for(&self, path: &str, order: &str) -> anyhow::Result<()> {
        for _ in 0..50 * in_debug(6) {
            let mut receipts = self.stage.tracker.receipts().into_iter().filter(|receipt| receipt.path == path);
            if receipts.any(|receipt| receipt.parameters.iter().any(|(_, value)| value == order)) {
                return Ok(());
            }
            tokio::time::sleep(BREATH / 3).await;
        }
        bail!("{order} did not arrive at {path} within seconds")
    }

    fn expect_click(&mut self, external_id: &str, sub1: &str, click: &str) {
        self.expect("/clicks", &format!("cid={external_id}&sub1={sub1}&device=mobile&click={click}"));
    }

    /// `parameters` in the form of a query, in the order in which they travel.
    fn expect(&mut self, path: &'static str, parameters: &str) -> &mut Arrival {
        let parameters = url::form_urlencoded::parse(parameters.as_bytes()).into_owned().collect();
        let arrival = Arrival { method: "GET", path, parameters, answered: 200, not_before: Duration::ZERO };
        self.plan.arrivals.push(arrival);
        self.plan.arrivals.last_mut().expect("just put there")
    }

    fn expect_absent(&mut self, order: &'static str, path: &'static str, fate: Fate) {
        self.plan.absences.push(Absence { order, path, fate });
    }
}

async fn breathe() {
    tokio::time::sleep(BREATH).await;
}
