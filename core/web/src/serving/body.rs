//! Bodies in transit. A request body has a timeout; a streamed response body reports its end to the connection.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use axum::BoxError;
use axum::body::{Body, Bytes};
use hyper::body::{Body as HttpBody, Frame, Incoming, SizeHint};
use tokio::time::{Instant, Sleep};

use super::connection::Connection;
use super::timeouts::{Phase, Timeouts};

/// The error of a request body that arrived too slowly.
#[derive(Clone, Copy, Debug, thiserror::Error)]
#[error("the request body arrived too slowly")]
pub struct BodyTimeout;

/// The body of a request. It ends with [`BodyTimeout`] if it takes longer than [`Timeouts::body_timeout`] allows.
pub struct TimedBody {
    body: Incoming,
    connection: Arc<Connection>,
    timeouts: Timeouts,
    started_at: Instant,
    received: u64,
    timer: Pin<Box<Sleep>>,
}

impl TimedBody {
    pub fn new(body: Incoming, connection: Arc<Connection>, timeouts: Timeouts) -> Self {
        let timer = Box::pin(tokio::time::sleep(timeouts.body));
        Self { body, connection, timeouts, started_at: Instant::now(), received: 0, timer }
    }
}

impl HttpBody for TimedBody {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let this = &mut *self;
        match Pin::new(&mut this.body).poll_frame(cx) {
            Poll::Ready(frame) => {
                if let Some(Ok(frame)) = &frame {
                    this.received += frame.data_ref().map_or(0, |data| data.len() as u64);
                }
                if frame.is_none() || this.body.is_end_stream() {
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
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
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
