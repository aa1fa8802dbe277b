//! Copies of a SQLite database: taken while it is served, checked before anybody relies on them, put back.

use std::path::{Path, PathBuf};
use std::str::FromStr;

use anyhow::{Context, ensure};
use postrider_migrations::Migrator;
use postrider_migrations::compatibility::Demand;
use sea_orm_migration::MigratorTrait;
use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{ConnectOptions, Connection, SqliteConnection};

use crate::delivery::secret_keys::KnownKey;
use crate::private_files;

use crate::base::schema;

/// What a restore has made and not put in place yet.
pub const RESTORING: &str = ".restoring";
/// The database that was there before a restore.
pub const BEFORE_RESTORE: &str = ".before-restore";

/// What SQLite and the server keep beside a database.
const COMPANIONS: [&str; 4] = ["-wal", "-shm", "-journal", ".lock"];

/// The file that this URL names.
pub fn file_of(url: &str) -> anyhow::Result<PathBuf> {
    Ok(SqliteConnectOptions::from_str(url).context("DATABASE_URL is not a SQLite URL")?.get_filename().to_owned())
}

/// Copies the database as it is at one moment into `to`, which must not be there, and checks the copy. Only reads: no
/// writer waits for it. What is written meanwhile is kept in the WAL, which cannot be emptied before this ends.
pub async fn copy(from: &Path, to: &Path) -> anyhow::Result<()> {
    copy_all(open(from, Access::Write).await?, to).await
}

/// The same of a backup, beside which nothing is made or changed.
pub async fn copy_backup(from: &Path, to: &Path) -> anyhow::Result<()> {
    copy_all(open_backup(from).await?, to).await
}

/// With all that the WAL has, into one file that needs no other.
async fn copy_all(mut source: SqliteConnection, to: &Path) -> anyhow::Result<()> {
    // Made before SQLite does, so that nobody else can read it.
    private_files::create(to).with_context(|| format!("{} can't be written", to.display()))?;
    let path = to.to_str().context("the path of a copy must be UTF-8")?;
    sqlx::query("VACUUM INTO ?1").bind(path).execute(&mut source).await.context("the database can't be copied")?;
    let schema = schema_of(&mut source).await?;
    source.close().await?;
    let mut copied = open(to, Access::Write).await?;
    // Without a WAL it can be read where nothing can be written beside it.
    sqlx::query("PRAGMA journal_mode = DELETE").execute(&mut copied).await?;
    ensure!(schema_of(&mut copied).await? == schema, "the copy has other tables than the database; try again");
    copied.close().await?;
    check(to).await?;
    sync(to)
}

/// Whether a file is a whole database of this program that this release can work with.
pub async fn check(file: &Path) -> anyhow::Result<()> {
    let mut connection = open_backup(file).await?;
    let found = sqlx::query_scalar("PRAGMA integrity_check(5)").fetch_all(&mut connection).await;
    let found: Vec<String> = found.with_context(|| format!("{} is damaged", file.display()))?;
    ensure!(found == ["ok"], "{} is damaged: {}", file.display(), found.join("; "));
    let orphans = sqlx::query("PRAGMA foreign_key_check").fetch_all(&mut connection).await;
    let orphans = orphans.with_context(|| format!("{} is damaged", file.display()))?;
    ensure!(orphans.is_empty(), "{} is damaged: {} rows refer to rows that are missing", file.display(), orphans.len());
    let applied = sqlx::query_scalar("SELECT version FROM seaql_migrations ORDER BY version LIMIT 1");
    let first: Option<String> = applied.fetch_optional(&mut connection).await.unwrap_or_default();
    let demand = demand_of(&mut connection).await.with_context(|| format!("{} is damaged", file.display()))?;
    connection.close().await?;
    ensure!(
        first.is_some_and(|it| Migrator::migrations().first().is_some_and(|known| known.name() == it)),
        "{} is a SQLite file, but not a database of Postrider",
        file.display()
    );
    if let Some(demand) = demand.filter(|it| !it.admits(Migrator::level())) {
        anyhow::bail!("{}: {}", file.display(), schema::refusal(&demand));
    }
    Ok(())
}

/// Whether `file` is the database or one of the files that belong to it, under whatever name.
pub fn belongs_to(file: &Path, database: &Path) -> bool {
    let all = COMPANIONS.iter().map(|it| beside(database, it)).chain([database.to_owned()]);
    all.into_iter().any(|it| is_same(file, &it))
}

/// One of them may not be there yet.
fn is_same(one: &Path, other: &Path) -> bool {
    use std::os::unix::fs::MetadataExt;
    let number = |path: &Path| std::fs::metadata(path).ok().map(|it| (it.dev(), it.ino()));
    let place = |path: &Path| {
        let folder = std::fs::canonicalize(private_files::folder_of(path)).ok()?;
        Some(folder.join(path.file_name()?))
    };
    let equal = |one: Option<PathBuf>, other: Option<PathBuf>| one.is_some() && one == other;
    number(one).is_some_and(|it| number(other) == Some(it)) || equal(place(one), place(other))
}

/// The keys that secrets in this file are sealed with; none in one of a release that kept no names of keys.
pub async fn keys_of(file: &Path) -> anyhow::Result<Vec<KnownKey>> {
    let mut connection = open_backup(file).await?;
    let rows = sqlx::query_as::<_, (String, String)>("SELECT id, canary FROM secret_keys ORDER BY created_at, id");
    let rows = rows.fetch_all(&mut connection).await.unwrap_or_default();
    connection.close().await?;
    Ok(rows.into_iter().map(|(id, canary)| KnownKey { id, canary }).collect())
}

/// Empties the WAL of a database that nobody serves, and lets go of it.
pub async fn settle(file: &Path) -> anyhow::Result<()> {
    let mut connection = open(file, Access::Write).await?;
    sqlx::query("PRAGMA wal_checkpoint(TRUNCATE)").execute(&mut connection).await?;
    Ok(connection.close().await?)
}

/// Waits until a file is on the disk.
pub fn sync(file: &Path) -> anyhow::Result<()> {
    private_files::sync(file).with_context(|| format!("{} can't be written to the disk", file.display()))
}

/// A file with another ending than its own: `postrider.db-wal`.
pub fn beside(file: &Path, ending: &str) -> PathBuf {
    let mut name = file.as_os_str().to_owned();
    name.push(ending);
    name.into()
}

/// Whether the file has a WAL in which something may be that the file itself has not.
pub fn has_wal(file: &Path) -> bool {
    std::fs::metadata(beside(file, "-wal")).is_ok_and(|it| it.len() > 0)
}

#[derive(Clone, Copy)]
enum Access {
    Read,
    /// Of a file that nobody writes: nothing is made beside it, so its folder may be read-only.
    ReadAlone,
    Write,
}

/// What is read includes the WAL, if there is one.
async fn open_backup(file: &Path) -> anyhow::Result<SqliteConnection> {
    open(file, if has_wal(file) { Access::Read } else { Access::ReadAlone }).await
}

async fn open(file: &Path, access: Access) -> anyhow::Result<SqliteConnection> {
    let options = SqliteConnectOptions::new()
        .filename(file)
        .read_only(!matches!(access, Access::Write))
        .immutable(matches!(access, Access::ReadAlone))
        .create_if_missing(false)
        .busy_timeout(std::time::Duration::from_secs(10))
        .pragma("temp_store", "memory")
        .disable_statement_logging();
    options.connect().await.with_context(|| format!("{} can't be opened as a SQLite database", file.display()))
}

/// As the start of a server judges it: an older release runs on what a newer one made, unless that took something away.
async fn demand_of(connection: &mut SqliteConnection) -> Result<Option<Demand>, sqlx::Error> {
    let table = "SELECT count(*) FROM sqlite_master WHERE type = 'table' AND name = 'schema_compatibility'";
    if sqlx::query_scalar::<_, i64>(table).fetch_one(&mut *connection).await? == 0 {
        return Ok(None);
    }
    let row = sqlx::query_as("SELECT oldest_level, oldest_release FROM schema_compatibility");
    let row: Option<(i32, String)> = row.fetch_optional(connection).await?;
    Ok(row.map(|(level, release)| Demand { level, release }))
}

async fn schema_of(connection: &mut SqliteConnection) -> anyhow::Result<Vec<String>> {
    // What ANALYZE keeps is made by SQLite itself, also while this runs.
    let sql = "SELECT type || ' ' || name || ' ' || coalesce(sql, '') FROM sqlite_master
        WHERE name NOT LIKE 'sqlite_stat%' ORDER BY 1";
    Ok(sqlx::query_scalar(sql).fetch_all(connection).await?)
}
