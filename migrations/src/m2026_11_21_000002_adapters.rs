//! Adapters by version, their log lines, and the hosts to which the secrets of a postback may be sent.

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

const UP: &str = "
CREATE TABLE adapters (
    id text NOT NULL,
    version text NOT NULL,
    digest text NOT NULL,
    wasm <bytes> NOT NULL,
    origin text NOT NULL,
    state text NOT NULL,
    faults <int> NOT NULL,
    reason text,
    installed_at <time> NOT NULL,
    updated_at <time> NOT NULL,
    PRIMARY KEY (id, version)
)

ALTER TABLE attempts ADD COLUMN adapter_log text

ALTER TABLE postbacks ADD COLUMN secret_origins text NOT NULL DEFAULT '[]'

CREATE INDEX postbacks_by_adapter ON postbacks (adapter, adapter_version) WHERE archived_at IS NULL
";

const DOWN: &str = "
DROP INDEX postbacks_by_adapter

ALTER TABLE postbacks DROP COLUMN secret_origins

ALTER TABLE attempts DROP COLUMN adapter_log

DROP TABLE adapters
";
