//! Copies of a SQLite database: creates them while the server runs, checks them, and prepares them for a restore.

use std::path::{Path, PathBuf};
use std::str::FromStr;

use anyhow::{Context, ensure};
use postrider_migrations::Migrator;
use postrider_migrations::compatibility::Requirement;
use sea_orm_migration::MigratorTrait;
use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{ConnectOptions, Connection, SqliteConnection};

use crate::delivery::secret_keys::KnownKey;
use crate::private_files;

use crate::base::schema;

/// The suffix of the copy that a restore has created but not moved to its place yet.
pub const RESTORING: &str = ".restoring";
/// The suffix of the former database, which a restore keeps.
pub const BEFORE_RESTORE: &str = ".before-restore";

/// The suffixes of the other files of a database, which SQLite and the server create.
const SUFFIXES: [&str; 4] = ["-wal", "-shm", "-journal", ".lock"];

/// The path of the database file in this URL.
pub fn file_of(url: &str) -> anyhow::Result<PathBuf> {
    Ok(SqliteConnectOptions::from_str(url).context("DATABASE_URL is not a SQLite URL")?.get_filename().to_owned())
}

/// Copies a snapshot of the database into `to`, which must not exist, and checks the copy. It only reads, so no writer
/// waits. Data that is written meanwhile stays in the WAL, which grows until the copy ends.
pub async fn copy(from: &Path, to: &Path) -> anyhow::Result<()> {
    copy_all(open(from, Access::Write).await?, to).await
}

/// Copies a backup like [`copy`]. It creates and changes no files beside the backup.
pub async fn copy_backup(from: &Path, to: &Path) -> anyhow::Result<()> {
    copy_all(open_backup(from).await?, to).await
}

/// Copies the database and its WAL into one file.
async fn copy_all(mut source: SqliteConnection, to: &Path) -> anyhow::Result<()> {
    // Created here, with private permissions, because SQLite would create it readable for others.
    private_files::create(to).with_context(|| format!("{} can't be written", to.display()))?;
    let path = to.to_str().context("the path of a copy must be UTF-8")?;
    sqlx::query("VACUUM INTO ?1").bind(path).execute(&mut source).await.context("the database can't be copied")?;
    let schema = schema_of(&mut source).await?;
    source.close().await?;
    let mut copied = open(to, Access::Write).await?;
    // Without a WAL, the file can be read in a read-only folder.
    sqlx::query("PRAGMA journal_mode = DELETE").execute(&mut copied).await?;
    ensure!(
        schema_of(&mut copied).await? == schema,
        "the schema of the copy differs from that of the database; try again"
    );
    copied.close().await?;
    check(to).await?;
    sync(to)
}

/// Checks that a file is an undamaged database of Postrider that this release can use.
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
    let requirement =
        requirement_of(&mut connection).await.with_context(|| format!("{} is damaged", file.display()))?;
    connection.close().await?;
    ensure!(
        first.is_some_and(|it| Migrator::migrations().first().is_some_and(|known| known.name() == it)),
        "{} is a SQLite file, but not a database of Postrider",
        file.display()
    );
    if let Some(requirement) = requirement.filter(|it| !it.admits(Migrator::level())) {
        anyhow::bail!("{}: {}", file.display(), schema::refusal(&requirement));
    }
    Ok(())
}

/// Whether `file` is the database or one of its other files, also by a link or another path.
pub fn belongs_to(file: &Path, database: &Path) -> bool {
    let all = SUFFIXES.iter().map(|suffix| with_suffix(database, suffix)).chain([database.to_owned()]);
    all.into_iter().any(|it| is_same(file, &it))
}

/// Whether two paths lead to the same file, which need not exist.
fn is_same(one: &Path, other: &Path) -> bool {
    use std::os::unix::fs::MetadataExt;
    let inode = |path: &Path| std::fs::metadata(path).ok().map(|it| (it.dev(), it.ino()));
    let location = |path: &Path| {
        let folder = std::fs::canonicalize(private_files::folder_of(path)).ok()?;
        Some(folder.join(path.file_name()?))
    };
    let equal = |one: Option<PathBuf>, other: Option<PathBuf>| one.is_some() && one == other;
    inode(one).is_some_and(|it| inode(other) == Some(it)) || equal(location(one), location(other))
}

/// The keys with which the secrets in this file are sealed, oldest first. Empty if the file is of a release without the
/// table `secret_keys`.
pub async fn list_keys(file: &Path) -> anyhow::Result<Vec<KnownKey>> {
    let mut connection = open_backup(file).await?;
    let rows = sqlx::query_as::<_, (String, String)>("SELECT id, canary FROM secret_keys ORDER BY created_at, id");
    let rows = rows.fetch_all(&mut connection).await.unwrap_or_default();
    connection.close().await?;
    Ok(rows.into_iter().map(|(id, canary)| KnownKey { id, canary }).collect())
}

/// Moves the WAL into the database file, which no server uses, and closes the file.
pub async fn empty_wal(file: &Path) -> anyhow::Result<()> {
    let mut connection = open(file, Access::Write).await?;
    sqlx::query("PRAGMA wal_checkpoint(TRUNCATE)").execute(&mut connection).await?;
    Ok(connection.close().await?)
}

/// Waits until a file is on the disk.
pub fn sync(file: &Path) -> anyhow::Result<()> {
    private_files::sync(file).with_context(|| format!("{} can't be written to the disk", file.display()))
}

/// Appends to the name of a file, for example `postrider.db-wal`.
pub fn with_suffix(file: &Path, suffix: &str) -> PathBuf {
    let mut name = file.as_os_str().to_owned();
    name.push(suffix);
    name.into()
}

/// Whether the database has a WAL that is not empty.
pub fn has_wal(file: &Path) -> bool {
    std::fs::metadata(with_suffix(file, "-wal")).is_ok_and(|it| it.len() > 0)
}

#[derive(Clone, Copy)]
enum Access {
    Read,
    /// For a file that nobody writes. SQLite creates no files beside it, so its folder can be read-only.
    ReadImmutable,
    Write,
}

/// Opens a backup, including its WAL if there is one.
async fn open_backup(file: &Path) -> anyhow::Result<SqliteConnection> {
    open(file, if has_wal(file) { Access::Read } else { Access::ReadImmutable }).await
}

async fn open(file: &Path, access: Access) -> anyhow::Result<SqliteConnection> {
    let options = SqliteConnectOptions::new()
        .filename(file)
        .read_only(!matches!(access, Access::Write))
        .immutable(matches!(access, Access::ReadImmutable))
        .create_if_missing(false)
        .busy_timeout(std::time::Duration::from_secs(10))
        .pragma("temp_store", "memory")
        .disable_statement_logging();
    options.connect().await.with_context(|| format!("{} can't be opened as a SQLite database", file.display()))
}

/// The requirement that the start of a server checks too: an older release may use a newer schema, unless something was
/// removed from it.
async fn requirement_of(connection: &mut SqliteConnection) -> Result<Option<Requirement>, sqlx::Error> {
    let table = "SELECT count(*) FROM sqlite_master WHERE type = 'table' AND name = 'schema_compatibility'";
    if sqlx::query_scalar::<_, i64>(table).fetch_one(&mut *connection).await? == 0 {
        return Ok(None);
    }
    let row = sqlx::query_as("SELECT oldest_level, oldest_release FROM schema_compatibility");
    let row: Option<(i32, String)> = row.fetch_optional(connection).await?;
    Ok(row.map(|(level, release)| Requirement { level, release }))
}

async fn schema_of(connection: &mut SqliteConnection) -> anyhow::Result<Vec<String>> {
    // SQLite creates the tables of ANALYZE itself, also while this runs.
    let sql = "SELECT type || ' ' || name || ' ' || coalesce(sql, '') FROM sqlite_master
        WHERE name NOT LIKE 'sqlite_stat%' ORDER BY 1";
    Ok(sqlx::query_scalar(sql).fetch_all(connection).await?)
}
