//! The state of an open connection: its phase, since when, and whether it must close for a new one.

use std::net::IpAddr;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU64, Ordering::Relaxed};
use std::time::{Duration, Instant};

use tokio::sync::Notify;

use super::timeouts::{CloseReason, Phase, Timeouts};

#[derive(Debug)]
pub struct Connection {
    pub peer: IpAddr,
    /// The epoch of the other times, which are in milliseconds.
    epoch: Instant,
    phase: AtomicU8,
    since_ms: AtomicU64,
    /// Since when the peer accepts no byte of the response; 0: it accepts bytes, or there is no response.
    stalled_since_ms: AtomicU64,
    evicted: AtomicBool,
    eviction: Notify,
    /// Whether the peer may still send when the connection is closed.
    lingers: AtomicBool,
}

impl Connection {
    /// All connections have the same `epoch`, so that their times can be compared.
    pub fn new(peer: IpAddr, epoch: Instant) -> Self {
        let connection = Self {
            peer,
            epoch,
            phase: AtomicU8::new(Phase::Head as u8),
            since_ms: AtomicU64::new(0),
            stalled_since_ms: AtomicU64::new(0),
            evicted: AtomicBool::new(false),
            eviction: Notify::new(),
            lingers: AtomicBool::new(false),
        };
        connection.enter(Phase::Head);
        connection
    }

    fn now_ms(&self) -> u64 {
        self.epoch.elapsed().as_millis() as u64 + 1
    }

    pub fn enter(&self, phase: Phase) {
        self.since_ms.store(self.now_ms(), Relaxed);
        self.phase.store(phase as u8, Relaxed);
    }

    pub fn phase(&self) -> Phase {
        match self.phase.load(Relaxed) {
            0 => Phase::Head,
            1 => Phase::Idle,
            2 => Phase::Body,
            _ => Phase::Response,
        }
    }

    /// The time since the phase began.
    pub fn age(&self) -> Duration {
        Duration::from_millis(self.now_ms().saturating_sub(self.since_ms.load(Relaxed)))
    }

    fn stalled(&self) -> Option<Duration> {
        let since = self.stalled_since_ms.load(Relaxed);
        (since > 0).then(|| Duration::from_millis(self.now_ms().saturating_sub(since)))
    }

    /// Bytes were received.
    pub fn on_read(&self) {
        if self.phase() == Phase::Idle {
            self.enter(Phase::Head);
        }
    }

    /// The peer accepted bytes of the response, or it accepts none at the moment.
    pub fn on_write(&self, accepted: bool) {
        match accepted {
            false if self.stalled_since_ms.load(Relaxed) == 0 => self.stalled_since_ms.store(self.now_ms(), Relaxed),
            false => {}
            true => {
                self.stalled_since_ms.store(0, Relaxed);
                if self.phase() == Phase::Idle {
                    self.since_ms.store(self.now_ms(), Relaxed);
                }
            }
        }
    }

    /// The time until the next check, or why the connection must be closed.
    pub fn check(&self, timeouts: Timeouts) -> Result<Duration, CloseReason> {
        timeouts.check(self.phase(), self.age(), self.stalled())
    }

    /// Closes the connection for a new one. Returns `false` if it is closing already.
    pub fn evict(&self) -> bool {
        let is_first = !self.evicted.swap(true, Relaxed);
        if is_first {
            self.eviction.notify_one();
        }
        is_first
    }

    pub fn is_evicted(&self) -> bool {
        self.evicted.load(Relaxed)
    }

    /// At its end, the connection discards what the peer still sends. Otherwise the peer could lose the response.
    pub fn linger(&self) {
        self.lingers.store(true, Relaxed);
    }

    pub fn lingers(&self) -> bool {
        self.lingers.load(Relaxed)
    }

    /// Waits for [`Self::evict`].
    pub async fn evicted(&self) {
        self.eviction.notified().await;
    }
}
