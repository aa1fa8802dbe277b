//! SIGKILL while withdrawals are requested, approved, paid and refused: after the restart the ledger balances, each
//! business key exists once, and everything that was answered is stored.

use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering};

use futures::future::join_all;
use postrider_tests::client::{Client, text};
use postrider_tests::database::Database;
use postrider_tests::on_both_databases;
use postrider_tests::process::Installation;
use postrider_tests::wait::eventually;
use reqwest::Method;
use serde_json::{Value, json};

on_both_databases!(killed_at_any_step_of_a_withdrawal_the_ledger_balances);

const WITHDRAWALS: &str = "/api/v1/withdrawals";
const EARNED_MICROS: i64 = 1_000_000_000;
const REQUESTS: usize = 60;
const CALLERS: usize = 6;

/// The steps that were answered with 2xx, by withdrawal.
type Promised = HashMap<String, Vec<&'static str>>;

async fn killed_at_any_step_of_a_withdrawal_the_ledger_balances(db: Database) {
    let installation =
        Installation::new(db).with("POSTRIDER_LEASE_SECS", "2").with("POSTRIDER_REQUEST_TIMEOUT_MS", "1500");
    let mut process = installation.start().await;
    let affiliate = earned(&process.client, &installation.database).await;
    let mut promised = Promised::new();
    // Each part begins where the previous one was killed; the last one runs to its end.
    for (part, kill_at) in [10, 40, 60, 60, usize::MAX].into_iter().enumerate() {
        let answered = AtomicUsize::new(0);
        let client = process.client.clone();
        let callers = (0..CALLERS).map(|caller| carry_out(&client, &affiliate, &answered, part, caller));
        let killing = async {
            if kill_at == usize::MAX {
                return Some(process);
            }
            eventually("enough steps", async || (answered.load(Ordering::Relaxed) >= kill_at).then_some(())).await;
            process.kill_9();
            None
        };
        let (kept, survivor) = tokio::join!(join_all(callers), killing);
        for (id, steps) in kept.into_iter().flatten() {
            promised.entry(id).or_default().extend(steps);
        }
        process = match survivor {
            Some(process) => process,
            None => installation.start().await,
        };
        books_balance(&process.client, &installation.database, &promised).await;
    }
    let all = process.client.list(WITHDRAWALS).await;
    assert_eq!(all.len(), REQUESTS);
    assert!(all.iter().all(|it| matches!(it["status"].as_str(), Some("paid" | "refused"))), "{all:#?}");
}

/// An affiliate with 1000.00 USD available and PayPal details; returns its id.
async fn earned(client: &Client, database: &Database) -> String {
    let affiliate =
        client.post("/api/v1/affiliates", &json!({"name": "Ann", "email": "ann@example.com"})).await.expect(201);
    let offer = json!({
        "name": "Offer", "landing_url": "https://shop.example/?cid={click_id}",
        "currency": "USD", "payout": {"fixed": "1000.00"},
    });
    let offer = client.post("/api/v1/offers", &offer).await.expect(201);
    let link = json!({"affiliate_id": affiliate["id"], "offer_id": offer["id"]});
    client.post("/api/v1/links", &link).await.expect(201);
    let report = json!({
        "referral_code": affiliate["referral_code"], "transaction_id": "T-1",
        "status": "approved", "amount": "49.00", "currency": "USD",
    });
    client.post("/api/v1/conversions", &report).await.expect(201);
    let details = json!({"affiliate_id": affiliate["id"], "method": "paypal", "details": {"email": "ann@example.com"}});
    client.send(client.request(Method::PUT, "/api/v1/payout-details").json(&details)).await.expect(200);
    let sql = "SELECT CAST(coalesce(sum(available), 0) AS bigint) FROM balances";
    eventually("the earning to be available", async || (database.number(sql).await == EARNED_MICROS).then_some(()))
        .await;
    text(&affiliate, "id")
}

/// Each withdrawal has a unique amount, which identifies it if the answer is lost.
fn amount(number: usize) -> String {
    format!("10.{number:02}")
}

/// Takes every withdrawal of this caller to its end, until the server is killed; returns the steps that were answered.
async fn carry_out(client: &Client, affiliate: &str, answered: &AtomicUsize, part: usize, caller: usize) -> Promised {
    let mut promised = Promised::new();
    let mut made: HashMap<String, String> =
        client.list(WITHDRAWALS).await.iter().map(|it| (text(it, "amount"), text(it, "id"))).collect();
    for number in (caller..REQUESTS).step_by(CALLERS) {
        let id = match made.remove(&amount(number)) {
            Some(id) => id,
            None => {
                let body =
                    json!({"affiliate_id": affiliate, "method": "paypal", "amount": amount(number), "currency": "USD"});
                let request = client.request(Method::POST, WITHDRAWALS).json(&body);
                let request = request.header("Idempotency-Key", format!("{part}-{number}"));
                let Ok(answer) = client.try_send(request).await else { return promised };
                let id = text(&answer.expect(201), "id");
                promised.entry(id.clone()).or_default().push("requested");
                answered.fetch_add(1, Ordering::Relaxed);
                id
            }
        };
        let steps = match number % 3 {
            0 => vec![("refuse", "refused", json!({"reason": "no"}))],
            _ => {
                vec![("approve", "approved", json!({})), ("pay", "paid", json!({"reference": format!("TX-{number}")}))]
            }
        };
        for (verb, status, body) in steps {
            let request = client.request(Method::POST, &format!("{WITHDRAWALS}/{id}/{verb}")).json(&body);
            let Ok(answer) = client.try_send(request).await else { return promised };
            // 409: it was paid in an earlier part, and cannot be approved again.
            assert!(matches!(answer.status, 200 | 409), "{}", answer.text);
            if answer.status == 200 {
                promised.entry(id.clone()).or_default().push(status);
                answered.fetch_add(1, Ordering::Relaxed);
            }
        }
    }
    promised
}

async fn books_balance(client: &Client, database: &Database, promised: &Promised) {
    let all: HashMap<String, Value> =
        client.list(WITHDRAWALS).await.into_iter().map(|it| (text(&it, "id"), it)).collect();
    for (id, steps) in promised {
        let it = all.get(id).unwrap_or_else(|| panic!("{id} was answered and is gone"));
        let history: Vec<_> = it["history"].as_array().unwrap().iter().map(|step| text(step, "status")).collect();
        assert!(steps.iter().all(|step| history.iter().any(|it| it == step)), "{steps:?} in {it}");
    }
    let number = async |sql: &str| database.number(sql).await;
    let sum = |states: &[&str], field: &str| -> i64 {
        let those = all.values().filter(|it| states.iter().any(|state| it["status"] == *state));
        those.map(|it| text(it, field).replace('.', "").parse::<i64>().unwrap() * 10_000).sum()
    };
    let in_state = |status: &str| all.values().filter(|it| it["status"] == status).count() as i64;
    let reserved = sum(&["requested", "approved"], "amount");
    let (paid, fees) = (sum(&["paid"], "net"), sum(&["paid"], "fee"));
    assert_eq!(number("SELECT CAST(sum(micros) AS bigint) FROM entries").await, 0);
    assert_eq!(number("SELECT count(*) - count(DISTINCT key) FROM postings").await, 0);
    for (account, wanted) in
        [("withdrawing", reserved), ("paid", paid), ("available", EARNED_MICROS - reserved - paid - fees)]
    {
        assert_eq!(number(&format!("SELECT CAST(sum({account}) AS bigint) FROM balances")).await, wanted, "{account}");
        let sql = format!("SELECT CAST(coalesce(sum(micros), 0) AS bigint) FROM entries WHERE account = '{account}'");
        assert_eq!(number(&sql).await, wanted, "the entries of {account}");
    }
    let settled = in_state("refused") + 2 * in_state("paid");
    let postings = number("SELECT count(*) FROM postings WHERE key LIKE 'withdrawal:%'").await;
    assert_eq!(postings, all.len() as i64 + settled, "each step's money once");
}
