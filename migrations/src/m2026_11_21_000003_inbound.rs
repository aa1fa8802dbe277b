//! Notifications of networks: sources, the log of requests, and the source of a conversion.

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
        dialect::run(manager, INBOUND).await?;
        dialect::default_partitions(manager, &["inbound_requests"]).await
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        for sql in [
            "DROP TABLE inbound_reports",
            "DROP TABLE inbound_requests",
            "DROP TABLE sources",
            "ALTER TABLE conversions DROP COLUMN self_reported",
            "ALTER TABLE conversions DROP COLUMN source_id",
        ] {
            manager.get_connection().execute_unprepared(sql).await?;
        }
        Ok(())
    }
}

const INBOUND: &str = "
CREATE TABLE sources (
    id <id> PRIMARY KEY,
    key text NOT NULL UNIQUE,
    name text NOT NULL,
    adapter text NOT NULL,
    adapter_version text NOT NULL,
    config text NOT NULL,
    affiliate_id <id> REFERENCES affiliates (id),
    settings text NOT NULL,
    decorates <bool> NOT NULL,
    enabled <bool> NOT NULL,
    created_at <time> NOT NULL,
    updated_at <time> NOT NULL,
    archived_at <time>
)

CREATE INDEX sources_by_affiliate ON sources (affiliate_id, id)

CREATE INDEX sources_decorating ON sources (id) WHERE decorates AND enabled AND archived_at IS NULL

CREATE TABLE inbound_requests (
    id <id> PRIMARY KEY,
    source_id <id> NOT NULL,
    affiliate_id <id>,
    received_at <time> NOT NULL,
    method text NOT NULL,
    path text NOT NULL,
    query text NOT NULL,
    headers text NOT NULL,
    body <bytes> NOT NULL,
    truncated <bool> NOT NULL,
    remote_ip text,
    outcome text NOT NULL,
    code text,
    sentence text,
    items text NOT NULL,
    adapter_log text,
    tries <int> NOT NULL,
    due_at <time>,
    lease_until <time>,
    claim <big>,
    settled_at <time>
) <by time id>

CREATE INDEX inbound_requests_owed ON inbound_requests (due_at) WHERE outcome = 'waiting'

CREATE INDEX inbound_requests_waiting ON inbound_requests (source_id) WHERE outcome = 'waiting'

CREATE INDEX inbound_requests_by_source ON inbound_requests (source_id, id)

CREATE INDEX inbound_requests_by_affiliate ON inbound_requests (affiliate_id, id) WHERE affiliate_id IS NOT NULL

CREATE INDEX inbound_requests_by_outcome ON inbound_requests (outcome, id)

CREATE INDEX inbound_requests_by_code ON inbound_requests (code, id)

CREATE TABLE inbound_reports (
    source_id <id> NOT NULL,
    fingerprint text NOT NULL,
    conversion_id <id> NOT NULL,
    created_at <time> NOT NULL,
    PRIMARY KEY (source_id, fingerprint)
)

CREATE INDEX inbound_reports_by_age ON inbound_reports (created_at)

ALTER TABLE conversions ADD COLUMN source_id <id>

ALTER TABLE conversions ADD COLUMN self_reported <bool> NOT NULL DEFAULT false
";
