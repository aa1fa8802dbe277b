//! One running server: the web edge and the workers over one application.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use anyhow::Context;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use engine::app::{App, WriterTasks};
use engine::config::Settings;
use engine::delivery::sealing;
use engine::inbound::source_keys;
use engine::pipeline::Pipeline;
use storage::clock::Clock;
use storage::private_files;
use web::serving::{self, Limits, Timeouts};

/// Serves until it is stopped.
pub struct Server {
    app: App,
    address: SocketAddr,
    stopping: CancellationToken,
    web: JoinHandle<()>,
    pipeline: Pipeline,
    writers: WriterTasks,
    /// Held while this server uses a SQLite file.
    _lock: Option<std::fs::File>,
}

impl Server {
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
        sealing::seal_stored(&app).await.context("secrets that are stored in the clear can't be sealed")?;
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

    pub fn address(&self) -> SocketAddr {
        self.address
    }

    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    pub fn app(&self) -> &App {
        &self.app
    }

    /// Waits until nothing can be stored any more; says why and what to do.
    pub async fn broken(&self) -> String {
        self.app.db.broken().await
    }

    /// Answers what has been asked, sends what is in flight, stores what came of it, and ends.
    /// Takes at most six times the drain timeout, and that only where something is stuck at every turn.
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
        // Nothing is sealed any more.
        let _ = tokio::time::timeout(limit, storage::base::servers::delete(db.writer(), server_id)).await;
        // Closing waits for every connection, and a postback still in flight may hold on to one.
        let _ = tokio::time::timeout(limit, db.close()).await;
        tracing::info!("Postrider has stopped");
    }
}

/// This server speaks plain HTTP: where its address is an https one, something stands before it.
fn warn_of_proxy(settings: &Settings) {
    let is_https = settings.public_url.as_deref().is_some_and(|url| url.starts_with("https://"));
    if is_https && settings.trusted_proxies.is_empty() && settings.role.serves_web() {
        tracing::warn!(
            "PUBLIC_URL begins with https, so a proxy stands before this server, and POSTRIDER_TRUSTED_PROXIES names none: all visitors will have the proxy's address. Set it to the proxy's address"
        );
    }
}

/// Files that are neither connections nor postbacks: databases, adapters, the log.
const OTHER_FILES: usize = 256;

fn limits(settings: &Settings, files: Option<u64>) -> Limits {
    let others = OTHER_FILES + settings.send_concurrency + settings.database_connections as usize;
    let connections = serving::connections_within(settings.max_connections, files, others);
    if connections < settings.max_connections {
        tracing::warn!(
            connections,
            files,
            "Fewer connections than max_connections can be open; raise the limit of open files"
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

/// How long a server may take to let go of a file when another takes its place.
const LOCK_PATIENCE: Duration = Duration::from_secs(2);

/// Two servers on one SQLite file would take each other's claims for a dead process's.
pub async fn lock_database(settings: &Settings) -> anyhow::Result<Option<std::fs::File>> {
    private_files::create_dir(&settings.data_dir)?;
    let url = settings.database();
    let Some(path) = url.strip_prefix("sqlite:") else { return Ok(None) };
    let path = path.strip_prefix("//").unwrap_or(path);
    let path = format!("{}.lock", path.split('?').next().unwrap_or(path));
    let file = std::fs::File::options().create(true).truncate(false).write(true).open(&path);
    let file = file.with_context(|| format!("{path} can't be opened; does its folder exist and may it be written?"))?;
    let begun = Instant::now();
    // A child process of the one before may hold on to it until it runs its own program.
    while file.try_lock().is_err() {
        anyhow::ensure!(
            begun.elapsed() < LOCK_PATIENCE,
            "another Postrider uses this database ({path} is locked); stop it, or set POSTRIDER_DATA_DIR to another folder"
        );
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    Ok(Some(file))
}
