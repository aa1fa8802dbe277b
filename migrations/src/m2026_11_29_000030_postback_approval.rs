//! Approval of postbacks of affiliates, and who saved which version of a postback.
//!
//! A node of the previous release fires postbacks that await approval, so switch approval on after all nodes are upgraded.

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
        for table in TABLES {
            for column in COLUMNS {
                dialect::run(manager, &format!("ALTER TABLE {table} ADD COLUMN {column}")).await?;
            }
        }
        dialect::run(manager, UP).await
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        dialect::run(manager, DOWN).await?;
        for table in TABLES {
            for column in COLUMNS {
                let name = column.split(' ').next().unwrap_or(column);
                dialect::run(manager, &format!("ALTER TABLE {table} DROP COLUMN {name}")).await?;
            }
        }
        Ok(())
    }
}

const TABLES: [&str; 2] = ["postbacks", "postback_versions"];

/// `version` is the number of a configuration; the first is 1. `saved_by` is the caller that saved it, if it is known.
const COLUMNS: [&str; 4] = [
    "version <int> NOT NULL DEFAULT 1",
    "saved_by text",
    "saved_by_staff <bool> NOT NULL DEFAULT false",
    "approval text NOT NULL DEFAULT 'not_required'",
];

const UP: &str = "
ALTER TABLE postbacks ADD COLUMN refusal_reason text

CREATE INDEX postbacks_awaiting_approval ON postbacks (id) WHERE approval = 'awaiting_approval'

UPDATE postback_versions SET version = (
    SELECT count(*) FROM postback_versions AS older
    WHERE older.postback_id = postback_versions.postback_id AND older.replaced_at <= postback_versions.replaced_at)

UPDATE postbacks SET version = (
    SELECT count(*) + 1 FROM postback_versions AS older WHERE older.postback_id = postbacks.id)
";

const DOWN: &str = "
DROP INDEX postbacks_awaiting_approval

ALTER TABLE postbacks DROP COLUMN refusal_reason
";
