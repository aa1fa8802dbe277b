//! A mix: clicks, conversions, reports and pages of a log at the same time, as a busy program has them.

use std::path::Path;
use std::sync::Arc;

use anyhow::ensure;
use serde_json::json;

use crate::clicks::Visitors;
use crate::conversions::{self, Sales, Shop};
use crate::generator::{self, Caller, Outcome};
use crate::http::Answer;
use crate::receiver::Receiver;
use crate::report::{Figure, Report};
use crate::server::{ADMIN_KEY, Server};
use crate::{Kind, Plan};

const CLICKS: usize = 64;
const CONVERSIONS: usize = 32;
/// People who look at reports and logs, each with one request at a time.
const READERS: usize = 2;
const KNOWN_CLICKS: usize = 10_000;
const CAPACITY: usize = 2_000_000;

/// Runs all loads at once, and prints the rate and the latency of each.
pub async fn measure(kind: Kind, program: &Path, plan: Plan, report: &mut Report) -> anyhow::Result<()> {
    let server = Server::start(kind, program).await?;
    let receiver = Receiver::start(CAPACITY)?;
    let sales = Arc::new(Sales::from(conversions::prepare(&server, &receiver, KNOWN_CLICKS).await?));
    let mut visitors = Visitors::new(server.create_link().await?);
    let shops = (0..CONVERSIONS).map(|_| Shop::new(server.address, sales.clone())).collect();
    let readers = |path| (0..READERS).map(|_| Reader::new(&server, path)).collect::<Vec<_>>();
    let (address, duration) = (server.address, plan.conversions);

    let (clicks, conversions, reports, logs) = tokio::join!(
        visitors.click(address, CLICKS, duration),
        generator::run(address, shops, duration),
        generator::run(address, readers("/api/v1/reports?group_by=offer"), duration),
        generator::run(address, readers("/api/v1/deliveries?status=success"), duration),
    );
    let loads = [
        ("clicks", Load::of(clicks?)),
        ("conversions", Load::of(conversions?)),
        ("reports", Load::of(reports?)),
        ("pages of the log", Load::of(logs?)),
    ];
    for (name, load) in &loads {
        report.add(Figure {
            name: format!("mix: {name}"),
            kind: Some(kind),
            value: load.per_second,
            unit: "/s",
            budget: None,
            note: format!("p50 {:.1} ms, p99 {:.1} ms, p99.9 {:.1} ms", load.p50, load.p99, load.p999),
        });
    }
    let detail = loads.iter().map(|(name, load)| {
        json!({"load": name, "per_s": load.per_second, "p50_ms": load.p50, "p99_ms": load.p99, "p99_9_ms": load.p999})
    });
    report.detail("mix", kind, detail.collect());
    Ok(())
}

struct Load {
    per_second: f64,
    p50: f64,
    p99: f64,
    p999: f64,
}

impl Load {
    fn of<C>(outcome: Outcome<C>) -> Self {
        let [p50, p99, p999] = [0.5, 0.99, 0.999].map(|it| outcome.latency_ms(it));
        Self { per_second: outcome.per_second(), p50, p99, p999 }
    }
}

/// Requests one address again and again as the admin.
struct Reader(Vec<u8>);

impl Reader {
    fn new(server: &Server, path: &str) -> Self {
        let request =
            format!("GET {path} HTTP/1.1\r\nHost: {}\r\nAuthorization: Bearer {ADMIN_KEY}\r\n\r\n", server.address);
        Self(request.into_bytes())
    }
}

impl Caller for Reader {
    fn request(&mut self) -> &[u8] {
        &self.0
    }

    fn answered(&mut self, answer: &Answer<'_>) -> anyhow::Result<()> {
        ensure!(answer.status == 200, "the answer to a reader is {}", answer.text());
        Ok(())
    }
}
