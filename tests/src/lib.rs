//! What the tests stand on: a real server, real databases, a real receiver, a real process.
//!
//! Nothing here knows a business rule; those are in `it/`. Nothing here sleeps for a fixed time either:
//! whoever waits, waits for something, with a deadline (`wait::eventually`).

pub mod app;
pub mod client;
pub mod database;
pub mod faulty_disk;
pub mod guest;
mod migrated;
mod panics;
pub mod people;
pub mod plugins;
pub mod postgres;
pub mod process;
pub mod receiver;
pub mod smtp;
pub mod temp;
pub mod wait;

/// Runs one test body on SQLite and on PostgreSQL: `on_both_databases!(a, b)` makes the tests `a::sqlite`,
/// `a::postgres`, `b::sqlite`, `b::postgres` from the functions `async fn a(db: Database)` and `b`.
///
/// A body that is not listed is dead code, which clippy refuses: none can be forgotten.
#[macro_export]
macro_rules! on_both_databases {
    ($($body:ident),+ $(,)?) => { $(
        mod $body {
            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn sqlite() {
                super::$body($crate::database::Database::sqlite()).await;
            }

            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn postgres() {
                super::$body($crate::database::Database::postgres().await).await;
            }
        }
    )+ };
}

/// Gives this process its TLS provider. The server's own start does the same for itself; the first one wins.
pub(crate) fn install_tls_provider() {
    let _ = rustls::crypto::ring::default_provider().install_default();
}
