//! Circuit breakers of destinations, and the deliveries that wait for a destination.

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

/// A release without `waiting_for` sends a waiting delivery at its `due_at`.
const UP: &str = "
CREATE TABLE breakers (
    destination text PRIMARY KEY,
    state text NOT NULL,
    since <time> NOT NULL,
    opened_at <time> NOT NULL,
    failures <int> NOT NULL,
    failed_probes <int> NOT NULL,
    probe_at <time> NOT NULL,
    probe_until <time>,
    reason_code text NOT NULL,
    reason text NOT NULL,
    told_open_at <time>,
    told_day <bool> NOT NULL
)

CREATE TABLE postback_destinations (
    postback_id <id> NOT NULL,
    destination text NOT NULL,
    seen_at <time> NOT NULL,
    PRIMARY KEY (postback_id, destination)
)

CREATE INDEX postback_destinations_by_destination ON postback_destinations (destination)

ALTER TABLE deliveries ADD COLUMN waiting_for text

ALTER TABLE deliveries ADD COLUMN waiting_rank <big>

CREATE INDEX deliveries_waiting ON deliveries (waiting_for, waiting_rank, id DESC) WHERE waiting_for IS NOT NULL
";

const DOWN: &str = "
DROP INDEX deliveries_waiting

ALTER TABLE deliveries DROP COLUMN waiting_rank

ALTER TABLE deliveries DROP COLUMN waiting_for

DROP TABLE postback_destinations

DROP TABLE breakers
";
