//! Bodies in transit. A request body has a timeout, and the rest that nobody reads is discarded; a streamed response body
//! reports its end to the connection.

use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};
use std::time::Duration;

use axum::BoxError;
use axum::body::{Body, Bytes};
use futures::future::poll_fn;
use hyper::body::{Body as HttpBody, Frame, Incoming, SizeHint};
use tokio::time::{Instant, Sleep};

use super::connection::Connection;
use super::timeouts::{Phase, Timeouts};

/// The error of a request body that arrived too slowly.
#[derive(Clone, Copy, Debug, thiserror::Error)]
#[error("the request body arrived too slowly")]
pub struct BodyTimeout;

/// The part of a body that is discarded, so that the connection can be used again. The rest of a longer body is not
/// read, and the connection is closed.
const DISCARDED_BYTES_MAX: u64 = 256 * 1024;
/// The time limit for discarding a body.
const DISCARD_TIMEOUT: Duration = Duration::from_secs(1);

/// The rest of a request body that the handler has not read.
#[derive(Clone, Default)]
pub struct UnreadBody(Arc<Mutex<Option<Incoming>>>);

impl UnreadBody {
    /// Reads and discards the rest. Returns whether the connection can be used for another request.
    pub async fn discard(self, client_waits: bool) -> bool {
        let Some(mut body) = self.0.lock().expect("nothing panics while it holds this lock").take() else {
            return true;
        };
        // A client that expects "100 Continue" sends no body after another response.
        if client_waits || body.size_hint().lower() > DISCARDED_BYTES_MAX {
            return false;
        }
        let read_to_end = async {
            let mut discarded = 0;
            while let Some(frame) = poll_fn(|cx| Pin::new(&mut body).poll_frame(cx)).await {
                discarded += frame.ok()?.data_ref().map_or(0, |data| data.len() as u64);
                if discarded > DISCARDED_BYTES_MAX {
                    return None;
                }
            }
            Some(())
        };
        matches!(tokio::time::timeout(DISCARD_TIMEOUT, read_to_end).await, Ok(Some(())))
    }
}

/// The body of a request. It ends with [`BodyTimeout`] if it takes longer than [`Timeouts::body_timeout`] allows.
pub struct TimedBody {
    /// `None` only while it is dropped.
    body: Option<Incoming>,
    unread: UnreadBody,
    connection: Arc<Connection>,
    timeouts: Timeouts,
    started_at: Instant,
    received: u64,
    timer: Pin<Box<Sleep>>,
}

impl TimedBody {
    /// If it is dropped before its end, `unread` gets the rest.
    pub fn new(body: Incoming, unread: UnreadBody, connection: Arc<Connection>, timeouts: Timeouts) -> Self {
        let timer = Box::pin(tokio::time::sleep(timeouts.body));
        Self { body: Some(body), unread, connection, timeouts, started_at: Instant::now(), received: 0, timer }
    }
}

impl HttpBody for TimedBody {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let this = &mut *self;
        let Some(body) = this.body.as_mut() else { return Poll::Ready(None) };
        match Pin::new(&mut *body).poll_frame(cx) {
            Poll::Ready(frame) => {
                if let Some(Ok(frame)) = &frame {
                    this.received += frame.data_ref().map_or(0, |data| data.len() as u64);
                }
                if frame.is_none() || body.is_end_stream() {
                    this.connection.enter(Phase::Response);
                }
                Poll::Ready(frame.map(|frame| frame.map_err(BoxError::from)))
            }
            Poll::Pending => {
                let deadline = this.started_at + this.timeouts.body_timeout(this.received);
                if deadline > this.timer.deadline() {
                    this.timer.as_mut().reset(deadline);
                }
                match this.timer.as_mut().poll(cx) {
                    Poll::Ready(()) => Poll::Ready(Some(Err(BodyTimeout.into()))),
                    Poll::Pending => Poll::Pending,
                }
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        self.body.as_ref().is_none_or(HttpBody::is_end_stream)
    }

    fn size_hint(&self) -> SizeHint {
        self.body.as_ref().map(HttpBody::size_hint).unwrap_or_default()
    }
}

impl Drop for TimedBody {
    fn drop(&mut self) {
        let rest = self.body.take().filter(|body| !body.is_end_stream());
        *self.unread.0.lock().expect("nothing panics while it holds this lock") = rest;
    }
}

/// The body of a streamed response. The connection stays in the phase [`Phase::Response`] until the body is dropped.
pub struct StreamedBody {
    body: Body,
    connection: Arc<Connection>,
}

impl StreamedBody {
    pub fn new(body: Body, connection: Arc<Connection>) -> Self {
        Self { body, connection }
    }
}

impl HttpBody for StreamedBody {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        Pin::new(&mut self.body).poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

impl Drop for StreamedBody {
    fn drop(&mut self) {
        self.connection.enter(Phase::Idle);
    }
}
