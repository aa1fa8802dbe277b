//! The names of the field for tables, columns, indexes and stored words. Nothing is copied.

use sea_orm_migration::prelude::*;
use sea_orm_migration::sea_orm::{ConnectionTrait, DbBackend};

use crate::compatibility;

#[derive(DeriveMigrationName)]
pub struct Migration;

/// Each table with its former name.
const TABLES: &[(&str, &str)] = &[("exceptions", "payout_overrides")];

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    fn use_transaction(&self) -> Option<bool> {
        Some(true)
    }

    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        for (before, after) in TABLES {
            rename_table(manager, before, after).await?;
        }
        // Earlier releases read the former names.
        compatibility::demand(manager, 21, env!("CARGO_PKG_VERSION")).await
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        for (before, after) in TABLES {
            rename_table(manager, after, before).await?;
        }
        let demand = "UPDATE schema_compatibility SET oldest_level = 13 WHERE oldest_level = 21";
        manager.get_connection().execute_unprepared(demand).await.map(drop)
    }
}

async fn rename_table(manager: &SchemaManager<'_>, from: &str, to: &str) -> Result<(), DbErr> {
    manager.get_connection().execute_unprepared(&format!("ALTER TABLE {from} RENAME TO {to}")).await?;
    rename_constraints(manager, to, from, to).await
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
