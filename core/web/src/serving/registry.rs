//! The open connections, and the slots for them.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Duration, Instant};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::connection::Connection;
use super::timeouts::{Candidate, CloseReason, select_evictions};
use super::{Limits, SLOT_RETRY_INTERVAL};

/// One of this many connections is closed at a time, so that not every new connection needs a search through all.
const CONNECTIONS_PER_EVICTION: usize = 64;
/// The minimum interval of the log line that all slots are in use.
const LOG_EVERY: Duration = Duration::from_secs(60);

pub struct Registry {
    pub limits: Limits,
    slots: Arc<Semaphore>,
    epoch: Instant,
    open: Mutex<Open>,
}

#[derive(Default)]
struct Open {
    connections: HashMap<u64, Arc<Connection>>,
    last_id: u64,
    logged_at: Option<Instant>,
}

impl Registry {
    pub fn new(limits: Limits) -> Self {
        Self {
            limits,
            slots: Arc::new(Semaphore::new(limits.connections)),
            epoch: Instant::now(),
            open: Mutex::default(),
        }
    }

    /// Waits for the slot of a new connection. If all are in use, other connections are closed.
    pub async fn acquire_slot(&self) -> OwnedSemaphorePermit {
        loop {
            if let Ok(slot) = self.slots.clone().try_acquire_owned() {
                return slot;
            }
            self.evict_some();
            let slot = tokio::time::timeout(SLOT_RETRY_INTERVAL, self.slots.clone().acquire_owned()).await;
            if let Ok(slot) = slot {
                return slot.expect("the semaphore is never closed");
            }
        }
    }

    /// Closes some connections: see [`select_evictions`].
    pub fn evict_some(&self) {
        let mut open = self.lock();
        let connections: Vec<_> = open.connections.values().filter(|it| !it.is_evicted()).cloned().collect();
        let candidates: Vec<_> =
            connections.iter().map(|it| Candidate { peer: it.peer, phase: it.phase(), age: it.age() }).collect();
        for index in select_evictions(&candidates, connections.len() / CONNECTIONS_PER_EVICTION + 1) {
            if connections[index].evict() {
                count_closed(CloseReason::Evicted);
            }
        }
        if open.logged_at.is_none_or(|at| at.elapsed() >= LOG_EVERY) {
            open.logged_at = Some(Instant::now());
            tracing::warn!(
                connections = connections.len(),
                "All connections are in use; the longest idle ones of the busiest peers are closed for new ones. Raise max_connections if these peers are legitimate"
            );
        }
    }

    /// Adds a connection until the result is dropped.
    pub fn add(self: &Arc<Self>, peer: IpAddr) -> Registered {
        let connection = Arc::new(Connection::new(peer, self.epoch));
        let mut open = self.lock();
        open.last_id += 1;
        let id = open.last_id;
        open.connections.insert(id, connection.clone());
        metrics::gauge!("postrider_connections").set(open.connections.len() as f64);
        Registered { registry: self.clone(), id, connection }
    }

    fn lock(&self) -> MutexGuard<'_, Open> {
        self.open.lock().expect("nothing panics while it is held")
    }
}

/// A connection in the registry; dropping this removes it.
pub struct Registered {
    registry: Arc<Registry>,
    id: u64,
    connection: Arc<Connection>,
}

impl Registered {
    pub fn connection(&self) -> Arc<Connection> {
        self.connection.clone()
    }
}

impl Drop for Registered {
    fn drop(&mut self) {
        let mut open = self.registry.lock();
        open.connections.remove(&self.id);
        metrics::gauge!("postrider_connections").set(open.connections.len() as f64);
    }
}

pub fn count_closed(reason: CloseReason) {
    metrics::counter!("postrider_connections_closed_total", "reason" => reason.word()).increment(1);
}
