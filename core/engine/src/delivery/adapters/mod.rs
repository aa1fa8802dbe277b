//! The registry of adapters: the installed versions, whether they work, and their loaded components.
//!
//! Routing and sending get all versions of a batch before they compute. The registry answers from memory; changes by
//! another process are visible within [`FRESH`].

mod config;
pub(crate) mod fault_review;
pub(super) mod faults;
mod install;
pub(super) mod pool;
mod upgrade;

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::Context;
use moka::sync::Cache;
use sea_orm::DbErr;

use crate::Error;
use domain::delivery::adapter::return_line::ReturnLines;
use domain::delivery::adapter::{AdapterState, AdapterVersion, Origin, compare_versions};
use domain::delivery::delivery::Reason;
use domain::delivery::postback::Postback;
use domain::ids::AffiliateId;
use domain::timestamp::Timestamp;
use host::{Adapter, AdapterError, BuiltIn, Host};
use storage::Database;
use storage::clock::Clock;

pub(crate) use config::config_issues;
pub use faults::{AdapterUse, Call, Faults, Subject};
pub use install::{disable, enable, install};
pub use pool::{CallLine, Calls, Group, Pool, Speed};
pub use upgrade::{Difference, PostbackCheck, Upgrade, upgrade};

/// Maximum age of a cached state, which another process may have changed.
const FRESH: Duration = Duration::from_secs(5);
/// Minimum time before a component that could not be loaded is tried again.
const LOAD_AGAIN: Duration = Duration::from_secs(60);
/// Maximum number of components in memory.
const LOADED: u64 = 256;

/// The id and the version of an adapter.
pub type Key = (String, String);

/// All clones share the same caches.
#[derive(Clone)]
pub struct Registry {
    host: Host,
    pub(super) db: Database,
    clock: Clock,
    states: Cache<Key, Option<Arc<AdapterVersion>>>,
    latest: Cache<String, Option<String>>,
    /// By digest.
    loaded: Cache<String, Arc<Adapter>>,
    /// By digest.
    broken: Cache<String, AdapterError>,
    faults: Faults,
    pool: Pool,
    /// The lines in which waiting deliveries become due again.
    waiting: Arc<Mutex<Waiting>>,
}

/// Lines by version and owner.
type Waiting = ReturnLines<(Key, Option<AffiliateId>)>;

/// Whether a version can be used now.
#[derive(Clone)]
pub enum Availability {
    Ready(Arc<Adapter>),
    Waits(Reason),
}

/// The availability of the versions that a batch needs.
#[derive(Default)]
pub struct Versions(HashMap<Key, Availability>);

impl Versions {
    /// The availability of a postback's version.
    pub fn of(&self, postback: &Postback) -> &Availability {
        &self.0[&key_of(postback)]
    }
}

/// The version that a postback pins.
pub fn key_of(postback: &Postback) -> Key {
    (postback.adapter.clone(), postback.adapter_version.clone())
}

impl Registry {
    /// Stores the built-in adapters, so that postbacks can use their versions with later releases, too.
    pub async fn start(host: Host, db: Database, clock: Clock, threads: usize) -> anyhow::Result<Self> {
        let faults = Faults::default();
        let registry = Self {
            pool: Pool::start(threads, faults.clone()).context("The threads for adapters can't be started")?,
            states: Cache::builder().max_capacity(10_000).time_to_live(FRESH).build(),
            latest: Cache::builder().max_capacity(1_000).time_to_live(FRESH).build(),
            loaded: Cache::new(LOADED),
            broken: Cache::builder().max_capacity(LOADED).time_to_live(LOAD_AGAIN).build(),
            faults,
            waiting: Arc::default(),
            host,
            db,
            clock,
        };
        for built_in in registry.host.built_in() {
            registry.store_built_in(built_in).await?;
        }
        Ok(registry)
    }

    async fn store_built_in(&self, BuiltIn { adapter, wasm }: &BuiltIn) -> Result<(), DbErr> {
        self.loaded.insert(adapter.digest().to_owned(), adapter.clone());
        let mut version = self.describe(adapter, Origin::BuiltIn);
        let tx = self.db.begin().await?;
        match storage::delivery::adapters::find(&tx, &version.id, &version.version).await? {
            None => drop(storage::delivery::adapters::insert(&tx, &version, wasm).await?),
            Some(there) if there.digest == version.digest => {}
            Some(there) => {
                // A disabled version stays disabled. Being out of service ends, because the new bytes may work.
                if there.state == AdapterState::Disabled {
                    version.state = AdapterState::Disabled;
                }
                tracing::warn!(
                    adapter = version.id,
                    version = version.version,
                    "This release contains different bytes for a built-in adapter of the same version; they replace the stored ones"
                );
                storage::delivery::adapters::replace(&tx, &version, wasm).await?;
            }
        }
        tx.commit().await
    }

    fn describe(&self, adapter: &Adapter, origin: Origin) -> AdapterVersion {
        let (descriptor, now) = (adapter.descriptor(), self.clock.now());
        AdapterVersion {
            id: descriptor.id.clone(),
            version: descriptor.version.clone(),
            digest: adapter.digest().to_owned(),
            origin,
            state: AdapterState::Active,
            faults: 0,
            reason: None,
            installed_at: now,
            updated_at: now,
        }
    }

    /// A version that works. `None` if it is missing, disabled or out of service.
    pub async fn get(&self, id: &str, version: &str) -> Result<Option<Arc<Adapter>>, DbErr> {
        Ok(match self.availability(&(id.to_owned(), version.to_owned())).await? {
            Availability::Ready(adapter) => Some(adapter),
            Availability::Waits(_) => None,
        })
    }

    /// The newest version that works.
    pub async fn latest(&self, id: &str) -> Result<Option<Arc<Adapter>>, DbErr> {
        let version = match self.latest.get(id) {
            Some(version) => version,
            None => {
                let versions = storage::delivery::adapters::list(self.db.reader(), Some(id)).await?;
                let active = versions.into_iter().filter(|it| it.state == AdapterState::Active);
                let version = active.map(|it| it.version).max_by(|left, right| compare_versions(left, right));
                self.latest.insert(id.to_owned(), version.clone());
                version
            }
        };
        match version {
            Some(version) => self.get(id, &version).await,
            None => Ok(None),
        }
    }

    /// All versions of all adapters, or of one, the newest first.
    pub async fn list(&self, id: Option<&str>) -> Result<Vec<AdapterVersion>, DbErr> {
        let mut versions = storage::delivery::adapters::list(self.db.reader(), id).await?;
        versions.sort_by(|left, right| {
            left.id.cmp(&right.id).then_with(|| compare_versions(&right.version, &left.version))
        });
        Ok(versions)
    }

    /// The adapter of a version in any state, to inspect it. Deliveries use [`Self::availability`].
    pub async fn load(&self, id: &str, version: &str) -> Result<Option<Arc<Adapter>>, Error> {
        match self.state(&(id.to_owned(), version.to_owned())).await? {
            Some(it) => Ok(Some(self.component(&it).await??)),
            None => Ok(None),
        }
    }

    /// The availability of several versions.
    pub async fn versions(&self, keys: HashSet<Key>) -> Result<Versions, DbErr> {
        let mut versions = Versions::default();
        for key in keys {
            let availability = self.availability(&key).await?;
            versions.0.insert(key, availability);
        }
        Ok(versions)
    }

    /// The reason why deliveries of this postback wait for its adapter. `None` if they do not wait.
    pub async fn waits(&self, postback: &Postback) -> Result<Option<Reason>, DbErr> {
        Ok(match self.availability(&key_of(postback)).await? {
            Availability::Ready(_) => None,
            Availability::Waits(reason) => Some(reason),
        })
    }

    /// Whether a version can be used now.
    pub(crate) async fn availability(&self, key: &Key) -> Result<Availability, DbErr> {
        let Some(version) = self.state(key).await? else {
            return Ok(Availability::Waits(AdapterVersion::missing(&key.0, &key.1)));
        };
        if let Some(reason) = version.waits_because() {
            return Ok(Availability::Waits(reason));
        }
        Ok(match self.component(&version).await? {
            Ok(adapter) => Availability::Ready(adapter),
            Err(error) => {
                let sentence = format!("the adapter \"{}\" can't be loaded on this server: {error}", key.0);
                Availability::Waits(Reason::new("adapter_unavailable", sentence))
            }
        })
    }

    async fn state(&self, key: &Key) -> Result<Option<Arc<AdapterVersion>>, DbErr> {
        if let Some(known) = self.states.get(key) {
            return Ok(known);
        }
        let found = storage::delivery::adapters::find(self.db.reader(), &key.0, &key.1).await?.map(Arc::new);
        self.states.insert(key.clone(), found.clone());
        Ok(found)
    }

    /// The component from memory, or compiled from the bytes in the table.
    async fn component(&self, version: &AdapterVersion) -> Result<Result<Arc<Adapter>, AdapterError>, DbErr> {
        if let Some(adapter) = self.loaded.get(&version.digest) {
            return Ok(Ok(adapter));
        }
        if let Some(error) = self.broken.get(&version.digest) {
            return Ok(Err(error));
        }
        let wasm = storage::delivery::adapters::find_component(self.db.reader(), &version.id, &version.version).await?;
        let wasm = wasm.ok_or_else(|| DbErr::RecordNotFound(format!("adapter {} does not exist", version.id)))?;
        let loaded = self.compile(wasm, version.origin).await;
        match &loaded {
            Ok(adapter) => self.loaded.insert(adapter.digest().to_owned(), adapter.clone()),
            Err(error) => {
                tracing::error!(adapter = version.id, version = version.version, %error, "An installed adapter can't be loaded; its deliveries wait");
                self.broken.insert(version.digest.clone(), error.clone());
            }
        }
        Ok(loaded)
    }

    async fn compile(&self, wasm: Vec<u8>, origin: Origin) -> Result<Arc<Adapter>, AdapterError> {
        let host = self.host.clone();
        let work = move || match origin {
            Origin::BuiltIn => host.load(&wasm),
            Origin::Installed => host.load_untrusted(&wasm),
        };
        blocking(work).await
    }

    /// Removes the state of a version from the cache, because it changed.
    pub(super) fn changed(&self, id: &str, version: &str) {
        self.states.invalidate(&(id.to_owned(), version.to_owned()));
        self.latest.invalidate(id);
    }

    /// The counts of faults.
    pub fn faults(&self) -> &Faults {
        &self.faults
    }

    /// The time at which a delivery that waits for its adapter is due again: `earliest` or later, at most `per_second`
    /// deliveries per second.
    pub(crate) fn place_in_line(
        &self,
        postback: &Postback,
        earliest: Timestamp,
        per_second: u32,
        now: Timestamp,
    ) -> Timestamp {
        let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        waiting.forget_ended(now);
        waiting.place((key_of(postback), postback.owner), earliest, per_second)
    }

    /// The threads that adapters compute on.
    pub fn pool(&self) -> &Pool {
        &self.pool
    }
}

/// Runs `work` on a thread for blocking work, because compiling takes long and may wait.
async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    tokio::task::spawn_blocking(work).await.expect("adapters are contained and do not panic the host")
}
