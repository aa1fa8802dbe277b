//! `postrider secrets`: the keys that seal secrets.

use clap::{Args, Subcommand};

use engine::config::Settings;
use engine::delivery::secrets::rotation::{self, Rotated};
use engine::delivery::secrets::server_keys;
use engine::timekeeping::Timekeeping;
use storage::Database;
use storage::base::database::PoolLimits;
use storage::clock::Clock;

#[derive(Args)]
pub struct SecretsArgs {
    #[command(subcommand)]
    command: SecretsCommand,
}

#[derive(Subcommand)]
enum SecretsCommand {
    /// Seal all secrets again with the current key; servers may run meanwhile, and the command can be interrupted and run again
    Rotate,
    /// Give up a lost key: servers start without it, and the secrets that it sealed must be entered again
    Forget {
        /// The name of the key, as the error of the refused start shows it; "unnamed" if keys have no names yet
        key: String,
    },
}

pub async fn run(args: SecretsArgs, settings: Settings) -> anyhow::Result<()> {
    let db = Database::open(&settings.database(), PoolLimits::for_command()).await?;
    db.migrate().await?;
    let clock = Clock::system();
    Timekeeping::default().start(&db, &clock).await?;
    let done = match args.command {
        SecretsCommand::Rotate => rotate(&db, &settings, &clock).await,
        SecretsCommand::Forget { key } => forget(&db, &key, &clock).await,
    };
    db.close().await;
    done
}

async fn rotate(db: &Database, settings: &Settings, clock: &Clock) -> anyhow::Result<()> {
    let vault = server_keys::open_for_rotation(db, settings).await?;
    let rotated = rotation::rotate(db, &vault, clock).await?;
    print_summary(&server_keys::current(&vault).to_string(), &rotated);
    let in_use: Vec<_> = rotated.in_use.iter().map(String::as_str).collect();
    anyhow::ensure!(
        in_use.is_empty(),
        "a server still seals with the key {}; start every server with the same current key, then run this command again (a \
         server that crashed counts as running for {} s)",
        in_use.join(", "),
        server_keys::PRESENT_FOR.as_secs()
    );
    anyhow::ensure!(
        rotated.complete,
        "other servers still seal with another key; start all servers with the same current key, then run this command again"
    );
    Ok(())
}

fn print_summary(current: &str, rotated: &Rotated) {
    let total: usize = rotated.resealed.values().sum();
    println!("Sealed {total} values again with the key {current}.");
    for (table, count) in &rotated.resealed {
        println!("  {table}: {count}");
    }
    for row in &rotated.unreadable {
        println!(
            "Not sealed again completely, because no configured key opens a part of it: {row}; enter its secrets again."
        );
    }
    for key in &rotated.retired {
        println!("Nothing is sealed with the key {key} any more; remove it from the settings of all servers.");
    }
}

async fn forget(db: &Database, key: &str, clock: &Clock) -> anyhow::Result<()> {
    let known = storage::delivery::secret_keys::list(db.reader()).await?;
    let names: Vec<_> = known.iter().filter(|known| !known.is_given_up()).map(|known| known.id.as_str()).collect();
    anyhow::ensure!(
        server_keys::forget(db, key, clock.now()).await?,
        "this database has no key \"{key}\"; it has {}",
        if names.is_empty() { "none".to_owned() } else { names.join(", ") }
    );
    let key = if key == server_keys::UNNAMED { "without a name" } else { key };
    println!("Servers now start without the key {key}. Enter the secrets that it sealed again.");
    Ok(())
}
