//! `postrider demo`: shows the whole product on one machine, without any setup.
//!
//! It starts a real server on a temporary folder and a small tracker, and creates a program with a past of ninety days. Then it
//! sends requests as visitors and as a shop, and shows the requests that the tracker received. At the end it prints links that
//! sign in. Everything goes over HTTP, except visits of the past and the check whether the server is idle. With `--once` it
//! is also the smoke test of a release.

mod environment;
mod history;
mod program;
mod report;
mod tracker;
mod traffic;

use std::path::PathBuf;
use std::pin::pin;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::Context;

use super::serve::stop_signal;
use crate::cli::console::Console;
use environment::Environment;
use history::Cast;
use program::Program;

/// The factor for time limits: `factor` in a debug build, which is slow and shares its machine with other tests, and 1 in a
/// release build.
const fn in_debug(factor: u64) -> u64 {
    if cfg!(debug_assertions) { factor } else { 1 }
}

/// The sum of these three is the maximum duration of `--once`: about a minute in a release build.
const START_LIMIT: Duration = Duration::from_secs(60 * in_debug(20));
const TRAFFIC_LIMIT: Duration = Duration::from_secs(34 * in_debug(20));
const STOP_LIMIT: Duration = Duration::from_secs(10);

#[derive(clap::Args)]
pub struct DemoArgs {
    /// Exit instead of serving on: with 0 if exactly the expected requests arrived, with 1 otherwise
    #[arg(long)]
    once: bool,
    /// Keep the data in this folder. The next start with it continues there; without it, the data is removed at the end
    #[arg(long, value_name = "FOLDER")]
    data_dir: Option<PathBuf>,
}

pub async fn run(args: DemoArgs) -> anyhow::Result<ExitCode> {
    let console = Console::new();
    let mut stop = pin!(stop_signal());
    let is_kept = args.data_dir.is_some();
    let (environment, result) = tokio::select! {
        done = run_demo(&console, args.data_dir) => done?,
        stopped = &mut stop => {
            stopped?;
            console.line("Stopped before the end.");
            return Ok(ExitCode::FAILURE);
        }
    };
    if !args.once {
        report::print_next_steps(&console, &environment, result.program.as_ref());
        report::print_doors(&console, &environment, is_kept).await?;
        stop.await?;
    }
    // The results are on the screen, so a slow stop must not delay the exit.
    let _ = tokio::time::timeout(STOP_LIMIT, environment.stop()).await;
    Ok(if result.passed { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

struct DemoResult {
    /// `None` at a later start on the same folder.
    program: Option<Program>,
    /// Exactly the expected requests arrived.
    passed: bool,
}

async fn run_demo(console: &Console, data_dir: Option<PathBuf>) -> anyhow::Result<(Environment, DemoResult)> {
    console.heading("Postrider demo: ninety days of a program, then real traffic");
    let environment = within(START_LIMIT, "starting", Environment::start(console, data_dir)).await?;
    let Some(cast) = &environment.cast else {
        console.line("\nThe folder has a demo already, so nothing is added.");
        return Ok((environment, DemoResult { program: None, passed: true }));
    };
    let result = within(TRAFFIC_LIMIT, "the traffic", run_traffic(console, &environment, cast)).await?;
    Ok((environment, result))
}

async fn run_traffic(console: &Console, environment: &Environment, cast: &Cast) -> anyhow::Result<DemoResult> {
    console.heading("The program");
    let program = program::create(console, environment, cast).await?;
    console.heading("The traffic");
    environment.tracker.start_recording(program.destinations.values().copied());
    let expected = traffic::generate(console, environment, &program).await?;
    environment.wait_until_idle(console, &expected.destinations.keys().collect::<Vec<_>>()).await?;
    let passed = report::print(console, environment, &expected).await?;
    Ok(DemoResult { program: Some(program), passed })
}

async fn within<T>(limit: Duration, step: &str, work: impl Future<Output = anyhow::Result<T>>) -> anyhow::Result<T> {
    let done = tokio::time::timeout(limit, work).await;
    done.with_context(|| format!("{step} took longer than {} seconds; is this machine very busy?", limit.as_secs()))?
}
