//! The schema: brought up to this release, or found to be of one that this release can't work with.

use std::time::Duration;

use anyhow::Context;
use postrider_migrations::Migrator;
use postrider_migrations::compatibility::{self, Demand};
use sea_orm::{ConnectionTrait, DatabaseConnection, DbErr, Statement};
use sea_orm_migration::MigratorTrait;
use sqlx::postgres::PgPoolOptions;

use crate::Database;

use super::failures::is_lock_timeout;

/// Any number that nobody else's program would choose.
const MIGRATION_LOCK: i64 = 0x706f_7374_7269_6465;

/// How long a change of the schema waits for its locks, because the clicks of other nodes queue behind it.
const LOCK_TIMEOUT: &str = "500ms";
/// Until it is tried again.
const LOCKED_PAUSE: Duration = Duration::from_secs(2);

/// Brings the schema up to this release. A newer schema stays as it is: this release runs on it, or refuses to.
pub(crate) async fn migrate(db: &Database) -> anyhow::Result<()> {
    // Two nodes that start together take turns. The lock goes with its connection, whatever happens.
    let mut turn = match db.postgres() {
        Some(pool) => Some(pool.acquire().await?.detach()),
        None => None,
    };
    if let Some(connection) = &mut turn {
        sqlx::query("SELECT pg_advisory_lock($1)").bind(MIGRATION_LOCK).execute(connection).await?;
    }
    let unknown = Migrator::unknown(db.writer()).await.context("the state of the database's schema can't be read")?;
    if let Some(demand) = outdated_by(db.writer()).await.context("the database does not say who may use it")? {
        anyhow::bail!(refusal(&demand));
    }
    if !unknown.is_empty() {
        tracing::info!(migrations = ?unknown, "A newer release has migrated this database; this one may run on it too");
    }
    run_migrations(db).await.context("the database can't be migrated")
}

/// What this database demands, if this release does not have it: a newer one has taken something away.
pub async fn outdated_by(db: &DatabaseConnection) -> Result<Option<Demand>, DbErr> {
    if !has_demands(db).await? {
        return Ok(None);
    }
    Ok(compatibility::find(db).await?.filter(|demand| !demand.admits(Migrator::level())))
}

/// A sentence for whoever started the wrong release.
pub fn refusal(demand: &Demand) -> String {
    format!(
        "a newer Postrider has changed this database: it takes release {} (schema level {}) or a later one, and this is \
         release {} (schema level {}); start such a release, or restore the backup from before the upgrade",
        demand.release,
        demand.level,
        env!("CARGO_PKG_VERSION"),
        Migrator::level()
    )
}

async fn has_demands(db: &DatabaseConnection) -> Result<bool, DbErr> {
    let backend = db.get_database_backend();
    let sql = match backend {
        sea_orm::DbBackend::Postgres => "SELECT 1 AS one WHERE to_regclass('schema_compatibility') IS NOT NULL",
        _ => "SELECT 1 AS one FROM sqlite_master WHERE type = 'table' AND name = 'schema_compatibility'",
    };
    Ok(db.query_one_raw(Statement::from_string(backend, sql)).await?.is_some())
}

/// Each migration is a transaction, so one that does not get its locks has changed nothing and is begun anew.
async fn run_migrations(db: &Database) -> Result<(), DbErr> {
    let Some(pool) = db.postgres() else { return Migrator::up(db.writer(), None).await };
    let options = pool.connect_options().as_ref().clone().options([("lock_timeout", LOCK_TIMEOUT)]);
    let pool = PgPoolOptions::new().max_connections(1).connect_lazy_with(options);
    let connection = DatabaseConnection::from(pool);
    let migrated = loop {
        match Migrator::up(&connection, None).await {
            Err(error) if is_lock_timeout(&error) => {
                tracing::warn!(
                    "The schema can't be changed while another transaction holds its tables, such as a backup; \
                     trying again until it ends"
                );
                tokio::time::sleep(LOCKED_PAUSE).await;
            }
            migrated => break migrated,
        }
    };
    connection.close().await?;
    migrated
}
