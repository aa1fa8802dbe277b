//! Which servers use this database and which key each of them seals with. Takes the place of `write_probes`, one row that
//! all servers shared and that releases before this one still write.

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
