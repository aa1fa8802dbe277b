//! The keys that sealed secrets, and a row that `/readyz` writes to prove that the database stores data.

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
        dialect::run(manager, TABLES).await
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        dialect::run(manager, "DROP TABLE secret_keys\n\nDROP TABLE write_probes").await
    }
}

const TABLES: &str = "
CREATE TABLE secret_keys (
    id text PRIMARY KEY,
    canary text NOT NULL,
    created_at <time> NOT NULL
)

CREATE TABLE write_probes (
    id <int> PRIMARY KEY,
    written_at <time> NOT NULL
)
";
