//! Opens the database and its connection pools. On SQLite there are one writer and several readers, and a commit is
//! acknowledged only when it is on the disk.

use std::path::Path;
use std::str::FromStr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::Context;
use sea_orm::{
    AccessMode, ConnectionTrait, DatabaseConnection, DatabaseTransaction, DbBackend, DbErr, IsolationLevel,
    SqliteTransactionMode, TransactionOptions, TransactionTrait,
};
use sqlx::postgres::{PgConnectOptions, PgPoolOptions};
use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteSynchronous};
use sqlx::{ConnectOptions, Connection, SqliteConnection, SqlitePool};
use tokio_util::sync::{CancellationToken, DropGuard};

use super::connection_check::{self, Broken, Check};
use super::sqlite::backup;
use super::sqlite::checkpoints::{self, Checkpoints};
use super::writes;

/// The connections that claim, route and release rows.
const QUEUE_CONNECTIONS: u32 = 5;

/// The connections for lists of the API. They are separate because a filter that matches few rows reads many.
const LIST_CONNECTIONS: u32 = 4;
/// The time limit of a statement of a list.
const LIST_TIMEOUT: Duration = Duration::from_secs(15);

/// How long a report waits for a connection. Before that, it has waited for its place.
const REPORT_ACQUIRE_TIMEOUT: Duration = Duration::from_secs(30);

/// PostgreSQL ends a transaction that is idle for longer: its process hangs, and other processes wait for its locks. No
/// computation between two statements takes minutes.
const IDLE_IN_TRANSACTION: Duration = Duration::from_secs(600);

/// The number of instructions that SQLite runs between two checks of the time limit: a few milliseconds.
const SQLITE_STEPS: i32 = 100_000;

/// The limits of the connection pools.
#[derive(Clone, Copy, Debug)]
pub struct PoolLimits {
    /// The number of connections to PostgreSQL, or of readers of SQLite, for all other statements.
    pub connections: u32,
    /// The number of connections for reports and exports.
    pub reports: u32,
    /// The time limit of a statement of a report or an export.
    pub report_timeout: Duration,
}

impl PoolLimits {
    /// The limits for a command that reads no reports.
    pub fn for_command() -> Self {
        Self { connections: 2, reports: 1, report_timeout: Duration::from_secs(60) }
    }
}

/// The connection pools of either database. On PostgreSQL, `reader` and `writer` are the same pool.
#[derive(Clone, Debug)]
pub struct Database {
    reader: DatabaseConnection,
    writer: DatabaseConnection,
    queue: DatabaseConnection,
    lists: DatabaseConnection,
    reports: DatabaseConnection,
    postgres: Option<sqlx::PgPool>,
    broken: Broken,
    checkpoints: Option<Arc<CheckpointTask>>,
}

/// The task that empties SQLite's WAL. It ends when the last clone of its `Database` is dropped.
#[derive(Debug)]
struct CheckpointTask {
    mover: SqlitePool,
    _stop: DropGuard,
}

impl Database {
    /// Opens the database of this URL, `sqlite://…` or `postgres://…`.
    pub async fn open(url: &str, limits: PoolLimits) -> anyhow::Result<Self> {
        if url.starts_with("postgres://") || url.starts_with("postgresql://") {
            Self::open_postgres(url, limits).await
        } else if url.starts_with("sqlite:") {
            Self::open_sqlite(url, limits).await
        } else {
            anyhow::bail!("DATABASE_URL must start with sqlite:// or postgres://")
        }
    }

    async fn open_postgres(url: &str, limits: PoolLimits) -> anyhow::Result<Self> {
        let options = PgConnectOptions::from_str(url)
            .context("DATABASE_URL is not a PostgreSQL URL; write postgres://user:password@host:5432/database")?
            .application_name("postrider")
            .statement_cache_capacity(256)
            // Look-ups by id run thousands of times per second on tables that grow while a plan is cached. A plan that
            // was made on an empty table must not scan a full one, so plans are generic and always use an index.
            .options([
                ("plan_cache_mode", "force_generic_plan"),
                ("enable_seqscan", "off"),
                ("enable_hashjoin", "off"),
                ("enable_mergejoin", "off"),
                ("enable_bitmapscan", "off"),
                ("enable_material", "off"),
                ("jit", "off"),
            ])
            .options([("idle_in_transaction_session_timeout", IDLE_IN_TRANSACTION.as_millis().to_string())])
            .disable_statement_logging();
        let pool = PgPoolOptions::new()
            .max_connections(limits.connections)
            .acquire_timeout(Duration::from_secs(10))
            .before_acquire(connection_check::postgres_is_idle)
            .connect_with(options.clone())
            .await
            .context("PostgreSQL can't be reached; check DATABASE_URL and whether the server is running")?;
        let queue = PgPoolOptions::new()
            .max_connections(QUEUE_CONNECTIONS)
            .acquire_timeout(Duration::from_secs(10))
            .before_acquire(connection_check::postgres_is_idle)
            .connect_lazy_with(options.clone().options([("synchronous_commit", "off")]));
        let bounded = |connections: u32, acquire_timeout: Duration, limit: Duration| {
            let options = options.clone().options([("statement_timeout", limit.as_millis().to_string())]);
            PgPoolOptions::new()
                .max_connections(connections)
                .acquire_timeout(acquire_timeout)
                .before_acquire(connection_check::postgres_is_idle)
                .connect_lazy_with(options)
        };
        let lists = bounded(LIST_CONNECTIONS, Duration::from_secs(10), LIST_TIMEOUT);
        let reports = bounded(limits.reports, REPORT_ACQUIRE_TIMEOUT, limits.report_timeout);
        let connection = DatabaseConnection::from(pool.clone());
        Ok(Self {
            reader: connection.clone(),
            writer: connection,
            queue: queue.into(),
            lists: lists.into(),
            reports: reports.into(),
            postgres: Some(pool),
            broken: Broken::default(),
            checkpoints: None,
        })
    }

    async fn open_sqlite(url: &str, limits: PoolLimits) -> anyhow::Result<Self> {
        let options = SqliteConnectOptions::from_str(url)
            .context("DATABASE_URL is not a SQLite URL; write sqlite:///absolute/path/postrider.db")?
            .create_if_missing(false)
            .journal_mode(SqliteJournalMode::Wal)
            .synchronous(SqliteSynchronous::Full)
            .busy_timeout(Duration::from_secs(10))
            .foreign_keys(true)
            .pragma("temp_store", "memory")
            // `checkpoints` moves the WAL.
            .pragma("wal_autocheckpoint", "0")
            .pragma("journal_size_limit", checkpoints::WAL_BYTES.to_string())
            .statement_cache_capacity(512)
            .disable_statement_logging();
        let context =
            || format!("the SQLite file of {url} can't be opened; check that its folder exists and is writable");
        // The file is created only here, so that a connection that is opened later never creates an empty database.
        require_no_interrupted_restore(options.get_filename())?;
        let first = options.clone().create_if_missing(true).connect().await.with_context(context)?;
        let broken = Broken::default();
        // The writer uses the same pages again. Readers get pages that are not in their cache from the file system's
        // cache.
        let open = |readonly: bool, connections: u32| {
            let cache = if readonly { "-4096" } else { "-16384" };
            let options = options.clone().read_only(readonly).pragma("cache_size", cache);
            let pool = SqlitePoolOptions::new().max_connections(connections).acquire_timeout(Duration::from_secs(30));
            connection_check::checked(pool, &options, readonly, &broken).connect_with(options)
        };
        let writer = open(false, 1).await.with_context(context)?;
        let reader = open(true, limits.connections.clamp(1, 8)).await.with_context(context)?;
        first.close().await.with_context(context)?;
        let bounded = |connections: u32, acquire_timeout: Duration, limit: Duration| {
            let options = options.clone().read_only(true).pragma("cache_size", "-4096");
            let pool = SqlitePoolOptions::new().max_connections(connections).acquire_timeout(acquire_timeout);
            let check = Check::new(&options, true, &broken);
            pool.test_before_acquire(false)
                .after_connect(move |connection, _| Box::pin(interrupt_after(connection, limit)))
                .before_acquire(move |connection, _| {
                    let check = check.clone();
                    Box::pin(async move {
                        check.ensure_idle(connection).await?;
                        interrupt_after(connection, limit).await.map(|()| true)
                    })
                })
                .connect_lazy_with(options)
        };
        let lists = bounded(LIST_CONNECTIONS, Duration::from_secs(10), LIST_TIMEOUT);
        let reports = bounded(limits.reports, REPORT_ACQUIRE_TIMEOUT, limits.report_timeout);
        let checkpoints = spawn_checkpoints(&options, &writer, &broken);
        let writer = DatabaseConnection::from(writer);
        Ok(Self {
            reader: reader.into(),
            queue: writer.clone(),
            writer,
            lists: lists.into(),
            reports: reports.into(),
            postgres: None,
            broken,
            checkpoints: Some(Arc::new(checkpoints)),
        })
    }

    /// Waits until the database can store nothing until the process is restarted. Returns a sentence with the cause and
    /// the remedy.
    pub async fn broken(&self) -> String {
        self.broken.happened().await
    }

    /// Runs the migrations of this release.
    pub async fn migrate(&self) -> anyhow::Result<()> {
        super::schema::migrate(self).await
    }

    /// For reads outside of transactions.
    pub fn reader(&self) -> &DatabaseConnection {
        &self.reader
    }

    /// For pages of lists. It has its own connections and a statement timeout, so clicks never wait for a list.
    pub fn lists(&self) -> &DatabaseConnection {
        &self.lists
    }

    /// For reports and exports. It has its own connections and statement timeout.
    pub fn reports(&self) -> &DatabaseConnection {
        &self.reports
    }

    /// For single writing statements.
    pub fn writer(&self) -> &DatabaseConnection {
        writes::begins();
        &self.writer
    }

    /// For claiming and routing, whose commits need not wait for the disk: if PostgreSQL itself crashes, the lost work
    /// is still pending and is done again. A later durable commit, such as that of a result, also makes them durable.
    pub fn queue(&self) -> &DatabaseConnection {
        &self.queue
    }

    /// Begins a transaction on the connections of [`Database::queue`].
    pub async fn begin_queue(&self) -> Result<DatabaseTransaction, DbErr> {
        self.begin_on(&self.queue).await
    }

    /// Begins a writing transaction. On SQLite it takes the write lock here, so later statements do not fail for it.
    pub async fn begin(&self) -> Result<DatabaseTransaction, DbErr> {
        let transaction = self.begin_on(&self.writer).await?;
        writes::begins();
        Ok(transaction)
    }

    async fn begin_on(&self, connection: &DatabaseConnection) -> Result<DatabaseTransaction, DbErr> {
        let options = TransactionOptions {
            sqlite_transaction_mode: (!self.is_postgres()).then_some(SqliteTransactionMode::Immediate),
            ..Default::default()
        };
        self.begin_with(connection, options).await
    }

    /// If the caller of a BEGIN on PostgreSQL is cancelled, the BEGIN is still sent, but sqlx does not count the
    /// transaction: later statements on that connection would be stored only by another caller's COMMIT. So BEGIN runs
    /// in its own task, which is never cancelled.
    async fn begin_with(
        &self,
        connection: &DatabaseConnection,
        options: TransactionOptions,
    ) -> Result<DatabaseTransaction, DbErr> {
        if !self.is_postgres() {
            return connection.begin_with_options(options).await;
        }
        let connection = connection.clone();
        let beginning = tokio::spawn(async move { connection.begin_with_options(options).await });
        beginning.await.unwrap_or_else(|error| Err(DbErr::Custom(format!("a transaction could not begin: {error}"))))
    }

    /// Begins a read-only transaction for a report, in which all statements see the same snapshot. The months of no table
    /// change until it ends: a statement that is planned with a new month, but has an older snapshot, would not find the
    /// rows that moved there.
    pub async fn begin_report(&self) -> Result<DatabaseTransaction, DbErr> {
        let postgres = self.is_postgres();
        let options = TransactionOptions {
            isolation_level: postgres.then_some(IsolationLevel::RepeatableRead),
            access_mode: postgres.then_some(AccessMode::ReadOnly),
            sqlite_transaction_mode: (!postgres).then_some(SqliteTransactionMode::Deferred),
        };
        let tx = self.begin_with(&self.reports, options).await?;
        if postgres {
            let tables = super::partitions::TABLES.map(|(table, _)| format!("ONLY {table}")).join(", ");
            // LOCK takes no snapshot, so the snapshot is newer than the months.
            tx.execute_unprepared(&format!("LOCK TABLE {tables} IN ACCESS SHARE MODE")).await?;
        }
        Ok(tx)
    }

    pub fn is_postgres(&self) -> bool {
        self.postgres.is_some()
    }

    /// The useful number of parallel commits. SQLite has only one writer.
    pub fn shards(&self) -> usize {
        if self.is_postgres() { 2 } else { 1 }
    }

    /// The pool itself, for LISTEN and other commands that SeaORM does not support. `None` on SQLite.
    pub fn postgres(&self) -> Option<&sqlx::PgPool> {
        self.postgres.as_ref()
    }

    /// Closes all pools.
    pub async fn close(&self) {
        if let Some(checkpoints) = &self.checkpoints {
            checkpoints.mover.close().await;
        }
        let _ = self.reader.clone().close().await;
        let _ = self.writer.clone().close().await;
        let _ = self.queue.clone().close().await;
        let _ = self.lists.clone().close().await;
        let _ = self.reports.clone().close().await;
    }
}

/// Fails if the database is missing because a restore was interrupted between its two steps. Otherwise an empty
/// database would be created in its place.
fn require_no_interrupted_restore(file: &Path) -> anyhow::Result<()> {
    let [restoring, former] =
        [backup::RESTORING, backup::BEFORE_RESTORE].map(|suffix| backup::with_suffix(file, suffix));
    anyhow::ensure!(
        file.exists() || !(restoring.exists() || former.exists()),
        "a restore was interrupted before it created {}; run `postrider restore` again (the former database is kept as {}), \
         or move {} and {} away to start with an empty database",
        file.display(),
        former.display(),
        restoring.display(),
        former.display()
    );
    Ok(())
}

fn spawn_checkpoints(options: &SqliteConnectOptions, writer: &SqlitePool, broken: &Broken) -> CheckpointTask {
    let pool = SqlitePoolOptions::new().max_connections(1).acquire_timeout(Duration::from_secs(30));
    let mover = connection_check::checked(pool, options, false, broken).connect_lazy_with(options.clone());
    let stop = CancellationToken::new();
    let wal = backup::with_suffix(options.get_filename(), "-wal");
    let checkpoints = Checkpoints { wal, mover: mover.clone(), writer: writer.clone() };
    tokio::spawn(checkpoints.run(stop.clone()));
    CheckpointTask { mover, _stop: stop.drop_guard() }
}

/// SQLite has no statement timeout, so its progress handler interrupts statements after the limit.
async fn interrupt_after(connection: &mut SqliteConnection, limit: Duration) -> Result<(), sqlx::Error> {
    let until = Instant::now() + limit;
    connection.lock_handle().await?.set_progress_handler(SQLITE_STEPS, move || Instant::now() < until);
    Ok(())
}

/// The condition `column IN (query)`, written so that PostgreSQL runs `query` once and uses the index of `column`.
pub(crate) fn is_one_of(db: &impl ConnectionTrait, column: &str, query: &str) -> String {
    if db.get_database_backend() == DbBackend::Postgres {
        format!("{column} = ANY (ARRAY ({query}))")
    } else {
        format!("{column} IN ({query})")
    }
}

/// ` FOR UPDATE SKIP LOCKED` on PostgreSQL. Empty on SQLite, which has one writer.
pub(crate) fn skip_locked(db: &impl ConnectionTrait) -> &'static str {
    if db.get_database_backend() == DbBackend::Postgres { " FOR UPDATE SKIP LOCKED" } else { "" }
}

/// ` FOR UPDATE` on PostgreSQL. Empty on SQLite, which has one writer.
pub(crate) fn for_update(db: &impl ConnectionTrait) -> &'static str {
    if db.get_database_backend() == DbBackend::Postgres { " FOR UPDATE" } else { "" }
}
