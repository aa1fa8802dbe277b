//! The identity of conversions: one conversion for each goal of a transaction, and for each source of the program that
//! numbers its sales like another one. Also larger amounts.
//!
//! Earlier releases have one conversion for each transaction, and their inserts need that constraint, so they no longer
//! run.

use sea_orm_migration::prelude::*;
use sea_orm_migration::sea_orm::{ConnectionTrait, DbBackend, Statement, TransactionTrait};

use crate::m2026_11_28_000015_bounds::bound;
use crate::online::LargeIndex;
use crate::{compatibility, dialect};

#[derive(DeriveMigrationName)]
pub struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    /// PostgreSQL builds the index outside of a transaction; each step can be repeated.
    fn use_transaction(&self) -> Option<bool> {
        Some(false)
    }

    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        if !manager.has_column("conversions", "numbered_by").await? {
            dialect::run(manager, "ALTER TABLE conversions ADD COLUMN numbered_by text NOT NULL DEFAULT ''").await?;
        }
        BY_TRANSACTION.create(manager).await?;
        dialect::run(manager, &format!("DROP INDEX IF EXISTS {}", ONE_GOAL.name)).await?;
        match manager.get_database_backend() {
            DbBackend::Postgres => dialect::run(manager, DROP_CONSTRAINT).await?,
            _ => without_constraint(manager).await?,
        }
        bound(manager, "earnings", EARNINGS, AMOUNT_MAX).await?;
        dialect::run(manager, "DROP TABLE IF EXISTS notification_fingerprints").await?;
        compatibility::require_level(manager, 35, env!("CARGO_PKG_VERSION")).await
    }

    /// Fails if a transaction has several conversions.
    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        ONE_GOAL.create(manager).await?;
        BY_TRANSACTION.drop(manager).await?;
        bound(manager, "earnings", EARNINGS, AMOUNT_MAX_BEFORE).await?;
        dialect::run(manager, DOWN).await
    }
}

const BY_TRANSACTION: LargeIndex = LargeIndex::new(
    "conversions",
    "conversions_by_transaction",
    "(transaction_id, offer_id, (coalesce(goal, '')), numbered_by)",
)
.unique();

/// The constraint of earlier releases, as an index.
const ONE_GOAL: LargeIndex =
    LargeIndex::new("conversions", "conversions_one_goal", "(transaction_id, offer_id)").unique();

const DROP_CONSTRAINT: &str =
    "ALTER TABLE conversions DROP CONSTRAINT IF EXISTS conversions_transaction_id_offer_id_key";

/// The constraint in the definition of SQLite's table.
const CONSTRAINT: &str = "UNIQUE (transaction_id, offer_id)";

const EARNINGS: &[&str] = &["earned_micros", "micros"];
/// Micros: a hundred billion of the major unit.
const AMOUNT_MAX: i64 = 100_000_000_000_000_000;
/// Micros: a billion of the major unit.
const AMOUNT_MAX_BEFORE: i64 = 1_000_000_000_000_000;

const DOWN: &str = "
ALTER TABLE conversions DROP COLUMN numbered_by

CREATE TABLE notification_fingerprints (
    source_id <id> NOT NULL,
    fingerprint text NOT NULL,
    conversion_id <id> NOT NULL,
    created_at <time> NOT NULL,
    PRIMARY KEY (source_id, fingerprint)
)

CREATE INDEX notification_fingerprints_by_age ON notification_fingerprints (created_at)

UPDATE schema_compatibility SET oldest_level = 21 WHERE oldest_level = 35
";

/// SQLite cannot drop a constraint, so the table is built again without it, with its rows and indexes.
async fn without_constraint(manager: &SchemaManager<'_>) -> Result<(), DbErr> {
    let tx = manager.get_connection().begin().await?;
    let select = |what: &str| {
        let sql =
            format!("SELECT sql FROM sqlite_master WHERE {what} AND tbl_name = 'conversions' AND sql IS NOT NULL");
        Statement::from_string(DbBackend::Sqlite, sql)
    };
    let row = tx.query_one_raw(select("type = 'table'")).await?;
    let row = row.ok_or_else(|| DbErr::Custom("the table conversions is missing".into()))?;
    let definition: String = row.try_get("", "sql")?;
    let Some((before, after)) = definition.split_once(CONSTRAINT) else { return tx.rollback().await };
    let before = before.trim_end().trim_end_matches(',');
    let definition = format!("{before}{after}").replacen("conversions", "conversions_without_constraint", 1);
    let others = tx.query_all_raw(select("type IN ('index', 'trigger')")).await?;
    tx.execute_unprepared(&definition).await?;
    tx.execute_unprepared("INSERT INTO conversions_without_constraint SELECT * FROM conversions").await?;
    tx.execute_unprepared("DROP TABLE conversions").await?;
    tx.execute_unprepared("ALTER TABLE conversions_without_constraint RENAME TO conversions").await?;
    for row in others {
        tx.execute_unprepared(&row.try_get::<String>("", "sql")?).await?;
    }
    tx.commit().await
}
