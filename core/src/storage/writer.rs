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

/// The writer's task ended: the server is stopping.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the server is stopping; send the request again to another instance or in a moment")]
pub struct Stopped;

impl<C: Send + 'static, A: Send + 'static> Writer<C, A> {
    /// `commit` gets up to `largest` commands and must answer each of them, in order.
    /// The task ends, after its last group, when every clone of the writer is dropped.
    pub fn spawn<F, Fut>(largest: usize, mut commit: F) -> (Self, tokio::task::JoinHandle<()>)
    where
        F: FnMut(Vec<C>) -> Fut + Send + 'static,
        Fut: Future<Output = Vec<A>> + Send,
    {
        let (queue, mut arrivals) = mpsc::channel::<(C, oneshot::Sender<A>)>(4 * largest);
        let task = tokio::spawn(async move {
            let mut group = Vec::with_capacity(largest);
            while arrivals.recv_many(&mut group, largest).await > 0 {
                let (commands, waiting): (Vec<_>, Vec<_>) = group.drain(..).unzip();
                let answers = commit(commands).await;
                debug_assert_eq!(answers.len(), waiting.len(), "every command is answered");
                for (answer, waiting) in answers.into_iter().zip(waiting) {
                    // Whoever asked may have hung up; what was committed stays committed.
                    let _ = waiting.send(answer);
                }
            }
        });
        (Self { queue }, task)
    }

    /// Waits until the command's group is durable.
    pub async fn submit(&self, command: C) -> Result<A, Stopped> {
        let (answer, waiting) = oneshot::channel();
        self.queue.send((command, answer)).await.map_err(|_| Stopped)?;
        waiting.await.map_err(|_| Stopped)
    }
}
