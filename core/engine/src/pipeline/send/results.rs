//! Results of requests: [`Results::submit`] hands them to a writer, which collects those of many batches in groups. Of a
//! group, the adapters classify the answers, then one transaction stores the new states and attempts.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tokio::task::JoinHandle;

use crate::app::App;
use crate::delivery::sending::{self, Concluded, Later, Sent};
use crate::error::is_outage;
use storage::base::writer::{CommitBatch, Writer};

/// Maximum number of results that are stored together.
const GROUP: usize = 256;
/// Wait between two tries to store results, while their leases last.
pub(super) const STORE_AGAIN: Duration = Duration::from_millis(250);

/// Collects results to be stored. All clones store in the same groups.
#[derive(Clone)]
pub(super) struct Results {
    writer: Writer<Sent, Option<Later>>,
    behind: Arc<AtomicBool>,
}

/// Starts the task that stores results. It ends, after its last group, when every clone of [`Results`] is dropped.
pub(super) fn spawn(app: App) -> (Results, JoinHandle<()>) {
    let behind = Arc::new(AtomicBool::new(false));
    let (writer, task) = Writer::spawn(GROUP, ResultStore { app, behind: behind.clone() });
    (Results { writer, behind }, task)
}

impl Results {
    /// Whether results wait because the database is unavailable.
    pub(super) fn are_behind(&self) -> bool {
        self.behind.load(Ordering::SeqCst)
    }

    /// Submits a result. Returns when it is durable, even if a slow adapter classifies the answer after its group was
    /// stored.
    pub(super) async fn submit(&self, sent: Sent) {
        if let Ok(Some(later)) = self.writer.submit(sent).await
            && let Ok(classified) = later.await
        {
            let _ = self.writer.submit(classified).await;
        }
    }
}

/// Concludes and stores the groups.
struct ResultStore {
    app: App,
    behind: Arc<AtomicBool>,
}

impl CommitBatch for ResultStore {
    type Command = Sent;
    type Answer = Option<Later>;

    /// Concludes one group and stores it. The answer is set if an adapter still classifies; that result is submitted
    /// again.
    async fn commit_batch(&self, sent: Vec<Sent>) -> Vec<Option<Later>> {
        let count = sent.len();
        let (concluded, later) = sending::conclude(&self.app, sent).await;
        self.store_group(concluded, count).await;
        later
    }
}

impl ResultStore {
    /// Stores one group of `count` results. During an outage of the database the results wait in memory, so that no
    /// postback is sent twice. They are discarded after the length of one lease, because other workers then send these
    /// deliveries again.
    async fn store_group(&self, mut concluded: Concluded, count: usize) {
        let Self { app, behind } = self;
        let give_up = tokio::time::Instant::now() + app.settings.lease();
        loop {
            let saved = match concluded.save(app).await {
                Err(error) if !is_outage(&error) => {
                    tracing::warn!(%error, results = count, "Results could not be stored together; they are stored one by one");
                    concluded.save_one_by_one(app).await
                }
                saved => saved,
            };
            match saved {
                Ok(()) => break,
                Err(error) if tokio::time::Instant::now() < give_up => {
                    behind.store(true, Ordering::SeqCst);
                    tracing::warn!(%error, results = count, "The database is unavailable; results wait to be stored");
                    tokio::time::sleep(STORE_AGAIN).await;
                }
                Err(error) => {
                    tracing::error!(%error, results = count, "Results could not be stored; these deliveries will be sent again");
                    break;
                }
            }
        }
        behind.store(false, Ordering::SeqCst);
    }
}
