//! Loads. A closed loop of connections: each sends its next request after the answer to the last one. And random arrivals:
//! requests arrive independently of the answers, as visitors do; one whose connection is busy waits.
//!
//! It has two threads with one runtime each and no work-stealing. It shares the machine with the measured program, so a call
//! should cost little more than its two system calls.

use std::net::SocketAddr;
use std::sync::{Arc, Barrier};
use std::time::{Duration, Instant};

use anyhow::{Context, anyhow, bail};
use tokio::task::JoinSet;

use crate::http::{Answer, Connection};

const THREADS: usize = 2;

/// The run ends if the server does not answer within this time.
const PATIENCE: Duration = Duration::from_secs(20);

/// The requests of one connection, and the check of their answers.
pub trait Caller: Send + 'static {
    fn request(&mut self) -> &[u8];

    /// Checks the answer; an error ends the run.
    fn answered(&mut self, answer: &Answer<'_>) -> anyhow::Result<()>;
}

pub struct Outcome<C> {
    pub callers: Vec<C>,
    pub answers: u64,
    pub started: Instant,
    pub elapsed: Duration,
    /// The latencies in microseconds, sorted.
    pub latencies_us: Vec<u32>,
}

impl<C> Outcome<C> {
    pub fn per_second(&self) -> f64 {
        self.answers as f64 / self.elapsed.as_secs_f64()
    }

    /// The latency in milliseconds at a quantile from 0 to 1.
    pub fn latency_ms(&self, quantile: f64) -> f64 {
        let last = self.latencies_us.len().saturating_sub(1);
        let at = (last as f64 * quantile).round() as usize;
        self.latencies_us.get(at).map_or(0.0, |it| f64::from(*it) / 1_000.0)
    }
}

/// When the connections send.
#[derive(Clone, Copy)]
enum Pace {
    /// Each connection sends when it has its last answer.
    Closed,
    /// Requests arrive at random, this many per second on each connection: a Poisson process.
    Random(f64),
}

/// Sends calls for `duration` and waits for their answers. The time starts when all connections are open.
pub async fn run<C: Caller>(address: SocketAddr, callers: Vec<C>, duration: Duration) -> anyhow::Result<Outcome<C>> {
    load(address, callers, duration, Pace::Closed).await
}

/// Like [`run`], with `per_second` requests in all that arrive at random. The latency of a request begins when it arrives, also
/// if its connection is still busy.
pub async fn arrive<C: Caller>(
    address: SocketAddr,
    callers: Vec<C>,
    duration: Duration,
    per_second: f64,
) -> anyhow::Result<Outcome<C>> {
    let each = per_second / callers.len() as f64;
    load(address, callers, duration, Pace::Random(each)).await
}

async fn load<C: Caller>(
    address: SocketAddr,
    callers: Vec<C>,
    duration: Duration,
    pace: Pace,
) -> anyhow::Result<Outcome<C>> {
    let barrier = Arc::new(Barrier::new(THREADS));
    let mut shares: Vec<Vec<C>> = (0..THREADS).map(|_| Vec::new()).collect();
    for (index, caller) in callers.into_iter().enumerate() {
        shares[index % THREADS].push(caller);
    }
    let threads: Vec<_> = shares
        .into_iter()
        .enumerate()
        .map(|(thread, share)| {
            let barrier = barrier.clone();
            tokio::task::spawn_blocking(move || run_share(address, (thread, share), duration, pace, &barrier))
        })
        .collect();
    let mut outcome = Outcome {
        callers: Vec::new(),
        answers: 0,
        started: Instant::now(),
        elapsed: Duration::ZERO,
        latencies_us: Vec::new(),
    };
    let mut ended = outcome.started;
    for thread in threads {
        let share = thread.await.map_err(|error| anyhow!("a generator thread failed: {error}"))??;
        // All threads leave the barrier at about the same time.
        outcome.started = share.started;
        ended = ended.max(share.ended);
        outcome.callers.extend(share.callers);
        outcome.latencies_us.extend(share.latencies_us);
    }
    outcome.elapsed = ended - outcome.started;
    outcome.answers = outcome.latencies_us.len() as u64;
    outcome.latencies_us.sort_unstable();
    Ok(outcome)
}

struct Share<C> {
    callers: Vec<C>,
    started: Instant,
    ended: Instant,
    latencies_us: Vec<u32>,
}

fn run_share<C: Caller>(
    address: SocketAddr,
    (thread, callers): (usize, Vec<C>),
    duration: Duration,
    pace: Pace,
    barrier: &Barrier,
) -> anyhow::Result<Share<C>> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let mut connected = Vec::with_capacity(callers.len());
        let mut failure = None;
        for caller in callers {
            match Connection::open(address).await {
                Ok(connection) => connected.push((caller, connection)),
                Err(error) => failure = Some(error),
            }
        }
        // The other thread waits here too, so this point is always reached.
        barrier.wait();
        if let Some(error) = failure {
            return Err(error).with_context(|| format!("{address} does not accept connections"));
        }
        let started = Instant::now();
        let mut calls = JoinSet::new();
        for (number, (caller, connection)) in connected.into_iter().enumerate() {
            let until = started + duration;
            match pace {
                Pace::Closed => calls.spawn(call_until(caller, connection, until)),
                Pace::Random(per_second) => {
                    let gaps = Gaps::new((number * THREADS + thread) as u64, per_second);
                    calls.spawn(call_at_random(caller, connection, gaps, started, until))
                }
            };
        }
        let mut share = Share { callers: Vec::new(), started, ended: started, latencies_us: Vec::new() };
        let all = async {
            while let Some(result) = calls.join_next().await {
                let (caller, latencies_us) = result??;
                share.callers.push(caller);
                share.latencies_us.extend(latencies_us);
            }
            anyhow::Ok(())
        };
        match tokio::time::timeout(duration + PATIENCE, all).await {
            Ok(result) => result?,
            Err(_) => bail!("{address} has not answered for {PATIENCE:?}"),
        }
        share.ended = Instant::now();
        Ok(share)
    })
}

async fn call_until<C: Caller>(
    mut caller: C,
    mut connection: Connection,
    until: Instant,
) -> anyhow::Result<(C, Vec<u32>)> {
    let mut latencies_us = Vec::with_capacity(4_096);
    let mut before = Instant::now();
    while before < until {
        let answer = connection.call(caller.request()).await.context("a call failed")?;
        caller.answered(&answer)?;
        let now = Instant::now();
        latencies_us.push(u32::try_from((now - before).as_micros()).unwrap_or(u32::MAX));
        before = now;
    }
    Ok((caller, latencies_us))
}

async fn call_at_random<C: Caller>(
    mut caller: C,
    mut connection: Connection,
    mut gaps: Gaps,
    started: Instant,
    until: Instant,
) -> anyhow::Result<(C, Vec<u32>)> {
    let mut latencies_us = Vec::new();
    let mut arrival = started + gaps.next_gap();
    while arrival < until {
        // A sleep ends up to a millisecond late, which is not the server's time.
        let begun = if Instant::now() < arrival {
            tokio::time::sleep_until(arrival.into()).await;
            Instant::now()
        } else {
            arrival
        };
        let answer = connection.call(caller.request()).await.context("a call failed")?;
        caller.answered(&answer)?;
        latencies_us.push(u32::try_from(begun.elapsed().as_micros()).unwrap_or(u32::MAX));
        arrival += gaps.next_gap();
    }
    Ok((caller, latencies_us))
}

/// The times between arrivals: exponentially distributed, and the same in every run.
struct Gaps {
    state: u64,
    mean_secs: f64,
}

impl Gaps {
    fn new(number: u64, per_second: f64) -> Self {
        Self { state: (number + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15), mean_secs: 1.0 / per_second }
    }

    fn next_gap(&mut self) -> Duration {
        // xorshift64
        self.state ^= self.state << 13;
        self.state ^= self.state >> 7;
        self.state ^= self.state << 17;
        let uniform = ((self.state >> 11) as f64 + 1.0) / (1_u64 << 53) as f64;
        Duration::from_secs_f64(-uniform.ln() * self.mean_secs)
    }
}

/// Writes `number` in digits of `base` over the whole field.
pub fn write_number(place: &mut [u8], mut number: u64, base: u64) {
    for digit in place.iter_mut().rev() {
        *digit = b"0123456789abcdef"[(number % base) as usize];
        number /= base;
    }
}

/// The position of `wanted` in `bytes`, found once.
pub fn range_of(bytes: &[u8], wanted: &str) -> std::ops::Range<usize> {
    let at =
        bytes.windows(wanted.len()).position(|it| it == wanted.as_bytes()).expect("the template contains the field");
    at..at + wanted.len()
}

/// The median; 0 for no values.
pub fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    match values.len() {
        0 => 0.0,
        odd if odd % 2 == 1 => values[odd / 2],
        even => (values[even / 2 - 1] + values[even / 2]) / 2.0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn random_arrivals_have_their_rate() {
        let mut gaps = Gaps::new(3, 50.0);
        let total: f64 = (0..20_000).map(|_| gaps.next_gap().as_secs_f64()).sum();
        assert!((total / 20_000.0 - 0.02).abs() < 0.001, "{total}");
    }
}
