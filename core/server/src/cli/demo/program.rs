//! The demo's program: two offers, three affiliates with a link each, and where their postbacks go.
//!
//! Every postback is pasted, as people do it: a tracker's URL with macros, taken apart by the API.

use std::collections::HashMap;

use serde_json::{Value, json};

use super::in_debug;
use super::narrator::Narrator;
use super::stage::Stage;
use super::tracker::{GONE, STUMBLING};
use crate::cli::api::{Api, text};

/// How long Katherine's network wants to wait before it hears of a sale.
pub const DELAY_SECS: u64 = 4 * in_debug(3);

pub struct Program {
    pub ada: Affiliate,
    pub grace: Affiliate,
    pub katherine: Affiliate,
    /// From a postback's id to its path at the tracker.
    pub destinations: HashMap<String, &'static str>,
}

pub struct Affiliate {
    pub name: &'static str,
    pub id: String,
    pub referral_code: String,
    pub link: String,
}

pub async fn create(narrator: &Narrator, stage: &Stage) -> anyhow::Result<Program> {
    let api = &stage.api;
    let pro = offer(api, "Pro plan", "pro", "USD", json!({"fixed": "12.50"})).await?;
    narrator.step("offer", "Pro plan: 12.50 USD for a sale");
    let coffee = offer(api, "Coffee club", "coffee", "EUR", json!({"percent": "30"})).await?;
    narrator.step("offer", "Coffee club: 30 % of a sale, in EUR");

    let ada = affiliate(narrator, api, "Ada Lovelace", "ada", &pro).await?;
    let grace = affiliate(narrator, api, "Grace Hopper", "grace", &coffee).await?;
    let katherine = affiliate(narrator, api, "Katherine Johnson", "katherine", &pro).await?;

    let key = json!({"name": "Grace's own", "role": "affiliate", "affiliate_id": grace.id});
    let as_grace = api.with_key(text(&api.post("/api/v1/api-keys", key).await?, "key")?);
    let mut destinations = HashMap::new();
    for wish in wishes(&ada, &grace, &katherine, &coffee) {
        let owner = if wish.by_grace_herself { &as_grace } else { api };
        destinations.insert(wish.save(narrator, stage, owner).await?, wish.path);
    }
    Ok(Program { ada, grace, katherine, destinations })
}

async fn offer(api: &Api, name: &str, page: &str, currency: &str, payout: Value) -> anyhow::Result<String> {
    let landing_url = format!("https://shop.example/{page}?cid={{click_id}}");
    let offer = json!({"name": name, "landing_url": landing_url, "currency": currency, "payout": payout});
    text(&api.post("/api/v1/offers", offer).await?, "id")
}

async fn affiliate(
    narrator: &Narrator,
    api: &Api,
    name: &'static str,
    mailbox: &str,
    offer_id: &str,
) -> anyhow::Result<Affiliate> {
    let body = json!({"name": name, "email": format!("{mailbox}@example.com")});
    let created = api.post("/api/v1/affiliates", body).await?;
    let id = text(&created, "id")?;
    let link = api.post("/api/v1/links", json!({"affiliate_id": id, "offer_id": offer_id})).await?;
    let affiliate = Affiliate { name, id, referral_code: text(&created, "referral_code")?, link: text(&link, "url")? };
    narrator.step("affiliate", &format!("{name}, {}, {}", affiliate.referral_code, affiliate.link));
    Ok(affiliate)
}

/// A postback as somebody wants it.
struct Wish {
    name: &'static str,
    path: &'static str,
    method: &'static str,
    query: &'static str,
    /// In words.
    when: String,
    /// The same as the API takes it.
    rule: Value,
    by_grace_herself: bool,
}

impl Wish {
    fn new(name: &'static str, path: &'static str, query: &'static str, when: impl Into<String>, rule: Value) -> Self {
        Self { name, path, method: "GET", query, when: when.into(), rule, by_grace_herself: false }
    }

    /// The server tries the destination before it saves the postback; one that refuses is an error here.
    async fn save(&self, narrator: &Narrator, stage: &Stage, owner: &Api) -> anyhow::Result<String> {
        let url = stage.tracker.url(&format!("{}?{}", self.path, self.query));
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
        narrator.step("postback", &format!("{}: {}", self.name, self.when));
        let glue = if self.method == "GET" { "?" } else { " " };
        narrator.detail(&format!("{} {}{glue}{}", self.method, self.path, self.query));
        text(&saved, "id")
    }
}

fn wishes(ada: &Affiliate, grace: &Affiliate, katherine: &Affiliate, coffee: &str) -> Vec<Wish> {
    let of = |affiliate: &Affiliate| json!({"affiliate_id": affiliate.id});
    vec![
        Wish::new(
            "Sales tracker",
            "/sales",
            "cid={external_click_id}&order={transaction_id}&pay={payout}&cur={currency}",
            "every approved sale",
            json!({"firing_status": "approved"}),
        ),
        Wish::new(
            "Fraud desk",
            "/fraud",
            "order={transaction_id}&reason={rejection_reason}&from=postrider",
            "sales rejected as fraud, and for no other reason",
            json!({"firing_status": "rejected", "rejection_reasons": ["fraud"]}),
        ),
        Wish {
            method: "POST",
            ..Wish::new(
                "CRM",
                "/crm",
                "order={transaction_id}&status={status}&name={customer_name}",
                "every state of every Coffee club sale, as a form",
                json!({"scope": {"offer_id": coffee}, "firing_status": "any", "ordering": "all"}),
            )
        },
        Wish::new(
            "Click counter",
            "/clicks",
            "cid={external_click_id}&sub1={sub1}&device={device}&click={click_id}",
            "Ada's clicks",
            json!({"action": "click", "scope": of(ada)}),
        ),
        Wish::new(
            "Stumbling network",
            STUMBLING,
            "cid={external_click_id}&order={transaction_id}&pay={payout}",
            "Ada's approved sales; it will answer 503 at first",
            json!({"scope": of(ada), "firing_status": "approved"}),
        ),
        Wish::new(
            "Patient network",
            "/patient",
            "cid={external_click_id}&order={transaction_id}&pay={payout}",
            format!("Katherine's approved sales, {DELAY_SECS} seconds later if they still are"),
            json!({"scope": of(katherine), "firing_status": "approved",
                "delay": {"value": DELAY_SECS, "unit": "seconds"}}),
        ),
        Wish {
            by_grace_herself: true,
            ..Wish::new(
                "Grace's tracker",
                "/grace",
                "cid={external_click_id}&sub1={sub1}&order={transaction_id}&pay={payout}",
                "her approved sales; set up by herself, with her own key",
                json!({"firing_status": "approved"}),
            )
        },
        Wish::new(
            "Network that closes",
            GONE,
            "cid={external_click_id}&order={transaction_id}",
            "Grace's approved sales; it accepts the test, then is gone",
            json!({"scope": of(grace), "firing_status": "approved"}),
        ),
    ]
}
