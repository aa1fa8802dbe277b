//! The connections that are open, and the places there are.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Duration, Instant};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::connection::Connection;
use super::patience::{Candidate, Reason, victims};
use super::{LOOK_AGAIN, Limits};

/// Of so many one makes room at a time, so that a crowd need not be looked through for each that comes.
const OF: usize = 64;
/// How often the log says that all places are taken.
const LOG_EVERY: Duration = Duration::from_secs(60);

pub struct Registry {
    pub limits: Limits,
    places: Arc<Semaphore>,
    begun: Instant,
    open: Mutex<Open>,
}

#[derive(Default)]
struct Open {
    connections: HashMap<u64, Arc<Connection>>,
    last: u64,
    logged_at: Option<Instant>,
}

impl Registry {
    pub fn new(limits: Limits) -> Self {
        Self {
            limits,
            places: Arc::new(Semaphore::new(limits.connections)),
            begun: Instant::now(),
            open: Mutex::default(),
        }
    }

    /// A place for one more; when all are taken, somebody makes room.
    pub async fn place(&self) -> OwnedSemaphorePermit {
        loop {
            if let Ok(place) = self.places.clone().try_acquire_owned() {
                return place;
            }
            self.make_room();
            let place = tokio::time::timeout(LOOK_AGAIN, self.places.clone().acquire_owned()).await;
            if let Ok(place) = place {
                return place.expect("nobody closes it");
            }
        }
    }

    pub fn make_room(&self) {
        let mut open = self.lock();
        let connections: Vec<_> = open.connections.values().filter(|it| !it.is_evicted()).cloned().collect();
        let candidates: Vec<_> =
            connections.iter().map(|it| Candidate { peer: it.peer, phase: it.phase(), age: it.age() }).collect();
        for place in victims(&candidates, connections.len() / OF + 1) {
            if connections[place].evict() {
                count_closed(Reason::Evicted);
            }
        }
        if open.logged_at.is_none_or(|at| at.elapsed() >= LOG_EVERY) {
            open.logged_at = Some(Instant::now());
            tracing::warn!(
                connections = connections.len(),
                "All connections are taken; the longest idle ones of the busiest peers are closed for new ones. Raise max_connections if these are your own"
            );
        }
    }

    pub fn add(self: &Arc<Self>, peer: IpAddr) -> Registered {
        let connection = Arc::new(Connection::new(peer, self.begun));
        let mut open = self.lock();
        open.last += 1;
        let id = open.last;
        open.connections.insert(id, connection.clone());
        metrics::gauge!("postrider_connections").set(open.connections.len() as f64);
        Registered { registry: self.clone(), id, connection }
    }

    fn lock(&self) -> MutexGuard<'_, Open> {
        self.open.lock().expect("nothing panics while it is held")
    }
}

/// Listed until it is dropped.
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

pub fn count_closed(reason: Reason) {
    metrics::counter!("postrider_connections_closed_total", "reason" => reason.word()).increment(1);
}
