//! Finance in the year: adjustments, exchanges, and withdrawals by every method to every final state.

use postrider_tests::app::TestApp;
use postrider_tests::client::text;
use rand::Rng;
use rand::rngs::StdRng;
use rand::seq::IndexedRandom;
use serde_json::{Value, json};

use super::amounts::{micros, micros_of, unit, written};
use super::program::{Money, Program, amount};

/// Method, currency, minimum, fixed fee, fee in percent: as in docs/withdrawals.md and the lists of methods.
const TERMS: [(&str, &str, &str, &str, &str); 10] = [
    ("sepa", "EUR", "20.00", "0", "0"),
    ("bank-international", "USD", "100.00", "15.00", "0"),
    ("paypal", "USD", "15.00", "0", "2"),
    ("paypal", "EUR", "10.00", "0", "2"),
    ("wise", "USD", "20.00", "1.00", "0"),
    ("payoneer", "EUR", "50.00", "1.50", "0"),
    ("crypto", "USD", "50.00", "2.00", "0"),
    ("paypal", "GBP", "10.00", "0", "2"),
    ("transfer", "JPY", "500", "30", "1.55"),
    ("transfer", "KWD", "5.000", "0", "2.505"),
];

const RATES: [(&str, &str, &str); 4] =
    [("USD", "EUR", "0.923456789"), ("JPY", "USD", "0.0066"), ("EUR", "KWD", "0.333333333333"), ("KWD", "EUR", "3.01")];

/// The movement of an exchange: affiliate, debited, credited, time.
pub type Exchanged = (String, Money, Money, String);

#[derive(Default)]
pub struct Payments {
    pub exchanges: Vec<Exchanged>,
    steps: usize,
}

/// The fee of a withdrawal: rounded down to the currency's minor unit.
pub fn fee(method: &str, (micros_asked, currency): &Money) -> i128 {
    let terms = TERMS.iter().find(|it| (it.0, it.1) == (method, currency.as_str())).expect("it pays in it");
    let whole = 100 * 1_000_000;
    let exact = micros(terms.3) * whole + micros_asked * micros(terms.4);
    exact / (whole * unit(currency)) * unit(currency)
}

pub async fn set_rates(t: &TestApp) {
    for (from, to, rate) in RATES {
        t.admin.post("/api/v1/exchange-rates", &json!({"from": from, "to": to, "rate": rate})).await.expect(201);
    }
}

impl Payments {
    pub async fn step(&mut self, t: &TestApp, random: &mut StdRng, program: &Program) {
        self.steps += 1;
        if random.random_bool(0.3) {
            t.tick();
            adjust(t, random, program).await;
        }
        t.deliver_all().await;
        if random.random_bool(0.25) {
            t.tick();
            self.exchange(t, random, program).await;
        }
        for _ in 0..random.random_range(0..3) {
            t.tick();
            request(t, random, program).await;
        }
        decide(t, random).await;
        if self.steps.is_multiple_of(7) {
            for (method, currency, ..) in TERMS {
                t.tick();
                pay_together(t, random, method, currency).await;
            }
        }
    }

    async fn exchange(&mut self, t: &TestApp, random: &mut StdRng, program: &Program) {
        let affiliate = &program.affiliates.choose(random).expect("affiliates").id;
        let (from, to, rate) = RATES[random.random_range(0..RATES.len())];
        let available = standing(t, affiliate, from).await.0;
        if available < 1_000_000 {
            return;
        }
        let taken = random.random_range(1..=available / 3);
        let body = json!({"affiliate_id": affiliate, "amount": amount(taken), "from": from, "to": to});
        let answer = t.admin.post("/api/v1/exchanges", &body).await;
        let (whole, fraction) = rate.split_once('.').expect("a point");
        let rate: i128 = format!("{whole}{fraction:0<12}").parse().expect("digits");
        let given = taken * rate / 1_000_000_000_000;
        if given == 0 {
            answer.expect_problem(422, "exchange_too_small");
            return;
        }
        let answer = answer.expect(201);
        assert_eq!(micros_of(&answer["taken"]["amount"]), taken, "{answer}");
        assert_eq!(micros_of(&answer["given"]["amount"]), given, "{answer}");
        let moved = ((taken, from.to_owned()), (given, to.to_owned()));
        self.exchanges.push((affiliate.clone(), moved.0, moved.1, text(&answer, "at")));
    }
}

/// Credits or debits; more often credits.
async fn adjust(t: &TestApp, random: &mut StdRng, program: &Program) {
    let affiliate = &program.affiliates.choose(random).expect("affiliates").id;
    let currency = ["USD", "EUR", "JPY", "KWD"][random.random_range(0..4)];
    let size = random.random_range(1..60_000_000_i128);
    let text = if random.random_bool(0.35) { format!("-{}", written(size)) } else { written(size) };
    let hold = if text.starts_with('-') { 0 } else { [0, 0, 7][random.random_range(0..3)] };
    let body = json!({"affiliate_id": affiliate, "amount": text, "currency": currency, "reason": "-by hand, \"so\"",
        "hold_days": hold});
    t.admin.post("/api/v1/adjustments", &body).await.expect(201);
}

/// The available amount, and the debt.
async fn standing(t: &TestApp, affiliate: &str, currency: &str) -> (i128, i128) {
    let balances = t.admin.list(&format!("/api/v1/balances?affiliate_id={affiliate}")).await;
    let found = balances.iter().find(|it| it["currency"] == currency);
    found.map_or((0, 0), |it| (micros_of(&it["available"]), micros_of(&it["debt"])))
}

/// Requests a withdrawal, and expects the result of the terms.
async fn request(t: &TestApp, random: &mut StdRng, program: &Program) {
    let affiliate = program.affiliates.choose(random).expect("affiliates");
    let (method, currency, minimum, ..) = TERMS[random.random_range(0..TERMS.len())];
    let (available, debt) = standing(t, &affiliate.id, currency).await;
    let unit = unit(currency);
    let all = random.random_bool(0.5);
    let whole = available / unit * unit;
    let asked = if all { whole } else { random.random_range(0..=whole / unit + 2) * unit };
    let written = if all { json!("all") } else { amount(asked) };
    let body = json!({"method": method, "amount": written, "currency": currency});
    // With its own key it is not a repetition of the previous request.
    let key = format!("year-{}", t.unique());
    let answer = affiliate.client.post_once("/api/v1/withdrawals", &key, &body).await;
    let money = (asked, currency.to_owned());
    let problem = match () {
        () if debt > 0 => Some("balance_indebted"),
        () if asked == 0 || asked > available => Some("insufficient_balance"),
        () if asked < micros(minimum) => Some("below_minimum"),
        () if fee(method, &money) >= asked => Some("fee_exceeds_amount"),
        () => None,
    };
    if let Some(code) = problem {
        answer.expect_problem(422, code);
        return;
    }
    let answer = answer.expect(201);
    let fee = fee(method, &money);
    assert_eq!(
        (micros_of(&answer["amount"]), micros_of(&answer["fee"]), micros_of(&answer["net"])),
        (asked, fee, asked - fee),
        "{answer:#}"
    );
}

fn path_of(withdrawal: &Value, verb: &str) -> String {
    format!("/api/v1/withdrawals/{}/{verb}", text(withdrawal, "id"))
}

async fn step(t: &TestApp, withdrawal: &Value, verb: &str, body: Value) {
    t.tick();
    t.admin.post(&path_of(withdrawal, verb), &body).await.expect(200);
}

/// Whether its affiliate owes more than finance accepted for it.
async fn is_stopped(t: &TestApp, withdrawal: &Value) -> bool {
    let debt = standing(t, &text(withdrawal, "affiliate_id"), &text(withdrawal, "currency")).await.1;
    let accepted = &withdrawal["accepted_debt"];
    debt > if accepted.is_null() { 0 } else { micros_of(accepted) }
}

/// Approves or pays it. If a debt stops it, finance accepts the debt every other time.
async fn proceed(t: &TestApp, random: &mut StdRng, withdrawal: &Value, verb: &str, mut body: Value) {
    if is_stopped(t, withdrawal).await {
        t.admin.post(&path_of(withdrawal, verb), &body).await.expect_problem(409, "affiliate_indebted");
        if random.random_bool(0.5) {
            return;
        }
        body["despite_debt"] = json!(true);
    }
    step(t, withdrawal, verb, body).await;
}

/// The next step of some withdrawals that wait for one.
async fn decide(t: &TestApp, random: &mut StdRng) {
    for withdrawal in t.admin.list("/api/v1/withdrawals?status=requested").await {
        match random.random_range(0..10) {
            0..5 => proceed(t, random, &withdrawal, "approve", json!({})).await,
            5 => step(t, &withdrawal, "refuse", json!({"reason": "=name, does not fit"})).await,
            6 => step(t, &withdrawal, "cancel", json!({})).await,
            _ => {}
        }
    }
    for withdrawal in t.admin.list("/api/v1/withdrawals?status=approved").await {
        match random.random_range(0..10) {
            0 => proceed(t, random, &withdrawal, "pay", json!({"reference": "TX-1"})).await,
            1 => step(t, &withdrawal, "fail", json!({"reason": "account closed"})).await,
            _ => {}
        }
    }
}

/// A batch of all approved withdrawals that no debt stops, and the bank's results for most of them.
async fn pay_together(t: &TestApp, random: &mut StdRng, method: &str, currency: &str) {
    let path = format!("/api/v1/withdrawals?status=approved&method={method}&currency={currency}");
    let mut waiting = Vec::new();
    for withdrawal in t.admin.list(&path).await {
        if withdrawal["batch_id"].is_null() && !is_stopped(t, &withdrawal).await {
            waiting.push(withdrawal);
        }
    }
    let answer = t.admin.post("/api/v1/withdrawal-batches", &json!({"method": method, "currency": currency})).await;
    if waiting.is_empty() {
        answer.expect_problem(409, "nothing_to_pay");
        return;
    }
    let batch = answer.expect(201);
    assert_eq!(batch["count"], waiting.len(), "{batch}");
    let net: i128 = waiting.iter().map(|it| micros_of(&it["net"])).sum();
    assert_eq!(micros_of(&batch["net"]), net, "{batch}");
    let mut csv = String::from("withdrawal_id;status;reference;reason\r\n");
    let (mut paid, mut failed) = (0, 0);
    for withdrawal in &waiting {
        let id = text(withdrawal, "id");
        match random.random_range(0..10) {
            0 => {} // The bank has no result for it yet.
            1 => {
                failed += 1;
                csv += &format!("{id};failed;;no such account\r\n");
            }
            _ => {
                paid += 1;
                csv += &format!("{id};paid;TX-{paid};\r\n");
            }
        }
    }
    t.tick();
    let path = format!("/api/v1/withdrawal-batches/{}/results", text(&batch, "id"));
    for again in [false, true] {
        let request = t.admin.request(reqwest::Method::POST, &path).header("content-type", "text/csv");
        let answer = t.admin.send(request.body(csv.clone())).await.expect(200);
        let wanted = if again { [0, 0, paid + failed, 0] } else { [paid, failed, 0, 0] };
        let counts = ["paid", "failed", "unchanged", "errors"].map(|field| answer[field].as_i64().expect("a number"));
        assert_eq!(counts, wanted, "{answer}");
    }
}
