//! The harness of the tests: a real server, real databases, a real receiver, a real process.
//!
//! It contains no business rules; they are in `it/`. It does not sleep for a fixed time: it waits for a condition, with a
//! deadline (`wait::eventually`).

pub mod app;
pub mod client;
pub mod crawl;
pub mod database;
pub mod documents;
pub mod faulty_disk;
pub mod guest;
pub mod logs;
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

/// Runs a test body on SQLite and on PostgreSQL: `on_both_databases!(a, b)` creates the tests `a::sqlite`,
/// `a::postgres`, `b::sqlite`, `b::postgres` from the functions `async fn a(db: Database)` and `b`.
///
/// A body that is not listed is dead code. Clippy refuses dead code, so every body must be listed.
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

/// Installs the TLS provider of this process. The start of the server does the same, and the first call has effect.
pub fn install_tls_provider() {
    let _ = rustls::crypto::ring::default_provider().install_default();
}
