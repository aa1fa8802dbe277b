//! Conversions: the maximum rate at which they are accepted one by one over the API and delivered to the receiver.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use serde_json::json;

use crate::generator::{self, Caller, range_of, write_number};
use crate::http::{Answer, Connection};
use crate::receiver::{Arrivals, Receiver};
use crate::report::{Figure, Report};
use crate::server::{Server, post};
use crate::{Kind, Plan, budgets, history, machine};

/// The number of clicks that the conversions use in turn.
const CLICKS: usize = 10_000;
/// The maximum number of conversions, more than any machine accepts in one run.
const CAPACITY: usize = 2_000_000;
/// The time limit for deliveries after the last conversion.
const DRAIN: Duration = Duration::from_secs(45);
const TICK: Duration = Duration::from_millis(50);

/// Returns the number of deliveries per second. With `history`, the tables already contain this many rows.
pub async fn measure(kind: Kind, program: &Path, plan: Plan, history: u64, report: &mut Report) -> anyhow::Result<f64> {
    let server = Server::start(kind, program).await?;
    let receiver = Receiver::start(CAPACITY)?;
    let sales = Arc::new(Sales::from(prepare(&server, &receiver, CLICKS).await?));
    let known = if history > 0 { history::write(&server.database, history).await? } else { 0 };
    let shops = (0..plan.conversion_connections).map(|_| Shop::new(server.address, sales.clone())).collect();

    let cpu_before = machine::processor_time(server.pid());
    let run = generator::run(server.address, shops, plan.conversions);
    let (outcome, mut watched) = watch(run, &server, &sales, &receiver.arrivals).await;
    let outcome = outcome?;
    let accepted = outcome.answers;
    let left_behind = accepted - receiver.arrivals.unique().min(accepted);
    let (drained, after) = watch(drain(accepted, &receiver.arrivals), &server, &sales, &receiver.arrivals).await;
    watched.resident_mib = watched.resident_mib.max(after.resident_mib);
    if !drained {
        println!("Not all postbacks arrived within {DRAIN:?}; the end of the server's log:\n{}", server.log());
    }
    let cpu = machine::processor_time(server.pid()) - cpu_before;

    let delivered = receiver.arrivals.unique();
    let delivered_per_s = delivered as f64 / (receiver.arrivals.last() - outcome.started).as_secs_f64();
    let accepted_per_s = outcome.per_second();
    let connections = plan.conversion_connections;
    let cpu_us = cpu.as_secs_f64() * 1e6 / accepted.max(1) as f64;
    report.add(Figure {
        name: format!("conversions accepted, {connections} connections"),
        kind: Some(kind),
        value: accepted_per_s,
        unit: "/s",
        budget: None,
        note: format!("p50 {:.1} ms, p99 {:.1} ms", outcome.latency_ms(0.5), outcome.latency_ms(0.99)),
    });
    report.add(Figure {
        name: "conversions accepted and delivered".into(),
        kind: Some(kind),
        value: delivered_per_s,
        unit: "/s",
        budget: Some(budgets::delivered_per_s(kind)),
        note: format!(
            "{delivered} in total; {left_behind} were not delivered when the last one was accepted; {cpu_us:.0} us of CPU each"
        ),
    });
    report.add(Figure {
        name: "memory under conversions".into(),
        kind: Some(kind),
        value: watched.resident_mib,
        unit: "MiB",
        budget: Some(budgets::MEMORY_MIB),
        note: format!("peak since its start {:.0}", machine::resident_peak_mib(server.pid())),
    });
    check(&server, kind, accepted, known, &receiver.arrivals, report).await?;
    report.detail(
        "conversions",
        kind,
        json!({
            "connections": connections, "accepted": accepted, "delivered": delivered,
            "repeated": receiver.arrivals.repeated(), "seconds": outcome.elapsed.as_secs_f64(),
            "accepted_per_s": accepted_per_s, "delivered_per_s": delivered_per_s,
            "left_behind": left_behind, "backlog_max": watched.backlog,
            "p50_ms": outcome.latency_ms(0.5), "p99_ms": outcome.latency_ms(0.99),
            "server_cpu_us": cpu_us, "resident_mib": watched.resident_mib, "history": history,
        }),
    );
    Ok(delivered_per_s)
}

/// Checks that every conversion is stored once, arrived once, and has a successful delivery.
async fn check(
    server: &Server,
    kind: Kind,
    accepted: u64,
    known: u64,
    arrivals: &Arrivals,
    report: &mut Report,
) -> anyhow::Result<()> {
    let name = |what: &str| format!("conversions {what}, {}", kind.name());
    report.check(&name("stored"), accepted + known, u64::try_from(server.database.count("conversions").await)?);
    report.check(&name("arrived"), accepted, arrivals.unique());
    report.check(&name("arrived twice"), 0, arrivals.repeated());
    // The results of the last postbacks are stored a moment after they arrived.
    let succeeded = "SELECT count(*) FROM deliveries WHERE state = 'success'";
    let started = Instant::now();
    let mut count = u64::try_from(server.database.number(succeeded).await)?;
    while count < accepted + known && started.elapsed() < Duration::from_secs(5) {
        tokio::time::sleep(Duration::from_millis(100)).await;
        count = u64::try_from(server.database.number(succeeded).await)?;
    }
    report.check(&name("known as delivered"), accepted + known, count);
    Ok(())
}

/// Creates the program, its postback, and clicks. Returns the ids of the clicks.
pub async fn prepare(server: &Server, receiver: &Receiver, clicks: usize) -> anyhow::Result<Vec<[u8; 26]>> {
    let link = server.create_link().await?;
    server.create_postback(receiver.address).await?;
    let (address, lanes) = (server.address, clicks.min(64));
    let click = |lane: usize| {
        let link = link.clone();
        async move {
            let mut connection = Connection::open(address).await?;
            let mut ids = Vec::new();
            for number in (lane..clicks).step_by(lanes) {
                let request = format!(
                    "GET {link}?click_id=ext-{number}&sub1=newsletter HTTP/1.1\r\nHost: {address}\r\n\
                     User-Agent: Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0\r\n\r\n"
                );
                let answer = connection.call(request.as_bytes()).await?;
                ids.push(click_id(&answer).with_context(|| format!("the answer to a click is {}", answer.text()))?);
            }
            anyhow::Ok(ids)
        }
    };
    let mut calls = tokio::task::JoinSet::new();
    for lane in 0..lanes {
        calls.spawn(click(lane));
    }
    let mut ids = Vec::with_capacity(clicks);
    while let Some(result) = calls.join_next().await {
        ids.extend(result??);
    }
    Ok(ids)
}

/// The click id, which the landing page receives as `cid`.
fn click_id(answer: &Answer<'_>) -> Option<[u8; 26]> {
    const MARK: &[u8] = b"?cid=";
    let at = answer.head.windows(MARK.len()).position(|it| it == MARK)? + MARK.len();
    answer.head.get(at..at + 26)?.try_into().ok()
}

/// The data that all connections share.
#[derive(Default)]
pub struct Sales {
    clicks: Vec<[u8; 26]>,
    begun: AtomicU64,
    accepted: AtomicU64,
}

impl From<Vec<[u8; 26]>> for Sales {
    fn from(clicks: Vec<[u8; 26]>) -> Self {
        Self { clicks, ..Self::default() }
    }
}

const CLICK_ID: &str = "00000000000000000000000000";
const TRANSACTION: &str = "T-0000000000";

/// The conversions of one connection.
pub struct Shop {
    request: Vec<u8>,
    click_id: std::ops::Range<usize>,
    transaction: std::ops::Range<usize>,
    sales: Arc<Sales>,
}

impl Shop {
    pub fn new(address: SocketAddr, sales: Arc<Sales>) -> Self {
        let body = json!({
            "click_id": CLICK_ID, "transaction_id": TRANSACTION, "goal": "sale", "status": "approved",
            "amount": "49.00", "currency": "USD", "customer_name": "Grace Hopper",
            "customer_email": "grace@example.com", "plan_name": "Pro yearly",
        });
        let request = post(address, "/api/v1/conversions", &body.to_string());
        let (click_id, transaction) = (range_of(&request, CLICK_ID), range_of(&request, TRANSACTION));
        Self { request, click_id, transaction, sales }
    }
}

impl Caller for Shop {
    fn request(&mut self) -> &[u8] {
        let number = self.sales.begun.fetch_add(1, Relaxed);
        let click = self.sales.clicks[number as usize % self.sales.clicks.len()];
        self.request[self.click_id.clone()].copy_from_slice(&click);
        write_number(&mut self.request[self.transaction.start + 2..self.transaction.end], number, 10);
        &self.request
    }

    fn answered(&mut self, answer: &Answer<'_>) -> anyhow::Result<()> {
        ensure!(answer.status == 201, "the answer to a conversion is {}", answer.text());
        self.sales.accepted.fetch_add(1, Relaxed);
        Ok(())
    }
}

/// The highest values that were measured.
#[derive(Default)]
struct Watched {
    resident_mib: f64,
    backlog: u64,
}

/// Measures the server repeatedly until `work` is done.
async fn watch<T>(work: impl Future<Output = T>, server: &Server, sales: &Sales, arrivals: &Arrivals) -> (T, Watched) {
    let mut watched = Watched::default();
    let mut work = std::pin::pin!(work);
    loop {
        tokio::select! {
            done = &mut work => return (done, watched),
            () = tokio::time::sleep(TICK) => {
                let arrived = arrivals.unique();
                watched.backlog = watched.backlog.max(sales.accepted.load(Relaxed).saturating_sub(arrived));
                watched.resident_mib = watched.resident_mib.max(machine::resident_mib(server.pid()));
            }
        }
    }
}

/// Waits for the arrivals. Returns whether all arrived in time.
async fn drain(accepted: u64, arrivals: &Arrivals) -> bool {
    let started = Instant::now();
    while arrivals.unique() < accepted {
        if started.elapsed() > DRAIN {
            return false;
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    true
}
