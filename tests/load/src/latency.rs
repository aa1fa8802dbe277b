//! Latency: the time from a conversion to the arrival of its postback, on an otherwise idle server.

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::Context;
use serde_json::json;

use crate::conversions::{Sales, Shop, prepare};
use crate::generator::Caller;
use crate::http::Connection;
use crate::receiver::Receiver;
use crate::report::{Figure, Report};
use crate::server::Server;
use crate::{Kind, Plan, budgets};

/// The pauses between two conversions. They differ, to avoid a constant phase relative to the server's timers.
const GAPS_MS: [u64; 7] = [50, 37, 71, 43, 59, 31, 61];
const ARRIVAL: Duration = Duration::from_secs(10);

/// Sends conversions one after the other and measures when their postbacks arrive.
pub async fn measure(kind: Kind, program: &Path, plan: Plan, report: &mut Report) -> anyhow::Result<()> {
    let server = Server::start(kind, program).await?;
    let receiver = Receiver::start(plan.latency_samples as usize)?;
    let sales = Arc::new(Sales::from(prepare(&server, &receiver, 200).await?));
    let mut shop = Shop::new(server.address, sales);
    let mut connection = Connection::open(server.address).await?;
    tokio::time::sleep(Duration::from_secs(1)).await;

    let mut calls = Vec::new();
    for number in 0..plan.latency_samples {
        let sent = Instant::now();
        let answer = connection.call(shop.request()).await.context("a conversion got no answer")?;
        let answered = Instant::now();
        shop.answered(&answer)?;
        calls.push((number, sent, answered));
        tokio::time::sleep(Duration::from_millis(GAPS_MS[number as usize % GAPS_MS.len()])).await;
    }
    let started = Instant::now();
    while receiver.arrivals.unique() < plan.latency_samples && started.elapsed() < ARRIVAL {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    report.check(
        &format!("conversions arrived when idle, {}", kind.name()),
        plan.latency_samples,
        receiver.arrivals.unique(),
    );

    let (mut from_sent, mut from_answered, mut answer_times) = (Vec::new(), Vec::new(), Vec::new());
    for (number, sent, answered) in calls {
        answer_times.push(ms(answered - sent));
        if let Some(arrived) = receiver.arrivals.at(number) {
            from_sent.push(ms(arrived - sent));
            // A postback can arrive before the answer; this counts as zero.
            from_answered.push(ms(arrived.saturating_duration_since(answered)));
        }
    }
    let after_answer = Quantiles::of(from_answered);
    let (after_request, answer) = (Quantiles::of(from_sent), Quantiles::of(answer_times));
    let figure = |name: &str, value, budget, note| Figure {
        name: name.into(),
        kind: Some(kind),
        value,
        unit: "ms",
        budget: Some(budget),
        note,
    };
    report.add(figure(
        "postback after the answer, p50",
        after_answer.p50,
        budgets::LATENCY_P50_MS,
        format!("max {:.1}", after_answer.max),
    ));
    report.add(figure(
        "postback after the answer, p99",
        after_answer.p99,
        budgets::LATENCY_P99_MS,
        format!("{} conversions, about 20 per second", plan.latency_samples),
    ));
    report.add(figure(
        "postback after the request, p50",
        after_request.p50,
        budgets::LATENCY_P50_MS,
        format!("the answer itself p50 {:.1}, p99 {:.1}", answer.p50, answer.p99),
    ));
    report.add(figure("postback after the request, p99", after_request.p99, budgets::LATENCY_P99_MS, String::new()));
    report.detail("latency", kind, json!({
        "samples": plan.latency_samples, "after_answer_ms": after_answer.json(), "after_request_ms": after_request.json(),
        "answer_ms": answer.json(),
    }));
    Ok(())
}

fn ms(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1_000.0
}

struct Quantiles {
    p50: f64,
    p99: f64,
    max: f64,
}

impl Quantiles {
    fn of(mut values: Vec<f64>) -> Self {
        values.sort_by(f64::total_cmp);
        let last = values.len().saturating_sub(1) as f64;
        let at = |quantile: f64| values.get((last * quantile).ceil() as usize).copied().unwrap_or(f64::NAN);
        Self { p50: at(0.5), p99: at(0.99), max: at(1.0) }
    }

    fn json(&self) -> serde_json::Value {
        json!({"p50": self.p50, "p99": self.p99, "max": self.max})
    }
}
