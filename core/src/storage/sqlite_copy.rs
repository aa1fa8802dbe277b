//! Copies of a SQLite database: taken while it is served, checked before anybody relies on them, put back.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use anyhow::{Context, ensure};
use postrider_migrations::Migrator;
use sea_orm_migration::MigratorTrait;
use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{ConnectOptions, Connection, SqliteConnection};

use crate::private_files;

use super::secret_keys::KnownKey;

/// The file that this URL names.
pub fn file_of(url: &str) -> anyhow::Result<PathBuf> {
    Ok(SqliteConnectOptions::from_str(url).context("DATABASE_URL is not a SQLite URL")?.get_filename().to_owned())
}

/// Copies the database as it is at one moment into `to`, which must not be there, and checks the copy. Only reads: no
/// writer waits for it. What is written meanwhile is kept in the WAL, which cannot be emptied before this ends.
pub async fn copy(from: &Path, to: &Path) -> anyhow::Result<()> {
    // Made before SQLite does, so that nobody else can read it.
    private_files::create(to).with_context(|| format!("{} can't be written", to.display()))?;
    let mut source = open(from, false).await?;
    let path = to.to_str().context("the path of a backup must be UTF-8")?;
    sqlx::query("VACUUM INTO ?1").bind(path).execute(&mut source).await.context("the database can't be copied")?;
    let schema = schema_of(&mut source).await?;
    source.close().await?;
    check(to).await?;
    let mut copied = open(to, true).await?;
    ensure!(schema_of(&mut copied).await? == schema, "the copy has other tables than the database; try again");
    copied.close().await?;
    sync(to)
}

/// Whether a file is a whole database of this program, of this release or an older one.
pub async fn check(file: &Path) -> anyhow::Result<()> {
    let mut connection = open(file, true).await?;
    let found = sqlx::query_scalar("PRAGMA integrity_check(5)").fetch_all(&mut connection).await;
    let found: Vec<String> = found.with_context(|| format!("{} is damaged", file.display()))?;
    ensure!(found == ["ok"], "{} is damaged: {}", file.display(), found.join("; "));
    let orphans = sqlx::query("PRAGMA foreign_key_check").fetch_all(&mut connection).await;
    let orphans = orphans.with_context(|| format!("{} is damaged", file.display()))?;
    ensure!(orphans.is_empty(), "{} is damaged: {} rows refer to rows that are missing", file.display(), orphans.len());
    let applied = sqlx::query_scalar("SELECT version FROM seaql_migrations ORDER BY version");
    let applied: Vec<String> = applied.fetch_all(&mut connection).await.unwrap_or_default();
    connection.close().await?;
    let known: BTreeSet<String> = Migrator::migrations().iter().map(|it| it.name().to_owned()).collect();
    ensure!(
        applied.first().is_some_and(|it| Some(it) == known.first()),
        "{} is a SQLite file, but not a database of Postrider",
        file.display()
    );
    if let Some(newer) = applied.iter().find(|it| !known.contains(*it)) {
        anyhow::bail!("{} comes from a newer release (it has {newer}); use that one", file.display());
    }
    Ok(())
}

/// The keys that secrets in this file are sealed with; none in one of a release that kept no names of keys.
pub async fn keys_of(file: &Path) -> anyhow::Result<Vec<KnownKey>> {
    let mut connection = open(file, true).await?;
    let rows = sqlx::query_as::<_, (String, String)>("SELECT id, canary FROM secret_keys ORDER BY created_at, id");
    let rows = rows.fetch_all(&mut connection).await.unwrap_or_default();
    connection.close().await?;
    Ok(rows.into_iter().map(|(id, canary)| KnownKey { id, canary }).collect())
}

/// Empties the WAL of a database that nobody serves, and lets go of it.
pub async fn settle(file: &Path) -> anyhow::Result<()> {
    let mut connection = open(file, false).await?;
    sqlx::query("PRAGMA wal_checkpoint(TRUNCATE)").execute(&mut connection).await?;
    Ok(connection.close().await?)
}

/// Waits until a file is on the disk.
pub fn sync(file: &Path) -> anyhow::Result<()> {
    let on_disk = std::fs::File::open(file).and_then(|it| it.sync_all());
    on_disk.with_context(|| format!("{} can't be written to the disk", file.display()))
}

/// A file with another ending than its own: `postrider.db-wal`.
pub fn beside(file: &Path, ending: &str) -> PathBuf {
    let mut name = file.as_os_str().to_owned();
    name.push(ending);
    name.into()
}

async fn open(file: &Path, readonly: bool) -> anyhow::Result<SqliteConnection> {
    let options = SqliteConnectOptions::new()
        .filename(file)
        .read_only(readonly)
        .create_if_missing(false)
        .busy_timeout(std::time::Duration::from_secs(10))
        .pragma("temp_store", "memory")
        .disable_statement_logging();
    options.connect().await.with_context(|| format!("{} can't be opened as a SQLite database", file.display()))
}

async fn schema_of(connection: &mut SqliteConnection) -> anyhow::Result<Vec<String>> {
    // What ANALYZE keeps is made by SQLite itself, also while this runs.
    let sql = "SELECT type || ' ' || name || ' ' || coalesce(sql, '') FROM sqlite_master
        WHERE name NOT LIKE 'sqlite_stat%' ORDER BY 1";
    Ok(sqlx::query_scalar(sql).fetch_all(connection).await?)
}
