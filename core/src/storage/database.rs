//! Opening the database. SQLite: one writer, many readers, nothing acknowledged before it is on the disk.

use std::str::FromStr;
use std::time::Duration;

use anyhow::Context;
use postrider_migrations::Migrator;
use sea_orm::{
    AccessMode, ConnectionTrait, DatabaseConnection, DatabaseTransaction, DbBackend, DbErr, IsolationLevel,
    SqliteTransactionMode, TransactionOptions, TransactionTrait,
};
use sea_orm_migration::MigratorTrait;
use sqlx::postgres::{PgConnectOptions, PgPoolOptions};
use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteSynchronous};
use sqlx::{ConnectOptions, Connection};

use super::connection_check::{self, Broken};

/// One for each that claims, routes and releases.
const QUEUE_CONNECTIONS: u32 = 5;

/// Any number that nobody else's program would choose.
const MIGRATION_LOCK: i64 = 0x706f_7374_7269_6465;

/// Both databases behind one face. On PostgreSQL `reader` and `writer` are the same pool.
#[derive(Clone, Debug)]
pub struct Database {
    reader: DatabaseConnection,
    writer: DatabaseConnection,
    queue: DatabaseConnection,
    postgres: Option<sqlx::PgPool>,
    broken: Broken,
}

impl Database {
    pub async fn open(url: &str, connections: u32) -> anyhow::Result<Self> {
        if url.starts_with("postgres://") || url.starts_with("postgresql://") {
            Self::open_postgres(url, connections).await
        } else if url.starts_with("sqlite:") {
            Self::open_sqlite(url, connections).await
        } else {
            anyhow::bail!("DATABASE_URL must start with sqlite:// or postgres://")
        }
    }

    async fn open_postgres(url: &str, connections: u32) -> anyhow::Result<Self> {
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
            .disable_statement_logging();
        let pool = PgPoolOptions::new()
            .max_connections(connections)
            .acquire_timeout(Duration::from_secs(10))
            .before_acquire(connection_check::postgres_is_at_rest)
            .connect_with(options.clone())
            .await
            .context("PostgreSQL can't be reached; check DATABASE_URL and that the server runs")?;
        let queue = PgPoolOptions::new()
            .max_connections(QUEUE_CONNECTIONS)
            .acquire_timeout(Duration::from_secs(10))
            .before_acquire(connection_check::postgres_is_at_rest)
            .connect_lazy_with(options.options([("synchronous_commit", "off")]));
        let connection = DatabaseConnection::from(pool.clone());
        let (reader, writer) = (connection.clone(), connection);
        Ok(Self { reader, writer, queue: queue.into(), postgres: Some(pool), broken: Broken::default() })
    }

    async fn open_sqlite(url: &str, connections: u32) -> anyhow::Result<Self> {
        let options = SqliteConnectOptions::from_str(url)
            .context("DATABASE_URL is not a SQLite URL; write sqlite:///absolute/path/postrider.db")?
            .create_if_missing(false)
            .journal_mode(SqliteJournalMode::Wal)
            .synchronous(SqliteSynchronous::Full)
            .busy_timeout(Duration::from_secs(10))
            .foreign_keys(true)
            .pragma("temp_store", "memory")
            .pragma("wal_autocheckpoint", "4000")
            .statement_cache_capacity(512)
            .disable_statement_logging();
        let context =
            || format!("the SQLite file of {url} can't be opened; does its folder exist and may it be written?");
        // Only here is a file made: a connection that is opened later must not find an empty database in its place.
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
        let reader = open(true, connections.clamp(1, 8)).await.with_context(context)?;
        first.close().await.with_context(context)?;
        let writer = DatabaseConnection::from(writer);
        Ok(Self { reader: reader.into(), queue: writer.clone(), writer, postgres: None, broken })
    }

    /// Waits until nothing can be stored any more, which only a new start can mend; says why and what to do.
    pub async fn broken(&self) -> String {
        self.broken.happened().await
    }

    /// Brings the schema up to this release and makes the partitions that are needed soon.
    pub async fn migrate(&self) -> anyhow::Result<()> {
        // Two nodes that start together take turns. The lock goes with its connection, whatever happens.
        let mut turn = match &self.postgres {
            Some(pool) => Some(pool.acquire().await?.detach()),
            None => None,
        };
        if let Some(connection) = &mut turn {
            sqlx::query("SELECT pg_advisory_lock($1)").bind(MIGRATION_LOCK).execute(connection).await?;
        }
        Migrator::up(&self.writer, None).await.context("the database can't be migrated")
    }

    /// For reading outside a transaction.
    pub fn reader(&self) -> &DatabaseConnection {
        &self.reader
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

    /// A transaction that sees one moment of the database, however many statements it runs, and writes nothing.
    pub async fn begin_reading(&self) -> Result<DatabaseTransaction, DbErr> {
        let postgres = self.is_postgres();
        let options = TransactionOptions {
            isolation_level: postgres.then_some(IsolationLevel::RepeatableRead),
            access_mode: postgres.then_some(AccessMode::ReadOnly),
            sqlite_transaction_mode: (!postgres).then_some(SqliteTransactionMode::Deferred),
        };
        self.begin_with(&self.reader, options).await
    }

    pub fn is_postgres(&self) -> bool {
        self.postgres.is_some()
    }

    /// How many groups may usefully be committed at once: SQLite has one writer.
    pub fn lanes(&self) -> usize {
        if self.is_postgres() { 2 } else { 1 }
    }

    /// For LISTEN, which SeaORM does not have.
    pub fn postgres(&self) -> Option<&sqlx::PgPool> {
        self.postgres.as_ref()
    }

    pub async fn close(&self) {
        let _ = self.reader.clone().close().await;
        let _ = self.writer.clone().close().await;
        let _ = self.queue.clone().close().await;
    }
}

/// `column IN (query)`, so that PostgreSQL runs `query` once and looks its answer up in the index of `column`.
pub fn is_one_of(db: &impl ConnectionTrait, column: &str, query: &str) -> String {
    if db.get_database_backend() == DbBackend::Postgres {
        format!("{column} = ANY (ARRAY ({query}))")
    } else {
        format!("{column} IN ({query})")
    }
}

/// ` FOR UPDATE SKIP LOCKED` where there is such a thing; SQLite's one writer needs none.
pub fn skip_locked(db: &impl ConnectionTrait) -> &'static str {
    if db.get_database_backend() == DbBackend::Postgres { " FOR UPDATE SKIP LOCKED" } else { "" }
}

/// ` FOR UPDATE` where there is such a thing.
pub fn for_update(db: &impl ConnectionTrait) -> &'static str {
    if db.get_database_backend() == DbBackend::Postgres { " FOR UPDATE" } else { "" }
}
