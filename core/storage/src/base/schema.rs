//! Runs the migrations, and refuses a schema that this release cannot use.

use std::time::Duration;

use anyhow::Context;
use postrider_migrations::Migrator;
use postrider_migrations::compatibility::{self, Requirement};
use sea_orm::{ConnectionTrait, DatabaseConnection, DbErr, RuntimeErr, Statement};
use sea_orm_migration::MigratorTrait;
use sqlx::postgres::{PgConnection, PgPoolOptions};

use crate::Database;

use super::failures::is_lock_timeout;

/// The advisory lock of the node that runs migrations. The number is arbitrary.
const MIGRATION_LOCK: i64 = 0x706f_7374_7269_6465;

/// How long a change of the schema waits for its locks. Meanwhile the clicks of other nodes queue behind it.
const LOCK_TIMEOUT: &str = "500ms";
/// The pause before a migration that did not get its locks is tried again.
const LOCKED_PAUSE: Duration = Duration::from_secs(2);

/// Runs the migrations of this release. A newer schema stays as it is; this release runs on it, or fails if it may not.
pub(crate) async fn migrate(db: &Database) -> anyhow::Result<()> {
    // Only one of several nodes that start at the same time migrates. The lock ends with its connection.
    let mut locking = match db.postgres() {
        Some(pool) => Some(pool.acquire().await?.detach()),
        None => None,
    };
    if let Some(connection) = &mut locking {
        take_lock(connection).await?;
    }
    let unknown =
        Migrator::unknown(db.writer()).await.context("the list of migrations can't be read from the database")?;
    let unmet = unmet_requirement(db.writer()).await.context("the table schema_compatibility can't be read")?;
    if let Some(requirement) = unmet {
        anyhow::bail!(refusal(&requirement));
    }
    if !unknown.is_empty() {
        tracing::info!(migrations = ?unknown, "A newer release has migrated this database; this one may run on it too");
    }
    run_migrations(db, locking.as_mut()).await.context("the database can't be migrated")
}

/// Takes the lock of migrations for the session. A statement that waits would have a snapshot, and an index that is built
/// without blocking writes waits for the end of every snapshot. So a node that waits for the lock tries again and again.
async fn take_lock(connection: &mut PgConnection) -> Result<(), DbErr> {
    let sql = "SELECT pg_try_advisory_lock($1)";
    while !sqlx::query_scalar(sql).bind(MIGRATION_LOCK).fetch_one(&mut *connection).await.map_err(failed)? {
        tokio::time::sleep(LOCKED_PAUSE / 10).await;
    }
    Ok(())
}

/// Gives up the lock for a moment. A node of an older release waits for it in a statement with a snapshot, and the build
/// of an index waits for that snapshot.
async fn pause(locking: Option<&mut PgConnection>) -> Result<(), DbErr> {
    let Some(connection) = locking else { return Ok(()) };
    let unlock = sqlx::query("SELECT pg_advisory_unlock($1)").bind(MIGRATION_LOCK);
    unlock.execute(&mut *connection).await.map_err(failed)?;
    tokio::time::sleep(LOCKED_PAUSE).await;
    take_lock(connection).await
}

fn failed(error: sqlx::Error) -> DbErr {
    DbErr::Query(RuntimeErr::SqlxError(error.into()))
}

/// The database's requirement, if this release does not meet it: a newer release has removed something from the schema.
pub async fn unmet_requirement(db: &DatabaseConnection) -> Result<Option<Requirement>, DbErr> {
    if !has_requirement(db).await? {
        return Ok(None);
    }
    Ok(compatibility::find(db).await?.filter(|requirement| !requirement.admits(Migrator::level())))
}

/// The error sentence of a release that does not meet the requirement.
pub fn refusal(requirement: &Requirement) -> String {
    format!(
        "a newer Postrider has changed this database: it needs release {} (schema level {}) or a later one, and this is \
         release {} (schema level {}); start such a release, or restore the backup from before the upgrade",
        requirement.release,
        requirement.level,
        env!("CARGO_PKG_VERSION"),
        Migrator::level()
    )
}

async fn has_requirement(db: &DatabaseConnection) -> Result<bool, DbErr> {
    let backend = db.get_database_backend();
    let sql = match backend {
        sea_orm::DbBackend::Postgres => "SELECT 1 AS one WHERE to_regclass('schema_compatibility') IS NOT NULL",
        _ => "SELECT 1 AS one FROM sqlite_master WHERE type = 'table' AND name = 'schema_compatibility'",
    };
    Ok(db.query_one_raw(Statement::from_string(backend, sql)).await?.is_some())
}

/// Each migration is a transaction or consists of steps that can be repeated, so a migration that does not get its locks
/// is started again.
async fn run_migrations(db: &Database, mut locking: Option<&mut PgConnection>) -> Result<(), DbErr> {
    let Some(pool) = db.postgres() else { return Migrator::up(db.writer(), None).await };
    let options = pool.connect_options().as_ref().clone().options([("lock_timeout", LOCK_TIMEOUT)]);
    let pool = PgPoolOptions::new().max_connections(1).connect_lazy_with(options);
    let connection = DatabaseConnection::from(pool);
    let migrated = loop {
        match Migrator::up(&connection, None).await {
            Err(error) if is_lock_timeout(&error) => {
                tracing::warn!(
                    "The schema can't be changed while another transaction, such as a backup, locks its tables; \
                     the migration is tried again every 2 s"
                );
                pause(locking.as_deref_mut()).await?;
            }
            migrated => break migrated,
        }
    };
    connection.close().await?;
    migrated
}
