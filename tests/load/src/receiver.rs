//! The destination of the postbacks: answers 200 and records the first arrival of each transaction.
//!
//! It has its own thread with its own runtime; the number in `tid=T-0000000123` identifies a transaction.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::oneshot;

use crate::http::{content_length, end_of_head};

const ANSWER: &[u8] = b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n";
const MARK: &[u8] = b"tid=T-";

/// The requests that have arrived.
pub struct Arrivals {
    base: Instant,
    /// The time of each transaction's first arrival, in microseconds after `base`, plus one. Zero: it has not arrived.
    first_us: Vec<AtomicU64>,
    unique: AtomicU64,
    repeated: AtomicU64,
    last_us: AtomicU64,
}

impl Arrivals {
    /// The number of transactions that have arrived.
    pub fn unique(&self) -> u64 {
        self.unique.load(Relaxed)
    }

    /// The number of requests for transactions that had already arrived.
    pub fn repeated(&self) -> u64 {
        self.repeated.load(Relaxed)
    }

    /// The latest time at which a transaction arrived for the first time.
    pub fn last(&self) -> Instant {
        self.base + Duration::from_micros(self.last_us.load(Relaxed))
    }

    /// The time of the first arrival of this transaction.
    pub fn at(&self, number: u64) -> Option<Instant> {
        let us = self.first_us.get(number as usize)?.load(Relaxed).checked_sub(1)?;
        Some(self.base + Duration::from_micros(us))
    }

    fn record(&self, head: &[u8]) {
        let now_us = self.base.elapsed().as_micros() as u64;
        let line = head.split(|it| *it == b'\r').next().unwrap_or_default();
        // The test request for saving the postback has no number.
        let Some(first_us) = number_in(line).and_then(|number| self.first_us.get(number)) else { return };
        if first_us.compare_exchange(0, now_us + 1, Relaxed, Relaxed).is_ok() {
            self.unique.fetch_add(1, Relaxed);
            self.last_us.fetch_max(now_us, Relaxed);
        } else {
            self.repeated.fetch_add(1, Relaxed);
        }
    }
}

fn number_in(line: &[u8]) -> Option<usize> {
    let at = line.windows(MARK.len()).position(|it| it == MARK)? + MARK.len();
    let digits: Vec<u8> = line[at..].iter().copied().take_while(u8::is_ascii_digit).collect();
    str::from_utf8(&digits).ok()?.parse().ok()
}

pub struct Receiver {
    pub address: SocketAddr,
    pub arrivals: Arc<Arrivals>,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Receiver {
    /// Starts a receiver for the transactions with the numbers from 0 to `capacity`, exclusive.
    pub fn start(capacity: usize) -> anyhow::Result<Self> {
        let listener = std::net::TcpListener::bind("127.0.0.1:0")?;
        listener.set_nonblocking(true)?;
        let address = listener.local_addr()?;
        let arrivals = Arc::new(Arrivals {
            base: Instant::now(),
            first_us: (0..capacity).map(|_| AtomicU64::new(0)).collect(),
            unique: AtomicU64::new(0),
            repeated: AtomicU64::new(0),
            last_us: AtomicU64::new(0),
        });
        let (stop, stopped) = oneshot::channel();
        let shared = arrivals.clone();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let thread = std::thread::Builder::new().name("receiver".into()).spawn(move || {
            runtime.block_on(async {
                tokio::select! {
                    _ = stopped => {}
                    error = accept(listener, shared) => eprintln!("The receiver failed: {error}"),
                }
            });
        })?;
        Ok(Self { address, arrivals, stop: Some(stop), thread: Some(thread) })
    }
}

impl Drop for Receiver {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

async fn accept(listener: std::net::TcpListener, arrivals: Arc<Arrivals>) -> std::io::Error {
    let listener = match TcpListener::from_std(listener) {
        Ok(listener) => listener,
        Err(error) => return error,
    };
    loop {
        match listener.accept().await {
            Ok((stream, _)) => drop(tokio::spawn(serve(stream, arrivals.clone()))),
            Err(error) => return error,
        }
    }
}

/// Reads requests until the other side closes the connection.
async fn serve(mut stream: TcpStream, arrivals: Arc<Arrivals>) -> std::io::Result<()> {
    stream.set_nodelay(true)?;
    let mut buffer = vec![0; 16 * 1024];
    let mut filled = 0;
    loop {
        let read = stream.read(&mut buffer[filled..]).await?;
        if read == 0 {
            return Ok(());
        }
        filled += read;
        while let Some(head) = end_of_head(&buffer[..filled]) {
            let request = head + content_length(&buffer[..head]).unwrap_or(0);
            if filled < request {
                break;
            }
            arrivals.record(&buffer[..head]);
            buffer.copy_within(request..filled, 0);
            filled -= request;
            stream.write_all(ANSWER).await?;
        }
        if filled == buffer.len() {
            return Err(std::io::Error::other("a request is too long"));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_transaction_is_known_by_its_number() {
        assert_eq!(number_in(b"GET /pb?a=1&tid=T-0000000123&b=2 HTTP/1.1"), Some(123));
        assert_eq!(number_in(b"GET /pb?tid=order-1001 HTTP/1.1"), None);
    }
}
