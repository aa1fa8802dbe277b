//! The demo's traffic: visitors click, the shop reports sales, the program approves and rejects them.
//!
//! Each scenario has the requests that it causes next to the steps.

use std::collections::HashMap;
use std::time::Duration;

use anyhow::{Context, bail};
use serde_json::json;
use url::Url;

use crate::cli::api::text;
use domain::delivery::retry::SCHEDULE;

use super::environment::Environment;
use super::in_debug;
use super::program::{Affiliate, DELAY_SECS, Program};
use super::tracker::{FLAKY, GONE};
use crate::cli::console::Console;

/// The pause between steps, so that the output shows each effect below its cause.
const STEP_PAUSE: Duration = Duration::from_millis(150);

/// The first delay of the retry schedule.
const RETRY_SECS: u64 = SCHEDULE[0].as_secs();

/// The price of every sale, in the currency of its offer.
const PRICE: &str = "49.00";

/// A name that arrives intact only if every byte is encoded exactly once.
const CUSTOMER: &str = "Žofie Müller & Søn";

/// The requests that must arrive, and the deliveries that must not succeed.
#[derive(Default)]
pub struct Expectations {
    pub requests: Vec<ExpectedRequest>,
    pub absences: Vec<Absence>,
    /// The shop's order numbers by conversion id.
    pub orders: HashMap<String, &'static str>,
    /// The tracker's paths by postback id.
    pub destinations: HashMap<String, &'static str>,
}

/// A request that the tracker must receive.
pub struct ExpectedRequest {
    pub method: &'static str,
    pub path: &'static str,
    pub parameters: Vec<(String, String)>,
    pub status: u16,
    /// The time since the start of the demo.
    pub not_before: Duration,
}

impl ExpectedRequest {
    /// Sets the status of the tracker's answer.
    fn status(&mut self, status: u16) -> &mut Self {
        self.status = status;
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

/// An order for which the destination must not accept a postback.
pub struct Absence {
    pub order: &'static str,
    pub path: &'static str,
    pub kind: AbsenceKind,
}

#[derive(PartialEq, Eq, Debug)]
pub enum AbsenceKind {
    /// The delivery ended in this state of the API.
    Ended(&'static str),
    /// There is no delivery, for this reason.
    NoDelivery(&'static str),
}

pub async fn generate(console: &Console, environment: &Environment, program: &Program) -> anyhow::Result<Expectations> {
    let expected = Expectations { destinations: program.destinations.clone(), ..Expectations::default() };
    let mut traffic = Traffic { console, environment, program, expected };
    // The longest scenarios come first.
    traffic.a_delivery_is_retried().await?;
    traffic.a_sale_is_rejected_during_the_delay().await?;
    traffic.sales_are_rejected().await?;
    traffic.a_sale_is_approved_later().await?;
    Ok(traffic.expected)
}

struct Traffic<'a> {
    console: &'a Console,
    environment: &'a Environment,
    program: &'a Program,
    expected: Expectations,
}

impl Traffic<'_> {
    async fn a_delivery_is_retried(&mut self) -> anyhow::Result<()> {
        let ada = &self.program.ada;
        let click = self.click(ada, "ada-1", "newsletter").await?;
        self.expect_click("ada-1", "newsletter", &click);
        let reported = self.console.elapsed();
        self.sale(&click, "order-1001", "approved").await?;
        self.expect("/sales", "cid=ada-1&order=order-1001&pay=12.50&cur=USD");
        let postback = "cid=ada-1&order=order-1001&pay=12.50";
        self.expect(FLAKY, postback).status(503);
        self.expect(FLAKY, postback).not_before(reported + Duration::from_secs(RETRY_SECS));
        Ok(())
    }

    async fn a_sale_is_rejected_during_the_delay(&mut self) -> anyhow::Result<()> {
        let katherine = &self.program.katherine;
        let click = self.click(katherine, "kat-1", "").await?;
        let reported = self.console.elapsed();
        self.sale(&click, "order-3001", "approved").await?;
        self.expect("/sales", "cid=kat-1&order=order-3001&pay=12.50&cur=USD");
        self.expect("/delayed", "cid=kat-1&order=order-3001&pay=12.50")
            .not_before(reported + Duration::from_secs(DELAY_SECS));

        let click = self.click(katherine, "kat-2", "").await?;
        let returned = self.sale(&click, "order-3002", "approved").await?;
        self.expect("/sales", "cid=kat-2&order=order-3002&pay=12.50&cur=USD");
        self.wait_for("/sales", "order-3002").await?;
        self.reject(&returned, "refund").await?;
        self.expect_absent("order-3002", "/delayed", AbsenceKind::Ended("cancelled"));
        Ok(())
    }

    async fn sales_are_rejected(&mut self) -> anyhow::Result<()> {
        let ada = &self.program.ada;
        let click = self.click(ada, "ada-2", "banner").await?;
        self.expect_click("ada-2", "banner", &click);
        let sale = self.sale(&click, "order-1002", "pending").await?;
        self.reject(&sale, "fraud").await?;
        self.expect("/fraud", "order=order-1002&reason=fraud&from=postrider");

        let sale = self.sale(&click, "order-1003", "pending").await?;
        self.reject(&sale, "duplicate").await?;
        let why = "rejected as duplicate; the rule of the Fraud desk matches only fraud";
        self.expect_absent("order-1003", "/fraud", AbsenceKind::NoDelivery(why));
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
        self.expect(GONE, "cid=grace-1&order=order-2001").status(410);
        self.expect_absent("order-2001", GONE, AbsenceKind::Ended("failed"));
        Ok(())
    }

    /// A visitor opens an affiliate's link; returns the click id, which the shop finds in the URL of its landing page.
    async fn click(&self, affiliate: &Affiliate, external_id: &str, sub1: &str) -> anyhow::Result<String> {
        self.console.step("click", &format!("{external_id} on {}'s link", affiliate.name));
        let mut link = Url::parse(&affiliate.link)?;
        link.query_pairs_mut().append_pair("click_id", external_id);
        if !sub1.is_empty() {
            link.query_pairs_mut().append_pair("sub1", sub1);
        }
        let landing = self.environment.api.visit(link.as_str()).await?;
        self.console.detail(&format!("lands on {landing}"));
        let landing = Url::parse(&landing)?;
        let click = landing.query_pairs().find(|(name, _)| name == "cid").map(|(_, value)| value.into_owned());
        pause().await;
        click.context("the URL of the landing page has no click id")
    }

    /// The shop reports a sale; returns the conversion's id.
    async fn sale(&mut self, click: &str, order: &'static str, status: &str) -> anyhow::Result<String> {
        self.console.step("sale", &format!("{order}, {PRICE}, {status}"));
        let sale = json!({
            "click_id": click, "transaction_id": order, "goal": "sale", "status": status, "amount": PRICE,
            "customer_name": CUSTOMER, "customer_email": "zofie@example.com", "plan_name": "Yearly",
        });
        let conversion = self.environment.api.post("/api/v1/conversions", sale).await?;
        let id = text(&conversion, "id")?;
        self.expected.orders.insert(id.clone(), order);
        pause().await;
        Ok(id)
    }

    async fn approve(&self, conversion: &str) -> anyhow::Result<()> {
        self.console.step("approved", self.expected.orders[conversion]);
        self.environment.api.post(&format!("/api/v1/conversions/{conversion}/approve"), json!({})).await?;
        pause().await;
        Ok(())
    }

    async fn reject(&self, conversion: &str, reason: &str) -> anyhow::Result<()> {
        self.console.step("rejected", &format!("{}, reason: {reason}", self.expected.orders[conversion]));
        let path = format!("/api/v1/conversions/{conversion}/reject");
        self.environment.api.post(&path, json!({"reason": reason})).await?;
        pause().await;
        Ok(())
    }

    /// Waits until the order arrived at the path, because the next step depends on it.
    async fn wait_for(&self, path: &str, order: &str) -> anyhow::Result<()> {
        for _ in 0..50 * in_debug(20) {
            let mut received = self.environment.tracker.received().into_iter().filter(|request| request.path == path);
            if received.any(|request| request.parameters.iter().any(|(_, value)| value == order)) {
                return Ok(());
            }
            tokio::time::sleep(STEP_PAUSE / 3).await;
        }
        bail!("{order} did not arrive at {path} in time")
    }

    fn expect_click(&mut self, external_id: &str, sub1: &str, click: &str) {
        self.expect("/clicks", &format!("cid={external_id}&sub1={sub1}&device=mobile&click={click}"));
    }

    /// Adds an expected request. `parameters` is a query string, in the order in which the parameters are sent.
    fn expect(&mut self, path: &'static str, parameters: &str) -> &mut ExpectedRequest {
        let parameters = url::form_urlencoded::parse(parameters.as_bytes()).into_owned().collect();
        let expected_request =
            ExpectedRequest { method: "GET", path, parameters, status: 200, not_before: Duration::ZERO };
        self.expected.requests.push(expected_request);
        self.expected.requests.last_mut().expect("it was just added")
    }

    fn expect_absent(&mut self, order: &'static str, path: &'static str, kind: AbsenceKind) {
        self.expected.absences.push(Absence { order, path, kind });
    }
}

async fn pause() {
    tokio::time::sleep(STEP_PAUSE).await;
}
