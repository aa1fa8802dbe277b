//! Reports: the country of a click, and clicks and conversions packed by quarters of an hour.

use sea_orm_migration::prelude::*;
use sea_orm_migration::sea_orm::{ConnectionTrait, DbBackend};

use crate::dialect;

#[derive(DeriveMigrationName)]
pub struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    fn use_transaction(&self) -> Option<bool> {
        Some(true)
    }

    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        dialect::run(manager, SCHEMA).await?;
        if manager.get_database_backend() == DbBackend::Postgres {
            // The packed data is already small; compressing it again would make reads slower.
            let sql = "ALTER TABLE report_columns ALTER COLUMN data SET STORAGE EXTERNAL";
            manager.get_connection().execute_unprepared(sql).await?;
        }
        Ok(())
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        for table in ["report_progress", "report_visits", "report_columns", "report_scopes"] {
            manager.get_connection().execute_unprepared(&format!("DROP TABLE {table}")).await?;
        }
        dialect::run(manager, "ALTER TABLE clicks DROP COLUMN country").await
    }
}

const SCHEMA: &str = "
ALTER TABLE clicks ADD COLUMN country text

CREATE TABLE report_scopes (
    id <int> PRIMARY KEY,
    affiliate_id <id> NOT NULL,
    offer_id <id> NOT NULL,
    link_id <id> NOT NULL,
    UNIQUE (affiliate_id, offer_id, link_id)
)

CREATE TABLE report_columns (
    subject <int> NOT NULL,
    segment <time> NOT NULL,
    number <int> NOT NULL,
    weight <big> NOT NULL,
    data <bytes> NOT NULL,
    PRIMARY KEY (subject, segment, number)
)

CREATE TABLE report_visits (
    conversion_id <id> PRIMARY KEY,
    facts text NOT NULL
)

CREATE TABLE report_progress (
    subject <int> PRIMARY KEY,
    until <time> NOT NULL,
    turn <big> NOT NULL
)

INSERT INTO report_progress (subject, until, turn) VALUES (0, 0, 0), (1, 0, 0)
";
