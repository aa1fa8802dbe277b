//! `postrider reports`: what reports are counted from.

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
    /// Forget what is packed of raw rows that are still there; the server packs them anew within minutes
    Rebuild,
}

pub async fn run(args: ReportsArgs, settings: Settings) -> anyhow::Result<()> {
    let ReportsCommand::Rebuild = args.command;
    let db = Database::open(&settings.database(), PoolLimits::for_command()).await?;
    db.migrate().await?;
    reports::rebuild(&db).await?;
    db.close().await;
    println!("The server packs clicks and conversions anew; until it is done, reports count raw rows and take longer.");
    Ok(())
}
