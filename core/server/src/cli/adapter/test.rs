//! `postrider adapter test` and `run`: run the cases of an adapter in the real host under the real limits.

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;

use anyhow::{Context, ensure};
use serde_json::Value;

use engine::delivery::cases::{Case, CaseError};
use host::limits::TICK;
use host::{Adapter, Cost, LogLevel, LogLine};

use super::check::read_component;
use super::project::Project;
use super::{grouped, host, shown};

#[derive(clap::Args)]
pub struct TestArgs {
    /// The adapter's folder
    #[arg(default_value = ".")]
    dir: PathBuf,
    /// The component; by default the one in dist/
    #[arg(long, value_name = "FILE")]
    component: Option<PathBuf>,
    /// Write the actual results into the cases as expected results; review the differences before you commit them
    #[arg(long)]
    update: bool,
}

#[derive(clap::Args)]
pub struct RunArgs {
    /// A file in an adapter's folder cases/
    case: PathBuf,
    /// The component; by default the one in dist/
    #[arg(long, value_name = "FILE")]
    component: Option<PathBuf>,
}

pub fn test(args: &TestArgs) -> anyhow::Result<ExitCode> {
    let project = Project::open(&args.dir)?;
    let cases = Case::load_all(&project.cases())?;
    ensure!(!cases.is_empty(), "{} has no *.json; docs/adapters.md shows how to write a case", shown(&project.cases()));
    let adapter = load(&project, args.component.as_deref())?;
    let mut counts = Counts::default();
    for case in &cases {
        run_case(case, &adapter, args.update, &mut counts)?;
    }
    println!("{}", counts.summary());
    Ok(if counts.failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

#[derive(Default)]
struct Counts {
    passed: usize,
    updated: usize,
    failed: usize,
}

impl Counts {
    fn summary(&self) -> String {
        let updated = if self.updated > 0 { format!(", {} updated", self.updated) } else { String::new() };
        format!("{} passed{updated}, {} failed", self.passed, self.failed)
    }
}

/// Runs one case, prints and counts its result; with `update`, writes an unexpected result into the case.
fn run_case(case: &Case, adapter: &Arc<Adapter>, update: bool, counts: &mut Counts) -> anyhow::Result<()> {
    let run = case.run(adapter);
    let problems = match &run.answer {
        Ok(answer) => case.compare(answer),
        Err(error) => vec![error_text(error)],
    };
    if problems.is_empty() {
        counts.passed += 1;
        println!("ok       {}", title(case));
        return Ok(());
    }
    if let (true, Ok(answer)) = (update, &run.answer) {
        counts.updated += 1;
        case.update(answer)?;
        println!("updated  {}", title(case));
    } else {
        counts.failed += 1;
        println!("FAILED   {}", title(case));
        run.log.iter().for_each(|line| println!("    log {}", log_text(line)));
    }
    for line in problems.iter().flat_map(|problem| problem.lines()) {
        println!("    {line}");
    }
    Ok(())
}

pub fn run(args: &RunArgs) -> anyhow::Result<ExitCode> {
    let case = Case::load(&args.case)?;
    let folder = case.path.canonicalize()?;
    let dir = folder.parent().and_then(Path::parent).context("a case is in the folder cases/ of its adapter")?;
    let adapter = load(&Project::open(dir)?, args.component.as_deref())?;
    let run = case.run(&adapter);
    println!("{}", title(&case));
    println!("call     {}", case.call());
    for line in &run.log {
        println!("log      {}", log_text(line));
    }
    show_cost(&run.cost, &adapter);
    let problems = match &run.answer {
        Ok(answer) => {
            println!("result   {}", pretty(answer));
            case.compare(answer)
        }
        Err(error) => vec![error_text(error)],
    };
    for problem in &problems {
        println!("FAILED   {}", problem.replace('\n', "\n         "));
    }
    Ok(if problems.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn show_cost(cost: &Cost, adapter: &Adapter) {
    let limits = adapter.limits();
    let share = |part: u64, whole: u64| format!("{}.{} %", part * 100 / whole, part * 1000 / whole % 10);
    println!("fuel     {} of {} steps ({})", grouped(cost.fuel), grouped(limits.fuel), share(cost.fuel, limits.fuel));
    let (used, limit) = (cost.memory_bytes as u64, limits.memory_bytes as u64);
    println!("memory   {} of {} KiB ({})", grouped(used >> 10), grouped(limit >> 10), share(used, limit));
    let limit_ms = TICK.as_millis() * u128::from(limits.deadline_ticks);
    println!("time     {}.{:03} of {limit_ms} ms", cost.elapsed.as_millis(), cost.elapsed.as_micros() % 1000);
}

fn load(project: &Project, component: Option<&Path>) -> anyhow::Result<Arc<Adapter>> {
    let file = match component {
        Some(file) => file.to_owned(),
        None => project.component()?,
    };
    let wasm = read_component(&file)?;
    host()?.load(&wasm).with_context(|| format!("{} can't be an adapter", shown(&file)))
}

fn title(case: &Case) -> String {
    let file = case.path.file_name().unwrap_or_default().to_string_lossy();
    format!("{file}: {}", case.name)
}

fn error_text(error: &CaseError) -> String {
    match error {
        CaseError::Stopped(stopped) => format!("{stopped} ({})", stopped.code()),
        other => other.to_string(),
    }
}

fn log_text(line: &LogLine) -> String {
    let level = match line.level {
        LogLevel::Debug => "debug",
        LogLevel::Info => "info",
        LogLevel::Warn => "warn",
        LogLevel::Error => "error",
    };
    format!("{level:<5} {}", line.message)
}

fn pretty(answer: &Value) -> String {
    serde_json::to_string_pretty(answer).expect("a value is JSON").replace('\n', "\n         ")
}
