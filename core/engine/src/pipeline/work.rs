//! The worker engine: apalis workers whose tasks come from our own tables. No other file uses apalis.
//!
//! apalis stops a worker whose stream yields an error or ends. The stream of a [`TaskBackend`] logs an error, waits
//! and continues; it ends only with the process.

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

use crate::work_queue::{Item, WorkQueue};
use domain::timestamp::Timestamp;
use storage::clock::Clock;

/// Wait after an error of the database.
pub(crate) const AFTER_ERROR: Duration = Duration::from_secs(1);

/// The result of one fetch.
pub struct Fetched<T> {
    pub tasks: Vec<T>,
    /// How long to sleep if there are no tasks and nothing wakes the worker. Zero: fetch again at once.
    pub idle: Duration,
}

type TaskStream<T> = BoxStream<'static, Result<Option<Task<T>>, Infallible>>;

/// The tasks of a worker.
pub type TaskBackend<T> = CustomBackend<T, (), TaskStream<T>, Drain<Task<T>>>;

/// A running worker. It is boxed because the compiler can't prove that the bare future is `Send`.
pub type Running = BoxFuture<'static, Result<(), WorkerError>>;

/// How the tasks of a worker run.
pub struct Worker {
    pub name: &'static str,
    /// Maximum number of tasks at once.
    pub concurrency: usize,
    /// Whether each task runs as its own task of the runtime, on any thread. Otherwise all run within the worker's
    /// task.
    pub parallel: bool,
}

/// Runs a worker until `stopping` is cancelled and its tasks have ended.
pub fn worker<T, H, Fut>(it: &Worker, backend: TaskBackend<T>, stopping: CancellationToken, handle: H) -> Running
where
    T: Send + 'static,
    H: Fn(T) -> Fut + Clone + Send + Sync + 'static,
    Fut: Future<Output = ()> + Send + 'static,
{
    // apalis refuses a second worker of the same name, even after the first one has ended.
    let name = format!("{}-{:016x}", it.name, rand::random::<u64>());
    let builder = WorkerBuilder::new(name).backend(backend).concurrency(it.concurrency);
    let stopped = async move {
        stopping.cancelled().await;
        Ok::<_, WorkerError>(())
    };
    if it.parallel {
        Box::pin(builder.parallelize(tokio::spawn).build(handle).run_until(stopped))
    } else {
        Box::pin(builder.build(handle).run_until(stopped))
    }
}

/// A backend that runs `fetch` whenever the worker has room for more tasks.
pub fn backend<T, F, Fut>(clock: Clock, wake: Arc<Notify>, fetch: F) -> TaskBackend<T>
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

/// When a scheduled task runs first.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum First {
    AtOnce,
    AfterInterval,
}

/// A backend with one task per interval. The schedule is not stored: after a restart the interval begins again.
pub fn schedule(clock: &Clock, every: Duration, first: First) -> TaskBackend<()> {
    let at_once = Arc::new(AtomicBool::new(first == First::AtOnce));
    let fetch = {
        let clock = clock.clone();
        move || {
            let (clock, at_once) = (clock.clone(), at_once.swap(false, Ordering::Relaxed));
            async move {
                if !at_once {
                    clock.sleep(every).await;
                }
                Ok(Fetched { tasks: vec![()], idle: every })
            }
        }
    };
    backend(clock.clone(), Arc::default(), fetch)
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
                        // A fetch that never waits must not block other tasks of this thread.
                        tokio::task::yield_now().await;
                    } else if self.ready.is_empty() {
                        tokio::select! {
                            () = self.wake.notified() => {}
                            () = self.clock.sleep(fetched.idle) => {}
                        }
                    }
                }
                Err(error) => {
                    tracing::error!(%error, "Work could not be claimed; the worker tries again in a second");
                    tokio::time::sleep(AFTER_ERROR).await;
                }
            }
        }
    }
}

/// The result of a poll of the table at `now`. If the poll failed and there is other work, the error is logged and the
/// other work goes first.
pub(crate) fn after_poll<T: Default, I: Item>(
    found: Result<T, DbErr>,
    queue: &WorkQueue<I>,
    now: Timestamp,
    other_work: bool,
) -> Result<T, DbErr> {
    if found.is_err() {
        // The queue counts the failed poll; poll again at once. A stopped clock (in tests) would never reach the next
        // poll.
        queue.poll_at(now);
    }
    match found {
        Err(error) if other_work => {
            tracing::error!(%error, "Work could not be claimed; the next poll tries again");
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

    use super::after_poll;
    use crate::work_queue::{Leases, WorkQueue};
    use domain::timestamp::Timestamp;

    #[test]
    fn a_failed_poll_is_repeated_at_the_same_time() {
        let queue: WorkQueue<u32> = WorkQueue::new(Leases::new(Duration::from_secs(32)));
        let now = Timestamp::from_millis(0);
        for other_work in [false, true] {
            assert!(queue.take(1, now).poll);
            let failed: Result<Vec<u32>, DbErr> = Err(DbErr::Custom("the database is away".into()));
            assert_eq!(after_poll(failed, &queue, now, other_work).is_ok(), other_work);
        }
        assert!(queue.take(1, now).poll);
        assert!(!queue.take(1, now).poll);
    }
}
