//! Long answers that are sent while they are made: page by page, never more than one ahead of the reader.

use std::time::Duration;

use axum::body::{Body, Bytes};
use futures::stream::{self, Stream, StreamExt};
use tokio::sync::mpsc;

use crate::app::App;
use crate::services::Error;
use crate::services::heavy::Place;

/// A reader that takes nothing for so long is given up: its place is needed by others.
const STALLED: Duration = Duration::from_secs(60);

/// The body that `pages` become, made on a thread that gives way to requests. An error, or a reader that stalls, breaks the
/// connection off, so that nobody takes a part for the whole. The place is held until the last page is taken.
pub fn body(app: &App, place: Place, pages: impl Stream<Item = Result<Bytes, Error>> + Send + 'static) -> Body {
    let (sender, receiver) = mpsc::channel(1);
    let making = send_all(pages.boxed(), sender, place);
    let app = app.clone();
    tokio::spawn(async move { app.heavy.run("stream", making).await });
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

async fn send_all(mut pages: stream::BoxStream<'static, Result<Bytes, Error>>, to: mpsc::Sender<Made>, _place: Place) {
    loop {
        let page = tokio::select! {
            page = pages.next() => page,
            () = to.closed() => return,
        };
        let ends = !matches!(page, Some(Ok(_)));
        let made = page.map_or(Made::End, Made::Page);
        if !matches!(tokio::time::timeout(STALLED, to.send(made)).await, Ok(Ok(()))) || ends {
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn received(pages: Vec<Result<Bytes, Error>>) -> (usize, bool) {
        let (sender, mut receiver) = mpsc::channel(1);
        let place = crate::services::heavy::Place::of_nobody();
        let sending = tokio::spawn(send_all(stream::iter(pages).boxed(), sender, place));
        let (mut number, mut whole) = (0, false);
        while let Some(made) = receiver.recv().await {
            number += usize::from(matches!(made, Made::Page(Ok(_))));
            whole = matches!(made, Made::End);
        }
        sending.await.unwrap();
        (number, whole)
    }

    #[tokio::test]
    async fn what_broke_off_has_no_end() {
        let page = || Ok(Bytes::from_static(b"page"));
        assert_eq!(received(vec![page(), page()]).await, (2, true));
        assert_eq!(received(vec![page(), Err(Error::TookTooLong), page()]).await, (1, false));
        assert_eq!(received(vec![]).await, (0, true));
    }
}
