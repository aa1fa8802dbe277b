//! Random arrivals: the time to the redirect when visitors come independently of each other, at a part of the maximum rate. Closed
//! loops hide the waiting: while the server pauses, they send nothing.

use std::path::Path;

use serde_json::json;

use crate::clicks::Visitors;
use crate::report::{Figure, Report};
use crate::server::Server;
use crate::{Kind, Plan};

const CONNECTIONS: usize = 256;
/// The shares of the maximum rate.
const SHARES: [f64; 3] = [0.2, 0.5, 0.8];

/// Finds the maximum rate with a closed loop, then measures each share of it.
pub async fn measure(kind: Kind, program: &Path, plan: Plan, report: &mut Report) -> anyhow::Result<()> {
    let server = Server::start(kind, program).await?;
    let mut visitors = Visitors::new(server.create_link().await?);
    visitors.click(server.address, CONNECTIONS, plan.click_round).await?;
    let most = visitors.click(server.address, CONNECTIONS, plan.click_round).await?.per_second();
    let mut details = Vec::new();
    for share in SHARES {
        let outcome = visitors.arrive(server.address, CONNECTIONS, plan.conversions, most * share).await?;
        let [p50, p99, p999] = [0.5, 0.99, 0.999].map(|it| outcome.latency_ms(it));
        report.add(Figure {
            name: format!("clicks that arrive at random, {:.0} % of the maximum, p99.9", share * 100.0),
            kind: Some(kind),
            value: p999,
            unit: "ms",
            budget: None,
            note: format!("p50 {p50:.1}, p99 {p99:.1}; {:.0} of {most:.0} per second", outcome.per_second()),
        });
        details.push(json!({
            "share": share, "per_s": outcome.per_second(), "p50_ms": p50, "p99_ms": p99, "p99_9_ms": p999,
        }));
    }
    report.detail("arrivals", kind, json!({"most_per_s": most, "shares": details}));
    Ok(())
}
