//! Language, time zone and theme of a person, which earlier releases neither read nor write; and the index that finds the
//! next release of an affiliate's money for its dashboard. An earning gets one more entry, until its hold ends.

use sea_orm_migration::prelude::*;

use crate::dialect;
use crate::online::LargeIndex;

#[derive(DeriveMigrationName)]
pub struct Migration;

const COLUMNS: [&str; 3] = ["language", "time_zone", "theme"];

const NEXT_RELEASE: LargeIndex = LargeIndex::new(
    "earnings",
    "earnings_next_release",
    "(affiliate_id, currency, release_at) WHERE state = 'pending'",
);

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    /// PostgreSQL builds the index of a large table outside of a transaction; each step can be repeated.
    fn use_transaction(&self) -> Option<bool> {
        Some(false)
    }

    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        for column in COLUMNS {
            if !manager.has_column("users", column).await? {
                dialect::run(manager, &format!("ALTER TABLE users ADD COLUMN {column} text")).await?;
            }
        }
        NEXT_RELEASE.create(manager).await
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        NEXT_RELEASE.drop(manager).await?;
        for column in COLUMNS {
            dialect::run(manager, &format!("ALTER TABLE users DROP COLUMN {column}")).await?;
        }
        Ok(())
    }
}
