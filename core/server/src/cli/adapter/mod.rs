//! `postrider adapter …`: the commands for authors of adapters, from the first file to the installed component.
//!
//! docs/adapters.md is the tutorial. These commands do not run adapters themselves; the host does.

mod build;
mod check;
mod manage;
mod new;
mod project;
mod test;
mod toolchain;

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::Subcommand;

use crate::cli::api::ServerArgs;
use host::Host;

#[derive(clap::Args)]
pub struct AdapterArgs {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Create a new adapter in ./<slug> that builds and passes its cases
    New(new::NewArgs),
    /// Build the component into dist/<slug>.wasm
    Build(build::BuildArgs),
    /// Show what a component declares, or why it can't be an adapter
    Check(check::CheckArgs),
    /// Run all cases in the real host under the real limits
    Test(test::TestArgs),
    /// Run one case and show its result, log, fuel, memory and time
    Run(test::RunArgs),
    /// Install a component into a running server
    Install(manage::InstallArgs),
    /// List the adapters of a running server
    List(ServerArgs),
    /// Take one version out of service; its deliveries wait
    Disable(manage::VersionArgs),
    /// Put one version back into service
    Enable(manage::VersionArgs),
    /// Show what another version would change; with --apply, move the postbacks to it
    Upgrade(manage::UpgradeArgs),
}

pub async fn run(args: AdapterArgs, settings_file: &Path) -> anyhow::Result<ExitCode> {
    let done = |()| ExitCode::SUCCESS;
    match args.command {
        Command::New(args) => new::run(&args).map(done),
        Command::Build(args) => build::run(&args).map(done),
        Command::Check(args) => check::run(&args).map(done),
        Command::Test(args) => test::test(&args),
        Command::Run(args) => test::run(&args),
        Command::Install(args) => manage::install(args, settings_file).await.map(done),
        Command::List(args) => manage::list(args, settings_file).await.map(done),
        Command::Disable(args) => manage::disable(args, settings_file).await.map(done),
        Command::Enable(args) => manage::enable(args, settings_file).await.map(done),
        Command::Upgrade(args) => manage::upgrade(args, settings_file).await.map(done),
    }
}

/// A host with the limits of a server. It keeps compiled code in the user's cache folder.
fn host() -> anyhow::Result<Host> {
    Ok(Host::start(&cache_dir())?)
}

fn cache_dir() -> PathBuf {
    let named = |name| std::env::var_os(name).map(PathBuf::from).filter(|path| path.is_absolute());
    let cache = named("XDG_CACHE_HOME").or_else(|| named("HOME").map(|home| home.join(".cache")));
    match cache {
        Some(cache) => cache.join("postrider").join("adapters"),
        // Another user cannot have prepared a folder with a random name.
        None => std::env::temp_dir().join(format!("postrider-adapters-{:032x}", rand::random::<u128>())),
    }
}

/// The path relative to the current folder if it is inside it.
fn shown(path: &Path) -> String {
    let here = std::env::current_dir().unwrap_or_default();
    path.strip_prefix(here).unwrap_or(path).display().to_string()
}

/// Formats 1234567 as 1,234,567.
fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    #[test]
    fn long_numbers_are_grouped() {
        for (number, text) in [(0, "0"), (999, "999"), (1_000, "1,000"), (1_234_567, "1,234,567")] {
            assert_eq!(super::grouped(number), text);
        }
    }
}
