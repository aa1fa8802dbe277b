//! The benchmark of design budgets: `cargo run --release -p postrider-load`. tests/load/README.md explains it.
//!
//! Everything runs on loopback, in new folders and databases, for a limited time. The benchmark stops everything that it
//! started, also after an error or Ctrl-C. It prints figures, and fails only if rows are missing or duplicated: a slow
//! machine is not a failure.

mod adapter;
mod arrivals;
mod baseline;
mod budgets;
mod clicks;
mod conversions;
mod generator;
mod history;
mod http;
mod latency;
mod machine;
mod mix;
mod multiply;
mod pages;
mod program;
mod receiver;
mod report;
mod reports;
mod server;

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use clap::{Parser, ValueEnum};
use tokio::signal::unix::{SignalKind, signal};

use crate::report::{Figure, Report};
use postrider_tests::database::Database;

/// Measures Postrider against its budgets and prints a table and one line of JSON.
#[derive(Parser)]
#[command(name = "postrider-load")]
struct Options {
    /// Run for a third of the time, for a first impression; the figures vary more.
    #[arg(long)]
    quick: bool,
    /// Measure only one part.
    #[arg(long, value_enum)]
    only: Option<Part>,
    /// Measure only one database.
    #[arg(long, value_enum)]
    db: Option<Kind>,
    /// Measure this program instead of the one that cargo builds.
    #[arg(long, value_name = "PATH")]
    program: Option<PathBuf>,
    /// The number of connections that send conversions.
    #[arg(long, default_value_t = 128)]
    conversion_connections: usize,
    /// Measure conversions also on tables that already contain this many rows, and compare them with empty tables. Several
    /// numbers, separated by commas, show how the cost grows.
    #[arg(long, value_name = "ROWS", value_delimiter = ',')]
    history: Vec<u64>,
    /// The number of clicks in the month of the reports.
    #[arg(long, value_name = "CLICKS", default_value_t = 10_000_000)]
    month: u64,
    /// The number by which the rows of the demo are multiplied for the pages.
    #[arg(long, value_name = "FACTOR", default_value_t = 1_000, value_parser = clap::value_parser!(u64).range(2..=65_535))]
    factor: u64,
    #[arg(long, hide = true)]
    serve_baseline: bool,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Part {
    Clicks,
    Conversions,
    Latency,
    Adapter,
    /// Clicks that arrive at random; runs only if it is named.
    Arrivals,
    /// Clicks, conversions, reports and pages of the log at the same time; runs only if it is named.
    Mix,
    /// Runs only if it is named, because it writes ten million rows.
    Reports,
    /// The same.
    Pages,
}

/// The database to measure.
#[derive(Clone, Copy, PartialEq, Eq, Debug, ValueEnum)]
pub enum Kind {
    Sqlite,
    Postgres,
}

impl Kind {
    pub fn name(self) -> &'static str {
        match self {
            Self::Sqlite => "sqlite",
            Self::Postgres => "postgres",
        }
    }

    /// Creates an empty database.
    pub async fn create(self) -> Database {
        match self {
            Self::Sqlite => Database::empty_sqlite(),
            Self::Postgres => Database::empty_postgres().await,
        }
    }
}

/// The durations and sizes of the parts.
#[derive(Clone, Copy)]
pub struct Plan {
    /// The number of rounds, in which server and baseline take turns.
    pub click_rounds: usize,
    pub click_round: Duration,
    pub conversions: Duration,
    pub conversion_connections: usize,
    pub latency_samples: u64,
    pub adapter: Duration,
}

impl Plan {
    fn of(options: &Options) -> Self {
        let conversion_connections = options.conversion_connections.max(1);
        if options.quick {
            return Self {
                click_rounds: 2,
                click_round: Duration::from_millis(1_500),
                conversions: Duration::from_secs(4),
                conversion_connections,
                latency_samples: 100,
                adapter: Duration::from_millis(500),
            };
        }
        Self {
            click_rounds: 3,
            click_round: Duration::from_millis(3_500),
            conversions: Duration::from_secs(12),
            conversion_connections,
            latency_samples: 400,
            adapter: Duration::from_secs(2),
        }
    }
}

fn main() -> ExitCode {
    let options = Options::parse();
    if options.serve_baseline {
        return baseline::serve();
    }
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime starts");
    let result = runtime.block_on(async {
        tokio::select! {
            result = run(&options) => result,
            () = stop_signal() => Err(anyhow::anyhow!("stopped by a signal; everything that the benchmark started is stopped too")),
        }
    });
    // The generator's threads end when their connections end, so they are not awaited.
    runtime.shutdown_background();
    result.unwrap_or_else(|error| {
        eprintln!("postrider-load: {error:#}");
        ExitCode::FAILURE
    })
}

async fn run(options: &Options) -> anyhow::Result<ExitCode> {
    if cfg!(debug_assertions) {
        eprintln!("This is a debug build, so its figures are not valid. Use: cargo run --release -p postrider-load");
    }
    postrider_tests::temp::wait_for_disk();
    let plan = Plan::of(options);
    let wants = |part| options.only.is_none_or(|only| only == part);
    let mut report = Report::new();
    report.note("machine", machine::describe());
    report.note("quick", options.quick.into());

    if wants(Part::Adapter) {
        progress("adapter");
        adapter::measure(plan.adapter, &mut report)?;
    }
    if options.only != Some(Part::Adapter) {
        let program = options.program.clone().map_or_else(program::build, Ok)?.canonicalize()?;
        if options.only == Some(Part::Pages) {
            progress("pages, sqlite");
            pages::measure(&program, options.factor, &mut report).await?;
            report.print();
            return Ok(ExitCode::SUCCESS);
        }
        for kind in [Kind::Sqlite, Kind::Postgres] {
            if options.db.is_none_or(|only| only == kind) {
                if options.only == Some(Part::Reports) {
                    progress(&format!("reports, {}", kind.name()));
                    reports::measure(kind, &program, options.month, &mut report).await?;
                    continue;
                }
                match options.only {
                    Some(Part::Arrivals) => arrivals::measure(kind, &program, plan, &mut report).await?,
                    Some(Part::Mix) => mix::measure(kind, &program, plan, &mut report).await?,
                    _ => measure_on(kind, &program, plan, wants, &options.history, &mut report).await?,
                }
            }
        }
    }
    report.print();
    Ok(if report.is_sound() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Each part has a new server with a new database, so that the rows of one part do not slow down another.
async fn measure_on(
    kind: Kind,
    program: &Path,
    plan: Plan,
    wants: impl Fn(Part) -> bool,
    history: &[u64],
    report: &mut Report,
) -> anyhow::Result<()> {
    if wants(Part::Latency) {
        progress(&format!("latency, {}", kind.name()));
        latency::measure(kind, program, plan, report).await?;
    }
    if wants(Part::Clicks) {
        progress(&format!("clicks, {}", kind.name()));
        clicks::measure(kind, program, plan, report).await?;
    }
    if wants(Part::Conversions) {
        progress(&format!("conversions, {}", kind.name()));
        let empty = conversions::measure(kind, program, plan, 0, report).await?;
        for &rows in history {
            progress(&format!("conversions with history, {}", kind.name()));
            let full = conversions::measure(kind, program, plan, rows, report).await?;
            report.add(Figure {
                name: format!("conversions with {rows} rows of history"),
                kind: Some(kind),
                value: full / empty,
                unit: "x",
                budget: Some(budgets::HISTORY_RATIO),
                note: format!("{full:.0} of {empty:.0} per second"),
            });
        }
    }
    Ok(())
}

fn progress(part: &str) {
    eprintln!("measuring: {part}");
}

/// Waits for SIGINT, SIGTERM or SIGHUP.
async fn stop_signal() {
    let listen = |kind| signal(kind).expect("signals can be listened to");
    let (mut interrupt, mut terminate, mut hangup) =
        (listen(SignalKind::interrupt()), listen(SignalKind::terminate()), listen(SignalKind::hangup()));
    tokio::select! {
        _ = interrupt.recv() => {}
        _ = terminate.recv() => {}
        _ = hangup.recv() => {}
    }
}
