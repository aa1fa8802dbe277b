//! Money: bonuses, payout details, and withdrawals that end in every status.

use std::collections::HashMap;

use anyhow::Context;
use serde_json::{Value, json};

use super::agenda::{Agenda, Deed, Step};
use super::cast::{ADA, Cast, GRACE, HEDY, KATHERINE};
use super::{DAY_MS, HOUR_MS, Stage, Times};
use crate::cli::api::text;

/// Days before the end, and what happens then.
const STEPS: [(i64, Step); 23] = [
    (89, Step::SetUp),
    (60, request("first", ADA, "paypal", "100.00", "USD")),
    (59, change("first", "approve", "", "")),
    (57, change("first", "pay", "reference", "PP-48213")),
    (58, request("grace", GRACE, "sepa", "60.00", "EUR")),
    (56, change("grace", "approve", "", "")),
    (55, change("grace", "pay", "reference", "SEPA-2201")),
    (50, request("returned", KATHERINE, "crypto", "60.00", "USD")),
    (49, change("returned", "approve", "", "")),
    (48, change("returned", "pay", "reference", "0x9f2c…77")),
    (44, change("returned", "return", "reason", "the wallet did not accept the transfer")),
    (33, request("monthly", ADA, "paypal", "all", "USD")),
    (32, change("monthly", "approve", "", "")),
    (31, Step::PayBatch { method: "paypal", currency: "USD" }),
    (30, request("refused", GRACE, "sepa", "20.00", "EUR")),
    (29, change("refused", "refuse", "reason", "the name differs from the name of the account")),
    (20, request("cancelled", ADA, "paypal", "25.00", "USD")),
    (19, change("cancelled", "cancel", "", "")),
    (15, request("failed", KATHERINE, "wise", "80.00", "USD")),
    (14, change("failed", "approve", "", "")),
    (13, change("failed", "fail", "reason", "the account is closed")),
    (4, request("approved", GRACE, "sepa", "30.00", "EUR")),
    (1, request("requested", ADA, "paypal", "45.00", "USD")),
];

const fn request(
    name: &'static str,
    affiliate: usize,
    method: &'static str,
    amount: &'static str,
    currency: &'static str,
) -> Step {
    Step::Request { name, affiliate, method, amount, currency }
}

const fn change(name: &'static str, verb: &'static str, field: &'static str, value: &'static str) -> Step {
    Step::Change { name, verb, field, value }
}

pub fn plan(times: Times, agenda: &mut Agenda) {
    for (days, step) in STEPS {
        agenda.add(times.end.millis() - days * DAY_MS, Deed::Money(step));
    }
    let approved = change("approved", "approve", "", "");
    agenda.add(times.end.millis() - 3 * DAY_MS + HOUR_MS, Deed::Money(approved));
}

pub async fn perform(
    stage: &Stage<'_>,
    cast: &Cast,
    withdrawals: &mut HashMap<&'static str, String>,
    step: &Step,
) -> anyhow::Result<()> {
    let api = &stage.api;
    match step {
        Step::SetUp => set_up(stage, cast).await?,
        Step::Request { name, affiliate, method, amount, currency } => {
            let body = json!({"method": method, "amount": amount, "currency": currency});
            let answer = cast.api_of(*affiliate, api).post("/api/v1/withdrawals", body).await?;
            withdrawals.insert(*name, text(&answer, "id")?);
        }
        Step::Change { name, verb, field, value } => {
            let id = withdrawals.get(name).context("the withdrawal was not requested")?;
            let body = if field.is_empty() { json!({}) } else { json!({*field: value}) };
            api.post(&format!("/api/v1/withdrawals/{id}/{verb}"), body).await?;
        }
        Step::PayBatch { method, currency } => {
            let batch = api.post("/api/v1/withdrawal-batches", json!({"method": method, "currency": currency})).await?;
            let path = format!("/api/v1/withdrawal-batches/{}", text(&batch, "id")?);
            let paid = api.list(&format!("/api/v1/withdrawals?batch_id={}", text(&batch, "id")?)).await?;
            let mut results = "withdrawal_id;status;reference;reason\r\n".to_owned();
            for (number, withdrawal) in paid.iter().enumerate() {
                results += &format!("{};paid;PP-5{number:04};\r\n", text(withdrawal, "id")?);
            }
            api.post_bytes(&format!("{path}/results"), "text/csv", results.into_bytes()).await?;
        }
    }
    Ok(())
}

async fn set_up(stage: &Stage<'_>, cast: &Cast) -> anyhow::Result<()> {
    let api = &stage.api;
    for (affiliate, amount, currency, reason) in [
        (ADA, "150.00", "USD", "Welcome bonus"),
        (GRACE, "120.00", "EUR", "Welcome bonus"),
        (KATHERINE, "200.00", "USD", "Bonus for the first campaign"),
        (HEDY, "-12.00", "GBP", "Correction of an advance"),
    ] {
        let body = json!({"affiliate_id": cast.member(affiliate).id, "amount": amount, "currency": currency, "reason": reason});
        api.post("/api/v1/adjustments", body).await?;
    }
    api.post("/api/v1/exchange-rates", json!({"from": "EUR", "to": "USD", "rate": "1.08"})).await?;
    let holder = |index: usize| cast.member(index).name;
    for (affiliate, method, details) in [
        (ADA, "paypal", json!({"email": "ada@example.com"})),
        (ADA, "sepa", json!({"account_holder": holder(ADA), "iban": "DE89370400440532013000"})),
        (GRACE, "sepa", json!({"account_holder": holder(GRACE), "iban": "NL91ABNA0417164300"})),
        (KATHERINE, "crypto", json!({"asset": "usdt-tron", "address": "TR7NHqjeKQxGTCi8q8ZY4pL8otSzgjLj6t"})),
        (KATHERINE, "wise", json!({"account_holder": holder(KATHERINE), "email": "katherine@example.com"})),
    ] {
        let body: Value = json!({"affiliate_id": cast.member(affiliate).id, "method": method, "details": details});
        api.put("/api/v1/payout-details", body).await?;
    }
    Ok(())
}
