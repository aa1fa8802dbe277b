//! Heavy reading: reports, exports, statements and back-tests. The number of places is limited, per caller and in all,
//! and the computing runs on threads of low priority. So heavy reading never slows down clicks.

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

/// The maximum number of open streams, in all and per caller. Streams wait for their readers most of the time.
const STREAMS: usize = 32;
const STREAMS_OF_CALLER: usize = 4;

/// Limits reports and exports that run at once.
#[derive(Debug)]
pub struct HeavyReading {
    /// Places to compute a report or a page of an export.
    computing: Places,
    /// Places for exports and statements that are being sent.
    streams: Places,
    wait: Duration,
    timeout: Duration,
    stopping: CancellationToken,
}

impl HeavyReading {
    /// Creates the places with the limits of the settings.
    pub fn new(settings: &Settings) -> Self {
        Self {
            computing: Places::new(settings.report_places(), settings.report_places_per_caller),
            streams: Places::new(STREAMS, STREAMS_OF_CALLER),
            wait: settings.report_wait(),
            timeout: settings.report_timeout(),
            stopping: CancellationToken::new(),
        }
    }

    /// Runs `work` on a separate thread.
    ///
    /// # Errors
    ///
    /// No place becomes free in time, `work` takes too long, or the server stops.
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

    /// Takes a place for work that the caller runs. The place is free again when it is dropped.
    ///
    /// # Errors
    ///
    /// No place becomes free in time.
    pub async fn place(&self, actor: Actor) -> Result<Place, Error> {
        self.within_wait(self.computing.take(caller(actor))).await
    }

    /// Takes a place for a stream that is open until its last page.
    ///
    /// # Errors
    ///
    /// No place becomes free in time.
    pub async fn stream(&self, actor: Actor) -> Result<Place, Error> {
        self.within_wait(self.streams.take(caller(actor))).await
    }

    /// Takes a place to compute a page of a stream. Waits without a limit, because a stream that has begun is not
    /// refused.
    pub async fn page_place(&self, actor: Actor) -> Place {
        self.computing.take(caller(actor)).await
    }

    /// Runs `work` on a thread of low priority until it ends, its caller is gone or the server stops. `None` if the
    /// server stops.
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

    /// Cancels the work in progress and waits for its end. No new work starts.
    pub async fn stop(&self) {
        self.stopping.cancel();
        self.computing.close().await;
        self.streams.close().await;
    }

    async fn within_wait(&self, taking: impl Future<Output = Place>) -> Result<Place, Error> {
        tokio::time::timeout(self.wait, taking).await.map_err(|_| Error::TooManyReports)
    }
}

/// All keys and sessions of an affiliate are one caller; so are those of a person.
fn caller(actor: Actor) -> Caller {
    match (actor.confined_to(), actor.user()) {
        (Some(affiliate), _) => Caller { name: affiliate.to_string(), is_staff: false },
        (None, Some(user)) => Caller { name: user.to_string(), is_staff: true },
        (None, None) => Caller { name: actor.name(), is_staff: true },
    }
}
