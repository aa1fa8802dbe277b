//! The oldest release that may run on this schema: see [`crate::compatibility`].

use sea_orm_migration::prelude::*;

use crate::{compatibility, dialect};

#[derive(DeriveMigrationName)]
pub struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    fn use_transaction(&self) -> Option<bool> {
        Some(true)
    }

    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        dialect::run(manager, COMPATIBILITY).await?;
        // Releases before this one do not check the table.
        compatibility::require_level(manager, 13, env!("CARGO_PKG_VERSION")).await
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        dialect::run(manager, "DROP TABLE schema_compatibility").await
    }
}

const COMPATIBILITY: &str = "
CREATE TABLE schema_compatibility (
    id <int> PRIMARY KEY CHECK (id = 1),
    oldest_level <int> NOT NULL,
    oldest_release text NOT NULL
)

INSERT INTO schema_compatibility (id, oldest_level, oldest_release) VALUES (1, 0, '')
";
