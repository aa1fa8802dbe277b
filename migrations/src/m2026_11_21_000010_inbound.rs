//! Sessions that trackers pass through links, the template of a source, and repeated requests of networks.

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
        dialect::run(manager, INBOUND).await
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        for sql in [
            "DROP TABLE inbound_firsts",
            "DROP INDEX sources_with_sessions",
            "ALTER TABLE sources DROP COLUMN session_parameter",
            "ALTER TABLE sources DROP COLUMN template",
            "DROP INDEX clicks_by_session",
            "ALTER TABLE clicks DROP COLUMN session",
        ] {
            manager.get_connection().execute_unprepared(sql).await?;
        }
        Ok(())
    }
}

/// A partial index: most clicks have no session and add nothing to it.
const INBOUND: &str = "
ALTER TABLE clicks ADD COLUMN session <sortable>

CREATE INDEX clicks_by_session ON clicks (session) WHERE session IS NOT NULL

ALTER TABLE sources ADD COLUMN template text

ALTER TABLE sources ADD COLUMN session_parameter text

CREATE INDEX sources_with_sessions ON sources (id) WHERE session_parameter IS NOT NULL

CREATE TABLE inbound_firsts (
    source_id <id> NOT NULL,
    fingerprint text NOT NULL,
    request_id <id> NOT NULL,
    received_at <time> NOT NULL,
    PRIMARY KEY (source_id, fingerprint)
)

CREATE INDEX inbound_firsts_by_age ON inbound_firsts (received_at)
";
