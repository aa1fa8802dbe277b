//! `postrider secrets`: the keys that secrets are sealed with.

use clap::{Args, Subcommand};

use crate::clock::Clock;
use crate::config::Settings;
use crate::services::rotation::{self, Rotated};
use crate::services::secret_keys;
use crate::storage::database::Shares;
use crate::storage::{self, Database};

#[derive(Args)]
pub struct SecretsArgs {
    #[command(subcommand)]
    command: SecretsCommand,
}

#[derive(Subcommand)]
enum SecretsCommand {
    /// Seal everything again with the current key, beside running servers; may be broken off and run again
    Rotate,
    /// Give up a key that is lost for good: servers start without it, and what it sealed has to be entered again
    Forget {
        /// The name of the key, as the refused start says it
        key: String,
    },
}

pub async fn run(args: SecretsArgs, settings: Settings) -> anyhow::Result<()> {
    let db = Database::open(&settings.database(), Shares::of_command()).await?;
    db.migrate().await?;
    let done = match args.command {
        SecretsCommand::Rotate => rotate(&db, &settings).await,
        SecretsCommand::Forget { key } => forget(&db, &key).await,
    };
    db.close().await;
    done
}

async fn rotate(db: &Database, settings: &Settings) -> anyhow::Result<()> {
    let vault = secret_keys::open_for_rotation(db, settings).await?;
    let rotated = rotation::rotate(db, &vault, &Clock::system()).await?;
    tell(&secret_keys::current(&vault).to_string(), &rotated);
    anyhow::ensure!(
        rotated.complete,
        "other servers go on sealing with another key; start them all with the same current key, then run this again"
    );
    Ok(())
}

fn tell(current: &str, rotated: &Rotated) {
    let total: usize = rotated.resealed.values().sum();
    println!("Sealed {total} values again with the key {current}.");
    for (table, count) in &rotated.resealed {
        println!("  {table}: {count}");
    }
    for row in &rotated.unreadable {
        println!("Not sealed again, because no configured key opens it: {row}; enter its secrets again.");
    }
    for key in &rotated.retired {
        println!("Nothing is sealed with the key {key} any more; take it out of the settings of all servers.");
    }
}

async fn forget(db: &Database, key: &str) -> anyhow::Result<()> {
    let known = storage::secret_keys::list(db.reader()).await?;
    let names: Vec<_> = known.iter().filter(|it| !it.is_given_up()).map(|it| it.id.as_str()).collect();
    anyhow::ensure!(
        storage::secret_keys::give_up(db.writer(), key).await?,
        "this database has no key \"{key}\"; it has {}",
        if names.is_empty() { "none".to_owned() } else { names.join(", ") }
    );
    println!("Servers start without the key {key} now. What it sealed has to be entered again.");
    Ok(())
}
