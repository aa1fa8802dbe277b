//! Group commit: one task gathers what arrives together and commits it together.
//!
//! While one group is being committed the next one gathers, so a lone request waits for nobody and a crowd
//! shares one flush to disk. A request is answered when its group is durable.

use std::future::Future;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;

use tokio::sync::{mpsc, oneshot};

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

/// The writer's task ended, or the group was broken off.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the server is stopping or had to break this off; send the request again in a moment")]
pub struct Stopped;

impl<C: Send + 'static, A: Send + 'static> Writer<C, A> {
    /// `commit` gets up to `largest` commands and must answer each of them, in order.
    /// The task ends, after its last group, when every clone of the writer is dropped.
    pub fn spawn<F, Fut>(largest: usize, mut commit: F) -> (Self, tokio::task::JoinHandle<()>)
    where
        F: FnMut(Vec<C>) -> Fut + Send + 'static,
        Fut: Future<Output = Vec<A>> + Send + 'static,
    {
        let (queue, mut arrivals) = mpsc::channel::<(C, oneshot::Sender<A>)>(4 * largest);
        let task = tokio::spawn(async move {
            let mut group = Vec::with_capacity(largest);
            while arrivals.recv_many(&mut group, largest).await > 0 {
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

/// Writers side by side, where the database can commit side by side: one group is on its way to the disk while
/// another is put together. Commands of one key always take the same lane, so they keep their order.
#[derive(Debug)]
pub struct Lanes<C, A>(Arc<[Writer<C, A>]>);

impl<C, A> Clone for Lanes<C, A> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

impl<C: Send + 'static, A: Send + 'static> Lanes<C, A> {
    /// `open` starts one writer.
    pub fn spawn(
        lanes: usize,
        open: impl Fn() -> (Writer<C, A>, tokio::task::JoinHandle<()>),
    ) -> (Self, Vec<tokio::task::JoinHandle<()>>) {
        let (writers, tasks): (Vec<_>, Vec<_>) = (0..lanes).map(|_| open()).unzip();
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
