//! Group commit: one task gathers what arrives together and commits it together.
//!
//! While one group is being committed the next one gathers, so a lone request waits for nobody and a crowd
//! shares one flush to disk. A request is answered when its group is durable.

use std::future::Future;

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

    /// Many commands, taken up in the order given; waits until all their groups are durable.
    pub async fn submit_all(&self, commands: impl IntoIterator<Item = C>) -> Vec<Result<A, Stopped>> {
        let mut waiting = Vec::new();
        for command in commands {
            let (answer, answered) = oneshot::channel();
            let sent = self.queue.send((command, answer)).await;
            waiting.push(sent.map(|()| answered).map_err(|_| Stopped));
        }
        let mut answers = Vec::with_capacity(waiting.len());
        for one in waiting {
            answers.push(match one {
                Ok(answered) => answered.await.map_err(|_| Stopped),
                Err(stopped) => Err(stopped),
            });
        }
        answers
    }

    /// Waits until the command's group is durable.
    pub async fn submit(&self, command: C) -> Result<A, Stopped> {
        let (answer, waiting) = oneshot::channel();
        self.queue.send((command, answer)).await.map_err(|_| Stopped)?;
        waiting.await.map_err(|_| Stopped)
    }
}
