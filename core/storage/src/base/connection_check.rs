//! What a connection proves before a pool hands it out: no transaction is open on it.
//!
//! When a COMMIT fails, SQLite keeps the transaction open, and the ROLLBACK after it may fail as well. The next BEGIN on
//! that connection would be a savepoint inside the dead transaction: everything would be answered and nothing stored. So
//! a connection that is not at rest is closed, which rolls back, and opened anew. If that is impossible, nothing can be
//! stored any more, and the process has to end.

use std::sync::Arc;

use futures::future::BoxFuture;
use sqlx::pool::PoolConnectionMetadata;
use sqlx::sqlite::{SqliteConnectOptions, SqlitePoolOptions};
use sqlx::{ConnectOptions, Connection, Database, PgConnection, Postgres, Sqlite, SqliteConnection};
use sqlx_core::transaction::TransactionManager;
use tokio::sync::watch;

/// The database can't be used any more. Set once; clones are one.
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
        self.0.send_if_modified(|it| {
            let first = it.is_none();
            it.get_or_insert(sentence);
            first
        });
    }

    /// Waits until it is so; says why and what to do.
    pub(crate) async fn happened(&self) -> String {
        let mut receiver = self.0.subscribe();
        match receiver.wait_for(Option::is_some).await {
            Ok(sentence) => sentence.clone().unwrap_or_default(),
            Err(_) => unreachable!("the sender is in self"),
        }
    }
}

/// Every connection that the pool hands out is at rest. The check takes the place of the pool's own, which only asks
/// whether the connection's thread is alive.
pub(crate) fn checked(
    pool: SqlitePoolOptions,
    options: &SqliteConnectOptions,
    readonly: bool,
    broken: &Broken,
) -> SqlitePoolOptions {
    let check = Check::new(options, readonly, broken);
    pool.test_before_acquire(false).before_acquire(move |connection, _| {
        let check = check.clone();
        Box::pin(async move { check.prove(connection).await.map(|()| true) })
    })
}

/// What a pool asks of its connections to SQLite.
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

    /// Replaces the connection if it is not at rest.
    ///
    /// # Errors
    ///
    /// The connection is not at rest, and no other can be opened in its place.
    pub(crate) async fn prove(&self, connection: &mut SqliteConnection) -> Result<(), sqlx::Error> {
        match state_of(connection).await {
            Ok(state) if state.is_at_rest(self.readonly) => return Ok(()),
            Ok(state) => tracing::error!(?state, "A connection is not at rest after a failure; it is opened anew"),
            Err(error) => tracing::error!(%error, "A connection does not answer; it is opened anew"),
        }
        replace(connection, &self.options, &self.broken).await
    }
}

/// What sqlx and SQLite each believe of a connection.
#[derive(Clone, Copy, Debug)]
struct State {
    /// Transactions and savepoints that sqlx counts.
    depth: usize,
    /// SQLite has no open transaction.
    autocommit: bool,
    /// SQLite could open the file for reading only.
    readonly: bool,
}

impl State {
    /// A writer that was opened while its file system was read-only would stay so for ever.
    fn is_at_rest(self, readonly: bool) -> bool {
        self.depth == 0 && self.autocommit && (readonly || !self.readonly)
    }
}

async fn state_of(connection: &mut SqliteConnection) -> Result<State, sqlx::Error> {
    // Taking the handle waits for all that was queued before, such as a ROLLBACK.
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

/// Opens the new connection first: if the file is gone, the old one must not be the last that knows it.
async fn replace(
    connection: &mut SqliteConnection,
    options: &SqliteConnectOptions,
    broken: &Broken,
) -> Result<(), sqlx::Error> {
    match options.connect().await {
        Ok(fresh) => {
            // An old one whose thread is gone is closed already.
            let _ = std::mem::replace(connection, fresh).close().await;
            Ok(())
        }
        Err(error) => {
            broken.set(format!(
                "the SQLite file can't be opened again after a transaction failed ({error}), so nothing more can be \
                 stored; see that the file is there, its disk has room and may be written, then start Postrider again"
            ));
            Err(error)
        }
    }
}

/// PostgreSQL ends a transaction whose COMMIT fails, and sqlx closes a connection that does not answer. What is left is
/// a transaction that sqlx still counts.
pub(crate) fn postgres_is_at_rest(
    connection: &mut PgConnection,
    _: PoolConnectionMetadata,
) -> BoxFuture<'_, Result<bool, sqlx::Error>> {
    let depth = <Postgres as Database>::TransactionManager::get_transaction_depth(connection);
    Box::pin(std::future::ready(Ok(depth == 0)))
}
