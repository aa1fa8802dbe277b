//! Checks that a connection is idle, which means that it has no open transaction, before a pool hands it out.
//!
//! When a COMMIT fails, SQLite keeps the transaction open, and the following ROLLBACK can fail as well. The next BEGIN
//! on that connection would be a savepoint inside the dead transaction: requests would succeed and nothing would be
//! stored. So a connection that is not idle is closed, which rolls back, and a new one is opened. If that is
//! impossible, nothing can be stored, and the process has to end.

use std::sync::Arc;

use futures::future::BoxFuture;
use sqlx::pool::PoolConnectionMetadata;
use sqlx::sqlite::{SqliteConnectOptions, SqlitePoolOptions};
use sqlx::{ConnectOptions, Connection, Database, PgConnection, Postgres, Sqlite, SqliteConnection};
use sqlx_core::transaction::TransactionManager;
use tokio::sync::watch;

/// The cause for which the database cannot store anything until the process is restarted. It is set once; clones share
/// it.
#[derive(Clone, Debug)]
pub(crate) struct Broken(Arc<watch::Sender<Option<String>>>);

impl Default for Broken {
    fn default() -> Self {
        Self(Arc::new(watch::Sender::new(None)))
    }
}

impl Broken {
    fn set(&self, sentence: String) {
        tracing::error!("{sentence}");
        self.0.send_if_modified(|cause| {
            let is_first = cause.is_none();
            cause.get_or_insert(sentence);
            is_first
        });
    }

    /// Waits for the cause. Returns a sentence with the cause and the remedy.
    pub(crate) async fn happened(&self) -> String {
        let mut receiver = self.0.subscribe();
        match receiver.wait_for(Option::is_some).await {
            Ok(sentence) => sentence.clone().unwrap_or_default(),
            Err(_) => unreachable!("the sender is in self"),
        }
    }
}

/// Adds the check to a pool, in place of sqlx's own, which only tests whether the connection's thread is alive.
pub(crate) fn checked(
    pool: SqlitePoolOptions,
    options: &SqliteConnectOptions,
    readonly: bool,
    broken: &Broken,
) -> SqlitePoolOptions {
    let check = Check::new(options, readonly, broken);
    pool.test_before_acquire(false).before_acquire(move |connection, _| {
        let check = check.clone();
        Box::pin(async move { check.ensure_idle(connection).await.map(|()| true) })
    })
}

/// The check of a pool's connections to SQLite.
#[derive(Clone, Debug)]
pub(crate) struct Check {
    options: Arc<SqliteConnectOptions>,
    readonly: bool,
    broken: Broken,
}

impl Check {
    pub(crate) fn new(options: &SqliteConnectOptions, readonly: bool, broken: &Broken) -> Self {
        Self { options: Arc::new(options.clone()), readonly, broken: broken.clone() }
    }

    /// Replaces the connection with a new one if it is not idle.
    ///
    /// # Errors
    ///
    /// The connection is not idle, and no new one can be opened.
    pub(crate) async fn ensure_idle(&self, connection: &mut SqliteConnection) -> Result<(), sqlx::Error> {
        match state_of(connection).await {
            Ok(state) if state.is_idle(self.readonly) => return Ok(()),
            Ok(state) => tracing::error!(
                ?state,
                "A connection has an open transaction after a failure; a new connection replaces it"
            ),
            Err(error) => tracing::error!(%error, "A connection does not answer; a new connection replaces it"),
        }
        replace(connection, &self.options, &self.broken).await
    }
}

/// The state of a connection according to sqlx (`depth`) and to SQLite.
#[derive(Clone, Copy, Debug)]
struct State {
    /// The number of open transactions and savepoints that sqlx counts.
    depth: usize,
    /// SQLite has no open transaction.
    autocommit: bool,
    /// SQLite opened the file as read-only.
    readonly: bool,
}

impl State {
    /// A writer that was opened while its file system was read-only would stay read-only.
    fn is_idle(self, readonly: bool) -> bool {
        self.depth == 0 && self.autocommit && (readonly || !self.readonly)
    }
}

async fn state_of(connection: &mut SqliteConnection) -> Result<State, sqlx::Error> {
    // The handle is locked only after all queued commands, such as a ROLLBACK.
    let mut handle = connection.lock_handle().await?;
    let sqlite = handle.as_raw_handle().as_ptr();
    #[expect(unsafe_code, reason = "sqlx does not tell whether SQLite is in a transaction")]
    // SAFETY: the handle is locked, so it is open and no other thread uses it. Both functions only read it; the name
    // is a C string.
    let (autocommit, readonly) = unsafe {
        (
            libsqlite3_sys::sqlite3_get_autocommit(sqlite) != 0,
            libsqlite3_sys::sqlite3_db_readonly(sqlite, c"main".as_ptr()) != 0,
        )
    };
    drop(handle);
    let depth = <Sqlite as Database>::TransactionManager::get_transaction_depth(connection);
    Ok(State { depth, autocommit, readonly })
}

/// Opens the new connection before it closes the old one: if the file is gone, the old connection still has it open.
async fn replace(
    connection: &mut SqliteConnection,
    options: &SqliteConnectOptions,
    broken: &Broken,
) -> Result<(), sqlx::Error> {
    match options.connect().await {
        Ok(fresh) => {
            // If the thread of the old connection is gone, it is already closed.
            let _ = std::mem::replace(connection, fresh).close().await;
            Ok(())
        }
        Err(error) => {
            broken.set(format!(
                "the SQLite file can't be opened again after a transaction failed ({error}), so nothing can be stored; \
                 check that the file exists and is writable and that its disk has free space, then start Postrider again"
            ));
            Err(error)
        }
    }
}

/// PostgreSQL ends a transaction whose COMMIT fails, and sqlx closes a connection that does not answer. So the only
/// remaining check is for a transaction that sqlx still counts.
pub(crate) fn postgres_is_idle(
    connection: &mut PgConnection,
    _: PoolConnectionMetadata,
) -> BoxFuture<'_, Result<bool, sqlx::Error>> {
    let depth = <Postgres as Database>::TransactionManager::get_transaction_depth(connection);
    Box::pin(std::future::ready(Ok(depth == 0)))
}
