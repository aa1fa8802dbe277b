//! Group commit: one task gathers what arrives together and commits it together.
//!
//! While one group is being committed the next one gathers, so a lone request waits for nobody and a crowd
//! shares one flush to disk. A request is answered when its group is durable. Of lanes side by side one does not begin
//! with a few commands while another commits: it gathers on until that ends or they are worth a commit.

use std::future::Future;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use tokio::sync::{Notify, mpsc, oneshot};

/// Gives commands to a group-committing task and brings back their answers.
#[derive(Debug)]
pub struct Writer<C, A> {
    queue: mpsc::Sender<(C, oneshot::Sender<A>)>,
}

impl<C, A> Clone for Writer<C, A> {
    fn clone(&self) -> Self {
        Self { queue: self.queue.clone() }
    }
}

/// How many commands are committed together.
#[derive(Clone, Copy, Debug)]
pub struct BatchSizes {
    pub max_batch: usize,
    /// A smaller one goes on gathering while another lane commits: where a group costs much whatever its size, that
    /// weighs more than waiting does.
    pub min_batch: usize,
}

/// A lane whose commit waits for a lock or for the disk does not hold up the others.
const MAX_LINGER: Duration = Duration::from_millis(20);

/// The commits of writers side by side.
#[derive(Debug, Default)]
struct Commits {
    under_way: AtomicUsize,
    ended: Notify,
}

impl Commits {
    fn begin(&self) -> UnderWay<'_> {
        self.under_way.fetch_add(1, Ordering::SeqCst);
        UnderWay(self)
    }
}

/// Ends with its group, however that ends.
struct UnderWay<'a>(&'a Commits);

impl Drop for UnderWay<'_> {
    fn drop(&mut self) {
        self.0.under_way.fetch_sub(1, Ordering::SeqCst);
        self.0.ended.notify_waiters();
    }
}

/// The writer's task ended, or the group was broken off.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the server is stopping or had to break this off; send the request again in a moment")]
pub struct Stopped;

impl<C: Send + 'static, A: Send + 'static> Writer<C, A> {
    /// `commit` gets up to `max_batch` commands and must answer each of them, in order.
    /// The task ends, after its last group, when every clone of the writer is dropped.
    pub fn spawn<F, Fut>(max_batch: usize, commit: F) -> (Self, tokio::task::JoinHandle<()>)
    where
        F: FnMut(Vec<C>) -> Fut + Send + 'static,
        Fut: Future<Output = Vec<A>> + Send + 'static,
    {
        Self::spawn_beside(Arc::default(), BatchSizes { max_batch, min_batch: 1 }, commit)
    }

    fn spawn_beside<F, Fut>(
        beside: Arc<Commits>,
        groups: BatchSizes,
        mut commit: F,
    ) -> (Self, tokio::task::JoinHandle<()>)
    where
        F: FnMut(Vec<C>) -> Fut + Send + 'static,
        Fut: Future<Output = Vec<A>> + Send + 'static,
    {
        let (queue, mut arrivals) = mpsc::channel::<(C, oneshot::Sender<A>)>(4 * groups.max_batch);
        let task = tokio::spawn(async move {
            let mut group = Vec::with_capacity(groups.max_batch);
            while arrivals.recv_many(&mut group, groups.max_batch).await > 0 {
                let gathering = gather_on(&mut arrivals, &mut group, groups, &beside);
                let _ = tokio::time::timeout(MAX_LINGER, gathering).await;
                let _under_way = beside.begin();
                let (commands, waiting): (Vec<_>, Vec<_>) = group.drain(..).unzip();
                // A task of its own: a panic breaks off this group, not every group to come.
                let Ok(answers) = tokio::spawn(commit(commands)).await else {
                    tracing::error!(
                        commands = waiting.len(),
                        "A group was broken off by a bug; nothing of it was stored"
                    );
                    continue;
                };
                debug_assert_eq!(answers.len(), waiting.len(), "every command is answered");
                for (answer, waiting) in answers.into_iter().zip(waiting) {
                    // Whoever asked may have hung up; what was committed stays committed.
                    let _ = waiting.send(answer);
                }
            }
        });
        (Self { queue }, task)
    }

    /// Puts the command in line; the answer comes when its group is durable.
    async fn begin(&self, command: C) -> Result<oneshot::Receiver<A>, Stopped> {
        let (answer, waiting) = oneshot::channel();
        self.queue.send((command, answer)).await.map_err(|_| Stopped)?;
        Ok(waiting)
    }

    /// Waits until the command's group is durable.
    pub async fn submit(&self, command: C) -> Result<A, Stopped> {
        self.begin(command).await?.await.map_err(|_| Stopped)
    }
}

/// While others commit and the group is not worth a commit of its own, takes what else arrives.
async fn gather_on<T>(arrivals: &mut mpsc::Receiver<T>, group: &mut Vec<T>, groups: BatchSizes, beside: &Commits) {
    while group.len() < groups.min_batch {
        let ended = beside.ended.notified();
        if beside.under_way.load(Ordering::SeqCst) == 0 {
            return;
        }
        tokio::select! {
            biased;
            () = ended => return,
            more = arrivals.recv_many(group, groups.max_batch - group.len()) => if more == 0 { return },
        }
    }
}

/// Writers side by side, where the database can commit side by side: one group is on its way to the disk while
/// another is put together. Commands of one key always take the same lane, so they keep their order.
#[derive(Debug)]
pub struct Shards<C, A>(Arc<[Writer<C, A>]>);

impl<C, A> Clone for Shards<C, A> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

impl<C: Send + 'static, A: Send + 'static> Shards<C, A> {
    /// As many writers as there are lanes; `open` makes what commits the groups of one.
    pub fn spawn<F, Fut>(
        lanes: usize,
        groups: BatchSizes,
        open: impl Fn() -> F,
    ) -> (Self, Vec<tokio::task::JoinHandle<()>>)
    where
        F: FnMut(Vec<C>) -> Fut + Send + 'static,
        Fut: Future<Output = Vec<A>> + Send + 'static,
    {
        let beside = Arc::<Commits>::default();
        let writer = |_| Writer::spawn_beside(beside.clone(), groups, open());
        let (writers, tasks): (Vec<_>, Vec<_>) = (0..lanes).map(writer).unzip();
        (Self(writers.into()), tasks)
    }

    fn lane(&self, key: &impl Hash) -> &Writer<C, A> {
        let mut hasher = DefaultHasher::new();
        key.hash(&mut hasher);
        &self.0[hasher.finish() as usize % self.0.len()]
    }

    /// Waits until the command's group is durable.
    pub async fn submit(&self, key: &impl Hash, command: C) -> Result<A, Stopped> {
        self.lane(key).submit(command).await
    }

    /// Many commands; those of one key are carried out in the order given. Waits until all are durable.
    pub async fn submit_all<K: Hash>(&self, commands: impl IntoIterator<Item = (K, C)>) -> Vec<Result<A, Stopped>> {
        let mut begun = Vec::new();
        for (key, command) in commands {
            begun.push(self.lane(&key).begin(command).await);
        }
        let mut answers = Vec::with_capacity(begun.len());
        for one in begun {
            answers.push(match one {
                Ok(waiting) => waiting.await.map_err(|_| Stopped),
                Err(stopped) => Err(stopped),
            });
        }
        answers
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BATCHES: BatchSizes = BatchSizes { max_batch: 20, min_batch: 10 };

    /// A group of one, and `waiting` that have arrived.
    async fn gathered(waiting: usize, beside: &Commits, meanwhile: impl Future<Output = ()>) -> usize {
        let (sender, mut arrivals) = mpsc::channel(BATCHES.max_batch);
        for _ in 0..waiting {
            sender.send(()).await.unwrap();
        }
        let mut group = vec![()];
        tokio::join!(gather_on(&mut arrivals, &mut group, BATCHES, beside), meanwhile);
        group.len()
    }

    #[tokio::test]
    async fn a_small_group_gathers_on_until_another_commit_ends() {
        let beside = Commits::default();
        let other = beside.begin();
        let ends = async {
            tokio::task::yield_now().await;
            drop(other);
        };
        assert_eq!(gathered(4, &beside, ends).await, 5);
    }

    #[tokio::test]
    async fn a_group_that_is_worth_a_commit_waits_for_nobody() {
        let beside = Commits::default();
        let _other = beside.begin();
        assert_eq!(gathered(9, &beside, async {}).await, 10);
    }

    #[tokio::test]
    async fn while_nobody_commits_nobody_waits() {
        assert_eq!(gathered(4, &Commits::default(), async {}).await, 1);
    }
}
