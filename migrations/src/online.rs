//! Indexes of large tables. PostgreSQL builds them while rows are inserted, outside of a transaction, so a migration
//! that does so can be interrupted at any step: each step can be repeated. SQLite has one writer, which waits.

use sea_orm_migration::prelude::*;
use sea_orm_migration::sea_orm::{ConnectionTrait, DbBackend, Statement};

use crate::dialect;

/// An index of a large table, whose definition is the text after the table's name.
pub(crate) struct LargeIndex {
    pub(crate) name: &'static str,
    pub(crate) table: &'static str,
    pub(crate) definition: &'static str,
    pub(crate) is_unique: bool,
}

impl LargeIndex {
    /// An index with repeated values.
    pub(crate) const fn new(table: &'static str, name: &'static str, definition: &'static str) -> Self {
        Self { name, table, definition, is_unique: false }
    }

    pub(crate) const fn unique(self) -> Self {
        Self { is_unique: true, ..self }
    }

    pub(crate) async fn create(&self, manager: &SchemaManager<'_>) -> Result<(), DbErr> {
        let Self { name, table, definition, is_unique } = self;
        let index = if *is_unique { "UNIQUE INDEX" } else { "INDEX" };
        if manager.get_database_backend() != DbBackend::Postgres {
            return dialect::run(manager, &format!("CREATE {index} IF NOT EXISTS {name} ON {table} {definition}"))
                .await;
        }
        let is_partitioned =
            format!("SELECT relname::text AS name FROM pg_class WHERE oid = '{table}'::regclass AND relkind = 'p'");
        if names(manager, is_partitioned).await?.is_empty() {
            return build(manager, index, name, table, definition).await;
        }
        // The index of the whole table is valid when each partition has its own. Later partitions get theirs from it.
        dialect::run(manager, &format!("CREATE {index} IF NOT EXISTS {name} ON ONLY {table} {definition}")).await?;
        for partition in names(manager, partitions_without(table, name)).await? {
            let own = format!("{partition}{}", name.strip_prefix(table).unwrap_or(name));
            build(manager, index, &own, &partition, definition).await?;
            dialect::run(manager, &format!("ALTER INDEX {name} ATTACH PARTITION {own}")).await?;
        }
        Ok(())
    }

    pub(crate) async fn drop(&self, manager: &SchemaManager<'_>) -> Result<(), DbErr> {
        dialect::run(manager, &format!("DROP INDEX {}", self.name)).await
    }
}

/// How long the build of an index waits for other transactions, such as a backup, before the migration starts again. No
/// insert waits for it. It has an end, because a node of an older release that waits for the lock of the migrations is
/// such a transaction, and ends only if this node gives up that lock for a moment.
const WAIT_FOR_TRANSACTIONS: &str = "60s";

/// Builds an index of one table. An index that an interrupted build left behind is not valid and is built again.
async fn build(
    manager: &SchemaManager<'_>,
    index: &str,
    name: &str,
    table: &str,
    definition: &str,
) -> Result<(), DbErr> {
    let invalid = format!(
        "SELECT 1 AS one FROM pg_index JOIN pg_class ON pg_class.oid = indexrelid
         WHERE relname = '{name}' AND relnamespace = current_schema()::regnamespace AND NOT indisvalid"
    );
    let db = manager.get_connection();
    let is_invalid = db.query_one_raw(Statement::from_string(DbBackend::Postgres, invalid)).await?.is_some();
    db.execute_unprepared(&format!("SET lock_timeout = '{WAIT_FOR_TRANSACTIONS}'")).await?;
    let built = async {
        if is_invalid {
            dialect::run(manager, &format!("DROP INDEX CONCURRENTLY {name}")).await?;
        }
        dialect::run(manager, &format!("CREATE {index} CONCURRENTLY IF NOT EXISTS {name} ON {table} {definition}"))
            .await
    }
    .await;
    db.execute_unprepared("RESET lock_timeout").await?;
    built
}

/// The partitions that have no part of an index yet. A partition that is attached meanwhile gets one by itself.
fn partitions_without(table: &str, index: &str) -> String {
    format!(
        "SELECT child.relname::text AS name FROM pg_inherits JOIN pg_class AS child ON child.oid = inhrelid
         WHERE inhparent = '{table}'::regclass AND NOT EXISTS (
             SELECT 1 FROM pg_index JOIN pg_inherits AS part ON part.inhrelid = pg_index.indexrelid
             WHERE pg_index.indrelid = child.oid AND part.inhparent = '{index}'::regclass)
         ORDER BY 1"
    )
}

async fn names(manager: &SchemaManager<'_>, sql: String) -> Result<Vec<String>, DbErr> {
    let rows = manager.get_connection().query_all_raw(Statement::from_string(DbBackend::Postgres, sql)).await?;
    rows.iter().map(|row| row.try_get("", "name")).collect()
}
