//! Renames tables, columns, indexes and stored words to standard terms. No row is copied.

use sea_orm_migration::prelude::*;
use sea_orm_migration::sea_orm::{ConnectionTrait, DbBackend, Statement};

use crate::{compatibility, dialect};

#[derive(DeriveMigrationName)]
pub struct Migration;

/// Each table with its former name.
const TABLES: &[(&str, &str)] = &[
    ("exceptions", "payout_overrides"),
    ("inbound_firsts", "request_fingerprints"),
    ("inbound_reports", "notification_fingerprints"),
    ("owed_events", "pending_events"),
];

/// Each column with its former name.
const COLUMNS: &[(&str, &str, &str)] = &[
    ("affiliates", "recruited_by", "parent_affiliate_id"),
    ("affiliates", "recruited_at", "parent_since"),
    ("breakers", "destination", "lane"),
    ("breakers", "told_day", "day_notified"),
    ("breakers", "told_open_at", "open_notified_at"),
    ("earnings", "made_by", "created_by"),
    ("earnings", "recruit_id", "sub_affiliate_id"),
    ("earnings", "from_recruit", "paid_by_sub_affiliate"),
    ("report_progress", "turn", "version"),
    ("withdrawals", "asked_all", "requested_all"),
];

/// Each index with its former name.
const INDEXES: &[(&str, &str)] = &[
    ("affiliates_by_recruiter", "affiliates_by_parent"),
    ("deliveries_owed", "deliveries_due"),
    ("earnings_by_recruit", "earnings_by_sub_affiliate"),
    ("inbound_firsts_by_age", "request_fingerprints_by_age"),
    ("inbound_reports_by_age", "notification_fingerprints_by_age"),
    ("inbound_requests_owed", "inbound_requests_due"),
];

const SETTINGS: &str = r#"
UPDATE program_settings SET key = 'sub_affiliates',
    value = replace(value, '"paid_from":"recruit"', '"paid_from":"sub_affiliate"')
WHERE key = 'recruiting'
"#;

const SETTINGS_BEFORE: &str = r#"
UPDATE program_settings SET key = 'recruiting',
    value = replace(value, '"paid_from":"sub_affiliate"', '"paid_from":"recruit"')
WHERE key = 'sub_affiliates'
"#;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    fn use_transaction(&self) -> Option<bool> {
        Some(true)
    }

    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        for (before, after) in TABLES {
            rename_table(manager, before, after).await?;
        }
        for (table, before, after) in COLUMNS {
            rename_column(manager, table, before, after).await?;
        }
        for (before, after) in INDEXES {
            rename_index(manager, before, after).await?;
        }
        dialect::run(manager, SETTINGS).await?;
        // Earlier releases read the former names.
        compatibility::require_level(manager, 21, env!("CARGO_PKG_VERSION")).await
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        dialect::run(manager, SETTINGS_BEFORE).await?;
        for (before, after) in INDEXES {
            rename_index(manager, after, before).await?;
        }
        for (table, before, after) in COLUMNS {
            rename_column(manager, table, after, before).await?;
        }
        for (before, after) in TABLES {
            rename_table(manager, after, before).await?;
        }
        let requirement = "UPDATE schema_compatibility SET oldest_level = 13 WHERE oldest_level = 21";
        manager.get_connection().execute_unprepared(requirement).await.map(drop)
    }
}

async fn rename_table(manager: &SchemaManager<'_>, from: &str, to: &str) -> Result<(), DbErr> {
    manager.get_connection().execute_unprepared(&format!("ALTER TABLE {from} RENAME TO {to}")).await?;
    rename_constraints(manager, to, from, to).await
}

async fn rename_column(manager: &SchemaManager<'_>, table: &str, from: &str, to: &str) -> Result<(), DbErr> {
    let sql = format!("ALTER TABLE {table} RENAME COLUMN {from} TO {to}");
    manager.get_connection().execute_unprepared(&sql).await?;
    rename_constraints(manager, table, &format!("{table}_{from}"), &format!("{table}_{to}")).await
}

/// SQLite cannot rename an index, so it is built again.
async fn rename_index(manager: &SchemaManager<'_>, from: &str, to: &str) -> Result<(), DbErr> {
    let db = manager.get_connection();
    if manager.get_database_backend() == DbBackend::Postgres {
        return db.execute_unprepared(&format!("ALTER INDEX {from} RENAME TO {to}")).await.map(drop);
    }
    let sql = format!("SELECT sql FROM sqlite_master WHERE type = 'index' AND name = '{from}'");
    let row = db.query_one_raw(Statement::from_string(DbBackend::Sqlite, sql)).await?;
    let row = row.ok_or_else(|| DbErr::Custom(format!("the index {from} is missing")))?;
    let definition: String = row.try_get("", "sql")?;
    db.execute_unprepared(&format!("DROP INDEX {from}")).await?;
    db.execute_unprepared(&definition.replacen(from, to, 1)).await.map(drop)
}

/// Renames the constraints of `table` whose names PostgreSQL derived from `from`. SQLite derives no names.
async fn rename_constraints(manager: &SchemaManager<'_>, table: &str, from: &str, to: &str) -> Result<(), DbErr> {
    if manager.get_database_backend() != DbBackend::Postgres {
        return Ok(());
    }
    let sql = format!(
        "DO $$ DECLARE it record;
         BEGIN
             FOR it IN SELECT conname FROM pg_constraint
                       WHERE conrelid = '{table}'::regclass AND starts_with(conname, '{from}_') LOOP
                 EXECUTE format('ALTER TABLE {table} RENAME CONSTRAINT %I TO %I', it.conname,
                                '{to}' || substr(it.conname, {rest}));
             END LOOP;
         END $$",
        rest = from.len() + 1
    );
    manager.get_connection().execute_unprepared(&sql).await.map(drop)
}
