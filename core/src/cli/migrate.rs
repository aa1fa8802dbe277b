//! `postrider migrate`: the schema, and the partitions of the months ahead.

use crate::clock::Clock;
use crate::config::Settings;
use crate::private_files;
use crate::services::partitions;
use crate::storage::Database;
use crate::storage::base::database::Shares;

pub async fn run(settings: Settings) -> anyhow::Result<()> {
    private_files::create_dir(&settings.data_dir)?;
    let db = Database::open(&settings.database(), Shares::of_command()).await?;
    db.migrate().await?;
    partitions::look_after(&db, Clock::system().now()).await?;
    db.close().await;
    println!("The database is up to date.");
    Ok(())
}
