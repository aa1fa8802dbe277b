//! What is known of an open connection: what it is at, since when, and whether it has to make room.

use std::net::IpAddr;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU64, Ordering::Relaxed};
use std::time::{Duration, Instant};

use tokio::sync::Notify;

use super::patience::{Patience, Phase, Reason};

#[derive(Debug)]
pub struct Connection {
    pub peer: IpAddr,
    /// Times are milliseconds after this.
    begun: Instant,
    phase: AtomicU8,
    since_ms: AtomicU64,
    /// Since when the peer takes nothing of the answer; 0: it does, or there is none.
    stalled_ms: AtomicU64,
    evicted: AtomicBool,
    eviction: Notify,
}

impl Connection {
    /// `begun` is the same for all, so that their times can be compared.
    pub fn new(peer: IpAddr, begun: Instant) -> Self {
        let connection = Self {
            peer,
            begun,
            phase: AtomicU8::new(Phase::Head as u8),
            since_ms: AtomicU64::new(0),
            stalled_ms: AtomicU64::new(0),
            evicted: AtomicBool::new(false),
            eviction: Notify::new(),
        };
        connection.enter(Phase::Head);
        connection
    }

    fn now_ms(&self) -> u64 {
        self.begun.elapsed().as_millis() as u64 + 1
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
            _ => Phase::Answer,
        }
    }

    /// For how long it has been at this.
    pub fn age(&self) -> Duration {
        Duration::from_millis(self.now_ms().saturating_sub(self.since_ms.load(Relaxed)))
    }

    fn stalled(&self) -> Option<Duration> {
        let since = self.stalled_ms.load(Relaxed);
        (since > 0).then(|| Duration::from_millis(self.now_ms().saturating_sub(since)))
    }

    /// Bytes came in.
    pub fn heard(&self) {
        if self.phase() == Phase::Idle {
            self.enter(Phase::Head);
        }
    }

    /// The peer took something of the answer, or nothing for now.
    pub fn told(&self, took: bool) {
        match took {
            false if self.stalled_ms.load(Relaxed) == 0 => self.stalled_ms.store(self.now_ms(), Relaxed),
            false => {}
            true => {
                self.stalled_ms.store(0, Relaxed);
                if self.phase() == Phase::Idle {
                    self.since_ms.store(self.now_ms(), Relaxed);
                }
            }
        }
    }

    /// How soon to look again, or why it has to end.
    pub fn check(&self, patience: Patience) -> Result<Duration, Reason> {
        patience.judge(self.phase(), self.age(), self.stalled())
    }

    /// It has to make room. Says whether that is news.
    pub fn evict(&self) -> bool {
        let news = !self.evicted.swap(true, Relaxed);
        if news {
            self.eviction.notify_one();
        }
        news
    }

    pub fn is_evicted(&self) -> bool {
        self.evicted.load(Relaxed)
    }

    pub async fn evicted(&self) {
        self.eviction.notified().await;
    }
}
