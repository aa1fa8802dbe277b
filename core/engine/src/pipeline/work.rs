//! A table as an apalis backend: a stream that claims, and never ends or fails.
//!
//! apalis stops a worker whose stream yields an error or an end. This one logs an error, waits and goes
//! on; it ends only when the process does.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use apalis::prelude::*;
use apalis_core::backend::custom::{BackendBuilder, CustomBackend};
use apalis_core::task::builder::TaskBuilder;
use futures::future::BoxFuture;
use futures::sink::Drain;
use futures::stream::{self, BoxStream, StreamExt};
use sea_orm::DbErr;
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use crate::inbox::{Inbox, Item};
use domain::timestamp::Timestamp;
use storage::clock::Clock;

/// How long to wait after the database failed.
const AFTER_ERROR: Duration = Duration::from_secs(1);

/// What a fetch found.
pub struct Fetched<T> {
    pub tasks: Vec<T>,
    /// How long to sleep when there is nothing more, unless woken. Zero: ask again at once.
    pub idle: Duration,
}

type TaskStream<T> = BoxStream<'static, Result<Option<Task<T>>, Infallible>>;

pub type Queue<T> = CustomBackend<T, (), TaskStream<T>, Drain<Task<T>>>;

/// A worker under way. A box, because the compiler can't see that the bare future may move between threads.
pub type Running = BoxFuture<'static, Result<(), WorkerError>>;

/// Ends when the process is to stop.
pub async fn told_to_stop(stopping: CancellationToken) -> Result<(), WorkerError> {
    stopping.cancelled().await;
    Ok(())
}

/// A backend that runs `fetch` whenever the worker wants more and there may be some.
pub fn queue<T, F, Fut>(clock: Clock, wake: Arc<Notify>, fetch: F) -> Queue<T>
where
    T: Send + 'static,
    F: Fn() -> Fut + Clone + Send + Sync + 'static,
    Fut: Future<Output = Result<Fetched<T>, DbErr>> + Send + 'static,
{
    BackendBuilder::new()
        .database(())
        .fetcher(move |(), (), _| {
            Fetcher { clock: clock.clone(), wake: wake.clone(), fetch: fetch.clone(), ready: VecDeque::new() }.stream()
        })
        .sink(|(), ()| futures::sink::drain())
        .build()
        .expect("database, fetcher and sink are all given")
}

/// A backend whose only work is `task`, once in `every`. Nothing of it is stored: a run may be repeated or left out.
pub fn schedule<T: Send + 'static>(clock: &Clock, every: Duration, task: fn() -> T) -> Queue<T> {
    repeat(clock, every, task, false)
}

/// The same, and for the first time without a wait.
pub fn schedule_at_once<T: Send + 'static>(clock: &Clock, every: Duration, task: fn() -> T) -> Queue<T> {
    repeat(clock, every, task, true)
}

fn repeat<T: Send + 'static>(clock: &Clock, every: Duration, task: fn() -> T, at_once: bool) -> Queue<T> {
    let at_once = Arc::new(AtomicBool::new(at_once));
    let fetch = {
        let clock = clock.clone();
        move || {
            let (clock, at_once) = (clock.clone(), at_once.swap(false, Ordering::Relaxed));
            async move {
                if !at_once {
                    clock.sleep(every).await;
                }
                Ok(Fetched { tasks: vec![task()], idle: every })
            }
        }
    };
    queue(clock.clone(), Arc::default(), fetch)
}

struct Fetcher<T, F> {
    clock: Clock,
    wake: Arc<Notify>,
    fetch: F,
    ready: VecDeque<T>,
}

impl<T, F, Fut> Fetcher<T, F>
where
    T: Send + 'static,
    F: Fn() -> Fut + Send + Sync + 'static,
    Fut: Future<Output = Result<Fetched<T>, DbErr>> + Send + 'static,
{
    fn stream(self) -> TaskStream<T> {
        stream::unfold(self, |mut fetcher| async move {
            let task = fetcher.next().await;
            Some((Ok(Some(task)), fetcher))
        })
        .boxed()
    }

    async fn next(&mut self) -> Task<T> {
        loop {
            if let Some(next) = self.ready.pop_front() {
                return identified(next);
            }
            match (self.fetch)().await {
                Ok(fetched) => {
                    self.ready.extend(fetched.tasks);
                    if self.ready.is_empty() && fetched.idle.is_zero() {
                        // A fetch that never had to wait must not keep the thread from what it began.
                        tokio::task::yield_now().await;
                    } else if self.ready.is_empty() {
                        tokio::select! {
                            () = self.wake.notified() => {}
                            () = self.clock.sleep(fetched.idle) => {}
                        }
                    }
                }
                Err(error) => {
                    tracing::error!(%error, "Work could not be claimed; trying again in a second");
                    tokio::time::sleep(AFTER_ERROR).await;
                }
            }
        }
    }
}

/// What a look into the table found, for the inbox that asked for it at `now`. If it failed although other work is at
/// hand, that goes first.
pub fn found_beside<T: Default, I: Item>(
    found: Result<T, DbErr>,
    inbox: &Inbox<I>,
    now: Timestamp,
    other_work: bool,
) -> Result<T, DbErr> {
    if found.is_err() {
        // The inbox believes that the table has been looked into. A clock that stands still never shows the next time.
        inbox.look_by(now);
    }
    match found {
        Err(error) if other_work => {
            tracing::error!(%error, "Work could not be claimed; trying again soon");
            Ok(T::default())
        }
        found => found,
    }
}

/// A task without an id would make the worker panic.
fn identified<T>(args: T) -> Task<T> {
    static NEXT: AtomicU64 = AtomicU64::new(1);
    TaskBuilder::new(args).task_id(TaskId::from_int(NEXT.fetch_add(1, Ordering::Relaxed))).build()
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use sea_orm::DbErr;

    use super::found_beside;
    use crate::inbox::{Inbox, Leases};
    use domain::timestamp::Timestamp;

    #[test]
    fn a_look_that_failed_is_made_again_at_the_same_time() {
        let inbox: Inbox<u32> = Inbox::new(Leases::new(Duration::from_secs(32)));
        let now = Timestamp::from_millis(0);
        for other_work in [false, true] {
            assert!(inbox.take(1, now).look);
            let failed: Result<Vec<u32>, DbErr> = Err(DbErr::Custom("the database is away".into()));
            assert_eq!(found_beside(failed, &inbox, now, other_work).is_ok(), other_work);
        }
        assert!(inbox.take(1, now).look);
        assert!(!inbox.take(1, now).look);
    }
}
