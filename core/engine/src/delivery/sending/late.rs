//! Deliveries that slow adapters render after their batch has continued without them.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;

use crate::delivery::adapters::Calls;

use super::preparation::Preparation;
use super::render::Rendered;

/// Collects late deliveries until the next batch takes them. All clones are the same collection.
#[derive(Clone)]
pub struct Late {
    done: Arc<Mutex<Preparation>>,
    wake: Arc<Notify>,
}

impl Late {
    /// `wake` is notified when there is something to take.
    pub fn new(wake: Arc<Notify>) -> Self {
        Self { done: Arc::default(), wake }
    }

    /// Whether there is nothing to take.
    pub fn is_empty(&self) -> bool {
        self.done().is_empty()
    }

    /// Takes the deliveries that were rendered since the last call.
    pub(super) fn take(&self) -> Preparation {
        std::mem::take(&mut self.done())
    }

    /// Collects the remaining results in the background.
    pub(super) fn wait_for(&self, mut calls: Calls<Rendered>) {
        let late = self.clone();
        tokio::spawn(async move {
            while let Some((_, rendered)) = calls.next().await {
                late.done().add(rendered);
                late.wake.notify_one();
            }
        });
    }

    fn done(&self) -> MutexGuard<'_, Preparation> {
        self.done.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
