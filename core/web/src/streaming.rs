//! Long answers that are sent while they are made: page by page, never more than one ahead of the reader.

use std::time::Duration;

use axum::body::{Body, Bytes};
use futures::stream::{self, Stream, StreamExt};
use tokio::sync::mpsc;
use tracing::Instrument;

use engine::Error;
use engine::app::App;
use engine::heavy::Place;

/// A reader that keeps the next page waiting for so long is given up, because others need its place. The time of all pages counts
/// together, and what it has taken gives it more.
const PATIENCE: Duration = Duration::from_secs(60);
/// Bytes that a reader has to take in a second in the long run.
const LEAST_RATE: u64 = 16 * 1024;

/// How much longer a reader may keep pages waiting.
struct Patience {
    left: Duration,
}

impl Patience {
    fn new() -> Self {
        Self { left: PATIENCE }
    }

    /// It took a page of so many bytes after so long.
    fn taken(&mut self, bytes: usize, after: Duration) {
        let earned = Duration::from_millis(bytes as u64 * 1_000 / LEAST_RATE);
        self.left = (self.left.saturating_sub(after) + earned).min(PATIENCE);
    }
}

/// The body that `pages` become, made on a thread that gives way to requests. An error, or a reader that stalls, breaks the
/// connection off, so that nobody takes a part for the whole. The place is held until the last page is taken.
pub fn body(app: &App, place: Place, pages: impl Stream<Item = Result<Bytes, Error>> + Send + 'static) -> Body {
    let (sender, receiver) = mpsc::channel(1);
    let making = async move {
        send_all(pages.boxed(), sender).await;
        drop(place);
    };
    let app = app.clone();
    tokio::spawn(async move { app.heavy.run("stream", making).await }.in_current_span());
    Body::from_stream(stream::try_unfold(Some(receiver), |receiver| async move {
        let Some(mut receiver) = receiver else { return Ok(None) };
        match receiver.recv().await {
            Some(Made::Page(page)) => page.map(|page| Some((page, Some(receiver)))),
            Some(Made::End) => Ok(None),
            None => Err(Error::TookTooLong),
        }
    }))
}

enum Made {
    Page(Result<Bytes, Error>),
    /// Without it the body was broken off.
    End,
}

async fn send_all(mut pages: stream::BoxStream<'static, Result<Bytes, Error>>, to: mpsc::Sender<Made>) {
    let mut patience = Patience::new();
    loop {
        let page = tokio::select! {
            page = pages.next() => page,
            () = to.closed() => return,
        };
        let bytes = match &page {
            Some(Ok(page)) => Some(page.len()),
            Some(Err(_)) | None => None,
        };
        let made = page.map_or(Made::End, Made::Page);
        let begun = tokio::time::Instant::now();
        let sent = tokio::time::timeout(patience.left, to.send(made)).await;
        let (Ok(Ok(())), Some(bytes)) = (sent, bytes) else { return };
        patience.taken(bytes, begun.elapsed());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn received(pages: Vec<Result<Bytes, Error>>) -> (usize, bool) {
        let (sender, mut receiver) = mpsc::channel(1);
        let sending = tokio::spawn(send_all(stream::iter(pages).boxed(), sender));
        let (mut number, mut whole) = (0, false);
        while let Some(made) = receiver.recv().await {
            number += usize::from(matches!(made, Made::Page(Ok(_))));
            whole = matches!(made, Made::End);
        }
        sending.await.unwrap();
        (number, whole)
    }

    #[test]
    fn a_reader_that_takes_little_at_a_time_uses_up_its_patience() {
        let seconds = Duration::from_secs;
        // Bytes of a page, how long each takes, and whether a hundred of them are sent.
        for (bytes, each, lasts) in
            [(2_000, seconds(5), false), (65_536, seconds(4), true), (800_000, seconds(40), true)]
        {
            let mut patience = Patience::new();
            let sent = (0..100).all(|_| {
                let in_time = each <= patience.left;
                patience.taken(bytes, each);
                in_time
            });
            assert_eq!(sent, lasts, "{bytes} in {each:?}");
        }
    }

    #[tokio::test]
    async fn what_broke_off_has_no_end() {
        let page = || Ok(Bytes::from_static(b"page"));
        assert_eq!(received(vec![page(), page()]).await, (2, true));
        assert_eq!(received(vec![page(), Err(Error::TookTooLong), page()]).await, (1, false));
        assert_eq!(received(vec![]).await, (0, true));
    }
}
