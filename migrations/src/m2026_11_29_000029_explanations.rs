//! The former configurations of postbacks, by which explanations know what applied at the time of an event, and jobs
//! that retry many deliveries.

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

/// A row of `postback_versions` has a configuration that applied until `replaced_at`. `updated_at` is the time of the
/// change that made it. Secrets in `config` are masks, so that no former secret is kept.
///
/// `retry_jobs.cursor` is the last delivery that a job examined; it continues with older ones. At most one job of an
/// affiliate runs.
const UP: &str = "
CREATE TABLE postback_versions (
    postback_id <id> NOT NULL REFERENCES postbacks (id),
    replaced_at <time> NOT NULL,
    updated_at <time> NOT NULL,
    name text NOT NULL,
    adapter_version text NOT NULL,
    config text NOT NULL,
    action text NOT NULL,
    affiliate_id <id>,
    offer_id <id>,
    firing_status text NOT NULL,
    rejection_reasons text NOT NULL,
    delay_value <int>,
    delay_unit text,
    ordering text NOT NULL,
    enabled <bool> NOT NULL,
    PRIMARY KEY (postback_id, replaced_at)
)

CREATE INDEX postback_versions_by_age ON postback_versions (replaced_at)

CREATE TABLE retry_jobs (
    id <id> PRIMARY KEY,
    owner_affiliate_id <id> REFERENCES affiliates (id),
    filter text NOT NULL,
    status text NOT NULL,
    matching <int> NOT NULL,
    retried <int> NOT NULL,
    skipped <int> NOT NULL,
    cursor <id>,
    due_at <time> NOT NULL,
    lease_until <time>,
    claim <big>,
    created_at <time> NOT NULL,
    settled_at <time>
)

CREATE INDEX retry_jobs_running ON retry_jobs (due_at) WHERE status = 'running'

CREATE INDEX retry_jobs_by_owner ON retry_jobs (owner_affiliate_id, id)

CREATE UNIQUE INDEX retry_jobs_one_of_owner ON retry_jobs (owner_affiliate_id)
    WHERE status = 'running' AND owner_affiliate_id IS NOT NULL
";

const DOWN: &str = "
DROP TABLE retry_jobs

DROP TABLE postback_versions
";
