//! The messages that people want, and the failures of postbacks that they are about.

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

/// `users.summary_at` is when the next weekly summary is due; NULL if the person wants none. A row of
/// `postback_failures` counts the deliveries that failed for good since `since`.
const UP: &str = "
ALTER TABLE users ADD COLUMN mail_failing_postbacks <bool> NOT NULL DEFAULT true

ALTER TABLE users ADD COLUMN mail_withdrawals <bool> NOT NULL DEFAULT true

ALTER TABLE users ADD COLUMN summary_at <time>

CREATE INDEX users_by_summary ON users (summary_at) WHERE summary_at IS NOT NULL

CREATE TABLE postback_failures (
    postback_id <id> PRIMARY KEY REFERENCES postbacks (id),
    failures <int> NOT NULL,
    since <time> NOT NULL,
    notified_at <time>
)
";

const DOWN: &str = "
DROP TABLE postback_failures

DROP INDEX users_by_summary

ALTER TABLE users DROP COLUMN summary_at

ALTER TABLE users DROP COLUMN mail_withdrawals

ALTER TABLE users DROP COLUMN mail_failing_postbacks
";
