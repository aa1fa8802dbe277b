//! Heavy reading: reports, exports, statements and back-tests. Each caller has few places and all together have few, and the
//! computing is done on threads that give way to requests: whatever is asked for, clicks go on.

mod places;
pub mod thread;

use std::future::Future;
use std::time::Duration;

use tokio::sync::oneshot;
use tokio_util::sync::CancellationToken;

use crate::config::Settings;
use domain::people::actor::Actor;
use storage::base::writer::Stopped;

use super::Error;
pub use places::Place;
use places::{Caller, Places};

/// Streams that may be open at once, and of these one caller's. They wait for their readers most of the time.
const STREAMS: usize = 32;
const STREAMS_OF_CALLER: usize = 4;

/// Who may read much at once.
#[derive(Debug)]
pub struct HeavyReading {
    /// What computes at this moment: a report, or a page of an export.
    computing: Places,
    /// Exports and statements that are being sent.
    streams: Places,
    wait: Duration,
    timeout: Duration,
    stopping: CancellationToken,
}

impl HeavyReading {
    pub fn new(settings: &Settings) -> Self {
        Self {
            computing: Places::new(settings.report_places(), settings.report_places_per_caller),
            streams: Places::new(STREAMS, STREAMS_OF_CALLER),
            wait: settings.report_wait(),
            timeout: settings.report_timeout(),
            stopping: CancellationToken::new(),
        }
    }

    /// Does `work` on a thread of its own, if there is a place for it soon and it does not take too long.
    pub async fn compute<T: Send + 'static>(
        &self,
        actor: Actor,
        work: impl Future<Output = Result<T, Error>> + Send + 'static,
    ) -> Result<T, Error> {
        let place = self.place(actor).await?;
        let timeout = self.timeout;
        let bounded = async move {
            let _place = place;
            tokio::time::timeout(timeout, work).await.unwrap_or(Err(Error::TookTooLong))
        };
        self.run("report", bounded).await.unwrap_or(Err(Error::Stopped(Stopped)))
    }

    /// A place to compute, for work that runs elsewhere. It ends with the place.
    pub async fn place(&self, actor: Actor) -> Result<Place, Error> {
        self.within_wait(self.computing.take(caller(actor))).await
    }

    /// A place for a stream that is open until its last page.
    pub async fn stream(&self, actor: Actor) -> Result<Place, Error> {
        self.within_wait(self.streams.take(caller(actor))).await
    }

    /// A place to compute a page of a stream. It is waited for: what has begun is not refused any more.
    pub async fn turn(&self, actor: Actor) -> Place {
        self.computing.take(caller(actor)).await
    }

    /// Runs on a thread that gives way to others, until it is done, nobody waits for it or the server stops. `None` in
    /// the last case.
    pub async fn run<T: Send + 'static>(
        &self,
        name: &'static str,
        work: impl Future<Output = T> + Send + 'static,
    ) -> Option<T> {
        let (mut sender, result) = oneshot::channel();
        let (runtime, stopping) = (tokio::runtime::Handle::current(), self.stopping.clone());
        thread::spawn(name, move || {
            runtime.block_on(async move {
                tokio::select! {
                    done = work => drop(sender.send(done)),
                    () = sender.closed() => {}
                    () = stopping.cancelled() => {}
                }
            });
        });
        result.await.ok()
    }

    /// Ends what is under way and waits for it. Nothing heavy begins any more.
    pub async fn stop(&self) {
        self.stopping.cancel();
        self.computing.close().await;
        self.streams.close().await;
    }

    async fn within_wait(&self, taking: impl Future<Output = Place>) -> Result<Place, Error> {
        tokio::time::timeout(self.wait, taking).await.map_err(|_| Error::TooManyReports)
    }
}

/// An affiliate is one caller however many keys and sessions it has, and so is a person.
fn caller(actor: Actor) -> Caller {
    match (actor.confined_to(), actor.user()) {
        (Some(affiliate), _) => Caller { name: affiliate.to_string(), is_staff: false },
        (None, Some(user)) => Caller { name: user.to_string(), is_staff: true },
        (None, None) => Caller { name: actor.name(), is_staff: true },
    }
}
