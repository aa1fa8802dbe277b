//! Test conversions. Their index is partial and small, because maintenance deletes old ones.
//!
//! A node of the previous release counts test conversions like others, so record none before all nodes are upgraded.

use sea_orm_migration::prelude::*;

use crate::dialect;
use crate::online::LargeIndex;

#[derive(DeriveMigrationName)]
pub struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    /// PostgreSQL builds the index outside of a transaction; each step can be repeated.
    fn use_transaction(&self) -> Option<bool> {
        Some(false)
    }

    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        if !manager.has_column("conversions", "test").await? {
            dialect::run(manager, "ALTER TABLE conversions ADD COLUMN test <bool> NOT NULL DEFAULT false").await?;
        }
        TESTS.create(manager).await
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        TESTS.drop(manager).await?;
        dialect::run(manager, "ALTER TABLE conversions DROP COLUMN test").await
    }
}

const TESTS: LargeIndex = LargeIndex::new("conversions", "conversions_of_tests", "(id) WHERE test");
