//! `postrider demo`: the whole product in ten seconds, on one machine, with nothing set up.
//!
//! It starts a real server on a throw-away folder and a small tracker beside it, makes a program, plays
//! visitors and a shop, and shows what the tracker received. All of it goes over HTTP, as for everybody
//! else, and the log that it prints is the API's; only whether the server is idle is asked directly. So its
//! verdict is worth something: with `--once` it is also the smoke test of a release.

mod narrator;
mod program;
mod report;
mod stage;
mod tracker;
mod traffic;

use std::pin::pin;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::Context;

use super::serve::told_to_stop;
use narrator::Narrator;
use program::Program;
use stage::Stage;

/// How many times longer what depends on speed may take in a debug build: that one is slow, and the test that runs it
/// has to share its machine. A release build keeps its numbers.
const fn in_debug(times: u64) -> u64 {
    if cfg!(debug_assertions) { times } else { 1 }
}

/// The three together are the longest that `--once` can take: under a minute in a release build.
const START_LIMIT: Duration = Duration::from_secs(15 * in_debug(6));
const PLAY_LIMIT: Duration = Duration::from_secs(34 * in_debug(6));
const STOP_LIMIT: Duration = Duration::from_secs(10);

#[derive(clap::Args)]
pub struct DemoArgs {
    /// Do not go on serving: exit with 0 when all arrived as expected and nothing else did, with 1 otherwise
    #[arg(long)]
    once: bool,
}

pub async fn run(args: DemoArgs) -> anyhow::Result<ExitCode> {
    let narrator = Narrator::new();
    let mut stop = pin!(told_to_stop());
    let (stage, verdict) = tokio::select! {
        shown = show(&narrator) => shown?,
        stopped = &mut stop => {
            stopped?;
            narrator.line("Stopped before the end.");
            return Ok(ExitCode::FAILURE);
        }
    };
    if !args.once {
        report::where_to_look(&narrator, &stage, &verdict.program);
        stop.await?;
    }
    // What matters is on the screen; a server that hesitates to stop must not keep anybody waiting.
    let _ = tokio::time::timeout(STOP_LIMIT, stage.clear()).await;
    Ok(if verdict.is_good { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// What the demo made, and whether all went as planned.
struct Verdict {
    program: Program,
    is_good: bool,
}

/// From nothing to the verdict.
async fn show(narrator: &Narrator) -> anyhow::Result<(Stage, Verdict)> {
    narrator.heading("Postrider demo: two offers, three affiliates, a tracker that listens, real traffic");
    let stage = within(START_LIMIT, "starting", Stage::set(narrator)).await?;
    let verdict = within(PLAY_LIMIT, "playing the traffic", play(narrator, &stage)).await?;
    Ok((stage, verdict))
}

async fn play(narrator: &Narrator, stage: &Stage) -> anyhow::Result<Verdict> {
    narrator.heading("The program");
    let program = program::create(narrator, stage).await?;
    narrator.heading("The traffic");
    stage.tracker.open();
    let plan = traffic::play(narrator, stage, &program).await?;
    stage.settle(narrator).await?;
    let is_good = report::tell(narrator, stage, &plan).await?;
    Ok(Verdict { program, is_good })
}

async fn within<T>(limit: Duration, what: &str, work: impl Future<Output = anyhow::Result<T>>) -> anyhow::Result<T> {
    let done = tokio::time::timeout(limit, work).await;
    done.with_context(|| format!("{what} took longer than {} seconds; is this machine very busy?", limit.as_secs()))?
}
