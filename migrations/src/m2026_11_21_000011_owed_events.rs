//! A small table of the events that still have to be routed: events themselves are written once and never updated.

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
        dialect::run(manager, OWED_EVENTS).await
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        dialect::run(manager, ROUTED_AT).await
    }
}

const OWED_EVENTS: &str = "
CREATE TABLE owed_events (
    id <id> PRIMARY KEY,
    lease_until <time>,
    claim <big>
)

INSERT INTO owed_events (id) SELECT id FROM events WHERE routed_at IS NULL

DROP INDEX events_owed

ALTER TABLE events DROP COLUMN routed_at

ALTER TABLE events DROP COLUMN lease_until

ALTER TABLE events DROP COLUMN claim
";

const ROUTED_AT: &str = "
ALTER TABLE events ADD COLUMN routed_at <time>

ALTER TABLE events ADD COLUMN lease_until <time>

ALTER TABLE events ADD COLUMN claim <big>

UPDATE events SET routed_at = occurred_at WHERE id NOT IN (SELECT id FROM owed_events)

CREATE INDEX events_owed ON events (id) WHERE routed_at IS NULL

DROP TABLE owed_events
";
