//! Opening the database. SQLite: one writer, many readers, nothing acknowledged before it is on the disk.

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

/// One for each that claims, routes and releases.
const QUEUE_CONNECTIONS: u32 = 5;

/// For the lists of the API: a filter that finds little reads much.
const LIST_CONNECTIONS: u32 = 4;
/// How long one of these may take.
const LIST_TIMEOUT: Duration = Duration::from_secs(15);

/// How long a report waits for one of its connections: its place has been waited for before.
const REPORT_PATIENCE: Duration = Duration::from_secs(30);

/// A transaction of ours in which nothing happens for so long belongs to a process that hangs. It holds locks that others wait
/// for. No step between two statements takes minutes.
const IDLE_IN_TRANSACTION: Duration = Duration::from_secs(600);

/// How many instructions of a query SQLite runs between two looks at the clock: some milliseconds.
const SQLITE_STEPS: i32 = 100_000;

/// Who may use how much of the database.
#[derive(Clone, Copy, Debug)]
pub struct Shares {
    /// Connections to PostgreSQL, or readers of SQLite, for everything but what follows.
    pub connections: u32,
    /// Those of reports and exports.
    pub reports: u32,
    /// How long one statement of a report or an export may take.
    pub report_timeout: Duration,
}

impl Shares {
    /// For a command that reads no reports.
    pub fn of_command() -> Self {
        Self { connections: 2, reports: 1, report_timeout: Duration::from_secs(60) }
    }
}

/// Both databases behind one face. On PostgreSQL `reader` and `writer` are the same pool.
#[derive(Clone, Debug)]
pub struct Database {
    reader: DatabaseConnection,
    writer: DatabaseConnection,
    queue: DatabaseConnection,
    lists: DatabaseConnection,
    reports: DatabaseConnection,
    postgres: Option<sqlx::PgPool>,
    broken: Broken,
    checkpoints: Option<Arc<Maintained>>,
}

/// The task that empties SQLite's WAL; it ends with the last clone of its database.
#[derive(Debug)]
struct Maintained {
    beside: SqlitePool,
    _until: DropGuard,
}

impl Database {
    pub async fn open(url: &str, shares: Shares) -> anyhow::Result<Self> {
        if url.starts_with("postgres://") || url.starts_with("postgresql://") {
            Self::open_postgres(url, shares).await
        } else if url.starts_with("sqlite:") {
            Self::open_sqlite(url, shares).await
        } else {
            anyhow::bail!("DATABASE_URL must start with sqlite:// or postgres://")
        }
    }

    async fn open_postgres(url: &str, shares: Shares) -> anyhow::Result<Self> {
        let options = PgConnectOptions::from_str(url)
            .context("DATABASE_URL is not a PostgreSQL URL; write postgres://user:password@host:5432/database")?
            .application_name("postrider")
            .statement_cache_capacity(256)
            // Look-ups by id run thousands of times a second on tables that grow while a plan is kept. A plan made
            // on an empty table must not scan a full one: always the index, always planned once.
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
            .max_connections(shares.connections)
            .acquire_timeout(Duration::from_secs(10))
            .before_acquire(connection_check::postgres_is_at_rest)
            .connect_with(options.clone())
            .await
            .context("PostgreSQL can't be reached; check DATABASE_URL and that the server runs")?;
        let queue = PgPoolOptions::new()
            .max_connections(QUEUE_CONNECTIONS)
            .acquire_timeout(Duration::from_secs(10))
            .before_acquire(connection_check::postgres_is_at_rest)
            .connect_lazy_with(options.clone().options([("synchronous_commit", "off")]));
        let bounded = |connections: u32, patience: Duration, limit: Duration| {
            let options = options.clone().options([("statement_timeout", limit.as_millis().to_string())]);
            PgPoolOptions::new()
                .max_connections(connections)
                .acquire_timeout(patience)
                .before_acquire(connection_check::postgres_is_at_rest)
                .connect_lazy_with(options)
        };
        let lists = bounded(LIST_CONNECTIONS, Duration::from_secs(10), LIST_TIMEOUT);
        let reports = bounded(shares.reports, REPORT_PATIENCE, shares.report_timeout);
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

    async fn open_sqlite(url: &str, shares: Shares) -> anyhow::Result<Self> {
        let options = SqliteConnectOptions::from_str(url)
            .context("DATABASE_URL is not a SQLite URL; write sqlite:///absolute/path/postrider.db")?
            .create_if_missing(false)
            .journal_mode(SqliteJournalMode::Wal)
            .synchronous(SqliteSynchronous::Full)
            .busy_timeout(Duration::from_secs(10))
            .foreign_keys(true)
            .pragma("temp_store", "memory")
            // `checkpoints` does it.
            .pragma("wal_autocheckpoint", "0")
            .pragma("journal_size_limit", checkpoints::WAL_BYTES.to_string())
            .statement_cache_capacity(512)
            .disable_statement_logging();
        let context =
            || format!("the SQLite file of {url} can't be opened; does its folder exist and may it be written?");
        // Only here is a file made: a connection that is opened later must not find an empty database in its place.
        no_restore_was_broken_off(options.get_filename())?;
        let first = options.clone().create_if_missing(true).connect().await.with_context(context)?;
        let broken = Broken::default();
        // The writer needs its pages again and again; what readers miss, the file system has.
        let open = |readonly: bool, connections: u32| {
            let cache = if readonly { "-4096" } else { "-16384" };
            let options = options.clone().read_only(readonly).pragma("cache_size", cache);
            let pool = SqlitePoolOptions::new().max_connections(connections).acquire_timeout(Duration::from_secs(30));
            connection_check::checked(pool, &options, readonly, &broken).connect_with(options)
        };
        let writer = open(false, 1).await.with_context(context)?;
        let reader = open(true, shares.connections.clamp(1, 8)).await.with_context(context)?;
        first.close().await.with_context(context)?;
        let bounded = |connections: u32, patience: Duration, limit: Duration| {
            let options = options.clone().read_only(true).pragma("cache_size", "-4096");
            let pool = SqlitePoolOptions::new().max_connections(connections).acquire_timeout(patience);
            let check = Check::new(&options, true, &broken);
            pool.test_before_acquire(false)
                .after_connect(move |connection, _| Box::pin(interrupt_after(connection, limit)))
                .before_acquire(move |connection, _| {
                    let check = check.clone();
                    Box::pin(async move {
                        check.prove(connection).await?;
                        interrupt_after(connection, limit).await.map(|()| true)
                    })
                })
                .connect_lazy_with(options)
        };
        let lists = bounded(LIST_CONNECTIONS, Duration::from_secs(10), LIST_TIMEOUT);
        let reports = bounded(shares.reports, REPORT_PATIENCE, shares.report_timeout);
        let checkpoints = keep_wal_small(&options, &writer, &broken);
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

    /// Waits until nothing can be stored any more, which only a new start can mend; says why and what to do.
    pub async fn broken(&self) -> String {
        self.broken.happened().await
    }

    /// Brings the schema up to this release.
    pub async fn migrate(&self) -> anyhow::Result<()> {
        super::schema::migrate(self).await
    }

    /// For reading outside a transaction.
    pub fn reader(&self) -> &DatabaseConnection {
        &self.reader
    }

    /// For the pages of lists. Connections of their own, and no statement takes long: clicks never wait for a list.
    pub fn lists(&self) -> &DatabaseConnection {
        &self.lists
    }

    /// For reports and exports, which have connections and a statement timeout of their own.
    pub fn reports(&self) -> &DatabaseConnection {
        &self.reports
    }

    /// For single statements that write.
    pub fn writer(&self) -> &DatabaseConnection {
        &self.writer
    }

    /// For claiming and routing: what is lost of it when PostgreSQL itself crashes is found owed and done again, so
    /// it need not wait for the disk. What is durable later, such as a result, takes all before it along.
    pub fn queue(&self) -> &DatabaseConnection {
        &self.queue
    }

    /// A transaction of the queue.
    pub async fn begin_queue(&self) -> Result<DatabaseTransaction, DbErr> {
        self.begin_on(&self.queue).await
    }

    /// A transaction that will write. On SQLite it waits here for its turn and can't fail half-way for it.
    pub async fn begin(&self) -> Result<DatabaseTransaction, DbErr> {
        self.begin_on(&self.writer).await
    }

    async fn begin_on(&self, connection: &DatabaseConnection) -> Result<DatabaseTransaction, DbErr> {
        let options = TransactionOptions {
            sqlite_transaction_mode: (!self.is_postgres()).then_some(SqliteTransactionMode::Immediate),
            ..Default::default()
        };
        self.begin_with(connection, options).await
    }

    /// On PostgreSQL a BEGIN whose caller hangs up would be sent, and sqlx would not know of the transaction: statements
    /// that come later on that connection would be stored only if somebody else commits. So it is never broken off.
    async fn begin_with(
        &self,
        connection: &DatabaseConnection,
        options: TransactionOptions,
    ) -> Result<DatabaseTransaction, DbErr> {
        if !self.is_postgres() {
            return connection.begin_with_options(options).await;
        }
        let connection = connection.clone();
        let begun = tokio::spawn(async move { connection.begin_with_options(options).await });
        begun.await.unwrap_or_else(|error| Err(DbErr::Custom(format!("a transaction could not begin: {error}"))))
    }

    /// A transaction of a report: it sees one moment of the database, however many statements it runs, and writes nothing.
    pub async fn begin_report(&self) -> Result<DatabaseTransaction, DbErr> {
        let postgres = self.is_postgres();
        let options = TransactionOptions {
            isolation_level: postgres.then_some(IsolationLevel::RepeatableRead),
            access_mode: postgres.then_some(AccessMode::ReadOnly),
            sqlite_transaction_mode: (!postgres).then_some(SqliteTransactionMode::Deferred),
        };
        self.begin_with(&self.reports, options).await
    }

    pub fn is_postgres(&self) -> bool {
        self.postgres.is_some()
    }

    /// How many groups may usefully be committed at once: SQLite has one writer.
    pub fn shards(&self) -> usize {
        if self.is_postgres() { 2 } else { 1 }
    }

    /// For LISTEN, which SeaORM does not have.
    pub fn postgres(&self) -> Option<&sqlx::PgPool> {
        self.postgres.as_ref()
    }

    pub async fn close(&self) {
        if let Some(checkpoints) = &self.checkpoints {
            checkpoints.beside.close().await;
        }
        let _ = self.reader.clone().close().await;
        let _ = self.writer.clone().close().await;
        let _ = self.queue.clone().close().await;
        let _ = self.lists.clone().close().await;
        let _ = self.reports.clone().close().await;
    }
}

/// Between its two steps a restore leaves no database: an empty one must not take its place.
fn no_restore_was_broken_off(file: &Path) -> anyhow::Result<()> {
    let [waiting, kept] = [backup::RESTORING, backup::BEFORE_RESTORE].map(|it| backup::beside(file, it));
    anyhow::ensure!(
        file.exists() || !(waiting.exists() || kept.exists()),
        "a restore was broken off before {} was in its place; run `postrider restore` again (what was there before is kept \
         as {}), or move {} and {} away to begin with an empty database",
        file.display(),
        kept.display(),
        waiting.display(),
        kept.display()
    );
    Ok(())
}

fn keep_wal_small(options: &SqliteConnectOptions, writer: &SqlitePool, broken: &Broken) -> Maintained {
    let pool = SqlitePoolOptions::new().max_connections(1).acquire_timeout(Duration::from_secs(30));
    let beside = connection_check::checked(pool, options, false, broken).connect_lazy_with(options.clone());
    let ended = CancellationToken::new();
    let wal = backup::beside(options.get_filename(), "-wal");
    let work = Checkpoints { wal, beside: beside.clone(), writer: writer.clone() };
    tokio::spawn(work.keep(ended.clone()));
    Maintained { beside, _until: ended.drop_guard() }
}

/// SQLite has no statement timeout: it asks this now and then whether to go on.
async fn interrupt_after(connection: &mut SqliteConnection, limit: Duration) -> Result<(), sqlx::Error> {
    let until = Instant::now() + limit;
    connection.lock_handle().await?.set_progress_handler(SQLITE_STEPS, move || Instant::now() < until);
    Ok(())
}

/// `column IN (query)`, so that PostgreSQL runs `query` once and looks its answer up in the index of `column`.
pub(crate) fn is_one_of(db: &impl ConnectionTrait, column: &str, query: &str) -> String {
    if db.get_database_backend() == DbBackend::Postgres {
        format!("{column} = ANY (ARRAY ({query}))")
    } else {
        format!("{column} IN ({query})")
    }
}

/// ` FOR UPDATE SKIP LOCKED` where there is such a thing; SQLite's one writer needs none.
pub(crate) fn skip_locked(db: &impl ConnectionTrait) -> &'static str {
    if db.get_database_backend() == DbBackend::Postgres { " FOR UPDATE SKIP LOCKED" } else { "" }
}

/// ` FOR UPDATE` where there is such a thing.
pub(crate) fn for_update(db: &impl ConnectionTrait) -> &'static str {
    if db.get_database_backend() == DbBackend::Postgres { " FOR UPDATE" } else { "" }
}
