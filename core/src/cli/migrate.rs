//! `postrider migrate`: the schema, and the partitions of the months ahead.

use crate::clock::Clock;
use crate::config::Settings;
use crate::private_files;
use crate::storage::{self, Database};

pub async fn run(settings: Settings) -> anyhow::Result<()> {
    private_files::create_dir(&settings.data_dir)?;
    let db = Database::open(&settings.database(), 2).await?;
    db.migrate().await?;
    storage::upkeep::ensure_partitions(&db, Clock::system().now()).await?;
    db.close().await;
    println!("The database is up to date.");
    Ok(())
}
