//! The catalogue of rejection reasons, and the note that a person adds to a rejection.

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

/// The reasons of a new program were created on the day of this migration.
const UP: &str = "
CREATE TABLE rejection_reasons (
    code text PRIMARY KEY,
    text text NOT NULL,
    retired_at <time>,
    created_at <time> NOT NULL,
    updated_at <time> NOT NULL
)

INSERT INTO rejection_reasons (code, text, created_at, updated_at) VALUES
    ('chargeback', 'The customer''s bank took the payment back.', 1795910400000, 1795910400000),
    ('duplicate', 'This sale was reported more than once.', 1795910400000, 1795910400000),
    ('fraud', 'The sale shows signs of fraud.', 1795910400000, 1795910400000),
    ('invalid_lead', 'The customer''s data is wrong or incomplete.', 1795910400000, 1795910400000),
    ('other', 'The sale does not count, for another reason.', 1795910400000, 1795910400000),
    ('policy_violation', 'The promotion broke the terms of the program.', 1795910400000, 1795910400000),
    ('refund', 'The customer got the money back.', 1795910400000, 1795910400000),
    ('test', 'This was a test.', 1795910400000, 1795910400000)

ALTER TABLE conversions ADD COLUMN rejection_note text
";

const DOWN: &str = "
ALTER TABLE conversions DROP COLUMN rejection_note

DROP TABLE rejection_reasons
";
