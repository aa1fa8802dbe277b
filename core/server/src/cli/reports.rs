//! `postrider reports`: the packed columns that reports read.

use clap::{Args, Subcommand};

use engine::config::Settings;
use engine::reports;
use storage::Database;
use storage::base::database::PoolLimits;

#[derive(Args)]
pub struct ReportsArgs {
    #[command(subcommand)]
    command: ReportsCommand,
}

#[derive(Subcommand)]
enum ReportsCommand {
    /// Delete the packed columns of raw rows that still exist; the server packs these rows again within minutes
    Rebuild,
}

pub async fn run(args: ReportsArgs, settings: Settings) -> anyhow::Result<()> {
    let ReportsCommand::Rebuild = args.command;
    let db = Database::open(&settings.database(), PoolLimits::for_command()).await?;
    db.migrate().await?;
    reports::rebuild(&db).await?;
    db.close().await;
    println!("The server packs clicks and conversions again; until then, reports read raw rows and take longer.");
    Ok(())
}
