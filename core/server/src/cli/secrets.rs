//! `postrider secrets`: the keys that secrets are sealed with.

use clap::{Args, Subcommand};

use engine::config::Settings;
use engine::delivery::rotation::{self, Rotated};
use engine::delivery::secret_keys;
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
    /// Seal everything again with the current key, beside running servers; may be broken off and run again
    Rotate,
    /// Give up a key that is lost for good: servers start without it, and what it sealed has to be entered again
    Forget {
        /// The name of the key, as the refused start says it; "unnamed" where keys have no names yet
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
    let vault = secret_keys::open_for_rotation(db, settings).await?;
    let rotated = rotation::rotate(db, &vault, clock).await?;
    tell(&secret_keys::current(&vault).to_string(), &rotated);
    let in_use: Vec<_> = rotated.in_use.iter().map(String::as_str).collect();
    anyhow::ensure!(
        in_use.is_empty(),
        "a server goes on sealing with the key {}; start every server with the same current key, then run this again (one \
         that did not stop by itself counts for {} s)",
        in_use.join(", "),
        secret_keys::PRESENT_FOR.as_secs()
    );
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
        println!(
            "Not sealed again as a whole, because a part of it is opened by no configured key: {row}; enter its secrets again."
        );
    }
    for key in &rotated.retired {
        println!("Nothing is sealed with the key {key} any more; take it out of the settings of all servers.");
    }
}

async fn forget(db: &Database, key: &str, clock: &Clock) -> anyhow::Result<()> {
    let known = storage::delivery::secret_keys::list(db.reader()).await?;
    let names: Vec<_> = known.iter().filter(|it| !it.is_given_up()).map(|it| it.id.as_str()).collect();
    anyhow::ensure!(
        secret_keys::forget(db, key, clock.now()).await?,
        "this database has no key \"{key}\"; it has {}",
        if names.is_empty() { "none".to_owned() } else { names.join(", ") }
    );
    let which = if key == secret_keys::UNNAMED { "that no name is known of" } else { key };
    println!("Servers start without the key {which} now. What it sealed has to be entered again.");
    Ok(())
}
