//! Adapters: the cost of `decide` and `render` of macro-url, in one instance for all calls and in a new one each time.

use std::hint::black_box;
use std::time::{Duration, Instant};

use anyhow::Context;
use host::{AdapterError, Host, Session, wire};
use serde_json::json;

use crate::budgets;
use crate::generator::median;
use crate::report::{Figure, Report};
use crate::server::postback_config;
use postrider_tests::temp::TempDir;

/// The number of calls between two measurements of the time.
const BATCH: u32 = 200;

/// Measures calls of macro-url for `duration` per figure.
pub fn measure(duration: Duration, report: &mut Report) -> anyhow::Result<()> {
    let dir = TempDir::new("adapters");
    let before = Instant::now();
    let host = Host::start(dir.path())?;
    let compile_ms = before.elapsed().as_secs_f64() * 1_000.0;
    let adapter = host.adapter("macro-url").context("macro-url is built in")?;
    let job = Job::new();

    let mut session = adapter.session();
    job.run(&mut session)?;
    let warm = per_call_us(duration, || job.run(&mut session))?;
    let fresh = per_call_us(duration, || job.run(&mut adapter.session()))?;
    let figure = |name: &str, value, budget, note: String| Figure {
        name: name.into(),
        kind: None,
        value,
        unit: "us",
        budget: Some(budget),
        note,
    };
    report.add(figure("adapter decide + render, warm", warm, budgets::ADAPTER_WARM_US, String::new()));
    report.add(figure(
        "adapter decide + render, fresh instance",
        fresh,
        budgets::ADAPTER_FRESH_US,
        format!("host started in {compile_ms:.0} ms"),
    ));
    report.note("adapter", json!({"warm_us": warm, "fresh_us": fresh, "start_ms": compile_ms}));
    Ok(())
}

/// The median of batches, in microseconds per call.
fn per_call_us(duration: Duration, mut call: impl FnMut() -> Result<(), AdapterError>) -> anyhow::Result<f64> {
    let started = Instant::now();
    let mut batches = Vec::new();
    while started.elapsed() < duration {
        let before = Instant::now();
        for _ in 0..BATCH {
            call()?;
        }
        batches.push(before.elapsed().as_secs_f64() * 1e6 / f64::from(BATCH));
    }
    Ok(median(batches))
}

/// An approved conversion with all data of a click and a sale.
struct Job {
    context: wire::Context,
    binding: wire::Binding,
    event: wire::Event,
}

impl Job {
    fn new() -> Self {
        let config = postback_config("https://tracker.example/pb").to_string();
        let context = wire::Context { now: NOW, attempt: 1, dry_run: false, idempotency_key: "dlv_1".into() };
        Self { context, binding: wire::Binding { id: "pbk_1".into(), config }, event: event() }
    }

    fn run(&self, session: &mut Session) -> Result<(), AdapterError> {
        black_box(session.decide(&self.context, &self.binding, &self.event)?);
        black_box(session.render(&self.context, &self.binding, &self.event)?);
        Ok(())
    }
}

const NOW: u64 = 1_795_183_500_000;

fn event() -> wire::Event {
    let field = |name: &str, value: &str| wire::Field { name: name.into(), value: value.into() };
    let party = |id: &str, name: &str| wire::Party {
        id: id.into(),
        name: name.into(),
        attributes: vec![field("referral_code", "AF12345")],
    };
    let usd = |micros| Some(wire::Money { micros, currency: "USD".into() });
    let text = |text: &str| Some(text.to_owned());
    let click = wire::Click {
        id: "06bq3x8k2m7v1d5r9t4w6y8z0a".into(),
        external_id: text("ext-0000000000000001"),
        at: NOW - 100_000,
        target_url: "https://shop.example/landing?cid=06bq3x8k2m7v1d5r9t4w6y8z0a".into(),
        referrer: text("https://blog.example/review"),
        ip: text("203.0.113.7"),
        user_agent: text("Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0"),
        country: None,
        device: text("desktop"),
        sub_ids: vec![field("sub1", "newsletter"), field("sub2", "banner-3")],
        attributes: vec![],
    };
    let conversion = wire::Conversion {
        id: "cnv_06bq3x8k2m7v1d5r9t4w6y8z0b".into(),
        transaction_id: "T-0000000001".into(),
        revision: 1,
        goal: text("sale"),
        status: wire::ConversionStatus::Approved,
        previous_status: None,
        payout: usd(12_500_000),
        revenue: None,
        sale: usd(49_000_000),
        customer_name: text("Grace Hopper"),
        customer_email: text("grace@example.com"),
        product_name: text("Pro yearly"),
        occurred_at: NOW,
        attributes: vec![],
    };
    wire::Event {
        id: "evt_06bq3x8k2m7v1d5r9t4w6y8z0c".into(),
        action: wire::Action::Conversion,
        name: None,
        occurred_at: NOW,
        affiliate: party("aff_06bq3x8k2m7v1d5r9t4w6y8z0d", "Ada Lovelace"),
        offer: Some(party("ofr_06bq3x8k2m7v1d5r9t4w6y8z0e", "Starter")),
        click: Some(click),
        conversion: Some(conversion),
        attributes: vec![],
    }
}
