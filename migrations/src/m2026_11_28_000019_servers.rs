//! The servers that use this database, with the key with which each of them seals. Replaces `write_probes`, one row
//! that all servers shared and that earlier releases still write.

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
        dialect::run(manager, TABLE).await
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        dialect::run(manager, "DROP TABLE servers").await
    }
}

const TABLE: &str = "
CREATE TABLE servers (
    id <big> PRIMARY KEY,
    key_id text NOT NULL,
    seen_at <time> NOT NULL
)
";
