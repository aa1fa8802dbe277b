//! Archived affiliates, offers and links: the time at which they were archived; NULL while they are in use.
//!
//! Writes: the indexes are partial and have an entry only for archived rows. Lists of rows in use follow the primary key.

use sea_orm_migration::prelude::*;

use crate::dialect;
use crate::online::LargeIndex;

#[derive(DeriveMigrationName)]
pub struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    /// PostgreSQL builds the indexes outside of a transaction; each step can be repeated.
    fn use_transaction(&self) -> Option<bool> {
        Some(false)
    }

    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        for index in ARCHIVED {
            let table = index.table;
            if !manager.has_column(table, "archived_at").await? {
                dialect::run(manager, &format!("ALTER TABLE {table} ADD COLUMN archived_at <time>")).await?;
            }
            index.create(manager).await?;
        }
        Ok(())
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        for index in ARCHIVED {
            index.drop(manager).await?;
            dialect::run(manager, &format!("ALTER TABLE {} DROP COLUMN archived_at", index.table)).await?;
        }
        Ok(())
    }
}

const ARCHIVED: &[LargeIndex] = &[
    LargeIndex::new("affiliates", "affiliates_archived", "(id) WHERE archived_at IS NOT NULL"),
    LargeIndex::new("offers", "offers_archived", "(id) WHERE archived_at IS NOT NULL"),
    LargeIndex::new("links", "links_archived", "(id) WHERE archived_at IS NOT NULL"),
];
