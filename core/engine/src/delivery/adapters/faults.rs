//! Faults in a row, by adapter version and call.
//!
//! Counted in memory, where the calls are made; `judging` draws the conclusions. Each node counts for itself. Each call counts
//! for itself as well: an adapter that decides well and always fails to render must not look healthy in between.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use domain::delivery::adapter::FAULTS_IN_A_ROW;
use domain::delivery::adapter_faults::suspended_for;
use domain::delivery::postback::Postback;
use domain::ids::AffiliateId;
use domain::inbound::source::Source;
use domain::timestamp::Timestamp;
use host::{Adapter, AdapterError};

use super::{Key, key_of};

/// Deliveries of owners whose faults are being judged wait this long, for the verdict.
const JUDGING: Duration = Duration::from_secs(5);

/// Cheap to clone; all clones count together.
#[derive(Clone, Default)]
pub struct Faults(Arc<Counts>);

#[derive(Default)]
struct Counts {
    /// By version and call.
    streaks: Mutex<HashMap<(Key, Call), Streak>>,
    suspensions: Mutex<HashMap<(Key, Option<AffiliateId>), Suspension>>,
    /// Whether there is any streak at all: nearly never, and then counting costs nothing.
    any: AtomicBool,
    /// The same for suspensions.
    any_suspended: AtomicBool,
    /// One at a time tells the table.
    settling: tokio::sync::Mutex<()>,
}

/// What an adapter was asked.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Call {
    Decide,
    Render,
    Classify,
    DecorateClick,
    ParseInbound,
    /// Any of them: it took too long on average.
    Pace,
}

/// What a call was made for.
#[derive(Clone, Debug)]
pub enum Subject {
    Postback(Arc<Postback>),
    Source(Arc<Source>),
}

impl Subject {
    pub fn owner(&self) -> Option<AffiliateId> {
        match self {
            Self::Postback(postback) => postback.owner,
            Self::Source(source) => source.affiliate_id,
        }
    }
}

/// Whoever uses a version, on behalf of its owner.
#[derive(Clone, Copy, Debug)]
pub struct User<'a> {
    adapter: &'a str,
    version: &'a str,
    subject: Used<'a>,
}

#[derive(Clone, Copy, Debug)]
enum Used<'a> {
    Postback(&'a Arc<Postback>),
    Source(&'a Source),
}

impl<'a> User<'a> {
    /// A source may pin no version, so it is the adapter that was asked.
    pub fn source(source: &'a Source, adapter: &'a Adapter) -> Self {
        let descriptor = adapter.descriptor();
        Self { adapter: &descriptor.id, version: &descriptor.version, subject: Used::Source(source) }
    }

    fn key(self) -> Key {
        (self.adapter.to_owned(), self.version.to_owned())
    }

    fn subject(self) -> Subject {
        match self.subject {
            Used::Postback(postback) => Subject::Postback(postback.clone()),
            Used::Source(source) => Subject::Source(Arc::new(source.clone())),
        }
    }
}

impl<'a> From<&'a Arc<Postback>> for User<'a> {
    fn from(postback: &'a Arc<Postback>) -> Self {
        Self { adapter: &postback.adapter, version: &postback.adapter_version, subject: Used::Postback(postback) }
    }
}

#[derive(Clone, Debug, Default)]
pub(crate) struct Streak {
    pub faults: u32,
    /// Whose postbacks and sources they were, with the one that failed last.
    pub owners: HashMap<Option<AffiliateId>, Subject>,
    pub last: String,
    /// Not yet told to the table.
    unsaved: bool,
}

/// One owner's deliveries wait for a version.
#[derive(Clone, Copy, Debug)]
struct Suspension {
    until: Timestamp,
    /// In a row.
    times: u32,
}

impl Faults {
    /// Counts the outcome of a call on behalf of a postback or a source.
    pub fn count<'a, T>(&self, call: Call, user: impl Into<User<'a>>, outcome: &Result<T, AdapterError>) {
        let user = user.into();
        match outcome {
            Err(error) if error.is_fault() => {
                metrics::counter!("postrider_adapter_faults_total", "adapter" => user.adapter.to_owned(), "version" => user.version.to_owned(), "code" => error.code())
                    .increment(1);
                self.count_fault((user.key(), call), user.subject(), error.to_string());
            }
            // Nobody's fault, and no sign of health: the machine was busy, or an event was too large.
            Err(AdapterError::Busy | AdapterError::OutputTooLarge { .. }) => {}
            Ok(_) | Err(_) if self.0.any.load(Ordering::Relaxed) => {
                self.count_success(&(user.key(), call));
            }
            Ok(_) | Err(_) => {}
        }
    }

    /// Counts a turn of calls: `too_slow` is what they take on average, if that is too long.
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

    /// Until when no more should be tried for this postback's owner, who has failed too often with the version.
    pub fn suspended_until(&self, postback: &Postback, now: Timestamp) -> Option<Timestamp> {
        let key = || key_of(postback);
        let is_on_trial = self.any() && {
            let key = key();
            held(&self.0.streaks).iter().any(|((of, _), streak)| {
                *of == key && streak.faults >= FAULTS_IN_A_ROW && streak.owners.contains_key(&postback.owner)
            })
        };
        if is_on_trial {
            return Some(now.plus(JUDGING));
        }
        if !self.0.any_suspended.load(Ordering::Relaxed) {
            return None;
        }
        let until = held(&self.0.suspensions).get(&(key(), postback.owner)).map(|suspension| suspension.until);
        until.filter(|until| *until > now)
    }

    pub(super) fn forget(&self, key: &Key) {
        held(&self.0.streaks).retain(|(of, _), _| of != key);
        held(&self.0.suspensions).retain(|(of, _), _| of != key);
    }

    /// Whether the table should hear of anything.
    pub(crate) fn any(&self) -> bool {
        self.0.any.load(Ordering::Relaxed)
    }

    /// Held by whoever takes what is unsaved until it is saved.
    pub(crate) async fn settling(&self) -> tokio::sync::MutexGuard<'_, ()> {
        self.0.settling.lock().await
    }

    /// What changed since the last time. The owners of streaks that are to be judged wait for that.
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
                self.suspend(key, *owner, |times| (now.plus(JUDGING), times));
            }
        }
        // Whoever has no streak any more, or is about to be judged, starts anew.
        streaks.retain(|_, streak| (1..FAULTS_IN_A_ROW).contains(&streak.faults));
        self.0.any.store(!streaks.is_empty(), Ordering::Relaxed);
        unsaved
    }

    /// An owner's deliveries wait: the first time for a minute, each time in a row for twice as long. Says for how long.
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

    /// An owner's calls work with good data: its deliveries go on.
    pub fn resume(&self, key: &Key, owner: Option<AffiliateId>) {
        let mut suspensions = held(&self.0.suspensions);
        suspensions.remove(&(key.clone(), owner));
        self.0.any_suspended.store(!suspensions.is_empty(), Ordering::Relaxed);
    }
}

/// Nothing here is ever half-done, so a lock that was held during a panic is as good as any.
fn held<S>(lock: &Mutex<S>) -> MutexGuard<'_, S> {
    lock.lock().unwrap_or_else(PoisonError::into_inner)
}
