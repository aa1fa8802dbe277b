//! The application: the settings, connections and in-memory state that every use case needs, created once at the start.

use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use tokio::sync::Notify;
use tokio::task::JoinHandle;

use crate::catalog::Catalog;
use crate::config::Settings;
use crate::delivery::adapters::Registry;
use crate::delivery::lanes::Lanes;
use crate::delivery::secrets::Vault;
use crate::delivery::secrets::server_keys;
use crate::geoip::GeoIp;
use crate::heavy::HeavyReading;
use crate::inbound::unstored::Unstored;
use crate::money::deferred_releases::DeferredReleases;
use crate::partitions;
use crate::people::mail::Mailer;
use crate::people::passwords::Passwords;
use crate::rates::Rates;
use crate::readiness::Readiness;
use crate::reports::state::ReportState;
use crate::timekeeping::Timekeeping;
use crate::tracking::record_clicks;
use crate::tracking::record_clicks::ClickWriter;
use crate::tracking::record_conversions;
use crate::tracking::record_conversions::ConversionWriter;
use crate::warnings::Warnings;
use crate::work_queue::{Leases, WorkQueue};
use domain::delivery::delivery::EventDelivery;
use domain::people::api_key;
use domain::tracking::event::Event;
use egress::Egress;
use storage::Database;
use storage::clock::Clock;
use storage::money::payout_methods;
use storage::private_files;

/// All clones share the same application.
#[derive(Clone)]
pub struct App(Arc<Parts>);

/// The parts of an application.
pub struct Parts {
    pub settings: Settings,
    /// The URL at which clients reach this server, without a slash at the end.
    pub public_url: String,
    /// The hash of the bootstrap admin key.
    pub bootstrap_key_hash: String,
    pub clock: Clock,
    pub db: Database,
    /// Identifies this run of the server; random.
    pub server_id: i64,
    pub adapters: Registry,
    /// Seals and opens the secrets of configurations.
    pub vault: Vault,
    pub egress: Egress,
    pub catalog: Catalog,
    pub work_queues: WorkQueues,
    /// The lanes of deliveries: queues, breakers and requests in flight.
    pub lanes: Lanes,
    /// Wakes the worker that processes waiting inbound requests.
    pub waiting_inbound_requests: Arc<Notify>,
    /// Wakes the worker that sends mails.
    pub waiting_mails: Arc<Notify>,
    /// Wakes the worker that runs retry jobs.
    pub waiting_retry_jobs: Arc<Notify>,
    pub mailer: Mailer,
    pub passwords: Passwords,
    /// Rate limits per caller.
    pub rates: Rates,
    pub warnings: Warnings,
    /// Inbound requests that were refused and not stored.
    pub unstored: Unstored,
    /// Releases that failed and are tried again.
    pub deferred_releases: DeferredReleases,
    pub clicks: ClickWriter,
    pub conversions: ConversionWriter,
    /// Finds the countries of IP addresses.
    pub geoip: GeoIp,
    pub reports: ReportState,
    pub heavy: HeavyReading,
    pub timekeeping: Timekeeping,
    pub readiness: Readiness,
}

/// The work queues of this process's workers.
#[derive(Clone, Debug)]
pub struct WorkQueues {
    /// Events to be routed.
    pub events: WorkQueue<Event>,
    /// Deliveries to be sent.
    pub deliveries: WorkQueue<EventDelivery>,
    pub leases: Leases,
}

impl WorkQueues {
    fn new(lease: Duration) -> Self {
        let leases = Leases::new(lease);
        Self { events: WorkQueue::new(leases.clone()), deliveries: WorkQueue::new(leases.clone()), leases }
    }

    /// Opens the queues when the workers start, and closes them when the workers stop.
    pub(crate) fn set_open(&self, open: bool) {
        self.events.set_open(open);
        self.deliveries.set_open(open);
    }
}

/// The tasks of the writers. They end, after their last batch, when the last [`App`] is dropped.
pub type WriterTasks = Vec<JoinHandle<()>>;

impl std::ops::Deref for App {
    type Target = Parts;

    fn deref(&self) -> &Parts {
        &self.0
    }
}

impl App {
    /// Opens and migrates the database, loads the adapters and starts the writers.
    pub async fn start(settings: Settings, clock: Clock, public_url: String) -> anyhow::Result<(Self, WriterTasks)> {
        private_files::create_dir(&settings.data_dir)?;
        let db = Database::open(&settings.database(), settings.pool_limits()).await?;
        let timekeeping = Timekeeping::default();
        timekeeping.start(&db, &clock).await.context("the database's clock can't be read")?;
        db.migrate().await?;
        partitions::prepare(&db, clock.now()).await?;
        let server_id = rand::random();
        let vault = server_keys::open(&db, &settings, server_id, clock.now()).await?;

        let cache_dir = settings.adapter_cache_dir();
        let compiler = settings.compiler_program.clone();
        let host = tokio::task::spawn_blocking(move || host::Host::shared(&cache_dir, compiler)).await??;
        payout_methods::seed(db.writer(), clock.now()).await?;
        let adapters = Registry::start(host, db.clone(), clock.clone(), settings.adapter_threads()).await?;
        let connections = settings.places().per_destination;
        let egress = Egress::with_connections(settings.egress_allow.clone(), connections)?;
        let catalog = Catalog::new(db.clone(), Duration::from_secs(settings.catalog_max_age_secs));
        let geoip = GeoIp::open(settings.geoip_database.as_deref())?;
        let work_queues = WorkQueues::new(settings.lease());
        let wake = work_queues.deliveries.wake().clone();
        let lanes = Lanes::new(settings.places(), settings.drain_per_second, wake);
        let bootstrap_key_hash = api_key::hash(&bootstrap_key(&settings)?);
        let (click_writer, click_tasks) =
            record_clicks::spawn_writer(db.clone(), catalog.clone(), work_queues.events.clone(), clock.clone());
        let (conversion_writer, conversion_tasks) =
            record_conversions::spawn_writer(db.clone(), catalog.clone(), work_queues.events.clone(), clock.clone());
        let mailer = Mailer::new(&settings, &public_url)?;
        let heavy = HeavyReading::new(&settings);
        let app = Self(Arc::new(Parts {
            settings,
            public_url: public_url.trim_end_matches('/').to_owned(),
            bootstrap_key_hash,
            clock,
            db,
            server_id,
            adapters,
            vault,
            egress,
            catalog,
            work_queues,
            lanes,
            waiting_inbound_requests: Arc::new(Notify::new()),
            waiting_mails: Arc::new(Notify::new()),
            waiting_retry_jobs: Arc::new(Notify::new()),
            mailer,
            passwords: Passwords::default(),
            rates: Rates::default(),
            warnings: Warnings::default(),
            unstored: Unstored::default(),
            deferred_releases: DeferredReleases::default(),
            clicks: click_writer,
            conversions: conversion_writer,
            geoip,
            reports: ReportState::default(),
            heavy,
            timekeeping,
            readiness: Readiness::default(),
        }));
        Ok((app, click_tasks.into_iter().chain(conversion_tasks).collect()))
    }

    /// Whether no work is due: no event to route, no delivery to send, no inbound request to process and no earning to
    /// release.
    pub async fn is_idle(&self) -> Result<bool, sea_orm::DbErr> {
        // In the order of the pipeline, because each stage creates work for the next one.
        let release = storage::money::earnings::find_next_release(self.db.reader()).await?;
        let held = release.is_none_or(|at| at > self.clock.now());
        let (requests, _) = storage::inbound::inbound_requests::backlog(self.db.reader(), self.clock.now()).await?;
        let (events, _) = storage::tracking::events::backlog(self.db.reader()).await?;
        let due = async || {
            storage::delivery::deliveries::backlog(self.db.reader(), self.clock.now()).await.map(|(due, _)| due)
        };
        let due_before = due().await?;
        let waiting = storage::delivery::waiting_deliveries::list_lanes(self.db.reader()).await?;
        let waits = !self.settings.role.runs_workers() || self.lanes.is_idle(&waiting, self.clock.now());
        // A delivery can change between due and waiting meanwhile, so due deliveries are counted before and after.
        let deliveries = due_before + due().await?;
        Ok(held && requests == 0 && events == 0 && deliveries == 0 && waits)
    }
}

/// The configured admin key, or one that is created at the first start and kept in the data folder.
fn bootstrap_key(settings: &Settings) -> anyhow::Result<String> {
    match &settings.admin_api_key {
        Some(key) => Ok(key.clone()),
        None => kept_key(settings, "admin-api-key", "an admin API key; read it from this file", || {
            api_key::secret(rand::random())
        }),
    }
}

fn kept_key(settings: &Settings, name: &str, what: &str, make: impl FnOnce() -> String) -> anyhow::Result<String> {
    let path = settings.data_dir.join(name);
    match std::fs::read_to_string(&path) {
        Ok(key) => return Ok(key.trim().to_owned()),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
        Err(error) => return Err(error).with_context(|| format!("{} can't be read", path.display())),
    }
    let key = make();
    private_files::write(&path, &key).with_context(|| format!("{} can't be written", path.display()))?;
    tracing::info!(path = %path.display(), "Created {what}");
    Ok(key)
}
