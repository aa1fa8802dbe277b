//! Faults in a row, by adapter version, and what follows from too many.
//!
//! Counted in memory, where the calls are made; the table only hears of changes. Each node counts for itself. Each call counts
//! for itself as well: an adapter that decides well and always fails to render must not look healthy in between.

use std::collections::{HashMap, HashSet};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::adapters::{Adapter, AdapterError};
use crate::domain::adapter::FAULTS_IN_A_ROW;
use crate::domain::postback::Postback;
use crate::domain::source::Source;
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
    DecorateClick,
    ParseInbound,
}

/// Whoever uses a version, on behalf of its owner.
#[derive(Clone, Copy, Debug)]
pub struct User<'a> {
    adapter: &'a str,
    version: &'a str,
    owner: Option<AffiliateId>,
}

impl<'a> User<'a> {
    /// A source may pin no version, so it is the adapter that was asked.
    pub fn source(source: &Source, adapter: &'a Adapter) -> Self {
        let descriptor = adapter.descriptor();
        Self { adapter: &descriptor.id, version: &descriptor.version, owner: source.affiliate_id }
    }

    fn key(self) -> Key {
        (self.adapter.to_owned(), self.version.to_owned())
    }
}

impl<'a> From<&'a Arc<Postback>> for User<'a> {
    fn from(postback: &'a Arc<Postback>) -> Self {
        Self { adapter: &postback.adapter, version: &postback.adapter_version, owner: postback.owner }
    }
}

#[derive(Clone, Debug, Default)]
struct Streak {
    faults: u32,
    /// Whose postbacks and sources they were.
    owners: HashSet<Option<AffiliateId>>,
    last: String,
    /// Not yet told to the table.
    unsaved: bool,
}

impl Faults {
    /// Counts the outcome of a call on behalf of a postback or a source.
    pub fn count<'a, T>(&self, call: Call, user: impl Into<User<'a>>, outcome: &Result<T, AdapterError>) {
        let user = user.into();
        match outcome {
            Err(error) if error.is_fault() => self.count_fault(call, user, error),
            // Nobody's fault, and no sign of health.
            Err(AdapterError::Busy) => {}
            Ok(_) | Err(_) if self.0.any.load(Ordering::Relaxed) => {
                self.count_success(&(user.key(), call));
            }
            Ok(_) | Err(_) => {}
        }
    }

    fn count_fault(&self, call: Call, user: User<'_>, error: &AdapterError) {
        let key = user.key();
        metrics::counter!("postrider_adapter_faults_total", "adapter" => key.0.clone(), "version" => key.1.clone(), "code" => error.code())
            .increment(1);
        let mut streaks = self.streaks();
        let streak = streaks.entry((key, call)).or_default();
        streak.faults = streak.faults.saturating_add(1);
        streak.owners.insert(user.owner);
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
                "An adapter is out of service; what is due for it waits until it is enabled or what uses it is upgraded"
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
        let db = self.db.reader();
        Ok(!storage::postbacks::others_use(db, id, version, owner).await?
            && !storage::sources::others_use(db, id, version, owner).await?)
    }
}
