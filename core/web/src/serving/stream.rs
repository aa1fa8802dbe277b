//! The TCP stream of a connection, which reports reads and writes to the connection, encodes the targets of
//! inbound addresses, and discards unread bytes at its end.

use std::io::{IoSlice, Result};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::time::Sleep;

use super::connection::Connection;
use super::target::TargetEncoder;
use super::timeouts::Phase;

/// How long, and how much, a closed connection still reads. Closing a socket with unread bytes resets the connection, and
/// the peer may then not receive the end of the response.
const LINGER_TIMEOUT: Duration = Duration::from_secs(1);
const LINGER_BYTES_MAX: usize = 1024 * 1024;

pub struct MonitoredStream {
    stream: TcpStream,
    connection: Arc<Connection>,
    encoder: TargetEncoder,
    /// Received and encoded bytes that were not read yet, and how many of them were.
    encoded: (Vec<u8>, usize),
    linger: Option<Linger>,
}

struct Linger {
    timer: Pin<Box<Sleep>>,
    discarded: usize,
}

impl MonitoredStream {
    pub fn new(stream: TcpStream, connection: Arc<Connection>) -> Self {
        Self { stream, connection, encoder: TargetEncoder::default(), encoded: (Vec::new(), 0), linger: None }
    }

    /// Reads bytes that were encoded before. Returns whether there were some.
    fn read_encoded(&mut self, buffer: &mut ReadBuf<'_>) -> bool {
        let (bytes, read) = &mut self.encoded;
        let left = &bytes[*read..];
        if left.is_empty() || buffer.remaining() == 0 {
            return !left.is_empty();
        }
        let count = left.len().min(buffer.remaining());
        buffer.put_slice(&left[..count]);
        *read += count;
        if *read == bytes.len() {
            self.encoded = (Vec::new(), 0);
        }
        true
    }

    fn report_write(&self, written: Poll<Result<usize>>) -> Poll<Result<usize>> {
        self.connection.on_write(written.is_ready());
        written
    }
}

impl AsyncRead for MonitoredStream {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<Result<()>> {
        let this = &mut *self;
        if this.read_encoded(buffer) {
            return Poll::Ready(Ok(()));
        }
        loop {
            let before = buffer.filled().len();
            if this.connection.phase() == Phase::Idle {
                this.encoder.begin();
            }
            let read = Pin::new(&mut this.stream).poll_read(cx, buffer);
            if buffer.filled().len() > before {
                this.connection.on_read();
            }
            if !matches!(read, Poll::Ready(Ok(()))) || this.encoder.passes(&buffer.filled()[before..]) {
                return read;
            }
            let received = &buffer.filled()[before..];
            let is_end = received.is_empty();
            match is_end {
                true => this.encoder.end(&mut this.encoded.0),
                false => this.encoder.encode(received, &mut this.encoded.0),
            }
            buffer.set_filled(before);
            // Without a byte the connection would seem to have ended.
            if this.read_encoded(buffer) || is_end {
                return read;
            }
        }
    }
}

impl AsyncWrite for MonitoredStream {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write(cx, bytes);
        self.report_write(written)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write_vectored(cx, slices);
        self.report_write(written)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<()>> {
        let this = &mut *self;
        if this.linger.is_none() {
            ready!(Pin::new(&mut this.stream).poll_shutdown(cx))?;
            if !this.connection.lingers() {
                return Poll::Ready(Ok(()));
            }
        }
        let new = || Linger { timer: Box::pin(tokio::time::sleep(LINGER_TIMEOUT)), discarded: 0 };
        let linger = this.linger.get_or_insert_with(new);
        let mut bytes = [0; 8 * 1024];
        while linger.discarded < LINGER_BYTES_MAX {
            let mut buffer = ReadBuf::new(&mut bytes);
            match Pin::new(&mut this.stream).poll_read(cx, &mut buffer) {
                Poll::Ready(Ok(())) if !buffer.filled().is_empty() => linger.discarded += buffer.filled().len(),
                Poll::Ready(_) => return Poll::Ready(Ok(())),
                Poll::Pending => return linger.timer.as_mut().poll(cx).map(Ok),
            }
        }
        Poll::Ready(Ok(()))
    }
}
