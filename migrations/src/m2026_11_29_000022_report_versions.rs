//! The version of the format of each packed report column. Earlier releases neither read nor write it: their columns
//! have version 0.

use sea_orm_migration::prelude::*;

use crate::dialect;

#[derive(DeriveMigrationName)]
pub struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    fn use_transaction(&self) -> Option<bool> {
        Some(true)
    }

    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        dialect::run(manager, "ALTER TABLE report_columns ADD COLUMN version <int> NOT NULL DEFAULT 0").await
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        dialect::run(manager, "ALTER TABLE report_columns DROP COLUMN version").await
    }
}
