//! The command line. `postrider` alone is `postrider serve`.

mod adapter;
mod api;
mod backup;
mod compile_adapter;
mod console;
mod demo;
mod explain;
mod healthcheck;
mod migrate;
mod openapi;
mod receiver;
mod reports;
mod secrets;
mod serve;
mod user;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, Subcommand};

use crate::telemetry;
use engine::config::Settings;

/// Self-hosted postback integration platform for affiliate marketing.
#[derive(Parser)]
#[command(name = "postrider", version)]
struct Cli {
    /// The settings file; POSTRIDER_* variables of the environment override it
    #[arg(long, global = true, env = "POSTRIDER_CONFIG", default_value = "postrider.toml")]
    config: PathBuf,
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Subcommand)]
enum Command {
    /// Run the server (the default)
    Serve,
    /// Exit with 0 if the server with these settings answers
    Healthcheck,
    /// Migrate the database to this release
    Migrate,
    /// Run a demo: a sample program, a tracker, real traffic
    Demo(demo::DemoArgs),
    /// Receive postbacks on this machine: print them, verify their signatures, answer as told
    Receiver(receiver::ReceiverArgs),
    /// Create, build, check, test and install adapters
    Adapter(adapter::AdapterArgs),
    /// Explain why an event was sent to a postback, or why not
    Explain(explain::ExplainArgs),
    /// Invite a member of staff, such as the first owner
    User(user::UserArgs),
    /// Rebuild the packed columns that reports read
    Reports(reports::ReportsArgs),
    /// Copy the SQLite database to a file, also while the server runs
    Backup(backup::BackupArgs),
    /// Replace the database with a backup
    Restore(backup::RestoreArgs),
    /// Rotate or forget the keys that seal secrets
    Secrets(secrets::SecretsArgs),
    /// Print the OpenAPI description of the API
    Openapi,
    /// Compile an adapter; the server runs this command as its child process
    #[command(hide = true)]
    CompileAdapter(compile_adapter::CompileArgs),
}

pub fn main() -> ExitCode {
    let cli = Cli::parse();
    if let Some(Command::CompileAdapter(args)) = cli.command {
        return compile_adapter::run(&args);
    }
    // `serve` starts its log itself, after it has read the endpoint of the collector from the settings.
    if !matches!(cli.command, None | Some(Command::Serve)) {
        telemetry::start_logging(matches!(
            cli.command,
            Some(
                Command::Demo(_)
                    | Command::Receiver(_)
                    | Command::Adapter(_)
                    | Command::Explain(_)
                    | Command::User(_)
                    | Command::Healthcheck
            )
        ));
    }
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
    let result = runtime.map_err(anyhow::Error::from).and_then(|runtime| {
        runtime.block_on(async {
            match cli.command.unwrap_or(Command::Serve) {
                Command::Serve => serve::run(Settings::load(&cli.config)?).await.map(|()| ExitCode::SUCCESS),
                Command::Healthcheck => {
                    healthcheck::run(Settings::load(&cli.config)?).await.map(|()| ExitCode::SUCCESS)
                }
                Command::Migrate => migrate::run(Settings::load(&cli.config)?).await.map(|()| ExitCode::SUCCESS),
                Command::Demo(args) => demo::run(args).await,
                Command::Receiver(args) => receiver::run(args).await,
                Command::Adapter(args) => adapter::run(args, &cli.config).await,
                Command::Explain(args) => explain::run(args, &cli.config).await.map(|()| ExitCode::SUCCESS),
                Command::User(args) => user::run(args, Settings::load(&cli.config)?).await.map(|()| ExitCode::SUCCESS),
                Command::Reports(args) => {
                    reports::run(args, Settings::load(&cli.config)?).await.map(|()| ExitCode::SUCCESS)
                }
                Command::Backup(args) => {
                    backup::back_up(args, Settings::load(&cli.config)?).await.map(|()| ExitCode::SUCCESS)
                }
                Command::Restore(args) => {
                    backup::restore(args, Settings::load(&cli.config)?).await.map(|()| ExitCode::SUCCESS)
                }
                Command::Secrets(args) => {
                    secrets::run(args, Settings::load(&cli.config)?).await.map(|()| ExitCode::SUCCESS)
                }
                Command::Openapi => openapi::run().map(|()| ExitCode::SUCCESS),
                Command::CompileAdapter(_) => unreachable!("it needs no runtime and has run"),
            }
        })
    });
    result.unwrap_or_else(|error| {
        eprintln!("postrider: {error:#}");
        ExitCode::FAILURE
    })
}
