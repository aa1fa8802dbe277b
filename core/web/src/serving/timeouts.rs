//! The timeouts of a connection in each phase, and the choice of connections that are closed when there are too many.

use std::collections::HashMap;
use std::net::IpAddr;
use std::time::Duration;

/// The phase of a connection.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Phase {
    /// It is new, or the head of a request is being received.
    Head = 0,
    /// It waits for the next request.
    Idle = 1,
    /// The body of a request is being received.
    Body = 2,
    /// The response is being computed or sent.
    Response = 3,
}

/// The timeouts of connections.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Timeouts {
    /// From the first byte of a request, or from the start of the connection, to the end of the headers.
    pub header: Duration,
    /// From one request to the next.
    pub idle: Duration,
    /// From the end of the headers to the end of the body, plus one second for each [`BODY_BYTES_PER_SEC`] received
    /// bytes.
    pub body: Duration,
    /// For which the peer accepts no byte of a response.
    pub write: Duration,
}

/// The minimum transfer rate of a body. It is lower than that of any mobile network; 4 MiB can take a quarter of an
/// hour.
pub const BODY_BYTES_PER_SEC: u64 = 4_096;

/// Why a connection was closed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum CloseReason {
    HeaderTimeout,
    IdleTimeout,
    WriteTimeout,
    /// It was closed because a new connection needed its slot.
    Evicted,
}

impl CloseReason {
    /// The value of the label `reason` in metrics.
    pub fn word(self) -> &'static str {
        match self {
            Self::HeaderTimeout => "header_timeout",
            Self::IdleTimeout => "idle_timeout",
            Self::WriteTimeout => "write_timeout",
            Self::Evicted => "evicted",
        }
    }
}

impl Timeouts {
    /// Checks a connection that is in `phase` for `age`. Returns the time until the next check, or why the connection
    /// must be closed. A body has a timer of its own: [`super::body`].
    pub fn check(self, phase: Phase, age: Duration, stalled: Option<Duration>) -> Result<Duration, CloseReason> {
        if stalled.is_some_and(|stalled| stalled >= self.write) {
            return Err(CloseReason::WriteTimeout);
        }
        let (limit, reason) = match phase {
            Phase::Head => (self.header, CloseReason::HeaderTimeout),
            Phase::Idle => (self.idle, CloseReason::IdleTimeout),
            Phase::Body | Phase::Response => (Duration::MAX, CloseReason::IdleTimeout),
        };
        match limit.checked_sub(age) {
            None | Some(Duration::ZERO) => Err(reason),
            // The next request can begin right after this check, and its timeout is shorter.
            Some(left) => Ok(left.min(self.header).min(self.write)),
        }
    }

    /// The time within which a body must end, if `received` bytes have arrived.
    pub fn body_timeout(self, received: u64) -> Duration {
        self.body + Duration::from_millis(received * 1_000 / BODY_BYTES_PER_SEC)
    }
}

/// A connection that can be closed for a new one.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Candidate {
    pub peer: IpAddr,
    pub phase: Phase,
    pub age: Duration,
}

/// Chooses at most `max` connections to close; returns their indices in `open`. Connections of the peers with the most
/// connections come first, so that one peer cannot displace the others. Among them, connections without a request come
/// first, longest age first, then those that send a body. Connections with a response in progress are never chosen.
pub fn select_evictions(open: &[Candidate], max: usize) -> Vec<usize> {
    let mut per_peer = HashMap::<IpAddr, usize>::new();
    for candidate in open {
        *per_peer.entry(candidate.peer).or_default() += 1;
    }
    let mut chosen: Vec<usize> = (0..open.len()).filter(|index| open[*index].phase != Phase::Response).collect();
    chosen.sort_by_key(|index| {
        let candidate = &open[*index];
        std::cmp::Reverse((per_peer[&candidate.peer], candidate.phase != Phase::Body, candidate.age))
    });
    chosen.truncate(max);
    chosen
}

#[cfg(test)]
mod tests {
    use super::*;

    const TIMEOUTS: Timeouts = Timeouts {
        header: Duration::from_secs(10),
        idle: Duration::from_secs(75),
        body: Duration::from_secs(20),
        write: Duration::from_secs(30),
    };

    #[test]
    fn each_phase_has_its_timeout() {
        let secs = Duration::from_secs;
        for (phase, age, stalled, expected) in [
            (Phase::Head, 0, None, Ok(10)),
            (Phase::Head, 9, None, Ok(1)),
            (Phase::Head, 10, None, Err(CloseReason::HeaderTimeout)),
            (Phase::Idle, 10, None, Ok(10)),
            (Phase::Idle, 70, None, Ok(5)),
            (Phase::Idle, 80, None, Err(CloseReason::IdleTimeout)),
            (Phase::Body, 10_000, None, Ok(10)),
            (Phase::Response, 10_000, None, Ok(10)),
            (Phase::Response, 40, Some(29), Ok(10)),
            (Phase::Response, 40, Some(30), Err(CloseReason::WriteTimeout)),
        ] {
            let checked = TIMEOUTS.check(phase, secs(age), stalled.map(secs));
            assert_eq!(checked, expected.map(secs), "{phase:?} {age} {stalled:?}");
        }
    }

    #[test]
    fn received_bytes_extend_the_timeout_of_a_body() {
        assert_eq!(TIMEOUTS.body_timeout(0), Duration::from_secs(20));
        assert_eq!(TIMEOUTS.body_timeout(40_960), Duration::from_secs(30));
    }

    #[test]
    fn idle_connections_of_the_busiest_peer_are_closed_first() {
        let candidate = |peer: u8, phase, age| Candidate {
            peer: IpAddr::from([10, 0, 0, peer]),
            phase,
            age: Duration::from_secs(age),
        };
        let open = [
            candidate(1, Phase::Idle, 70),
            candidate(2, Phase::Response, 500),
            candidate(2, Phase::Head, 3),
            candidate(2, Phase::Idle, 5),
            candidate(2, Phase::Body, 9),
        ];
        assert_eq!(select_evictions(&open, 1), [3], "the longest idle connection of the busiest peer");
        assert_eq!(select_evictions(&open, 3), [3, 2, 4], "then the one that sends a body");
        assert_eq!(select_evictions(&open, 9), [3, 2, 4, 0], "a response in progress is not interrupted");
    }
}
