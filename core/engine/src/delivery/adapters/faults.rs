//! Faults in a row, by adapter version and call.
//!
//! Faults are counted in memory; `fault_review.rs` reviews them. Each process counts for itself. Each call
//! is counted separately, because an adapter that decides well and always fails to render must not look healthy.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use domain::delivery::adapter::FAULTS_IN_A_ROW;
use domain::delivery::adapter::faults::suspended_for;
use domain::delivery::postback::Postback;
use domain::ids::AffiliateId;
use domain::inbound::source::Source;
use domain::timestamp::Timestamp;
use host::{Adapter, AdapterError};

use super::{Key, key_of};

/// Deliveries of an owner wait this long while the owner's faults are reviewed.
const REVIEW_WAIT: Duration = Duration::from_secs(5);

/// All clones share the same counts.
#[derive(Clone, Default)]
pub struct Faults(Arc<Counts>);

#[derive(Default)]
struct Counts {
    /// By version and call.
    streaks: Mutex<HashMap<(Key, Call), Streak>>,
    suspensions: Mutex<HashMap<(Key, Option<AffiliateId>), Suspension>>,
    /// Whether there is any streak. There is hardly ever one, so counting needs no lock.
    any: AtomicBool,
    /// Whether there is any suspension.
    any_suspended: AtomicBool,
    /// Held while faults are reviewed, one task at a time.
    reviewing: tokio::sync::Mutex<()>,
}

/// A kind of call of an adapter.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Call {
    Decide,
    Render,
    Classify,
    DecorateClick,
    ParseInbound,
    /// Any of them, if they take too long on average.
    Pace,
}

/// The postback or source for which a call is made.
#[derive(Clone, Debug)]
pub enum Subject {
    Postback(Arc<Postback>),
    Source(Arc<Source>),
}

impl Subject {
    /// The owner of the postback or source. `None`: the program.
    pub fn owner(&self) -> Option<AffiliateId> {
        match self {
            Self::Postback(postback) => postback.owner,
            Self::Source(source) => source.affiliate_id,
        }
    }
}

/// A postback or source, with the adapter version that it uses.
#[derive(Clone, Copy, Debug)]
pub struct AdapterUse<'a> {
    adapter: &'a str,
    version: &'a str,
    subject: SubjectRef<'a>,
}

#[derive(Clone, Copy, Debug)]
enum SubjectRef<'a> {
    Postback(&'a Arc<Postback>),
    Source(&'a Source),
}

impl<'a> AdapterUse<'a> {
    /// A source, with the version of the called adapter, because a source may pin no version.
    pub fn source(source: &'a Source, adapter: &'a Adapter) -> Self {
        let descriptor = adapter.descriptor();
        Self { adapter: &descriptor.id, version: &descriptor.version, subject: SubjectRef::Source(source) }
    }

    fn key(self) -> Key {
        (self.adapter.to_owned(), self.version.to_owned())
    }

    fn subject(self) -> Subject {
        match self.subject {
            SubjectRef::Postback(postback) => Subject::Postback(postback.clone()),
            SubjectRef::Source(source) => Subject::Source(Arc::new(source.clone())),
        }
    }
}

impl<'a> From<&'a Arc<Postback>> for AdapterUse<'a> {
    fn from(postback: &'a Arc<Postback>) -> Self {
        Self { adapter: &postback.adapter, version: &postback.adapter_version, subject: SubjectRef::Postback(postback) }
    }
}

/// Faults in a row of one call.
#[derive(Clone, Debug, Default)]
pub(crate) struct Streak {
    pub faults: u32,
    /// The owners of the failed postbacks and sources, with the one that failed last.
    pub owners: HashMap<Option<AffiliateId>, Subject>,
    /// The sentence of the last fault.
    pub last: String,
    /// Whether it changed since it was last stored.
    unsaved: bool,
}

/// The deliveries of one owner wait for a version.
#[derive(Clone, Copy, Debug)]
struct Suspension {
    until: Timestamp,
    /// The number of suspensions in a row.
    times: u32,
}

impl Faults {
    /// Counts the outcome of a call for a postback or a source.
    pub fn count<'a, T>(&self, call: Call, used_by: impl Into<AdapterUse<'a>>, outcome: &Result<T, AdapterError>) {
        let used = used_by.into();
        match outcome {
            Err(error) if error.is_fault() => {
                metrics::counter!("postrider_adapter_faults_total", "adapter" => used.adapter.to_owned(), "version" => used.version.to_owned(), "code" => error.code())
                    .increment(1);
                self.count_fault((used.key(), call), used.subject(), error.to_string());
            }
            // Neither a fault nor a success: the machine was busy, or an event was too large.
            Err(AdapterError::Busy | AdapterError::OutputTooLarge { .. }) => {}
            Ok(_) | Err(_) if self.0.any.load(Ordering::Relaxed) => {
                self.count_success(&(used.key(), call));
            }
            Ok(_) | Err(_) => {}
        }
    }

    /// Counts a turn of calls. `too_slow` is their average time, if it is too long.
    pub(super) fn count_pace(&self, subject: &Subject, adapter: &str, version: &str, too_slow: Option<Duration>) {
        let key = || ((adapter.to_owned(), version.to_owned()), Call::Pace);
        if let Some(average) = too_slow {
            let (adapter, version) = key().0;
            metrics::counter!("postrider_adapter_faults_total", "adapter" => adapter, "version" => version, "code" => "adapter_too_slow")
                .increment(1);
            let sentence = format!("its calls take {} ms on average", average.as_millis());
            self.count_fault(key(), subject.clone(), sentence);
        } else if self.0.any.load(Ordering::Relaxed) {
            self.count_success(&key());
        }
    }

    fn count_fault(&self, of: (Key, Call), subject: Subject, sentence: String) {
        let mut streaks = held(&self.0.streaks);
        let streak = streaks.entry(of).or_default();
        streak.faults = streak.faults.saturating_add(1);
        streak.owners.insert(subject.owner(), subject);
        streak.last = sentence;
        streak.unsaved = true;
        self.0.any.store(true, Ordering::Relaxed);
    }

    fn count_success(&self, of: &(Key, Call)) {
        if let Some(streak) = held(&self.0.streaks).get_mut(of).filter(|streak| streak.faults > 0) {
            *streak = Streak { unsaved: true, ..Streak::default() };
        }
    }

    /// The end of the suspension of this postback's owner, whose calls of the version failed too often.
    pub(crate) fn suspended_until(&self, postback: &Postback, now: Timestamp) -> Option<Timestamp> {
        let key = || key_of(postback);
        let is_under_review = self.any() && {
            let key = key();
            held(&self.0.streaks).iter().any(|((of, _), streak)| {
                *of == key && streak.faults >= FAULTS_IN_A_ROW && streak.owners.contains_key(&postback.owner)
            })
        };
        if is_under_review {
            return Some(now.plus(REVIEW_WAIT));
        }
        if !self.0.any_suspended.load(Ordering::Relaxed) {
            return None;
        }
        let until = held(&self.0.suspensions).get(&(key(), postback.owner)).map(|suspension| suspension.until);
        until.filter(|until| *until > now)
    }

    /// Removes the counts and suspensions of a version.
    pub(super) fn forget(&self, key: &Key) {
        held(&self.0.streaks).retain(|(of, _), _| of != key);
        held(&self.0.suspensions).retain(|(of, _), _| of != key);
    }

    /// Whether there is anything to store.
    pub(crate) fn any(&self) -> bool {
        self.0.any.load(Ordering::Relaxed)
    }

    /// The lock that is held from taking unsaved streaks until they are stored.
    pub(crate) async fn reviewing(&self) -> tokio::sync::MutexGuard<'_, ()> {
        self.0.reviewing.lock().await
    }

    /// Takes the streaks that changed since the last call. Owners whose streaks are to be reviewed are suspended
    /// meanwhile.
    pub(crate) fn take_unsaved(&self, now: Timestamp) -> Vec<((Key, Call), Streak)> {
        if !self.any() {
            return Vec::new();
        }
        let mut streaks = held(&self.0.streaks);
        let unsaved = streaks.iter().filter(|(_, streak)| streak.unsaved);
        let unsaved: Vec<_> = unsaved.map(|(of, it)| (of.clone(), it.clone())).collect();
        streaks.values_mut().for_each(|streak| streak.unsaved = false);
        for ((key, _), streak) in unsaved.iter().filter(|(_, streak)| streak.faults >= FAULTS_IN_A_ROW) {
            for owner in streak.owners.keys() {
                self.suspend(key, *owner, |times| (now.plus(REVIEW_WAIT), times));
            }
        }
        // Streaks that ended and streaks that are to be reviewed are removed; counting starts again at 0.
        streaks.retain(|_, streak| (1..FAULTS_IN_A_ROW).contains(&streak.faults));
        self.0.any.store(!streaks.is_empty(), Ordering::Relaxed);
        unsaved
    }

    /// Suspends an owner: for a minute at first, and for twice as long each further time in a row. Returns the
    /// duration.
    pub(crate) fn suspend_owner(&self, key: &Key, owner: Option<AffiliateId>, now: Timestamp) -> Duration {
        let mut span = Duration::ZERO;
        self.suspend(key, owner, |times| {
            span = suspended_for(times + 1);
            (now.plus(span), times + 1)
        });
        span
    }

    fn suspend(&self, key: &Key, owner: Option<AffiliateId>, next: impl FnOnce(u32) -> (Timestamp, u32)) {
        let mut suspensions = held(&self.0.suspensions);
        let suspension = suspensions
            .entry((key.clone(), owner))
            .or_insert(Suspension { until: Timestamp::from_millis(i64::MIN), times: 0 });
        let (until, times) = next(suspension.times);
        *suspension = Suspension { until: until.max(suspension.until), times };
        self.0.any_suspended.store(true, Ordering::Relaxed);
    }

    /// Ends the suspension of an owner.
    pub(crate) fn resume(&self, key: &Key, owner: Option<AffiliateId>) {
        let mut suspensions = held(&self.0.suspensions);
        suspensions.remove(&(key.clone(), owner));
        self.0.any_suspended.store(!suspensions.is_empty(), Ordering::Relaxed);
    }
}

/// A panic of another holder is ignored: no change leaves the data half-done.
fn held<S>(lock: &Mutex<S>) -> MutexGuard<'_, S> {
    lock.lock().unwrap_or_else(PoisonError::into_inner)
}
