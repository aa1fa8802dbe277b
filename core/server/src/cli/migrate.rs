//! `postrider migrate`: migrates the schema and creates the partitions of the next months.

use engine::config::Settings;
use engine::partitions;
use storage::Database;
use storage::base::database::PoolLimits;
use storage::clock::Clock;
use storage::private_files;

pub async fn run(settings: Settings) -> anyhow::Result<()> {
    private_files::create_dir(&settings.data_dir)?;
    let db = Database::open(&settings.database(), PoolLimits::for_command()).await?;
    db.migrate().await?;
    partitions::maintain(&db, Clock::system().now()).await?;
    db.close().await;
    println!("The database is up to date.");
    Ok(())
}
