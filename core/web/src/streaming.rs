//! Long responses that are sent page by page while they are computed, at most one page ahead of the client.

use std::time::Duration;

use axum::body::{Body, Bytes};
use futures::stream::{self, Stream, StreamExt};
use tokio::sync::mpsc;
use tracing::Instrument;

use engine::Error;
use engine::app::App;
use engine::heavy::Place;

/// The time for which a client can let the next page wait. After it the response is aborted, because other requests
/// need its place. The waiting times of all pages are added up, and received bytes reduce the sum.
const WAIT_MAX: Duration = Duration::from_secs(60);
/// The minimum transfer rate in the long run.
const BYTES_PER_SEC_MIN: u64 = 16 * 1024;

/// The time for which a client can still let pages wait.
struct WaitBudget {
    left: Duration,
}

impl WaitBudget {
    fn new() -> Self {
        Self { left: WAIT_MAX }
    }

    /// The client received a page of `bytes`, which had waited for `waited`.
    fn page_received(&mut self, bytes: usize, waited: Duration) {
        let credit = Duration::from_millis(bytes as u64 * 1_000 / BYTES_PER_SEC_MIN);
        self.left = (self.left.saturating_sub(waited) + credit).min(WAIT_MAX);
    }
}

/// The body of a response that consists of `pages`. They are computed on a thread with a lower priority than requests.
/// An error, or a client that stalls, aborts the connection, so that the client does not take a part for the whole. The
/// place is held until the last page is received.
pub fn body(app: &App, place: Place, pages: impl Stream<Item = Result<Bytes, Error>> + Send + 'static) -> Body {
    let (sender, receiver) = mpsc::channel(1);
    let sending = async move {
        send_all(pages.boxed(), sender).await;
        drop(place);
    };
    let app = app.clone();
    tokio::spawn(async move { app.heavy.run("stream", sending).await }.in_current_span());
    Body::from_stream(stream::try_unfold(Some(receiver), |receiver| async move {
        let Some(mut receiver) = receiver else { return Ok(None) };
        match receiver.recv().await {
            Some(Part::Page(page)) => page.map(|page| Some((page, Some(receiver)))),
            Some(Part::End) => Ok(None),
            None => Err(Error::TookTooLong),
        }
    }))
}

enum Part {
    Page(Result<Bytes, Error>),
    /// A body without it was aborted.
    End,
}

async fn send_all(mut pages: stream::BoxStream<'static, Result<Bytes, Error>>, to: mpsc::Sender<Part>) {
    let mut budget = WaitBudget::new();
    loop {
        let page = tokio::select! {
            page = pages.next() => page,
            () = to.closed() => return,
        };
        let bytes = match &page {
            Some(Ok(page)) => Some(page.len()),
            Some(Err(_)) | None => None,
        };
        let part = page.map_or(Part::End, Part::Page);
        let started_at = tokio::time::Instant::now();
        let sent = tokio::time::timeout(budget.left, to.send(part)).await;
        let (Ok(Ok(())), Some(bytes)) = (sent, bytes) else { return };
        budget.page_received(bytes, started_at.elapsed());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The number of valid pages, and whether the body is complete.
    async fn received(pages: Vec<Result<Bytes, Error>>) -> (usize, bool) {
        let (sender, mut receiver) = mpsc::channel(1);
        let sending = tokio::spawn(send_all(stream::iter(pages).boxed(), sender));
        let (mut pages, mut is_complete) = (0, false);
        while let Some(part) = receiver.recv().await {
            pages += usize::from(matches!(part, Part::Page(Ok(_))));
            is_complete = matches!(part, Part::End);
        }
        sending.await.unwrap();
        (pages, is_complete)
    }

    #[test]
    fn a_slow_client_uses_up_its_wait_budget() {
        let seconds = Duration::from_secs;
        // The bytes of a page, the wait of each page, and whether a hundred pages are sent.
        for (bytes, wait, is_fast_enough) in
            [(2_000, seconds(5), false), (65_536, seconds(4), true), (800_000, seconds(40), true)]
        {
            let mut budget = WaitBudget::new();
            let sent = (0..100).all(|_| {
                let in_time = wait <= budget.left;
                budget.page_received(bytes, wait);
                in_time
            });
            assert_eq!(sent, is_fast_enough, "{bytes} in {wait:?}");
        }
    }

    #[tokio::test]
    async fn an_aborted_body_has_no_end() {
        let page = || Ok(Bytes::from_static(b"page"));
        assert_eq!(received(vec![page(), page()]).await, (2, true));
        assert_eq!(received(vec![page(), Err(Error::TookTooLong), page()]).await, (1, false));
        assert_eq!(received(vec![]).await, (0, true));
    }
}
