//! The first source of an affiliate adds the session of a click to its landing URL, unless it was configured otherwise.

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
        dialect::run(manager, UP).await
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        dialect::run(manager, DOWN).await
    }
}

/// A source without a version of its adapter was never configured. The index finds the first sources that differ from the
/// one that every affiliate has; there are few of them.
const UP: &str = "
UPDATE sources SET config = '{\"append\":true}'
    WHERE adapter = 'affrank' AND adapter_version = '' AND config = '{\"append\":false}'

CREATE INDEX sources_changed ON sources (id) WHERE adapter = 'affrank' AND affiliate_id IS NOT NULL
    AND (adapter_version <> '' OR NOT enabled OR archived_at IS NOT NULL)
";

const DOWN: &str = "
DROP INDEX sources_changed

UPDATE sources SET config = '{\"append\":false}'
    WHERE adapter = 'affrank' AND adapter_version = '' AND config = '{\"append\":true}'
";
