//! Clicks: redirects per second with a durable row, as a share of a bare axum redirect in the same run.

use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

use anyhow::ensure;
use serde_json::{Map, json};

use crate::baseline::Baseline;
use crate::generator::{self, Caller, Outcome, median, range_of, write_number};
use crate::http::Answer;
use crate::report::{Figure, Report};
use crate::server::Server;
use crate::{Kind, Plan, budgets, machine};

const CONNECTIONS: [usize; 2] = [256, 32];

/// The warm-up, which is not measured, because connections, caches and files are new.
const WARM_UP: Duration = Duration::from_millis(500);

/// Measures the server and the baseline in turn.
pub async fn measure(kind: Kind, program: &Path, plan: Plan, report: &mut Report) -> anyhow::Result<()> {
    let server = Server::start(kind, program).await?;
    let link = server.create_link().await?;
    let baseline = Baseline::start()?;
    let mut visitors = Visitors::new(link);
    let mut answers = visitors.click(server.address, CONNECTIONS[0], WARM_UP).await?.answers;
    visitors.click(baseline.address, CONNECTIONS[0], WARM_UP).await?;

    let mut details = Map::new();
    let mut resident = 0.0_f64;
    for connections in CONNECTIONS {
        let (mut ours, mut bare) = (Rounds::default(), Rounds::default());
        for _ in 0..plan.click_rounds {
            bare.add(baseline.pid(), visitors.click(baseline.address, connections, plan.click_round)).await?;
            answers += ours.add(server.pid(), visitors.click(server.address, connections, plan.click_round)).await?;
            resident = resident.max(machine::resident_mib(server.pid()));
        }
        let ratio = ours.per_second() / bare.per_second();
        let name = format!("clicks, {connections} connections, share of bare axum");
        let budget = (connections == 256).then_some(budgets::CLICK_RATIO);
        let note = format!("{:.0} of {:.0} per second", ours.per_second(), bare.per_second());
        report.add(Figure { name, kind: Some(kind), value: ratio, unit: "x", budget, note });
        let detail = json!({
            "ratio": ratio, "per_s": ours.per_second(), "axum_per_s": bare.per_second(),
            "rounds": ours.rates, "axum_rounds": bare.rates,
            "p50_ms": median(ours.p50_ms), "p99_ms": median(ours.p99_ms),
            "server_cpu_us": median(ours.cpu_us), "axum_cpu_us": median(bare.cpu_us),
        });
        details.insert(connections.to_string(), detail);
    }
    let rows = server.database.count("clicks").await;
    report.check(&format!("clicks stored, {}", kind.name()), answers, u64::try_from(rows)?);
    let name = "memory under clicks".to_owned();
    let note = format!("peak since its start {:.0}", machine::resident_peak_mib(server.pid()));
    report.add(Figure {
        name,
        kind: Some(kind),
        value: resident,
        unit: "MiB",
        budget: Some(budgets::MEMORY_MIB),
        note,
    });
    details.insert("answers".into(), answers.into());
    details.insert("rows".into(), rows.into());
    details.insert("resident_mib".into(), resident.into());
    report.detail("clicks", kind, details.into());
    Ok(())
}

/// The results of the rounds of the server or of the baseline.
#[derive(Default)]
struct Rounds {
    rates: Vec<f64>,
    p50_ms: Vec<f64>,
    p99_ms: Vec<f64>,
    cpu_us: Vec<f64>,
}

impl Rounds {
    async fn add(
        &mut self,
        pid: u32,
        round: impl Future<Output = anyhow::Result<Outcome<Visitor>>>,
    ) -> anyhow::Result<u64> {
        let before = machine::processor_time(pid);
        let outcome = round.await?;
        let used = machine::processor_time(pid) - before;
        self.rates.push(outcome.per_second().round());
        self.p50_ms.push(outcome.latency_ms(0.5));
        self.p99_ms.push(outcome.latency_ms(0.99));
        self.cpu_us.push(used.as_secs_f64() * 1e6 / outcome.answers.max(1) as f64);
        Ok(outcome.answers)
    }

    fn per_second(&self) -> f64 {
        median(self.rates.clone())
    }
}

/// The visitors of one link; each has a different address.
pub struct Visitors {
    link: String,
    born: u64,
}

impl Visitors {
    pub fn new(link: String) -> Self {
        Self { link, born: 0 }
    }

    pub async fn click(
        &mut self,
        address: SocketAddr,
        connections: usize,
        duration: Duration,
    ) -> anyhow::Result<Outcome<Visitor>> {
        let visitors = self.next(address, connections);
        generator::run(address, visitors, duration).await
    }

    /// Clicks that arrive at random.
    pub async fn arrive(
        &mut self,
        address: SocketAddr,
        connections: usize,
        duration: Duration,
        per_second: f64,
    ) -> anyhow::Result<Outcome<Visitor>> {
        let visitors = self.next(address, connections);
        generator::arrive(address, visitors, duration, per_second).await
    }

    fn next(&mut self, address: SocketAddr, connections: usize) -> Vec<Visitor> {
        let next = |_| {
            self.born += 1;
            Visitor::new(address, &self.link, self.born)
        };
        (0..connections).map(next).collect()
    }
}

const IP: &str = "2001:db8:0:0:0000:0000:0000:0000";
const EXTERNAL_ID: &str = "ext-0000000000000000";

/// The clicks of one connection, as a reverse proxy forwards them. Each address clicks twice.
pub struct Visitor {
    request: Vec<u8>,
    ip: std::ops::Range<usize>,
    external_id: std::ops::Range<usize>,
    number: u64,
    clicks: u64,
}

impl Visitor {
    fn new(address: SocketAddr, link: &str, number: u64) -> Self {
        let request = format!(
            "GET {link}?click_id={EXTERNAL_ID}&sub1=newsletter&sub2=banner-3 HTTP/1.1\r\nHost: {address}\r\n\
             User-Agent: Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) \
             Chrome/{}.0.0.0 Safari/537.36\r\nAccept: text/html\r\nReferer: https://blog.example/review\r\n\
             X-Forwarded-For: {IP}\r\n\r\n",
            100 + number % 40
        )
        .into_bytes();
        let (ip, external_id) = (range_of(&request, IP), range_of(&request, EXTERNAL_ID));
        Self { request, ip, external_id, number, clicks: 0 }
    }
}

impl Caller for Visitor {
    fn request(&mut self) -> &[u8] {
        write_number(
            &mut self.request[self.external_id.end - 16..self.external_id.end],
            self.number << 32 | self.clicks,
            16,
        );
        let (person, end) = (self.clicks / 2, self.ip.end);
        write_number(&mut self.request[end - 19..end - 15], self.number, 16);
        write_number(&mut self.request[end - 9..end - 5], person >> 16, 16);
        write_number(&mut self.request[end - 4..end], person & 0xffff, 16);
        self.clicks += 1;
        &self.request
    }

    fn answered(&mut self, answer: &Answer<'_>) -> anyhow::Result<()> {
        ensure!(answer.status == 302, "the answer to a click is {}", answer.text());
        Ok(())
    }
}
