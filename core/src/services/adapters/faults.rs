//! Faults in a row, by adapter version, and what follows from too many.
//!
//! Counted in memory, where the calls are made; the table only hears of changes. Each node counts for itself. Each call counts
//! for itself as well: an adapter that decides well and always fails to render must not look healthy in between.

use std::collections::{HashMap, HashSet};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::adapters::AdapterError;
use crate::domain::adapter::FAULTS_IN_A_ROW;
use crate::domain::postback::Postback;
use crate::ids::AffiliateId;
use crate::storage;

use super::{Key, Registry, key_of};

/// Cheap to clone; all clones count together.
#[derive(Clone, Default)]
pub struct Faults(Arc<Counts>);

#[derive(Default)]
struct Counts {
    /// By version and call.
    streaks: Mutex<HashMap<(Key, Call), Streak>>,
    /// Whether there is any streak at all: nearly never, and then counting costs nothing.
    any: AtomicBool,
}

/// What an adapter was asked.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Call {
    Decide,
    Render,
    Classify,
}

#[derive(Clone, Debug, Default)]
struct Streak {
    faults: u32,
    /// Whose postbacks they were.
    owners: HashSet<Option<AffiliateId>>,
    last: String,
    /// Not yet told to the table.
    unsaved: bool,
}

impl Faults {
    /// Counts the outcome of a call on behalf of a postback.
    pub fn count<T>(&self, call: Call, postback: &Postback, outcome: &Result<T, AdapterError>) {
        match outcome {
            Err(error) if error.is_fault() => self.count_fault(call, postback, error),
            // Nobody's fault, and no sign of health.
            Err(AdapterError::Busy) => {}
            Ok(_) | Err(_) if self.0.any.load(Ordering::Relaxed) => {
                self.count_success(&(key_of(postback), call));
            }
            Ok(_) | Err(_) => {}
        }
    }

    fn count_fault(&self, call: Call, postback: &Postback, error: &AdapterError) {
        let key = key_of(postback);
        metrics::counter!("postrider_adapter_faults_total", "adapter" => key.0.clone(), "version" => key.1.clone(), "code" => error.code())
            .increment(1);
        let mut streaks = self.streaks();
        let streak = streaks.entry((key, call)).or_default();
        streak.faults = streak.faults.saturating_add(1);
        streak.owners.insert(postback.owner);
        streak.last = error.to_string();
        streak.unsaved = true;
        self.0.any.store(true, Ordering::Relaxed);
    }

    fn count_success(&self, key: &(Key, Call)) {
        if let Some(streak) = self.streaks().get_mut(key).filter(|streak| streak.faults > 0) {
            *streak = Streak { unsaved: true, ..Streak::default() };
        }
    }

    /// Whether so many calls for this postback's owner failed in a row that no more should be tried now.
    pub fn too_many(&self, postback: &Postback) -> bool {
        if !self.0.any.load(Ordering::Relaxed) {
            return false;
        }
        let (key, streaks) = (key_of(postback), self.streaks());
        streaks.iter().any(|((of, _), streak)| {
            *of == key && streak.faults >= FAULTS_IN_A_ROW && streak.owners.contains(&postback.owner)
        })
    }

    pub(super) fn forget(&self, key: &Key) {
        self.streaks().retain(|(of, _), _| of != key);
    }

    fn take_unsaved(&self) -> Vec<(Key, Streak)> {
        if !self.0.any.load(Ordering::Relaxed) {
            return Vec::new();
        }
        let mut streaks = self.streaks();
        let unsaved = streaks.iter().filter(|(_, streak)| streak.unsaved);
        let unsaved: Vec<_> = unsaved.map(|((key, _), it)| (key.clone(), it.clone())).collect();
        streaks.values_mut().for_each(|streak| streak.unsaved = false);
        // Whoever has no streak any more, or is about to be judged, starts anew.
        streaks.retain(|_, streak| (1..FAULTS_IN_A_ROW).contains(&streak.faults));
        self.0.any.store(!streaks.is_empty(), Ordering::Relaxed);
        unsaved
    }

    fn streaks(&self) -> MutexGuard<'_, HashMap<(Key, Call), Streak>> {
        self.0.streaks.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Registry {
    /// Tells the table what was counted, and takes versions out that failed too often. After each batch.
    pub async fn settle_faults(&self) {
        for (key, streak) in self.faults.take_unsaved() {
            if let Err(error) = self.settle(&key, &streak).await {
                tracing::error!(adapter = key.0, version = key.1, %error, "The faults of an adapter could not be stored");
            }
        }
    }

    async fn settle(&self, (id, version): &Key, streak: &Streak) -> Result<(), sea_orm::DbErr> {
        let db = self.db.writer();
        if streak.faults < FAULTS_IN_A_ROW || !self.concerns_everybody(id, version, streak).await? {
            return storage::adapters::save_faults(db, id, version, streak.faults).await;
        }
        let reason = format!("{} faults in a row, the last: {}", streak.faults, streak.last);
        if storage::adapters::take_out(db, id, version, streak.faults, &reason, self.clock.now()).await? {
            metrics::counter!("postrider_adapters_taken_out_total", "adapter" => id.clone(), "version" => version.clone())
                .increment(1);
            tracing::warn!(
                adapter = id,
                version,
                reason,
                "An adapter is out of service; its deliveries wait until it is enabled or their postbacks are upgraded"
            );
        }
        self.changed(id, version);
        Ok(())
    }

    /// One owner's configuration may be what the adapter stumbles over. While others use the version without
    /// faults, it stays: else anybody could stop everybody's deliveries.
    async fn concerns_everybody(&self, id: &str, version: &str, streak: &Streak) -> Result<bool, sea_orm::DbErr> {
        if streak.owners.len() > 1 {
            return Ok(true);
        }
        let owner = streak.owners.iter().next().copied().flatten();
        Ok(!storage::postbacks::others_use(self.db.reader(), id, version, owner).await?)
    }
}
