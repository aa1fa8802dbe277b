//! Bodies on their way: that of a request has to come in time, and that of an answer says when it has gone.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use axum::BoxError;
use axum::body::{Body, Bytes};
use hyper::body::{Body as HttpBody, Frame, Incoming, SizeHint};
use tokio::time::{Instant, Sleep};

use super::connection::Connection;
use super::patience::Patience;
use super::patience::Phase;

/// A body that came too slowly.
#[derive(Clone, Copy, Debug, thiserror::Error)]
#[error("the body came too slowly")]
pub struct BodyTimeout;

/// The body of a request, which breaks off when it takes too long for what it brings.
pub struct TimedBody {
    body: Incoming,
    connection: Arc<Connection>,
    patience: Patience,
    begun: Instant,
    received: u64,
    alarm: Pin<Box<Sleep>>,
}

impl TimedBody {
    pub fn new(body: Incoming, connection: Arc<Connection>, patience: Patience) -> Self {
        let alarm = Box::pin(tokio::time::sleep(patience.body));
        Self { body, connection, patience, begun: Instant::now(), received: 0, alarm }
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
                    this.connection.enter(Phase::Answer);
                }
                Poll::Ready(frame.map(|frame| frame.map_err(BoxError::from)))
            }
            Poll::Pending => {
                let end = this.begun + this.patience.body_limit(this.received);
                if end > this.alarm.deadline() {
                    this.alarm.as_mut().reset(end);
                }
                match this.alarm.as_mut().poll(cx) {
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

/// The body of an answer that is made while it is sent: the connection is at it until all of it is gone.
pub struct Answering {
    body: Body,
    connection: Arc<Connection>,
}

impl Answering {
    pub fn new(body: Body, connection: Arc<Connection>) -> Self {
        Self { body, connection }
    }
}

impl HttpBody for Answering {
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

impl Drop for Answering {
    fn drop(&mut self) {
        self.connection.enter(Phase::Idle);
    }
}
