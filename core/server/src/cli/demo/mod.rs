//! `postrider demo`: shows the whole product in ten seconds, on one machine, without any setup.
//!
//! It starts a real server on a temporary folder and a small tracker, creates a program, sends requests as visitors and as
//! a shop, and shows the requests that the tracker received. Everything goes over HTTP, except the check whether the
//! server is idle. With `--once` it is also the smoke test of a release.

mod environment;
mod program;
mod report;
mod tracker;
mod traffic;

use std::pin::pin;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::Context;

use super::serve::stop_signal;
use crate::cli::console::Console;
use environment::Environment;
use program::Program;

/// The factor for time limits: `factor` in a debug build, which is slow and shares its machine with other tests, and 1 in a
/// release build.
const fn in_debug(factor: u64) -> u64 {
    if cfg!(debug_assertions) { factor } else { 1 }
}

/// The sum of these three is the maximum duration of `--once`: less than a minute in a release build.
const START_LIMIT: Duration = Duration::from_secs(15 * in_debug(6));
const TRAFFIC_LIMIT: Duration = Duration::from_secs(34 * in_debug(6));
const STOP_LIMIT: Duration = Duration::from_secs(10);

#[derive(clap::Args)]
pub struct DemoArgs {
    /// Exit instead of serving on: with 0 if exactly the expected requests arrived, with 1 otherwise
    #[arg(long)]
    once: bool,
}

pub async fn run(args: DemoArgs) -> anyhow::Result<ExitCode> {
    let console = Console::new();
    let mut stop = pin!(stop_signal());
    let (environment, result) = tokio::select! {
        done = run_demo(&console) => done?,
        stopped = &mut stop => {
            stopped?;
            console.line("Stopped before the end.");
            return Ok(ExitCode::FAILURE);
        }
    };
    if !args.once {
        report::print_next_steps(&console, &environment, &result.program);
        stop.await?;
    }
    // The results are on the screen, so a slow stop must not delay the exit.
    let _ = tokio::time::timeout(STOP_LIMIT, environment.stop()).await;
    Ok(if result.passed { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

struct DemoResult {
    program: Program,
    /// Exactly the expected requests arrived.
    passed: bool,
}

async fn run_demo(console: &Console) -> anyhow::Result<(Environment, DemoResult)> {
    console.heading("Postrider demo: two offers, three affiliates, a tracker, real traffic");
    let environment = within(START_LIMIT, "starting", Environment::start(console)).await?;
    let result = within(TRAFFIC_LIMIT, "the traffic", run_traffic(console, &environment)).await?;
    Ok((environment, result))
}

async fn run_traffic(console: &Console, environment: &Environment) -> anyhow::Result<DemoResult> {
    console.heading("The program");
    let program = program::create(console, environment).await?;
    console.heading("The traffic");
    environment.tracker.start_recording();
    let expected = traffic::generate(console, environment, &program).await?;
    environment.wait_until_idle(console).await?;
    let passed = report::print(console, environment, &expected).await?;
    Ok(DemoResult { program, passed })
}

async fn within<T>(limit: Duration, step: &str, work: impl Future<Output = anyhow::Result<T>>) -> anyhow::Result<T> {
    let done = tokio::time::timeout(limit, work).await;
    done.with_context(|| format!("{step} took longer than {} seconds; is this machine very busy?", limit.as_secs()))?
}
