//! `postrider migrate`: the schema, and the partitions of the months ahead.

use crate::app;
use crate::clock::Clock;
use crate::config::Settings;
use crate::storage::{self, Database};

pub async fn run(settings: Settings) -> anyhow::Result<()> {
    app::create_private_dir(&settings.data_dir)?;
    let db = Database::open(&settings.database(), 2).await?;
    db.migrate().await?;
    storage::upkeep::ensure_partitions(&db, Clock::system().now()).await?;
    db.close().await;
    println!("The database is up to date.");
    Ok(())
}
