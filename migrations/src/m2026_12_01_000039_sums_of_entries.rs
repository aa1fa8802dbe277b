//! The index of an affiliate's entries has what is added up for the opening balance of a statement, so that no entry is read
//! for it.

use sea_orm_migration::prelude::*;

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
        WITH_SUMS.create(manager).await?;
        crate::dialect::run(manager, "DROP INDEX IF EXISTS entries_by_affiliate").await
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        BEFORE.create(manager).await?;
        WITH_SUMS.drop(manager).await
    }
}

const BEFORE: LargeIndex = LargeIndex::new(
    "entries",
    "entries_by_affiliate",
    "(affiliate_id, currency, posting_id) WHERE affiliate_id IS NOT NULL",
);
const WITH_SUMS: LargeIndex = LargeIndex::new(
    "entries",
    "entries_of_affiliate",
    "(affiliate_id, currency, posting_id, account, micros) WHERE affiliate_id IS NOT NULL",
);
