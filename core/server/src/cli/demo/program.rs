//! The part of the demo's program that the traffic uses: two offers, three affiliates with a link each, and new postbacks.
//!
//! Every postback is created from a pasted tracker URL with macros, which the API parses.

use std::collections::HashMap;

use serde_json::{Value, json};

use super::environment::Environment;
use super::history::{ADA, COFFEE, Cast, GRACE, KATHERINE, PRO};
use super::in_debug;
use super::tracker::{FLAKY, GONE};
use crate::cli::api::{Api, text};
use crate::cli::console::Console;

/// The delay of the postback to Katherine's network.
pub const DELAY_SECS: u64 = 4 * in_debug(3);

pub struct Program {
    pub ada: Affiliate,
    pub grace: Affiliate,
    pub katherine: Affiliate,
    /// The tracker's paths by postback id.
    pub destinations: HashMap<String, &'static str>,
}

pub struct Affiliate {
    pub name: &'static str,
    pub id: String,
    pub referral_code: String,
    pub link: String,
}

/// Takes the affiliates and links of the past, and creates the postbacks.
pub async fn create(console: &Console, environment: &Environment, cast: &Cast) -> anyhow::Result<Program> {
    let api = &environment.api;
    console.step("offer", "Pro plan: 12.50 USD for a sale");
    console.step("offer", "Coffee club: 30 % of a sale, in EUR");
    let ada = affiliate(console, environment, cast, ADA, PRO)?;
    let grace = affiliate(console, environment, cast, GRACE, COFFEE)?;
    let katherine = affiliate(console, environment, cast, KATHERINE, PRO)?;

    let as_grace = cast.api_of(GRACE, api);
    let mut destinations = HashMap::new();
    for postback in new_postbacks(&ada, &grace, &katherine, &cast.offers[COFFEE].id) {
        let owner = if postback.is_owned_by_grace { &as_grace } else { api };
        destinations.insert(postback.save(console, environment, owner).await?, postback.path);
    }
    Ok(Program { ada, grace, katherine, destinations })
}

fn affiliate(
    console: &Console,
    environment: &Environment,
    cast: &Cast,
    index: usize,
    offer: usize,
) -> anyhow::Result<Affiliate> {
    let member = cast.member(index);
    // The address of this server; the link was created by an earlier one.
    let link = format!("{}{}", environment.url, cast.link_of(index, offer)?.path);
    let affiliate =
        Affiliate { name: member.name, id: member.id.clone(), referral_code: member.referral_code.clone(), link };
    console.step("affiliate", &format!("{}, {}, {}", affiliate.name, affiliate.referral_code, affiliate.link));
    Ok(affiliate)
}

/// A postback to create.
struct NewPostback {
    name: &'static str,
    path: &'static str,
    method: &'static str,
    query: &'static str,
    /// The rule in words, for the output.
    when: String,
    /// The rule in the fields of the API.
    rule: Value,
    /// Grace creates it with her own key; otherwise the operator creates it.
    is_owned_by_grace: bool,
}

impl NewPostback {
    fn new(name: &'static str, path: &'static str, query: &'static str, when: impl Into<String>, rule: Value) -> Self {
        Self { name, path, method: "GET", query, when: when.into(), rule, is_owned_by_grace: false }
    }

    /// Creates the postback; returns its id. The server sends a test request first; if the tracker refuses it, this is an error.
    async fn save(&self, console: &Console, environment: &Environment, owner: &Api) -> anyhow::Result<String> {
        let url = environment.tracker.url(&format!("{}?{}", self.path, self.query));
        let parsed = owner.post("/api/v1/postbacks/parse", json!({"url": url})).await?;
        let mut body = self.rule.clone();
        body["name"] = self.name.into();
        body["adapter"] = "macro-url".into();
        body["config"] = json!({
            "base_url": parsed["base_url"],
            "method": self.method,
            "parameters": parsed["parameters"],
            "custom": parsed["custom"],
        });
        let saved = owner.post("/api/v1/postbacks", body).await?;
        console.step("postback", &format!("{}: {}", self.name, self.when));
        let separator = if self.method == "GET" { "?" } else { " " };
        console.detail(&format!("{} {}{separator}{}", self.method, self.path, self.query));
        text(&saved, "id")
    }
}

fn new_postbacks(ada: &Affiliate, grace: &Affiliate, katherine: &Affiliate, coffee: &str) -> Vec<NewPostback> {
    let of = |affiliate: &Affiliate| json!({"affiliate_id": affiliate.id});
    vec![
        NewPostback::new(
            "Sales tracker",
            "/sales",
            "cid={external_click_id}&order={transaction_id}&pay={payout}&cur={currency}",
            "every approved sale",
            json!({"firing_status": "approved"}),
        ),
        NewPostback::new(
            "Fraud desk",
            "/fraud",
            "order={transaction_id}&reason={rejection_reason}&from=postrider",
            "sales rejected as fraud, and for no other reason",
            json!({"firing_status": "rejected", "rejection_reasons": ["fraud"]}),
        ),
        NewPostback {
            method: "POST",
            ..NewPostback::new(
                "CRM",
                "/crm",
                "order={transaction_id}&status={status}&name={customer_name}",
                "every state of every Coffee club sale, as a form",
                json!({"scope": {"offer_id": coffee}, "firing_status": "any", "ordering": "all"}),
            )
        },
        NewPostback::new(
            "Click counter",
            "/clicks",
            "cid={external_click_id}&sub1={sub1}&device={device}&click={click_id}",
            "Ada's clicks",
            json!({"action": "click", "scope": of(ada)}),
        ),
        NewPostback::new(
            "Flaky network",
            FLAKY,
            "cid={external_click_id}&order={transaction_id}&pay={payout}",
            "Ada's approved sales; its first answer is 503",
            json!({"scope": of(ada), "firing_status": "approved"}),
        ),
        NewPostback::new(
            "Delayed network",
            "/delayed",
            "cid={external_click_id}&order={transaction_id}&pay={payout}",
            format!("Katherine's approved sales, {DELAY_SECS} seconds later if they are still approved"),
            json!({"scope": of(katherine), "firing_status": "approved",
                "delay": {"value": DELAY_SECS, "unit": "seconds"}}),
        ),
        NewPostback {
            is_owned_by_grace: true,
            ..NewPostback::new(
                "Grace's tracker",
                "/grace",
                "cid={external_click_id}&sub1={sub1}&order={transaction_id}&pay={payout}",
                "her approved sales; she created it with her own key",
                json!({"firing_status": "approved"}),
            )
        },
        NewPostback::new(
            "Network that closes",
            GONE,
            "cid={external_click_id}&order={transaction_id}",
            "Grace's approved sales; it accepts the test request, then answers 410",
            json!({"scope": of(grace), "firing_status": "approved"}),
        ),
    ]
}
