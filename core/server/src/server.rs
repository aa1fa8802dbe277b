//! A running server: the web edge and the workers of one application.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use anyhow::Context;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use engine::app::{App, WriterTasks};
use engine::config::Settings;
use engine::delivery::secrets::sealing;
use engine::inbound::source_keys;
use engine::pipeline::Pipeline;
use storage::clock::Clock;
use storage::private_files;
use web::serving::{self, Limits, Timeouts};

/// A running server. It serves until [`Server::stop`].
pub struct Server {
    app: App,
    address: SocketAddr,
    stopping: CancellationToken,
    web: JoinHandle<()>,
    pipeline: Pipeline,
    writers: WriterTasks,
    /// The lock of the SQLite file; PostgreSQL has none.
    _lock: Option<std::fs::File>,
}

impl Server {
    /// Locks and migrates the database, binds the address, then starts the workers and the web edge.
    ///
    /// # Errors
    /// The database is in use or cannot be opened, the address cannot be bound, or a secret key is missing. The error says what to do.
    pub async fn start(settings: Settings, clock: Clock) -> anyhow::Result<Self> {
        web::health::install();
        let files = serving::raise_file_limit();
        let lock = lock_database(&settings).await?;
        let listener = TcpListener::bind(&settings.listen)
            .await
            .with_context(|| format!("can't listen on {}; choose another POSTRIDER_LISTEN", settings.listen))?;
        let address = listener.local_addr()?;
        let public_url = settings.public_url.clone().unwrap_or_else(|| format!("http://{address}"));
        let (app, writers) = App::start(settings, clock, public_url).await?;
        sealing::seal_stored(&app).await.context("secrets that are stored as plain text can't be sealed")?;
        source_keys::hash_stored(&app).await.context("addresses of sources can't be hashed")?;
        let pipeline = Pipeline::start(&app).await?;

        let stopping = CancellationToken::new();
        let router = if app.settings.role.serves_web() {
            web::router::router(app.clone(), dashboard::site())
        } else {
            web::router::operator_router(app.clone())
        };
        let limits = limits(&app.settings, files);
        let web = tokio::spawn(serving::serve(listener, router, limits, stopping.clone()));
        warn_of_proxy(&app.settings);
        tracing::info!(%address, role = ?app.settings.role, database = if app.db.is_postgres() { "postgres" } else { "sqlite" }, "Postrider is ready");
        Ok(Self { app, address, stopping, web, pipeline, writers, _lock: lock })
    }

    /// The bound address, with the port that the system chose for port 0.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// `http://` and the bound address.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// The application that the web edge and the workers share.
    pub fn app(&self) -> &App {
        &self.app
    }

    /// Waits until the database accepts no more writes before a restart. Returns a sentence with the cause and the remedy.
    pub async fn broken(&self) -> String {
        self.app.db.broken().await
    }

    /// Answers the requests in progress, sends the deliveries in flight, stores their results, and stops.
    /// Takes at most six times the drain timeout; it takes that long only if each step reaches its timeout.
    pub async fn stop(self) {
        let limit = self.app.settings.drain_timeout();
        self.stopping.cancel();
        let mut web = self.web;
        if tokio::time::timeout(limit.min(Duration::from_secs(5)), &mut web).await.is_err() {
            // Keep-alive connections that never close by themselves.
            web.abort();
        }
        self.pipeline.stop().await;
        let _ = tokio::time::timeout(limit, self.app.heavy.stop()).await;
        let (db, server_id) = (self.app.db.clone(), self.app.server_id);
        drop(self.app);
        let _ = tokio::time::timeout(limit, futures::future::join_all(self.writers)).await;
        // The writers have stopped, so this server seals no more secrets.
        let _ = tokio::time::timeout(limit, storage::base::servers::delete(db.writer(), server_id)).await;
        // close() waits for all connections, and a delivery in flight may still use one.
        let _ = tokio::time::timeout(limit, db.close()).await;
        tracing::info!("Postrider has stopped");
    }
}

/// This server speaks plain HTTP only, so an https URL means that there is a reverse proxy in front of it.
fn warn_of_proxy(settings: &Settings) {
    let is_https = settings.public_url.as_deref().is_some_and(|url| url.starts_with("https://"));
    if is_https && settings.trusted_proxies.is_empty() && settings.role.serves_web() {
        tracing::warn!(
            "PUBLIC_URL is an https URL, so a reverse proxy is in front of this server, but POSTRIDER_TRUSTED_PROXIES is empty: all visitors will have the proxy's address. Set POSTRIDER_TRUSTED_PROXIES to the proxy's address"
        );
    }
}

/// Open files other than connections of visitors, postbacks and the database pool: database files, adapters, the log.
const OTHER_FILES: usize = 256;

fn limits(settings: &Settings, files: Option<u64>) -> Limits {
    let others = OTHER_FILES + settings.send_concurrency + settings.database_connections as usize;
    let connections = serving::connections_within(settings.max_connections, files, others);
    if connections < settings.max_connections {
        tracing::warn!(
            connections,
            files,
            "The limit of open files allows fewer connections than max_connections; raise it (ulimit -n, LimitNOFILE)"
        );
    }
    let millis = Duration::from_millis;
    let timeouts = Timeouts {
        header: millis(settings.header_timeout_ms),
        idle: millis(settings.idle_timeout_ms),
        body: millis(settings.body_timeout_ms),
        write: millis(settings.write_timeout_ms),
    };
    Limits { connections, timeouts }
}

/// How long a server waits for its predecessor to release the lock of the database.
const LOCK_TIMEOUT: Duration = Duration::from_secs(2);

/// Locks the SQLite file for this process; `None` for PostgreSQL. Of two servers on one SQLite file, each would treat the
/// leases of the other as those of a crashed process.
///
/// # Errors
/// The lock file cannot be opened, or another process still has the lock after 2 s.
pub async fn lock_database(settings: &Settings) -> anyhow::Result<Option<std::fs::File>> {
    private_files::create_dir(&settings.data_dir)?;
    let url = settings.database();
    let Some(path) = url.strip_prefix("sqlite:") else { return Ok(None) };
    let path = path.strip_prefix("//").unwrap_or(path);
    let path = format!("{}.lock", path.split('?').next().unwrap_or(path));
    let file = std::fs::File::options().create(true).truncate(false).write(true).open(&path);
    let file = file.with_context(|| format!("{path} can't be opened; check that its folder exists and is writable"))?;
    let begun = Instant::now();
    // A child process of the previous server keeps the inherited lock between fork and exec.
    while file.try_lock().is_err() {
        anyhow::ensure!(
            begun.elapsed() < LOCK_TIMEOUT,
            "another Postrider uses this database ({path} is locked); stop it, or set POSTRIDER_DATA_DIR to another folder"
        );
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    Ok(Some(file))
}
