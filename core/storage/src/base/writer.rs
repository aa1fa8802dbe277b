//! Group commit: one task collects commands into a batch and commits the batch at once.
//!
//! While one batch is being committed, the next one fills. So a single command does not wait, and many commands share
//! one flush to the disk. A command is answered when its batch is durable. If there are several shards, a shard with a
//! small batch does not commit while another shard commits: its batch fills until that commit ends or it has
//! `min_batch` commands.

use std::future::Future;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use tokio::sync::{Notify, mpsc, oneshot};

use super::writes;

/// Commits the batches of a [`Writer`]. Its implementations are the places where group commits happen.
pub trait CommitBatch: Send + Sync + 'static {
    type Command: Send + 'static;
    type Answer: Send + 'static;

    /// Commits up to `max_batch` commands. Returns one answer for each, in the same order; a command whose answer is a
    /// success is durable.
    fn commit_batch(&self, commands: Vec<Self::Command>) -> impl Future<Output = Vec<Self::Answer>> + Send;
}

/// Sends commands to a task that has a [`CommitBatch`] commit them in batches, and returns their answers.
#[derive(Debug)]
pub struct Writer<C, A> {
    queue: mpsc::Sender<(C, oneshot::Sender<A>)>,
}

impl<C, A> Clone for Writer<C, A> {
    fn clone(&self) -> Self {
        Self { queue: self.queue.clone() }
    }
}

/// The sizes of batches, in commands.
#[derive(Clone, Copy, Debug)]
pub struct BatchSizes {
    pub max_batch: usize,
    /// A smaller batch waits for more commands while another shard commits. More than one is useful where the cost of a
    /// commit hardly depends on the size of the batch.
    pub min_batch: usize,
}

/// The maximum time that a small batch waits, so that a commit that waits for a lock or the disk does not delay other
/// shards.
const MAX_LINGER: Duration = Duration::from_millis(20);

/// The commits of all shards.
#[derive(Debug, Default)]
struct Commits {
    running: AtomicUsize,
    ended: Notify,
}

impl Commits {
    fn begin(&self) -> RunningCommit<'_> {
        self.running.fetch_add(1, Ordering::SeqCst);
        RunningCommit(self)
    }
}

/// Counts a commit until it is dropped, also after a panic.
struct RunningCommit<'a>(&'a Commits);

impl Drop for RunningCommit<'_> {
    fn drop(&mut self) {
        self.0.running.fetch_sub(1, Ordering::SeqCst);
        self.0.ended.notify_waiters();
    }
}

/// The writer's task has ended, or the commit of the batch panicked, so the command may have been stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the server is stopping or could not process this request")]
pub struct Stopped;

impl<C: Send + 'static, A: Send + 'static> Writer<C, A> {
    /// Starts the task. It ends after its last batch when every clone of the writer is dropped.
    pub fn spawn(
        max_batch: usize,
        committer: impl CommitBatch<Command = C, Answer = A>,
    ) -> (Self, tokio::task::JoinHandle<()>) {
        Self::spawn_shard(Arc::default(), BatchSizes { max_batch, min_batch: 1 }, Arc::new(committer))
    }

    fn spawn_shard(
        commits: Arc<Commits>,
        sizes: BatchSizes,
        committer: Arc<impl CommitBatch<Command = C, Answer = A>>,
    ) -> (Self, tokio::task::JoinHandle<()>) {
        let (queue, mut arrivals) = mpsc::channel::<(C, oneshot::Sender<A>)>(4 * sizes.max_batch);
        let task = tokio::spawn(async move {
            let mut batch = Vec::with_capacity(sizes.max_batch);
            while arrivals.recv_many(&mut batch, sizes.max_batch).await > 0 {
                let filled = fill(&mut arrivals, &mut batch, sizes, &commits);
                let _ = tokio::time::timeout(MAX_LINGER, filled).await;
                let _running = commits.begin();
                let (commands, senders): (Vec<_>, Vec<_>) = batch.drain(..).unzip();
                // In a separate task, so that a panic ends only this batch.
                let committer = committer.clone();
                let committed = tokio::spawn(async move { committer.commit_batch(commands).await });
                let answers = match committed.await {
                    Ok(answers) => answers,
                    // The process ends.
                    Err(error) if error.is_cancelled() => break,
                    Err(_) => {
                        tracing::error!(
                            commands = senders.len(),
                            "The commit of a batch panicked; its commands may not have been stored"
                        );
                        continue;
                    }
                };
                debug_assert_eq!(answers.len(), senders.len(), "every command is answered");
                for (answer, sender) in answers.into_iter().zip(senders) {
                    // The caller may be gone; the commit is valid without it.
                    let _ = sender.send(answer);
                }
            }
        });
        (Self { queue }, task)
    }

    /// Queues the command. The receiver gets the answer when its batch is durable.
    async fn enqueue(&self, command: C) -> Result<oneshot::Receiver<A>, Stopped> {
        let (sender, receiver) = oneshot::channel();
        let place = self.queue.reserve().await.map_err(|_| Stopped)?;
        writes::begins();
        place.send((command, sender));
        Ok(receiver)
    }

    /// Waits until the command's batch is durable.
    pub async fn submit(&self, command: C) -> Result<A, Stopped> {
        self.enqueue(command).await?.await.map_err(|_| Stopped)
    }
}

/// Adds arriving commands to a batch of less than `min_batch` commands, until no other shard commits.
async fn fill<T>(arrivals: &mut mpsc::Receiver<T>, batch: &mut Vec<T>, sizes: BatchSizes, commits: &Commits) {
    while batch.len() < sizes.min_batch {
        let ended = commits.ended.notified();
        if commits.running.load(Ordering::SeqCst) == 0 {
            return;
        }
        tokio::select! {
            biased;
            () = ended => return,
            more = arrivals.recv_many(batch, sizes.max_batch - batch.len()) => if more == 0 { return },
        }
    }
}

/// Several writers, for a database that commits transactions in parallel. Commands with the same key go to the same
/// shard, so they keep their order.
#[derive(Debug)]
pub struct Shards<C, A>(Arc<[Writer<C, A>]>);

impl<C, A> Clone for Shards<C, A> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

impl<C: Send + 'static, A: Send + 'static> Shards<C, A> {
    /// Starts a task for each shard. The shards share the committer.
    pub fn spawn(
        shards: usize,
        sizes: BatchSizes,
        committer: impl CommitBatch<Command = C, Answer = A>,
    ) -> (Self, Vec<tokio::task::JoinHandle<()>>) {
        let (commits, committer) = (Arc::<Commits>::default(), Arc::new(committer));
        let writer = |_| Writer::spawn_shard(commits.clone(), sizes, committer.clone());
        let (writers, tasks): (Vec<_>, Vec<_>) = (0..shards).map(writer).unzip();
        (Self(writers.into()), tasks)
    }

    fn shard(&self, key: &impl Hash) -> &Writer<C, A> {
        let mut hasher = DefaultHasher::new();
        key.hash(&mut hasher);
        &self.0[hasher.finish() as usize % self.0.len()]
    }

    /// Waits until the command's batch is durable.
    pub async fn submit(&self, key: &impl Hash, command: C) -> Result<A, Stopped> {
        self.shard(key).submit(command).await
    }

    /// Submits commands and waits until all are durable. Commands with the same key are processed in the given order.
    pub async fn submit_all<K: Hash>(&self, commands: impl IntoIterator<Item = (K, C)>) -> Vec<Result<A, Stopped>> {
        let mut receivers = Vec::new();
        for (key, command) in commands {
            receivers.push(self.shard(&key).enqueue(command).await);
        }
        let mut answers = Vec::with_capacity(receivers.len());
        for receiver in receivers {
            answers.push(match receiver {
                Ok(receiver) => receiver.await.map_err(|_| Stopped),
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

    /// The size of a batch that starts with one command, while `queued` more are in the queue.
    async fn filled_size(queued: usize, commits: &Commits, meanwhile: impl Future<Output = ()>) -> usize {
        let (sender, mut arrivals) = mpsc::channel(BATCHES.max_batch);
        for _ in 0..queued {
            sender.send(()).await.unwrap();
        }
        let mut batch = vec![()];
        tokio::join!(fill(&mut arrivals, &mut batch, BATCHES, commits), meanwhile);
        batch.len()
    }

    #[tokio::test]
    async fn a_small_batch_fills_until_another_commit_ends() {
        let commits = Commits::default();
        let other = commits.begin();
        let ends = async {
            tokio::task::yield_now().await;
            drop(other);
        };
        assert_eq!(filled_size(4, &commits, ends).await, 5);
    }

    #[tokio::test]
    async fn a_large_batch_does_not_wait() {
        let commits = Commits::default();
        let _other = commits.begin();
        assert_eq!(filled_size(9, &commits, async {}).await, 10);
    }

    #[tokio::test]
    async fn a_batch_does_not_wait_while_no_shard_commits() {
        assert_eq!(filled_size(4, &Commits::default(), async {}).await, 1);
    }
}
