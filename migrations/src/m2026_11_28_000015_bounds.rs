//! Bounds for money: no account, counter, earning or entry exceeds a value that can be summed exactly, and on SQLite
//! each value is a whole number. Also postponed releases, and refused requests that are only counted.

use sea_orm_migration::prelude::*;
use sea_orm_migration::sea_orm::{ConnectionTrait, DbBackend};

use crate::dialect;

#[derive(DeriveMigrationName)]
pub struct Migration;

/// Each table with its bounded columns: the limit of an account, or of a single amount.
const BOUNDS: [(&str, &[&str], i64); 4] = [
    ("balances", &["available", "withdrawing", "paid", "debt"], ACCOUNT_MAX),
    ("cap_counters", &["payout_micros"], ACCOUNT_MAX),
    ("entries", &["micros"], ACCOUNT_MAX),
    ("earnings", &["earned_micros", "micros"], AMOUNT_MAX),
];

/// Micros: four trillion of the major unit.
const ACCOUNT_MAX: i64 = 4_000_000_000_000_000_000;
/// Micros: a billion of the major unit.
const AMOUNT_MAX: i64 = 1_000_000_000_000_000;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    /// Each statement runs by itself: a constraint must not lock its table while rows are checked. Every statement can
    /// be repeated, so the next start continues an interrupted one.
    fn use_transaction(&self) -> Option<bool> {
        Some(false)
    }

    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        if !manager.has_column("earnings", "retry_at").await? {
            dialect::run(manager, "ALTER TABLE earnings ADD COLUMN retry_at <time>").await?;
        }
        if !manager.has_column("inbound_requests", "repeats").await? {
            dialect::run(manager, "ALTER TABLE inbound_requests ADD COLUMN repeats <big> NOT NULL DEFAULT 0").await?;
        }
        dialect::run(manager, TO_RELEASE).await?;
        for (table, columns, most) in BOUNDS {
            bound(manager, table, columns, most).await?;
        }
        Ok(())
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let db = manager.get_connection();
        for (table, ..) in BOUNDS {
            if manager.get_database_backend() == DbBackend::Postgres {
                db.execute_unprepared(&format!("ALTER TABLE {table} DROP CONSTRAINT {table}_bounds")).await?;
            } else {
                for event in ["insert", "update"] {
                    db.execute_unprepared(&format!("DROP TRIGGER {table}_bounds_{event}")).await?;
                }
            }
        }
        db.execute_unprepared("ALTER TABLE inbound_requests DROP COLUMN repeats").await?;
        db.execute_unprepared("DROP INDEX earnings_to_release").await?;
        db.execute_unprepared("ALTER TABLE earnings DROP COLUMN retry_at").await.map(drop)
    }
}

const TO_RELEASE: &str = "
CREATE INDEX IF NOT EXISTS earnings_to_release ON earnings (COALESCE(retry_at, release_at), id) WHERE state = 'pending'
";

/// Refuses values of `columns` beyond `most`, in place of the bound before.
pub(crate) async fn bound(manager: &SchemaManager<'_>, table: &str, columns: &[&str], most: i64) -> Result<(), DbErr> {
    match manager.get_database_backend() {
        DbBackend::Postgres => add_check(manager, table, columns, most).await,
        _ => add_triggers(manager, table, columns, most).await,
    }
}

/// Applies to new rows immediately, then checks the existing rows without blocking anybody. Existing rows that violate
/// it must not prevent a start: they remain, and each affects only its own affiliate.
async fn add_check(manager: &SchemaManager<'_>, table: &str, columns: &[&str], most: i64) -> Result<(), DbErr> {
    let db = manager.get_connection();
    let bounds: Vec<_> = columns.iter().map(|column| format!("{column} BETWEEN -{most} AND {most}")).collect();
    let check = format!("CHECK ({})", bounds.join(" AND "));
    db.execute_unprepared(&format!(
        "ALTER TABLE {table} DROP CONSTRAINT IF EXISTS {table}_bounds,
         ADD CONSTRAINT {table}_bounds {check} NOT VALID"
    ))
    .await?;
    let validated = db.execute_unprepared(&format!("ALTER TABLE {table} VALIDATE CONSTRAINT {table}_bounds")).await;
    if let Err(error) = validated {
        tracing::warn!(%error, table,
            "Some stored amounts are too large to be summed exactly; they stay, and new amounts of this size are refused");
    }
    Ok(())
}

/// SQLite cannot add a CHECK to a table, and copying the table would fail at the first row that violates it. A trigger
/// checks the rows that are written from now on.
async fn add_triggers(manager: &SchemaManager<'_>, table: &str, columns: &[&str], most: i64) -> Result<(), DbErr> {
    let db = manager.get_connection();
    let broken: Vec<_> = columns
        .iter()
        .map(|it| format!("typeof(NEW.{it}) <> 'integer' OR NEW.{it} NOT BETWEEN -{most} AND {most}"))
        .collect();
    let broken = broken.join(" OR ");
    for (event, when) in [("insert", "INSERT".to_owned()), ("update", format!("UPDATE OF {}", columns.join(", ")))] {
        db.execute_unprepared(&format!("DROP TRIGGER IF EXISTS {table}_bounds_{event}")).await?;
        db.execute_unprepared(&format!(
            "CREATE TRIGGER IF NOT EXISTS {table}_bounds_{event} AFTER {when} ON {table} WHEN {broken}
             BEGIN SELECT RAISE(ABORT, 'an amount of {table} is out of bounds'); END"
        ))
        .await?;
    }
    Ok(())
}
